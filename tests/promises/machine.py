"""A home under everything that people, clocks and disks do to it, beside the plain model of what it holds.

Hypothesis draws sequences of steps. After each, the promises are checked: the clean tables hold every event
that was acknowledged, once; each feature table is what one plain loop over them gives; what is online is each
key's newest row; a data set joins what was known strictly before each label; a data set of recorded versions
is what it was.
"""

import shutil
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.lookup import lookup_many
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.domains.movies import DOMAIN
from tests.promises.faults import Clock, Kill, killed
from tests.promises.home import DOMAINS, EVENTS, FIRST, Home, template
from tests.promises.model import Film, Lake, Model, Rating, Row, Taken, instant, take_in
from tests.promises.stores import REGISTRY, ROWS, Files, Stores
from training.data.dataset import point_in_time
from training.tasks import Metrics
from validation.audit.oracle import same

USERS, MOVIES, SECONDS = (1, 2, 3), (1, 2, 3, 4, 5), 12
UNKNOWN_MOVIE = 9
LINES = st.builds(
    Rating,
    st.sampled_from([*USERS, *USERS, *USERS, 0]),
    st.sampled_from([*MOVIES, *MOVIES, UNKNOWN_MOVIE]),
    st.sampled_from([0.5, 2.0, 3.5, 4.0, 5.0, 9.0]),
    st.integers(0, SECONDS),
)
FILMS = st.builds(
    Film,
    st.sampled_from(["Alien", "Brazil, again", "Ça ira"]),
    st.sets(st.sampled_from(["Action", "Comedy", "Drama", "War"]), max_size=3).map(
        lambda found: tuple(sorted(found))
    ),
    st.sampled_from([None, 1950, 1994, 2001]),
)
CATALOGUES = st.fixed_dictionaries(dict.fromkeys(MOVIES, FILMS))
KILLS = st.none() | st.none() | st.none() | st.builds(Kill, st.integers(0, 25), st.booleans())
SERVICE = "mmdin_v2"
ON_EVENTS = [view.name for view in DOMAIN.views_over(DOMAIN.events.name)]


class Machine(RuleBasedStateMachine):
    """See the module."""

    stores: Stores = Files()
    proofs = True
    """Whether there are audits and trainings among the steps, which take longer than all others."""
    maintains = False
    """Whether there is maintenance among the steps, which starts Spark."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="marquee-promises-"))
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock(self.patch)
        self.home = Home(self.folder / "home", self.folder / "sources")
        self.copies = 0
        self.recorded: list[tuple[dict[str, int], Domain, pa.Table, pa.Table]] = []
        self.trained: list[tuple[str, Domain, Metrics]] = []
        self.looked_up: Hashable = None

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- steps --------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """From a home on which the whole road was gone once."""
        shutil.copytree(template(), self.home.settings.home)
        if self.stores.copied(self.home.settings.home, as_new=True):
            self.home.publish(DOMAIN)
        posters = {row["movie_id"]: row for row in self.home.table("posters")}
        lake = Lake(EVENTS, FIRST, posters)
        names = [view.name for view in DOMAIN.views]
        self.model = Model(DOMAIN, lake, dict.fromkeys(names, lake), dict.fromkeys(names, lake))

    @rule(lines=st.lists(LINES, min_size=1, max_size=4), kill=KILLS)
    def push(self, lines: list[Rating], kill: Kill | None) -> None:
        """Ratings on time and late, repeated, contradictory and bad."""
        file = self.home.file(lines, "new.csv")
        after, expected = take_in(self.model.lake, lines)

        def do() -> None:
            taken = self.home.push(self.model.domain, file)
            assert self.was_killed or taken == expected, (taken, expected)

        if not self.attempt(do, kill, after):
            self.model.lake = after
            if expected.accepted or expected.known:
                self.model.compute(ON_EVENTS)
                self.model.send(ON_EVENTS)

    @rule(lines=st.lists(LINES, min_size=1, max_size=4), films=CATALOGUES, kill=KILLS)
    def add(self, lines: list[Rating], films: dict[int, Film], kill: Kill | None) -> None:
        """A delivery with a catalogue in which rows changed."""
        changed = replace(self.model.lake, films={**self.model.lake.films, **films}, _rows={})
        self.deliver(lines, films, take_in(changed, lines), kill, adding=True)

    @rule(lines=st.lists(LINES, min_size=1, max_size=6), films=CATALOGUES, kill=KILLS)
    def ingest(self, lines: list[Rating], films: dict[int, Film], kill: Kill | None) -> None:
        """Another source in place of all that is there."""
        empty = replace(self.model.lake, events={}, films=films, _rows={})
        self.deliver(lines, films, take_in(empty, lines), kill, adding=False)

    def deliver(
        self,
        lines: list[Rating],
        films: dict[int, Film],
        expected: tuple[Lake, Taken],
        kill: Kill | None,
        adding: bool,
    ) -> None:
        if not adding and not expected[1].accepted:
            with pytest.raises(MarqueeError, match="nothing was written"):
                self.home.ingest(self.model.domain, lines, films, adding)
            return

        def do() -> None:
            report = self.home.ingest(self.model.domain, lines, films, adding)
            for table in report.tables.values():
                assert table.read == table.accepted + table.quarantined + table.known + table.changed
            ratings = report.tables["ratings"]
            taken = Taken(ratings.accepted, ratings.known, ratings.quarantined)
            assert self.was_killed or taken == expected[1], (taken, expected)

        if not self.attempt(do, kill, expected[0]):
            self.model.lake = expected[0]

    @rule(full=st.booleans(), kill=KILLS)
    def run(self, full: bool, kill: Kill | None) -> None:
        """Feature tables brought up to date, or computed anew."""
        if not self.attempt(lambda: self.home.run(self.model.domain, full), kill, self.model.lake):
            self.model.compute(self.model.computed)

    @rule(kill=KILLS)
    def materialize(self, kill: Kill | None) -> None:
        if not self.attempt(self.home.materialize, kill, self.model.lake):
            self.model.send(self.model.computed)

    @rule(kill=KILLS)
    def redefine(self, kill: Kill | None) -> None:
        """Other code is installed, which declares a view otherwise; what it asks for is run."""
        self.model.domain = DOMAINS[1 - DOMAINS.index(self.model.domain)]
        if not self.attempt(lambda: self.home.run(self.model.domain), kill, self.model.lake):
            self.home.publish(self.model.domain)
            self.model.compute(self.model.computed)
            self.model.send(self.model.computed)

    @rule(seconds=st.integers(-4 * 3600, 4 * 3600))
    def step_the_clock(self, seconds: int) -> None:
        """As of a machine whose clock was set, or of another machine."""
        self.clock.ahead = timedelta(seconds=seconds)

    @rule(seed=st.integers(0, 99), share=st.sampled_from([0.1, 0.5, 1.0]))
    def lose_online_rows(self, seed: int, share: float) -> None:
        if self.stores.lose_rows(self.home.settings.home, Random(seed), share):
            self.model.lose_online()

    @rule(what=st.sampled_from([ROWS, REGISTRY]))
    def lose_a_store(self, what: str) -> None:
        """What reads it then says what to run, and that mends it."""
        self.stores.lose(self.home.settings.home, what)
        if what == REGISTRY:
            with pytest.raises(MarqueeError, match="features apply"):
                self.home.materialize()
            self.home.apply(self.model.domain)
        self.model.lose_online()

    @rule(copied=st.booleans())
    def go_elsewhere(self, copied: bool) -> None:
        """The home is copied, and the copy is used, or it is moved."""
        self.copies += 1
        other = self.folder / f"place {self.copies}"
        if copied:
            shutil.copytree(self.home.settings.home, other)
        else:
            self.home.settings.home.rename(other)
        self.home.settings = Settings(home=other)
        if self.stores.copied(other, as_new=copied):
            self.home.publish(self.model.domain)
            self.model.send(self.model.computed)

    @precondition(lambda self: self.is_fresh)
    @rule(
        labels=st.lists(
            st.tuples(st.sampled_from([*USERS, 8]), st.sampled_from(MOVIES), st.integers(0, SECONDS + 5)),
            min_size=1,
            max_size=6,
        )
    )
    def dataset(self, labels: list[tuple[int, int, int]]) -> None:
        """Labels joined to what was known strictly before them; kept, to be asked for again."""
        asked = pa.table(
            {
                "user_id": [user for user, _, _ in labels],
                "movie_id": [movie for _, movie, _ in labels],
                EVENT_TIMESTAMP: pa.array(
                    [instant(second) for *_, second in labels], pa.timestamp("us", "UTC")
                ),
            }
        )
        opened = store.open_store(self.home.settings)
        found = point_in_time(opened, self.model.domain, SERVICE, asked)
        for row, (*_, second) in zip(found.to_pylist(), labels, strict=True):
            for view in self.model.domain.services[SERVICE]:
                truth = self.model.lake.at(view, row[view.by.name], instant(second)) or {}
                for column in view.columns:
                    assert same(row[column.name], truth.get(column.name)), (view.name, column.name, row)
        self.recorded.append((store.table_versions(opened), self.model.domain, asked, found))

    @precondition(lambda self: self.recorded)
    @rule(data=st.data())
    def dataset_again(self, data: st.DataObject) -> None:
        """A data set of recorded versions is what it was, whatever came since."""
        versions, domain, asked, found = data.draw(st.sampled_from(self.recorded))
        opened = store.open_store(self.home.settings, versions)
        assert point_in_time(opened, domain, SERVICE, asked).equals(found)

    @precondition(lambda self: self.proofs and self.is_fresh)
    @rule()
    def audit(self) -> None:
        """What is joined holds no future, and what is served while events are replayed is what is joined."""
        self.home.audit(self.model.domain)

    @precondition(lambda self: self.proofs and self.is_fresh)
    @rule(seed=st.integers(0, 99))
    def train(self, seed: int) -> None:
        """A model, after ratings enough were pushed; kept, to be trained again."""
        draw = Random(seed)
        stars = (1.0, 5.0)
        enough = [(draw.choice(USERS), draw.choice(MOVIES), draw.choice(stars)) for _ in range(40)]
        self.push([Rating(*one, draw.randint(0, SECONDS)) for one in enough], kill=None)
        if not self.is_fresh:
            return  # the catalogue lacks what was rated
        name = f"model {len(self.trained)}"
        try:
            self.trained.append((name, self.model.domain, self.home.train(self.model.domain, name)))
        except MarqueeError as error:
            assert "metrics need both" in str(error)

    @precondition(lambda self: self.trained)
    @rule(data=st.data())
    def train_again(self, data: st.DataObject) -> None:
        """A model trained like another one, and one that is scored again, is what it was."""
        name, domain, metrics = data.draw(st.sampled_from(self.trained))
        assert self.home.train_again(domain, name, self.folder / "again") == metrics

    @precondition(lambda self: self.maintains)
    @rule(names=st.lists(st.sampled_from([*DOMAIN.tables]), min_size=1, max_size=2, unique=True))
    def maintain(self, names: list[str]) -> None:
        """Few files are made of many, and the versions that no model was made of go."""
        self.home.maintain(self.model.domain, names)
        self.recorded = []

    # --- kills --------------------------------------------------------------------------------------------

    was_killed = False

    def attempt(self, do: Callable[[], None], kill: Kill | None, after: Lake) -> bool:
        """Do something, or be killed at a point of it. Whether that was so; then what brings the home up to
        date is done next, and the model is up to date, too.

        Args:
            after: the lake once it is done; half of it is never there.
        """
        if not self.stores.can_kill:
            kill = None
        with killed(self.home.settings.home, None if kill is None else kill.point) as got_so_far:
            do()
        if kill is None or not got_so_far():
            return False
        if kill.again:
            self.was_killed = True
            do()
            self.was_killed = False
        self.home.run(self.model.domain)
        self.home.publish(self.model.domain)
        if kill.again or self.is_there(after):
            self.model.lake = after
        self.model.compute(self.model.computed)
        self.model.send(self.model.computed)
        return True

    def is_there(self, lake: Lake) -> bool:
        """Whether the clean tables are these."""
        wanted = {name: rows for name, rows in lake.tables.items() if name != "posters"}
        found = {name: self.home.table(name) for name in wanted}
        return all(
            self.rows_of(name, found[name]) == self.rows_of(name, rows) for name, rows in wanted.items()
        )

    @staticmethod
    def rows_of(name: str, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Rows of a source table, comparable."""
        return sorted((tuple(row[c] for c in DOMAIN.tables[name].column_names) for row in rows), key=str)

    # --- promises -----------------------------------------------------------------------------------------

    @property
    def is_fresh(self) -> bool:
        """Whether all tables are up to date with the lake."""
        return all(lake is self.model.lake for lake in self.model.computed.values())

    @invariant()
    def nothing_is_lost(self) -> None:
        """The clean tables hold what was acknowledged, once."""
        assert self.is_there(self.model.lake)

    @invariant()
    def incremental_equals_full(self) -> None:
        """Each feature table is what the plain loop over the events gives."""
        for view in self.model.domain.views:
            wanted = self.model.computed[view.name].rows(view)
            found = self.home.rows(view)
            assert len(found) == len(wanted), view.name
            for got, row in zip(found, wanted, strict=True):
                for name, value in row.items():
                    assert same(got[name], value), (view.name, name, got, row)

    @invariant()
    def what_is_online_is_the_newest(self) -> None:
        """Of each view whose online state is known."""
        state = self.stores.files(self.home.settings.home), tuple(self.model.online.values())
        if state[0] is not None and state == self.looked_up:
            return
        self.looked_up = state
        pairs = pa.table({"user_id": [*USERS, 8, 8], "movie_id": [*MOVIES]})
        with suppress(MarqueeError):  # nothing is online yet
            found = lookup_many(store.open_store(self.home.settings), None, pairs).to_pylist()
            for view in self.model.domain.views:
                lake = self.model.online[view.name]
                if lake is None:
                    continue
                newest = lake.newest(view)
                for row in found:
                    wanted = newest.get(row[view.by.name], {})
                    assert row[f"{view.name}_known_since"] == wanted.get(EVENT_TIMESTAMP), (view.name, row)
                    for column in view.columns:
                        assert same(row[column.name], wanted.get(column.name)), (view.name, column.name, row)
