"""The lake's tables compacted, clustered, and rid of old versions that nothing needs."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from app.home import writing
from app.spark import spark_stage
from common.errors import MarqueeError, unknown
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE

if TYPE_CHECKING:
    from pipelines.maintain import Maintained


def maintain_lake(
    settings: Settings, domain: Domain, names: list[str], retain: timedelta, stages: Stages
) -> "list[Maintained]":
    """Maintain tables; versions that a trained model in this home was made from always stay.

    Args:
        names: of the tables; empty for all that are there.
        retain: for how long old versions can be read at least.

    Raises:
        MarqueeError: a name is unknown, or a table is not there.
    """
    from lake.tables import exists
    from pipelines.maintain import maintain

    known = (*domain.tables, QUARANTINE)
    for name in names:
        if name not in known:
            raise unknown("table", name, known)
    asked = names or [name for name in known if exists(settings.lake, name)]
    if not asked:
        raise MarqueeError(f"There are no tables in {settings.lake} yet: run `marquee run` first.")
    kept = recorded_versions(settings.home)
    done = []
    with writing(settings.home):
        spark = spark_stage(settings, stages)
        with stages.stage("maintain") as stage:
            for position, name in enumerate(asked):
                stage.report(name, position, len(asked))
                done.append(maintain(spark, settings.lake, domain, name, retain, kept.get(name)))
            saved = sum(table.size[0] - table.size[1] for table in done)
            stage.outcome = f"{len(done)} tables, {saved / 1e6:.1f} MB freed"
    return done


def recorded_versions(home: Path) -> dict[str, int]:
    """The oldest version of each table that a trained model in this home was made from."""
    from training.fit.artefact import MANIFEST, read_manifest

    oldest: dict[str, int] = {}
    for folder in (place for place in home.iterdir() if place.is_dir() and place.name != "lake"):
        for manifest in folder.rglob(MANIFEST):
            try:
                versions = read_manifest(manifest.parent).versions
            except MarqueeError:  # of another format: it cannot be trained like again anyway
                continue
            for table, version in versions.items():
                oldest[table] = min(version, oldest.get(table, version))
    return oldest
