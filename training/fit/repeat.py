"""Training once more what made an artefact, on the very rows that it was trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import MarqueeError
from feature_repo.define.domain import Domain
from lake.tables import require_versions
from training.data.log import prepare_log
from training.data.prepared import prepare
from training.data.storage import BLOCK
from training.fit import artefact as artefacts
from training.fit.artefact import Manifest
from training.fit.curve import OnEpoch
from training.fit.train import Result, train_on

if TYPE_CHECKING:
    from feast import FeatureStore

OpenStore = Callable[[dict[str, int]], "FeatureStore"]
"""Opens an applied feature store that reads tables at the Delta versions given by name."""


@dataclass(frozen=True, slots=True)
class Repeated:
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
    lake: Path,
    out: Path,
    domain: Domain,
    open_store: OpenStore,
    *,
    truth: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Repeated:
    """Train again what made an artefact: its recipe, on the same rows of the same Delta versions.

    Args:
        run: folder of the artefact.
        lake: the folder of the Delta tables.
        out: folder of the new artefact.
        domain: that the artefact was trained in.
        open_store: opens the store that its features are joined from.
        truth, on_epoch: as in `training.fit.train.train_on`.

    Raises:
        MarqueeError: another domain's artefact, a recorded version of a table is gone, or the rows are not
            those of `run`.
    """
    manifest = artefacts.read_manifest(run)
    recipe = manifest.recipe
    if run.resolve() == out.resolve():
        raise MarqueeError(f"{run} would be overwritten by its own repetition: choose another --out.")
    if recipe.domain != domain.name:
        raise MarqueeError(f"{run} was trained on {recipe.domain}, not on {domain.name}.")
    if recipe.leak:
        raise MarqueeError(
            f"{run} was trained with a leak put in on purpose: repeat it by marquee reproduce."
        )
    require_recorded(lake, manifest, run)
    metrics = artefacts.read_metrics(run)["test"]
    if domain.fields:
        version, block = manifest.versions[domain.events.name], manifest.block or BLOCK
        prepared = prepare_log(lake, domain, recipe, version=version, block=block)
    else:
        features = {name: at for name, at in manifest.versions.items() if name != domain.events.name}
        prepared = prepare(open_store(features), lake, domain, recipe, versions=manifest.versions)
    if prepared.fingerprint() != manifest.data:
        raise MarqueeError(
            f"The {prepared.table.num_rows} rows that the recorded versions give now are not the"
            f" {manifest.rows['returned']} that {run} was trained on: {lake} belongs to another home, or the"
            " features are defined or joined differently now."
        )
    result = train_on(prepared, recipe, out, truth=truth, on_epoch=on_epoch)
    return Repeated(
        result,
        metrics,
        prepared.table.num_rows,
        _changes(manifest, artefacts.read_manifest(out)),
    )


def require_recorded(lake: Path, manifest: Manifest, run: Path) -> None:
    """Refuse an artefact whose tables cannot be read as they were for it.

    Raises:
        MarqueeError: it was trained on a file, or a version of a table is gone.
    """
    if not manifest.versions:
        raise MarqueeError(f"{run} was trained on a file, not on versions of tables: give it to train again.")
    require_versions(lake, manifest.versions, str(run))


def _changes(then: Manifest, now: Manifest) -> tuple[str, ...]:
    found = []
    if then.backend != now.backend:
        found.append(f"backend {then.backend}, now {now.backend}")
    for name in sorted(then.packages.keys() | now.packages.keys()):
        before, after = then.packages.get(name, "none"), now.packages.get(name, "none")
        if before != after:
            found.append(f"{name} {before}, now {after}")
    return tuple(found)
