"""The lake's tables compacted, clustered, and rid of old versions that nothing needs."""

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from app.home import writing
from app.spark import spark_stage
from common.errors import MarqueeError, unknown
from common.files import is_whole, json_in
from common.progress import Stages
from common.settings import Settings
from common.words import count_of
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE

if TYPE_CHECKING:
    from pipelines.maintain import Maintained


def maintain_lake(
    settings: Settings,
    domain: Domain,
    names: list[str],
    retain: timedelta,
    stages: Stages,
    others: Iterable[Domain] = (),
) -> "list[Maintained]":
    """Maintain tables; versions that a trained model or a run in this home was made from always stay.

    Where one does not say what it was made from, no version of any table is removed.

    Args:
        names: of the tables; empty for all that are there.
        retain: for how long old versions can be read at least.
        others: further domains that may have tables in the lake.

    Raises:
        MarqueeError: a name is unknown, or a table is not there.
    """
    from lake.tables import exists
    from pipelines.maintain import maintain

    owners = {name: owner for owner in (domain, *others) for name in owner.tables} | {QUARANTINE: domain}
    known = tuple(owners)
    for name in names:
        if name not in known:
            raise unknown("table", name, known)
    asked = names or [name for name in known if exists(settings.lake, name)]
    if not asked:
        raise MarqueeError(f"There are no tables in {settings.lake} yet: run `marquee run` first.")
    done = []
    with writing(settings.home):
        kept, unread = recorded_versions(settings.home)
        for file in unread:
            stages.note(
                f"{file} cannot be read and may need any version, so none is removed: bring it back or remove"
                " its folder, and run it again."
            )
        spark = spark_stage(settings, stages)
        with stages.stage("maintain") as stage:
            for position, name in enumerate(asked):
                stage.report(name, position, len(asked))
                done.append(
                    maintain(
                        spark, settings.lake, owners[name], name, retain, 0 if unread else kept.get(name)
                    )
                )
            stage.outcome = f"{count_of(len(done), 'table')}, {space_line(done)}"
    return done


def space_line(done: "list[Maintained]") -> str:
    """What maintenance changed on disk: it takes space where replaced files stay for older versions."""
    more = sum(table.size[1] - table.size[0] for table in done) / 1e6
    if more > 0:
        return f"{more:.1f} MB more on disk, as the files of older versions stay beside the new ones"
    return f"{abs(more):.1f} MB freed"


def recorded_versions(home: Path) -> tuple[dict[str, int], list[Path]]:
    """What trained models and finished runs in a home were made from; the caller holds the home.

    Returns:
        The oldest version of each table, and the files and folders that do not say.
    """
    oldest: dict[str, int] = {}
    unread: list[Path] = []
    for record in _records(home, unread):
        try:
            versions = _versions_of(record)
        except (OSError, ValueError):
            unread.append(record)
            continue
        for table, version in versions.items():
            oldest[table] = min(version, oldest.get(table, version))
    return oldest, unread


def _records(home: Path, unread: list[Path]) -> Iterator[Path]:
    """The manifests of models, also those that are gone, and the summaries of runs.

    Args:
        unread: gets the folders that cannot be looked into.
    """
    from app.summary import FILE
    from training.fit.artefact import INPUTS, MANIFEST, METRICS

    def keep(error: OSError) -> None:
        unread.append(Path(str(error.filename)))

    been: set[str] = set()  # links may lead in circles
    for folder, inner, files in os.walk(home, onerror=keep, followlinks=True):
        if (place := os.path.realpath(folder)) in been:
            inner.clear()
            continue
        been.add(place)
        if Path(folder) == home:
            inner[:] = [name for name in inner if name != "lake"]
        if MANIFEST in files or {INPUTS, METRICS} <= set(files):
            yield Path(folder, MANIFEST)
        if FILE in files:
            yield Path(folder, FILE)


def _versions_of(record: Path) -> dict[str, int]:
    """The versions that a manifest or a summary names, whatever version of Marquee wrote it.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    from app.summary import FILE, FIRST_FIELDS

    said = json_in(record.read_text())
    if not isinstance(said, dict):
        raise ValueError("no object")
    if not is_whole(said):
        raise ValueError("not what was written")
    if record.name == FILE and said.keys() == FIRST_FIELDS:
        return {}  # of an earlier version of Marquee, which kept none
    versions = said.get("versions")
    if not isinstance(versions, dict) or not all(type(version) is int for version in versions.values()):
        raise ValueError("no versions")
    return versions
