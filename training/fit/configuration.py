"""Configurations of models kept in files, with what found them.

One rule: the command line trains a model with its committed configuration (`configs/<model>.<protocol>.yaml`,
else `configs/<model>.yaml`, else the defaults of its class); `--config FILE` takes its place. Those of an own
model lie beside its file.
"""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from pydantic import Field

from common.errors import MarqueeError
from common.files import write_atomically
from training.config import Config, nested, read_once
from training.models import model as entry_of


class ConfigurationFile(Config):
    """One file.

    Args:
        model: key in the zoo, or the import path of a user's own.
        config: what differs from the defaults of the model's class, by section.
        command: that found it.
        paper: whose protocol that is; "" where it is Marquee's own.
        protocol: under which it was found; "" where it was not searched for.
        task: that it was found for; "" where it was not searched for.
        data: that it was found on, in words.
        metric: that it was found by; "" where it was not searched for.
        validation: of that, of the best trial.
        trials: that finished.
        pruned: that were given up early.
    """

    model: str
    config: dict[str, Any] = Field(default_factory=dict)
    command: str = ""
    paper: str = ""
    protocol: str = ""
    task: str = ""
    data: str = ""
    metric: str = ""
    validation: float | None = None
    trials: int = 0
    pruned: int = 0


def read_configuration(path: Path, model: str | None = None) -> ConfigurationFile:
    """Read a configuration file and check all of it.

    Args:
        path: YAML, or JSON, which is YAML too.
        model: that it must be for.

    Raises:
        MarqueeError: no such file, no YAML, an unknown key (the sentence names the nearest) or one that is
            given twice, a value out of range, or another model's.
    """
    if path.is_char_device() or path.is_block_device():  # which may have no end
        raise MarqueeError(f"{path} is a device: a configuration is a file.")
    try:
        values = read_once(path.read_text())
    except OSError as error:
        raise MarqueeError(f"There is no readable configuration at {path}: {error.strerror}.") from error
    except MarqueeError as error:
        raise MarqueeError(f"In {path}: {error}") from error
    except Exception as error:  # what PyYAML makes of values that are not what their form says is anything
        raise MarqueeError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise MarqueeError(f"{path} holds no keys and values: it needs at least 'model' and 'config'.")
    try:
        found = ConfigurationFile.of(values)
        if model is not None and found.model != model:
            raise MarqueeError(f"it configures {found.model}, not {model}.")
        entry_of(found.model).config_class.of(found.config)
    except MarqueeError as error:
        raise MarqueeError(f"In {path}: {error}") from error
    return found


def write_configuration(found: ConfigurationFile, path: Path) -> None:
    """Write a configuration file, its settings by section.

    Raises:
        MarqueeError: the folder cannot be written.
    """
    values = {**found.model_dump(exclude={"config"}), "config": nested(found.config)}
    write_atomically(path, yaml.safe_dump(values, sort_keys=False, width=1000))


def committed(model: str, protocol: str, folder: Path | None = None) -> dict[str, Any]:
    """The committed configuration of a model, by section; empty where it has none. See `committed_file`."""
    found = committed_file(model, protocol, folder)
    return {} if found is None else found.config


def committed_file(model: str, protocol: str, folder: Path | None = None) -> ConfigurationFile | None:
    """The committed configuration of a model, with what found it; None where it has none.

    Args:
        model: a key of the zoo, or an import path.
        protocol: under which it is to be trained.
        folder: where to look; by default where the model's lie.

    Raises:
        MarqueeError: as `read_configuration`, or there is no such model.
    """
    entry = entry_of(model)
    folder = folder or entry.configurations
    for name in (f"{entry.key}.{protocol}.yaml", f"{entry.key}.yaml"):
        if (folder / name).is_file():
            return read_configuration(folder / name, model)
    return None
