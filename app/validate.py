"""Tables checked against the rules that they are declared with."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.home import writing
from app.ingest import require_sources
from app.spark import spark_stage
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from validation.gate.report import ValidationReport


def validate_lake(settings: Settings, domain: Domain, out: Path, stages: Stages) -> "ValidationReport":
    """Check every table of the lake; `out` gets Data Docs and the page.

    Raises:
        MarqueeError: a table is not there.
    """
    require_sources(settings, domain.sources)
    with writing(settings.home):
        return validation_stage(spark_stage(settings, stages), settings, domain, domain.tables, out, stages)


def validation_stage(
    spark: "SparkSession",
    settings: Settings,
    domain: Domain,
    names: Iterable[str],
    out: Path,
    stages: Stages,
    title: str = "validate",
    before: "ValidationReport | None" = None,
) -> "ValidationReport":
    """Check tables; `out` gets Data Docs and the page, which go on from the report `before`."""
    from lake.spark_tables import read
    from validation.gate.gate import PAGE, validate

    with stages.stage(title) as stage:
        frames = {name: read(spark, settings.lake, name, domain.tables[name].column_names) for name in names}
        report = validate(
            frames,
            out,
            domain,
            read(spark, settings.lake, QUARANTINE),
            on_progress=stage.report,
            others={table.name: read(spark, settings.lake, table.name) for table in domain.sources},
            before=before,
        )
        verdict = "all rules hold" if report.passed else "rules are broken"
        stage.outcome = f"{len(frames)} tables, {verdict}: {out / PAGE}"
    return report
