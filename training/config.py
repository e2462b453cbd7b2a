"""Typed configuration: unknown keys fail with the nearest right name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Self, TypeVar

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from common.errors import MarqueeError

T = TypeVar("T")
Width = Annotated[int, Field(ge=1)]
"""Of a layer."""


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


def checked(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass made of plain data, such as JSON gives them.

    Args:
        kind: of its class.
        values: of its fields.

    Raises:
        TypeError: a field is missing or unknown.
        ValueError: a value is not of its field's type.
    """
    kind(**values)  # pydantic leaves unknown fields out in silence
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise ValueError(first_fault(error)) from error


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg'].lower()}"


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


def read_once(text: str) -> Any:
    """What YAML, or JSON, says, where each key is said once.

    Raises:
        Exception: it is no YAML, is too deep, or has a value that is not what its form says, such as the date
            2020-13-45.
        MarqueeError: a key is given twice, by itself or as a part of a dotted one; or an alias stands for
            more than one value.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    _refuse_repeated(root, set())
    twice = [key for key, times in Counter(_keys(root)).items() if times > 1]
    if twice:
        raise MarqueeError(f"{twice[0]} is given twice: leave one of them out.")
    return yaml.safe_load(text)


def _refuse_repeated(node: yaml.Node | None, seen: set[int]) -> None:
    """Refuse a mapping or a list that stands at several places: of few lines it can make a world of values.

    Raises:
        MarqueeError: one does.
    """
    if not isinstance(node, yaml.CollectionNode):
        return
    if id(node) in seen:
        raise MarqueeError("an alias (*) stands for a mapping or a list: write out what it stands for.")
    seen.add(id(node))
    for part in node.value:
        for inner in part if isinstance(part, tuple) else (part,):
            _refuse_repeated(inner, seen)


def _keys(node: yaml.Node | None, place: str = "") -> Iterator[str]:
    """Every key of a document, below which others it stands, as often as it is given."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{place}.{key.value}" if place else str(key.value)
            yield name
            yield from _keys(value, name)


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
    if first["type"] == "value_error":
        return f"{cls.__name__}: {first['ctx']['error']}."
    place = [str(part) for part in first["loc"]]
    name = ".".join(place)
    if first["type"] == "missing":
        return f"{name} is missing."
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
