"""What every row of a table must satisfy."""

from dataclasses import dataclass
from typing import Literal

from feature_repo.define.column import BEGINNING, Column, Type, quoted

RuleKind = Literal["present", "range", "length", "custom"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What every row of a table must satisfy; a row that does not goes to the quarantine.

    Args:
        name: stands in the quarantine and on the validation page.
        predicate: SQL in the words of `lake.dialect`, true for a good row (null counts as false).
        reason: what is wrong with a row that breaks it, as one sentence.
        kind: how the rule came about.
        column: the column that it is about, "" for several.
    """

    name: str
    predicate: str
    reason: str
    kind: RuleKind = "custom"
    column: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """Every value of `column` must be among `table`'s keys."""

    column: str
    table: str

    @property
    def rule(self) -> str:
        """The name of the rule that a row without its counterpart breaks."""
        return f"{self.column}_in_{self.table}"


def column_rules(column: Column) -> list[Rule]:
    """Presence, range and length of one column as row rules.

    A range holds where the column is null: that a value must be there is the presence rule's business, so
    one bad value breaks one rule.
    """
    name, held = column.name, quoted(column.name)
    rules = []
    if not column.nullable:
        rules.append(Rule(f"{name}_is_present", f"{held} IS NOT NULL", f"{name} is missing", "present", name))
    if column.type is Type.TIMESTAMP:
        rules.append(
            Rule(
                f"{name}_in_range",
                f"{held} IS NULL OR ({held} >= TIMESTAMP '{BEGINNING:%Y-%m-%d %H:%M:%S}'"
                f" AND {held} <= current_timestamp)",
                f"{name} is before {BEGINNING:%Y-%m-%d} or in the future",
                "range",
                name,
            )
        )
    if column.low is not None or column.high is not None:
        value = "x" if column.type.is_list else held
        bounds = [f"{value} >= {column.low:g}"] if column.low is not None else []
        bounds += [f"{value} <= {column.high:g}"] if column.high is not None else []
        if column.type is Type.FLOAT64:
            bounds.append(f"NOT isnan({value})")
        inside = " AND ".join(bounds)
        every = f"size(filter({held}, x -> {inside})) = size({held})"
        test = every if column.type.is_list else f"({inside})"
        rules.append(
            Rule(
                f"{name}_in_range",
                f"{held} IS NULL OR {test}",
                f"{name} is outside {interval(column)}",
                "range",
                name,
            )
        )
    if column.length is not None:
        rules.append(
            Rule(
                f"{name}_has_length",
                f"{held} IS NULL OR size({held}) = {column.length}",
                f"{name} does not have {column.length} elements",
                "length",
                name,
            )
        )
    return rules


def interval(column: Column) -> str:
    """The range of a column's values, in words."""
    low = "-∞" if column.low is None else f"{column.low:g}"
    high = "∞" if column.high is None else f"{column.high:g}"
    return f"[{low}, {high}]"
