"""Keeping a feature table up to date with what is new in its sources.

Each commit to a feature table says which versions of its sources it has seen, so table and progress cannot
part. The events that count anew are those that were appended since, and those to which a catalogue row is
joined that is new or changed. Per key there are two cases:

- All of them come after the key's newest row: its features go on from that row's `state`.
- Some are late: the key is computed anew from all its events, and the rows that differ from what the table
  holds are appended. They carry a later `created_timestamp`, so what was known before can still be rebuilt;
  readers take the newest.

Facts that differ are appended likewise. Where events were rewritten, where rows left a source, where a source
is another table of its name, or where the view is declared otherwise than its rows were computed, the table
is replaced.

The law is said once, in the words of `Executor`. Few events are taken in by this process itself
(`pipelines.features.in_arrow`), many by Spark (`pipelines.features.in_spark`); the kernels are the same.
"""

from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from feature_repo.define.domain import Domain
from feature_repo.define.view import View
from lake import session
from lake.session import StartSpark
from lake.tables import count_rows, open_table, require_rows
from pipelines.features import facts, in_arrow
from pipelines.features.in_arrow import InArrow, TooManyError
from pipelines.features.news import everything, news_since
from pipelines.features.progress import seen_by
from pipelines.features.update import Update

FEW_AGAIN = 5_000_000
"""Events of late keys, at most, that are computed anew without Spark: some 200 bytes each."""

Rows = TypeVar("Rows")


class Executor(Protocol[Rows]):
    """The steps of the law, on rows of some kind. A table of keys has a row a key, with `FIRST`: when the
    first of its events happened that counts anew."""

    def all_events(self) -> Rows:
        """All events."""

    def new_events(self) -> Rows:
        """The events that count anew."""

    def keys_of(self, events: Rows) -> Rows:
        """The keys of some events."""

    def newest(self, keys: Rows) -> Rows:
        """The newest row of each of these keys that has one, with `state` and `FIRST`."""

    def late(self, newest: Rows) -> Rows:
        """The keys, of such rows, whose newest row does not come before all that counts anew."""

    def count(self, rows: Rows) -> int:
        """How many there are."""

    def without(self, rows: Rows, keys: Rows) -> Rows:
        """The rows of other keys."""

    def history(self, keys: Rows) -> Rows:
        """All events of these keys."""

    def held(self, keys: Rows) -> Rows:
        """All rows that the table holds of these keys."""

    def after_first(self, rows: Rows, keys: Rows) -> Rows:
        """Of these keys' rows, those known after `FIRST`: what counts anew touches no others."""

    def compute(self, events: Rows, before: Rows | None = None) -> Rows:
        """The view's rows that follow from all events of some keys, or from events that come after the rows
        `before`, at most one a key, that have `state`."""

    def differing(self, computed: Rows, held: Rows) -> Rows:
        """The computed rows that are not held as they are."""

    def both(self, one: Rows, other: Rows) -> Rows:
        """The rows of both."""


def take_in(do: Executor[Rows]) -> tuple[Rows, int]:
    """What follows from the events that count anew.

    Returns:
        The rows to append, and how many keys were late.
    """
    new = do.new_events()
    keys = do.keys_of(new)
    newest = do.newest(keys)
    late = do.late(newest)
    late_keys = do.count(late)
    if not late_keys:
        return do.compute(new, newest), 0
    rows = do.compute(do.without(new, late), do.without(newest, late))
    computed = do.after_first(do.compute(do.history(late)), late)
    held = do.after_first(do.held(late), late)
    return do.both(rows, do.differing(computed, held)), late_keys


def update(start: StartSpark, folder: Path, view: View, created: datetime) -> Update:
    """Bring one feature table up to date in one commit, or in none where nothing is new.

    Args:
        start: starts Spark, where there is much to do.
        folder: of the lake.
        created: the `created_timestamp` of new rows.

    Raises:
        MarqueeError: a source is not there, or a table cannot be read.
    """
    now = versions(folder, view)
    seen = seen_by(folder, view)
    if seen is None:
        return rebuild(start, folder, view, created)
    held = require_rows(folder, view.name)
    if seen == now:
        return Update(view.name, "nothing new", 0)
    if view.is_timeless:
        rows = facts.take_in(start, folder, view, now, created)
        return rebuild(start, folder, view, created) if rows is None else Update(view.name, "updated", rows)
    news = news_since(folder, view, seen, now)
    if news is None:
        return rebuild(start, folder, view, created)
    assert news.added is not None
    new_events = news.added.count_rows()
    source = view.over.table.name
    # `versions` found that the source can be read.
    events, stored = (table.to_pyarrow_dataset() for table in (open_table(folder, source, now[source]), held))
    try:
        found, late_keys = take_in(InArrow(news, events, stored, session.FEW, FEW_AGAIN))
        rows = in_arrow.write(found, folder, view, now, created, replace=False)
    except TooManyError:
        from pipelines.features.in_spark import in_spark, write

        with in_spark(start(), folder, news, seen, now) as do:
            many, late_keys = take_in(do)
            rows = write(many, folder, view, now, created, replace=False)
    return Update(view.name, "updated", rows, new_events, late_keys)


def rebuild(start: StartSpark, folder: Path, view: View, created: datetime) -> Update:
    """Compute a feature table from all of its sources, and replace it.

    Args:
        start: starts Spark, where there is much to do.
        folder: of the lake.
        created: the `created_timestamp` of all rows.

    Raises:
        MarqueeError: a source is not there, or cannot be read.
    """
    now = versions(folder, view)
    if view.is_timeless:
        return Update(view.name, "rebuilt", facts.rebuild(start, folder, view, now, created))
    news, events = everything(folder, view, now), view.over.table.name
    if count_rows(folder, events) <= session.FEW:
        dataset = open_table(folder, events, now[events]).to_pyarrow_dataset()
        do = InArrow(news, dataset, None, session.FEW, FEW_AGAIN)
        rows = in_arrow.write(do.compute(do.all_events()), folder, view, now, created, replace=True)
    else:
        from pipelines.features.in_spark import in_spark, write

        with in_spark(start(), folder, news, {}, now) as many:
            found = many.compute(many.all_events())
            rows = write(found, folder, view, now, created, replace=True)
    return Update(view.name, "rebuilt", rows)


def versions(folder: Path, view: View) -> dict[str, int]:
    """The newest versions of a view's sources.

    Raises:
        MarqueeError: one is not there, or cannot be read.
    """
    return {table.name: require_rows(folder, table.name).version() for table in view.over.tables}


def oldest_seen(folder: Path, domain: Domain, source: str) -> int | None:
    """The version of a source that the feature table furthest behind has seen; None where none reads it."""
    seen = (seen_by(folder, view) for view in domain.views_over(source))
    return min((known[source] for known in seen if known is not None), default=None)
