"""Expectations of our own for Spark.

Importing this module imports Great Expectations, which is slow: import it inside functions.

`UnexpectedRowsExpectation` runs two Spark jobs for each rule. `ExpectRowsToSatisfy` takes a predicate as an
aggregate, and Great Expectations computes all aggregates of a batch in one job, however many rules there are;
`ExpectNoRowsFrom`, for what is not a property of single rows, runs one job.
"""

from typing import Any, ClassVar

from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.sparkdf_execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from pyspark.sql import Column
from pyspark.sql import functions as F

Result = dict[str, Any]


def breaks(predicate: str) -> Column:
    """True for the rows that break a predicate of Spark SQL; null counts as broken."""
    return ~F.coalesce(F.expr(predicate), F.lit(False))


class RowsBreaking(TableMetricProvider):
    """How many rows break a predicate."""

    metric_name = "table.rows_breaking"
    value_keys = ("predicate",)

    @metric_partial(
        engine=SparkDFExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _spark(
        cls,  # noqa: N805 - a metric function is called with its provider class
        metric_domain_kwargs: Result,
        metric_value_kwargs: Result,
        **_: Any,
    ) -> tuple[Column, Result, Result]:
        broken = breaks(metric_value_kwargs["predicate"])
        return F.count(F.when(broken, F.lit(1))), metric_domain_kwargs, {}


class ExpectRowsToSatisfy(BatchExpectation):
    """Expect a predicate of Spark SQL to be true of every row; null counts as false.

    Args:
        predicate: Spark SQL over the row's columns.
        column: the column that it is about, where it is about one.

    The result's `observed_value` is the number of rows that break it.
    """

    predicate: str
    column: str | None = None

    metric_dependencies = ("table.rows_breaking",)
    success_keys: ClassVar[tuple[str, ...]] = ("predicate",)
    args_keys = ("predicate",)

    def _validate(
        self,
        metrics: Result,
        runtime_configuration: Result | None = None,  # noqa: ARG002
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> Result:
        broken = metrics["table.rows_breaking"]
        return {"success": broken == 0, "result": {"observed_value": broken}}


class ExpectNoRowsFrom(UnexpectedRowsExpectation):
    """Expect a query to give no rows, as its parent does, but only count them: the parent also fetches rows,
    by a second run of the query, even where the result is not to show them.

    Args:
        unexpected_rows_query: Spark SQL, with `{batch}` for the table.

    The result's `observed_value` is the number of rows that the query gives.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(
        self,
        metrics: Result,
        runtime_configuration: Result | None = None,  # noqa: ARG002
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> Result:
        unexpected = metrics["unexpected_rows_query.row_count"]
        return {"success": unexpected == 0, "result": {"observed_value": unexpected}}


class ExpectColumnsToHaveTypes(BatchExpectation):
    """Expect each of these columns that is there to have this type. (Native type expectations tell all arrays
    alike.)

    Args:
        types: column → Spark's `simpleString` of its type.

    The result's `observed_value` names the columns of another type, with the type found.
    """

    types: dict[str, str]

    metric_dependencies = ("table.column_types",)
    success_keys: ClassVar[tuple[str, ...]] = ("types",)
    args_keys = ("types",)

    def _validate(
        self,
        metrics: Result,
        runtime_configuration: Result | None = None,  # noqa: ARG002
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> Result:
        found = {column["name"]: column["type"].simpleString() for column in metrics["table.column_types"]}
        wrong = {name: found[name] for name, type_ in self.types.items() if found.get(name, type_) != type_}
        shown = [f"{name} is {type_}, not {self.types[name]}" for name, type_ in wrong.items()]
        return {"success": not wrong, "result": {"observed_value": "; ".join(shown) or "as declared"}}
