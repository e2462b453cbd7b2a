"""Training once more what made an artefact, on the very rows that it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import schema
from training.data.fingerprint import fingerprint
from training.fit import artefact as artefacts
from training.fit.artefact import Manifest
from training.fit.curve import Progress
from training.fit.run import Result, prepare, train_on


@dataclass(frozen=True, slots=True)
class Again:
    """What a repeated training gave, beside the first one.

    Args:
        result: of the new one.
        metrics: of the test rows, in the first one.
        rows: that both were made of.
        changed: what is not as it was, such as "keras 3.14.0, now 3.15.1"; it may explain other metrics.
    """

    result: Result
    metrics: Mapping[str, Any]
    rows: int
    changed: tuple[str, ...]

    @property
    def same_metrics(self) -> bool:
        """Whether all metrics are equal, to the last bit."""
        return dict(self.result.metrics) == dict(self.metrics)


def train_like(
    run: Path,
    settings: Settings,
    out: Path,
    *,
    likelihood: Path | None = None,
    on_progress: Progress | None = None,
) -> Again:
    """Train again what made an artefact: the same rows of the same Delta versions, configuration and seed.

    Args:
        run: folder of the artefact.
        settings: of the home that holds its lake and registry.
        out: folder of the new artefact.
        likelihood, on_progress: as in `training.fit.run.train`.

    Raises:
        MarqueeError: a recorded version of a table is gone, or the rows are not those of `run`.
    """
    from feature_repo.store import open_store

    manifest = artefacts.read_manifest(run)
    config = artefacts.read_config(run)
    if run.resolve() == out.resolve():
        raise MarqueeError(f"{run} would be overwritten by its own repetition: choose another --out.")
    require_versions(settings.lake, manifest.versions, run)
    features = {name: at for name, at in manifest.versions.items() if name != schema.RATINGS.name}
    prepared = prepare(
        open_store(settings, features),
        settings.lake,
        manifest.service,
        protocol=manifest.protocol,
        liked_rating=manifest.liked_rating,
        versions=manifest.versions,
    )
    if fingerprint(prepared.table) != manifest.data:
        raise MarqueeError(
            f"The {prepared.table.num_rows} rows that the recorded versions give now are not the"
            f" {manifest.rows['returned']} that {run} was trained on: the home {settings.home} is another"
            " one, or the features are defined or joined differently now."
        )
    result = train_on(
        prepared,
        manifest.model,
        out,
        seed=manifest.seed,
        config=config,
        split_by=manifest.split["strategy"],
        split_seed=manifest.split["seed"],
        shares=tuple(manifest.split["shares"]),
        likelihood=likelihood,
        on_progress=on_progress,
    )
    return Again(
        result,
        artefacts.read_metrics(run)["test"],
        prepared.table.num_rows,
        _changes(manifest, artefacts.read_manifest(out)),
    )


def require_versions(lake: Path, versions: Mapping[str, int], run: Path) -> None:
    """Refuse to start where a recorded version of a table cannot be read any more.

    Raises:
        MarqueeError: naming the table and the version.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    if not versions:
        raise MarqueeError(f"{run} was trained on a file, not on versions of tables: give it to train again.")
    for name, version in versions.items():
        try:
            files = DeltaTable(lake / name, version=version).file_uris()
        except TableNotFoundError as error:
            raise MarqueeError(f"There is no table {name} in {lake}: use the home of {run}.") from error
        except (DeltaError, OSError) as error:
            raise MarqueeError(
                f"Version {version} of {name}, which {run} was trained on, is not in {lake}: {error}."
            ) from error
        if not all(Path(file.removeprefix("file://")).exists() for file in files):
            raise MarqueeError(
                f"Version {version} of {name}, which {run} was trained on, is gone from {lake}:"
                " its files were vacuumed."
            )


def _changes(then: Manifest, now: Manifest) -> tuple[str, ...]:
    found = []
    if then.backend != now.backend:
        found.append(f"backend {then.backend}, now {now.backend}")
    for name in sorted(then.packages.keys() | now.packages.keys()):
        before, after = then.packages.get(name, "none"), now.packages.get(name, "none")
        if before != after:
            found.append(f"{name} {before}, now {after}")
    return tuple(found)
