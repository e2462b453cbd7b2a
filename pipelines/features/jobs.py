"""The feature jobs: one a view of the domain."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from common.errors import unknown
from feature_repo.define.domain import Domain
from lake.session import StartSpark
from pipelines.features.incremental import rebuild, update
from pipelines.features.update import Update


def job_names(domain: Domain, asked: Iterable[str] = ()) -> list[str]:
    """The jobs asked for, in the order of the domain's views; all where none is asked for.

    Raises:
        MarqueeError: there is no such job.
    """
    known = [view.name for view in domain.views]
    names = list(asked)
    for name in names:
        if name not in known:
            raise unknown("job", name, known)
    return [name for name in known if not names or name in names]


def run_job(
    spark: StartSpark,
    folder: Path,
    domain: Domain,
    name: str,
    full: bool = False,
    created: datetime | None = None,
) -> Update:
    """Bring the table of one view up to date.

    Args:
        spark: starts Spark; called only where there is much to do.
        folder: of the lake.
        domain: that has the view.
        name: of the view.
        full: compute it from all of its sources and replace it, whatever is new.
        created: the `created_timestamp` of rows written; now where None.

    Raises:
        MarqueeError: a source is not there, or a table cannot be read.
    """
    step = rebuild if full else update
    return step(spark, folder, domain.view(name), created or datetime.now(UTC))
