"""Which stores serve the definitions: a profile is a file that Feast's own command reads too."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from common.errors import MarqueeError
from common.settings import Settings

REPOSITORY = Path(__file__).parent
PROFILES = {"embedded": "feature_store.yaml", "scale": "feature_store.scale.yaml"}
EXAMPLES = {
    "MARQUEE_HOME": "$PWD/.marquee",
    "MARQUEE_POSTGRES": "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE",
    "MARQUEE_REDIS": "HOST:6379",
    "MARQUEE_SPARK_MASTER": "spark://HOST:7077",
}
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def profile_file(settings: Settings) -> Path:
    """The file of the profile that the settings name."""
    return REPOSITORY / PROFILES[settings.profile]


def profile_settings(settings: Settings) -> dict[str, Any]:
    """What the chosen profile and the settings say of the stores, as `RepoConfig` takes it.

    Raises:
        MarqueeError: a setting that the profile needs is empty.
    """
    variables = {f"MARQUEE_{name.upper()}": str(value) for name, value in settings}
    profile = read_profile(profile_file(settings), variables)
    profile["offline_store"]["memory_limit"] = settings.duckdb_memory
    if settings.profile == "scale":
        profile["offline_store"]["memory"] = settings.spark_memory
        profile["offline_store"]["partitions"] = settings.spark_shuffle_partitions
    return profile


def read_profile(file: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """What a profile's file says, with `${NAME}` filled in from `variables`.

    Raises:
        MarqueeError: one of them is not set.
    """
    filled: dict[str, Any] = _filled_in(yaml.safe_load(file.read_text()), variables, file.name)
    return filled


def _filled_in(setting: Any, variables: Mapping[str, str], file: str) -> Any:
    if isinstance(setting, dict):
        return {name: _filled_in(value, variables, file) for name, value in setting.items()}
    if not isinstance(setting, str):
        return setting
    for name in _VARIABLE.findall(setting):
        if not variables.get(name):
            example = EXAMPLES.get(name)
            how = f"export it (export {name}={example})" if example else "export it"
            raise MarqueeError(f"{name} is not set: {how}; {file} needs it.")
    return _VARIABLE.sub(lambda match: variables[match[1]], setting)
