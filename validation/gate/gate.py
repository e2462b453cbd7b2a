"""The gate: Great Expectations judges the tables; a table that breaks a check stops the run."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from common.errors import MarqueeError
from common.files import cannot_write
from common.progress import Progress
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from validation.gate.page import write_page
from validation.gate.report import (
    CheckResult,
    JudgedTable,
    QuarantinedRow,
    QuarantinedRule,
    ValidationReport,
)
from validation.gate.suites import Check, broken_columns, checkable, checks, reference_view, suite

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.datasource.fluent.spark_datasource import DataFrameAsset as SparkDataFrameAsset

PAGE = "validation.html"
DATA_DOCS = "data_docs"
PROJECT = "gx"
LAKE = "lake"
"""Great Expectations' name for where the tables come from."""
EXAMPLES = 5
"""Unexpected or quarantined rows shown of each rule."""
RECORD_CHARACTERS = 500
"""A longer record is cut on the page."""


def validate(
    frames: Mapping[str, DataFrame],
    out: Path,
    domain: Domain,
    quarantine: DataFrame | None = None,
    on_progress: Progress | None = None,
    others: Mapping[str, DataFrame] | None = None,
    before: ValidationReport | None = None,
) -> ValidationReport:
    """Judge tables by the suites that their declarations imply.

    Args:
        frames: table name → frame, to be judged in this order. Each is read a few times: give tables of the
            lake, not computations.
        out: folder that gets the Great Expectations project (`gx/`), its Data Docs (`data_docs/`) and
            our page (`validation.html`). What an earlier call left there is replaced.
        domain: declares the tables.
        quarantine: rows as in `define.table.QUARANTINE_COLUMNS`; shown, never judged.
        on_progress: told before each table.
        others: tables that are only referred to, such as a catalogue where only feature tables are judged.
        before: the report of an earlier call with the same `out`, to go on with: page, Data Docs and
            the report returned then cover both, and its quarantine is kept where none is given.

    Returns:
        The verdict. A failed gate is a report that did not pass (`report.require_passed` raises).

    Raises:
        MarqueeError: a name that the domain lacks, a referenced table that was not given, or a folder that
            cannot be written.
    """
    known = {**(others or {}), **frames}
    _check_names(frames, known, domain)
    started = perf_counter()
    try:
        with _quiet():
            context = open_project(out, fresh=before is None)
            with _reference_views(frames, known, domain.tables):
                tables = []
                for position, (name, frame) in enumerate(frames.items()):
                    if on_progress is not None:
                        on_progress(name, position, len(frames))
                    tables.append(judge(context, domain.tables[name], frame, domain.tables))
            context.build_data_docs()
        report = ValidationReport(
            tables=(*(t for t in (before.tables if before else ()) if t.name not in frames), *tables),
            quarantine=_by_rule(quarantine)
            if quarantine is not None
            else before.quarantine
            if before
            else None,
            created=datetime.now(UTC),
            seconds=perf_counter() - started + (before.seconds if before else 0),
        )
        write_page(report, domain, out / PAGE, data_docs=f"{DATA_DOCS}/index.html")
    except OSError as error:
        raise cannot_write(out, error) from error
    return report


def _check_names(frames: Mapping[str, DataFrame], known: Mapping[str, DataFrame], domain: Domain) -> None:
    for name in frames:
        if name not in domain.tables:
            raise MarqueeError(
                f"There is no table {name} in {domain.name}; it has {', '.join(domain.tables)}."
            )
        for reference in domain.tables[name].references:
            if reference.table not in known:
                raise MarqueeError(
                    f"Cannot check that {name}.{reference.column} is in {reference.table}: "
                    f"give the table {reference.table} as well."
                )


# --- Great Expectations ---------------------------------------------------------------------------------


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing sent home and nothing on the terminal: the report says what there is to say."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when Great Expectations is imported
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_project(out: Path, fresh: bool) -> "AbstractDataContext":
    """The Great Expectations project in `out`, a new one where `fresh`, with its Data Docs beside it."""
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    if fresh:
        for folder in (PROJECT, DATA_DOCS):
            shutil.rmtree(out / folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    context = great_expectations.get_context(mode="file", project_root_dir=out)
    context.variables.config.progress_bars = ProgressBarsConfig(globally=False)
    context.enable_analytics(False)
    site: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        # Relative to the project, so that `out` can be moved.
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": f"../{DATA_DOCS}"},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.update_data_docs_site(site_name="local_site", site_config=site)
    return context


def _asset(context: "AbstractDataContext", name: str) -> "SparkDataFrameAsset[Any]":
    """The table as an asset of the data source `lake`; one of that name is replaced."""
    source: Any = (
        context.data_sources.get(LAKE)
        if LAKE in context.data_sources.all()
        else context.data_sources.add_spark(LAKE, persist=False)
    )
    if name in source.get_asset_names():
        source.delete_asset(name)
    asset: SparkDataFrameAsset[Any] = source.add_dataframe_asset(name)
    return asset


def judge(
    context: "AbstractDataContext", table: Table, frame: DataFrame, tables: Mapping[str, Table]
) -> JudgedTable:
    """Run one table's suite; the views of the tables that it refers to (`reference_view`) must be there.

    Args:
        tables: the declarations of those that it refers to, and perhaps others, by name.
    """
    import great_expectations

    started = perf_counter()
    everything = checks(table, tables)
    broken = broken_columns(table, dict(frame.dtypes))
    chosen = [check for check in everything if checkable(check, broken)]

    batch = _asset(context, table.name).add_batch_definition_whole_dataframe("whole table")
    definition = context.validation_definitions.add_or_update(
        great_expectations.ValidationDefinition(
            name=table.name, data=batch, suite=context.suites.add_or_update(suite(table, chosen))
        )
    )
    outcome = definition.run(batch_parameters={"dataframe": frame}, result_format="BASIC")
    judged = {
        result.expectation_config.meta["check"]: result
        for result in outcome.results
        if result.expectation_config is not None and result.expectation_config.meta is not None
    }
    results = tuple(_result(table, frame, check, judged.get(check.name), broken) for check in everything)
    rows = judged["row_count"].result.get("observed_value", 0)
    return JudgedTable(table.name, rows, results, perf_counter() - started, table.kind != "feature")


def _result(
    table: Table,
    frame: DataFrame,
    check: Check,
    judged: "ExpectationValidationResult | None",
    broken: frozenset[str],
) -> CheckResult:
    if judged is None:
        unfit = ", ".join(name for name in check.columns if name in broken)
        return CheckResult(check, "not checked", detail=f"{unfit} is missing or has another type")
    if judged.success:
        return CheckResult(check, "passed")
    if error := _exception(judged.exception_info):
        return CheckResult(check, "not checked", detail=error)
    observed: Any = judged.result["observed_value"]
    match check.kind:
        case "columns":
            mismatched = judged.result["details"]["mismatched"]
            shown = [f"{how}: {', '.join(names)}" for how, names in sorted(mismatched.items())]
            return CheckResult(check, "failed", sum(map(len, mismatched.values())), "; ".join(shown))
        case "types":
            return CheckResult(check, "failed", len(observed.split("; ")), observed)
        case "rows":
            return CheckResult(check, "failed", detail="there are none")
        case _:
            return CheckResult(check, "failed", int(observed), examples=_examples(table, frame, check))


def _exception(info: Mapping[str, Any] | None) -> str:
    """The first line of what was raised, "" where nothing was. Great Expectations keeps one entry, or one for
    each metric that failed."""
    if not info:
        return ""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [entry["exception_message"] for entry in entries if entry["raised_exception"]]
    return str(messages[0]).strip().splitlines()[0] if messages else ""


# --- unexpected rows ------------------------------------------------------------------------------------


@contextmanager
def _reference_views(
    frames: Mapping[str, DataFrame], known: Mapping[str, DataFrame], tables: Mapping[str, Table]
) -> Iterator[None]:
    """The referenced tables as temporary views, by the names that the suites' queries use."""
    names = {reference.table for name in frames for reference in tables[name].references}
    for name in names:
        known[name].createOrReplaceTempView(reference_view(name))
    try:
        yield
    finally:
        for name in names:
            known[name].sparkSession.catalog.dropTempView(reference_view(name))
        for frame in list(frames.values())[:1]:
            frame.sparkSession.catalog.dropTempView("tmp_view")  # Great Expectations leaves it behind


def _examples(table: Table, frame: DataFrame, check: Check) -> tuple[str, ...]:
    """A few unexpected rows, the same ones each time."""
    names = list(dict.fromkeys((*table.unique, *check.columns)))
    if check.is_row_rule:
        from validation.gate.expectations import breaks

        unexpected = frame.where(breaks(check.sql)).select(*[name for name in names if name in frame.columns])
    else:
        unexpected = frame.sparkSession.sql(check.sql, batch=frame)
    rows = unexpected.orderBy(*unexpected.columns).limit(EXAMPLES).collect()
    return tuple(
        ", ".join(f"{name} = {'null' if value is None else value}" for name, value in row.asDict().items())
        for row in rows
    )


def _by_rule(quarantine: DataFrame) -> tuple[QuarantinedRule, ...]:
    """The quarantine by table and rule, the most frequent first, with a few rows of each."""
    counts = quarantine.groupBy("table", "rule").agg(F.count(F.lit(1)).alias("rows")).collect()
    first = Window.partitionBy("table", "rule").orderBy("source", "row", "record")
    shown = (
        quarantine.withColumn("_place", F.row_number().over(first))
        .where(F.col("_place") <= EXAMPLES)
        .orderBy("table", "rule", "_place")
        .collect()
    )
    examples: dict[tuple[str, str], list[QuarantinedRow]] = {}
    for row in shown:
        example = QuarantinedRow(row["source"], row["row"], _cut(row["record"]), _cut(row["reason"]))
        examples.setdefault((row["table"], row["rule"]), []).append(example)
    rules = [
        QuarantinedRule(row["table"], row["rule"], row["rows"], tuple(examples[row["table"], row["rule"]]))
        for row in counts
    ]
    return tuple(sorted(rules, key=lambda rule: (-rule.rows, rule.table, rule.rule)))


def _cut(text: str) -> str:
    return text if len(text) <= RECORD_CHARACTERS else text[: RECORD_CHARACTERS - 1] + "…"
