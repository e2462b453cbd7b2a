"""The expectation by which Great Expectations judges what was measured of a table.

Importing this module imports Great Expectations, which is slow: import it inside functions.

The batch is not the table but its measurements, one row a check (`measured_frame`): however large the table
and whatever the engine, Great Expectations sees a few dozen rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pandas as pd
from great_expectations import ExpectationSuite
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from feature_repo.define.table import Table
from validation.gate.checks import Check
from validation.gate.measure import Measured

Answers = dict[str, Any]


def measured_frame(measured: Mapping[str, Measured]) -> pd.DataFrame:
    """What was measured of a table, by the names of its checks, as the batch that is judged."""
    rows = [(name, each.holds, each.unexpected, each.detail, each.error) for name, each in measured.items()]
    return pd.DataFrame(rows, columns=["check", "holds", "unexpected", "detail", "error"])


class MeasuredOfCheck(TableMetricProvider):
    """The row of one check."""

    metric_name = "table.measured_of_check"
    value_keys = ("check",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - a metric function is called with its provider class
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: Answers,
        metric_value_kwargs: Answers,
        **_: Any,
    ) -> Answers:
        frame, _domain, _accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        (row,) = frame[frame["check"] == metric_value_kwargs["check"]].to_dict("records")
        if row["error"]:
            raise ValueError(row["error"])
        return {str(name): value for name, value in row.items()}


class ExpectCheckToHold(BatchExpectation):
    """Expect a check of a declared table to hold.

    Args:
        check: its name.
        sql: of a row rule the predicate, true for a good row, null counting as false; of a uniqueness or
            reference check the query that gives the unexpected rows, with `{batch}` for the table.
        column: the column that it is about, where it is about one.

    The result's `observed_value` is the number of unexpected rows, or what was found in words.
    """

    check: str
    sql: str | None = None
    column: str | None = None

    metric_dependencies = ("table.measured_of_check",)
    success_keys: ClassVar[tuple[str, ...]] = ("check", "sql")
    args_keys = ("check",)

    def _validate(
        self,
        metrics: Answers,
        runtime_configuration: Answers | None = None,  # noqa: ARG002
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> Answers:
        row = metrics["table.measured_of_check"]
        return {
            "success": bool(row["holds"]),
            "result": {"observed_value": row["detail"] or int(row["unexpected"])},
        }


def suite(table: Table, checks: Iterable[Check]) -> ExpectationSuite:
    """The suite that makes these checks of a table; `meta["check"]` of an expectation is its check's name."""
    return ExpectationSuite(name=table.name, expectations=[_expectation(check) for check in checks])


def _expectation(check: Check) -> ExpectCheckToHold:
    # A rule about one column stands under that column in Data Docs.
    column = check.columns[0] if check.is_row_rule and len(check.columns) == 1 else None
    return ExpectCheckToHold(
        check=check.name,
        sql=check.sql or None,
        column=column,
        description=f"{check.name}: {'no row where ' if check.is_row_rule else ''}{check.says}",
        meta={"check": check.name},
        notes=check.sql or None,
    )
