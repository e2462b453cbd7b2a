"""Typed configuration: unknown keys fail with the nearest right name."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import MarqueeError


class Config(BaseModel):
    """Base of all configuration of training. Frozen; values are checked against their types and ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, values: Mapping[str, Any] | None = None) -> Self:
        """The defaults with `values` in their place.

        Args:
            values: nested by section; a dotted key ("training.epochs") reaches into a section too.

        Raises:
            MarqueeError: a key that does not exist, with the nearest one that does, or a value of the wrong
                type or range.
        """
        try:
            return cls.model_validate(merged(_sections(cls), nested(values or {})))
        except ValidationError as error:
            raise MarqueeError(_sentence(cls, error)) from error


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as sections: {"training.epochs": 3} becomes {"training": {"epochs": 3}}."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        head, _, rest = str(key).partition(".")  # YAML has keys of other types, too
        inner = nested({rest: value}) if rest else nested(value) if isinstance(value, Mapping) else value
        if isinstance(inner, dict) and isinstance(result.get(head), dict):
            result[head] = merged(result[head], inner)
        else:
            result[head] = inner
    return result


def _sections(cls: type[Config]) -> dict[str, Any]:
    """The sections as `cls` has them: a value for one setting leaves the others of its section alone."""
    return {
        name: field.default.model_dump()
        for name, field in cls.model_fields.items()
        if isinstance(field.default, Config)
    }


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two configurations as one, section by section; the second wins."""
    both = nested(first)
    for key, value in nested(second).items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _sentence(cls: type[Config], error: ValidationError) -> str:
    """The first thing that is wrong, as one sentence."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = ".".join(place)
    if first["type"] != "extra_forbidden":
        return f"{cls.__name__}: {name} = {first['input']!r} is not allowed: {first['msg'].lower()}."
    section: type[BaseModel] = cls
    for part in place[:-1]:
        inner = section.model_fields[part].annotation if part in section.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    known = sorted(section.model_fields)
    near = get_close_matches(place[-1], known, n=1, cutoff=0.5)
    advice = f"did you mean {'.'.join([*place[:-1], near[0]])}?" if near else f"known: {', '.join(known)}."
    return f"{cls.__name__} has no setting {name}: {advice}"
