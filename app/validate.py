"""Tables checked against the rules that they are declared with."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.home import writing
from app.ingest import require_sources
from app.spark import spark_on_demand
from common.progress import Stages
from common.settings import Settings
from common.words import count_of
from feature_repo.define.column import STATE
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE
from lake.session import StartSpark

if TYPE_CHECKING:
    from validation.gate.report import ValidationReport


def validate_lake(settings: Settings, domain: Domain, out: Path, stages: Stages) -> "ValidationReport":
    """Check every table of the lake; `out` gets Data Docs and the page.

    Raises:
        MarqueeError: a table is not there.
    """
    require_sources(settings, domain, domain.sources)
    with writing(settings.home):
        spark = spark_on_demand(settings, stages)
        return validation_stage(spark, settings, domain, domain.tables, out, stages)


def validation_stage(
    spark: StartSpark,
    settings: Settings,
    domain: Domain,
    names: Iterable[str],
    out: Path,
    stages: Stages,
    title: str = "validate",
    before: "ValidationReport | None" = None,
) -> "ValidationReport":
    """Check tables; `out` gets Data Docs and the page, which go on from the report `before`.

    Raises:
        MarqueeError: a table is not there.
    """
    from validation.gate.gate import PAGE, validate
    from validation.gate.opening import open_tables

    names = list(names)
    wanted = dict.fromkeys((*names, *(table.name for table in domain.sources), QUARANTINE))
    with stages.stage(title) as stage:
        with open_tables(spark, settings.lake, wanted, [STATE], settings.duckdb_memory) as tables:
            report = validate(tables, names, out, domain, stage.report, before)
        verdict = "all rules hold" if report.passed else "rules are broken"
        stage.outcome = f"{count_of(len(names), 'table')}, {verdict}: {out / PAGE}"
    return report
