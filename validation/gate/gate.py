"""The gate: Great Expectations judges the tables; a table that breaks a check stops the run."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from common.errors import MarqueeError
from common.files import cannot_write
from common.progress import Progress
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE, Table
from validation.gate.checks import Check, broken_columns, checks
from validation.gate.measure import Measured, examples, measure
from validation.gate.page import write_page
from validation.gate.quarantine import quarantined
from validation.gate.report import CheckResult, JudgedTable, ValidationReport
from validation.gate.tables import Tables

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.datasource.fluent.pandas_datasource import DataFrameAsset

PAGE = "validation.html"
DATA_DOCS = "data_docs"
PROJECT = "gx"
LAKE = "lake"
"""Great Expectations' name for where the tables come from."""


def validate(
    tables: Tables,
    names: Iterable[str],
    out: Path,
    domain: Domain,
    on_progress: Progress | None = None,
    before: ValidationReport | None = None,
) -> ValidationReport:
    """Judge tables by the suites that their declarations imply.

    Args:
        tables: those that are judged, those that they refer to, and perhaps the quarantine, whose rows are as
            in `define.table.QUARANTINE_COLUMNS`: it is shown, never judged.
        names: of the tables to be judged, in this order.
        out: folder that gets the Great Expectations project (`gx/`), its Data Docs (`data_docs/`) and
            our page (`validation.html`). What an earlier call left there is replaced.
        domain: declares the tables.
        on_progress: told before each table.
        before: the report of an earlier call with the same `out`, to go on with: page, Data Docs and
            the report returned then cover both, and its quarantine is kept where there is none.

    Returns:
        The verdict. A failed gate is a report that did not pass (`report.require_passed` raises).

    Raises:
        MarqueeError: a name that the domain lacks, a table that is not there, or a folder that cannot be
            written.
    """
    names = list(names)
    for name in names:
        _require(tables, name, domain)
    started = perf_counter()
    try:
        with _quiet():
            context = open_project(out, fresh=before is None)
            judged = []
            for position, name in enumerate(names):
                if on_progress is not None:
                    on_progress(name, position, len(names))
                judged.append(judge(context, domain.tables[name], tables, domain.tables))
            context.build_data_docs()
        earlier = () if before is None else tuple(t for t in before.tables if t.name not in names)
        kept = None if before is None else before.quarantine
        report = ValidationReport(
            tables=(*earlier, *judged),
            quarantine=quarantined(tables, domain.tables) if QUARANTINE in tables else kept,
            created=datetime.now(UTC),
            seconds=perf_counter() - started + (before.seconds if before else 0),
        )
        write_page(report, domain, out / PAGE, data_docs=f"{DATA_DOCS}/index.html")
    except OSError as error:
        raise cannot_write(out, error) from error
    return report


def _require(tables: Tables, name: str, domain: Domain) -> None:
    if name not in domain.tables:
        raise MarqueeError(f"There is no table {name} in {domain.name}; it has {', '.join(domain.tables)}.")
    if name not in tables:
        raise MarqueeError(f"Cannot judge {name}: give the table as well.")
    for reference in domain.tables[name].references:
        if reference.table not in tables:
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


def _asset(context: "AbstractDataContext", name: str) -> "DataFrameAsset":
    """What is measured of a table, as an asset of the data source `lake`; one of that name is replaced."""
    source: Any = (
        context.data_sources.get(LAKE)
        if LAKE in context.data_sources.all()
        else context.data_sources.add_pandas(LAKE)
    )
    if name in source.get_asset_names():
        source.delete_asset(name)
    asset: DataFrameAsset = source.add_dataframe_asset(name)
    return asset


def judge(
    context: "AbstractDataContext", table: Table, tables: Tables, declared: Mapping[str, Table]
) -> JudgedTable:
    """Measure one table, and run its suite over what was measured.

    Args:
        tables: the table and those that it refers to.
        declared: the declarations of those that it refers to, and perhaps others, by name.
    """
    import great_expectations

    from validation.gate.expectations import measured_frame, suite

    started = perf_counter()
    everything = checks(table, declared)
    rows, measured = measure(table, tables, everything)
    chosen = [check for check in everything if check.name in measured]

    batch = _asset(context, table.name).add_batch_definition_whole_dataframe("whole table")
    definition = context.validation_definitions.add_or_update(
        great_expectations.ValidationDefinition(
            name=table.name, data=batch, suite=context.suites.add_or_update(suite(table, chosen))
        )
    )
    outcome = definition.run(batch_parameters={"dataframe": measured_frame(measured)}, result_format="BASIC")
    passed = {
        result.expectation_config.meta["check"]
        for result in outcome.results
        if result.success and result.expectation_config is not None and result.expectation_config.meta
    }
    results = tuple(
        _result(table, tables, check, measured.get(check.name), check.name in passed) for check in everything
    )
    return JudgedTable(table.name, rows, results, perf_counter() - started, table.kind != "feature")


def _result(
    table: Table, tables: Tables, check: Check, measured: Measured | None, passed: bool
) -> CheckResult:
    if measured is None:
        broken = broken_columns(table, tables.types(table.name))
        unfit = ", ".join(name for name in check.columns if name in broken)
        return CheckResult(check, "not checked", detail=f"{unfit} is missing or has another type")
    if measured.error:
        return CheckResult(check, "not checked", detail=measured.error)
    if passed:
        return CheckResult(check, "passed")
    shown = examples(table, tables, check) if check.sql else ()
    return CheckResult(check, "failed", measured.unexpected, measured.detail, shown)
