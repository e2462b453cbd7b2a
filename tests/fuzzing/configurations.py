"""Configurations of models, as `train --config FILE` reads them: YAML and JSON."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from app.train import TrainOptions, recipe_for
from feature_repo.domains.movies import DOMAIN
from tests.fuzzing.damage import damaged
from tests.fuzzing.sheets import ODD
from training.models import MODELS, model

RAW = (
    *(
        "",
        "~",
        "null",
        "[]",
        "{}",
        "true",
        "no",
        "0",
        "-1",
        "1",
        "2",
        "0.5",
        "1e999",
        ".nan",
        "-.inf",
        "1_000",
    ),
    *("0x10", "0o7", "0b1", "1:30", "1e3", "'5'", '"0.1"', "2020-01-31", "2020-13-45", "2020-01-31 25:00:00"),
    *(
        "!!int x",
        "!!float x",
        "!!binary x",
        "!!timestamp x",
        "!!set {a}",
        "!!omap [a: 1]",
        "!!str 5",
        "!other 5",
    ),
    *(
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "!!python/tuple [1]",
        "!!map [a]",
    ),
    *(
        "&a [*a]",
        "&a {x: *a}",
        "*nobody",
        "<<: {a: 1}",
        "=",
        "|",
        "> x",
        "? [1]",
        "- 1",
        "[1, 2",
        "'x",
        "\t",
        "%a",
    ),
    *("[" * 60 + "]" * 60, "[" * 5_000, "[" * 3_000 + "]" * 3_000, "{a: " * 2_000 + "1" + "}" * 2_000),
    *("9" * 30, "9" * 5_000, "1" + "0" * 400 + ".0", "[0]", "[1, [2]]", "{1: 2}", "{[1]: 2}", "{{a: 1}: 2}"),
    *("[16, 8]", "[1, x]", "&a 1", "# x", "'\\ud800'", '"\\ud800"', '"\\x00"', "'a\n\n b'", "x" * 5_000),
    "{a0: &a0 {x: 1, y: 1}, "
    + ", ".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}, z: *a{n - 1}}}" for n in range(1, 30))
    + "}",
)
"""Values as they stand in YAML, of which few may be a setting's."""
KEYS = (
    *("unheard_of", "", "a.b", ".", "units.", "training.epochs", "inputs.buckets", "1", "null", "<<", "="),
    *("[1]", "{a: 1}", "? x", "!!python/name:os.system", "&k a", "*a", "2020-13-45", "é", "model", "config"),
    *("'a\n b'", "\x1b", "x" * 999),
)


def configurations(random: Random, folder: Path) -> str:
    """One file for one model."""
    name = random.choice(sorted(MODELS))
    file = folder / random.choice(("x.yaml", "x.json"))
    values = {"model": name, "config": random.choice(settings_of(name)), "trials": 3, "validation": 0.5}
    place = None
    if random.random() < 0.35:
        text = (
            _yaml(values, 0)
            if file.suffix == ".yaml" or random.random() < 0.3
            else json.dumps(values, indent=1)
        )
        file.write_bytes(damaged(random, text.encode()))
    else:
        changed, place = CHANGES[random.randrange(len(CHANGES))](random, json.loads(json.dumps(values)))
        flow = file.suffix == ".json"
        text = _flow(changed) if flow else _yaml(changed, 0)
        encoding = random.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "latin-1"))
        file.write_bytes(text.encode(encoding, "replace"))
    recipe = recipe_for(DOMAIN, name, TrainOptions(config=file))
    assert place != UNKNOWN_KEY, "a key that there is not was read"
    assert recipe.model == name
    if place is None:
        return "read"
    whole = recipe_for(DOMAIN, name, TrainOptions(config=_whole(folder, values)))
    for path, value in _leaves(whole.config):
        if path[: len(place)] != place and place[: len(path)] != path:
            assert _at(recipe.config, path) == value, f"{path} is {_at(recipe.config, path)}, not {value}"
    return "compared"


UNKNOWN_KEY = ("?",)
Where = tuple[str, ...]


class Raw(str):
    """A value as it stands in YAML."""


@cache
def settings_of(name: str) -> tuple[dict[str, Any], ...]:
    """Settings that are right: none, all defaults, a few."""
    whole = json.loads(model(name).config_class().model_dump_json())
    few = {
        key: value
        for key, value in whole.items()
        if isinstance(value, dict) or key in ("dropout", "leaves", "units")
    }
    return ({}, whole, few)


def _whole(folder: Path, values: dict[str, Any]) -> Path:
    file = folder / "whole.json"
    file.write_text(json.dumps(values))
    return file


def _leaves(values: Any, path: Where = ()) -> list[tuple[Where, Any]]:
    if not isinstance(values, dict):
        return [(path, values)]
    return [leaf for key, value in values.items() for leaf in _leaves(value, (*path, key))]


def _at(values: Any, path: Where) -> Any:
    for key in path:
        values = values[key]
    return values


# --- changes: what there is then, and what of `config` was changed -----------------------------------------


def _another_value(random: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    path, _ = random.choice(_leaves(values))
    holder = _at(values, path[:-1])
    holder[path[-1]] = random.choice(
        (Raw(random.choice(RAW)), Raw(random.choice(RAW)), random.choice(ODD), None, [], {})
    )
    return values, path[1:] if path[0] == "config" and len(path) > 1 else None


def _another_key(random: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    holder = _section(random, values)
    holder[Raw(random.choice(KEYS))] = random.choice((Raw(random.choice(RAW)), 1))
    return values, None


def _unknown_key(random: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    _section(random, values)[
        random.choice(("unheard_of", "Units", "dropout ", "inputs2", "training.epoch"))
    ] = 1
    return values, UNKNOWN_KEY


def _fewer(random: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    path, _ = random.choice(_leaves(values))
    del _at(values, path[:-1])[path[-1]]
    return values, path[1:] if path[0] == "config" and len(path) > 1 else None


def _a_key_twice(random: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    holder = _section(random, values)
    if holder:
        key = random.choice(sorted(holder))
        holder[Raw(key + random.choice(("", " ")))] = holder[key]  # as text it is the same key
    return values, None


def _a_section_as_keys(random: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    config = values["config"]
    sections = [key for key, value in config.items() if isinstance(value, dict)]
    if sections:
        key = random.choice(sections)
        config.update({f"{key}.{inner}": value for inner, value in config.pop(key).items()})
    return values, ("nothing",)


def _as_it_is(_: Random, values: dict[str, Any]) -> tuple[dict[str, Any], Where | None]:
    return values, ("nothing",)


CHANGES: tuple[Callable[[Random, dict[str, Any]], tuple[dict[str, Any], Where | None]], ...] = (
    _another_value, _another_value, _another_value, _another_key, _unknown_key, _fewer, _a_key_twice,
    _a_section_as_keys, _as_it_is,
)  # fmt: skip


def _section(random: Random, values: dict[str, Any]) -> dict[str, Any]:
    inner = [value for value in values["config"].values() if isinstance(value, dict)]
    return random.choice([values, values["config"], *inner])


def _yaml(value: Any, depth: int) -> str:
    """Block style."""
    if isinstance(value, dict) and value:
        return "\n".join(
            f"{'  ' * depth}{_key(key)}:{_below(inner, depth)}" for key, inner in value.items()
        ) + "\n" * (depth == 0)
    return _flow(value)


def _below(value: Any, depth: int) -> str:
    return f"\n{_yaml(value, depth + 1)}" if isinstance(value, dict) and value else f" {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return str(key) if isinstance(key, Raw) else json.dumps(key)
