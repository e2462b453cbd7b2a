"""Commands whose servers misbehave, what they are done to, and what must be afterwards."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from common.settings import Settings
from feature_repo import store
from feature_repo.domains.movies import DOMAIN
from tests.home_state import online_differs
from tests.marquee import table
from tests.promises.home import otherwise
from tests.toxic.site import PATIENT, Ended, Site

ENDED = re.compile(
    r"Error: (?P<server>Redis|PostgreSQL) (does not answer|refuses) \(.+?\): [^:].*\.( Traceback: \S+)?"
)
NOT_WELL = re.compile(r"Error: Not well: (?P<what>[^.]+)\. The table says how to mend each\.")
LOOKED_AT = {"PostgreSQL": {"registry"}, "Redis": {"online store", "online memory"}}
"""What `doctor` calls what it asks of a server."""


@dataclass
class Task:
    """A command to be disturbed.

    Args:
        words: as they are typed; NEW stands for a file of new ratings.
        site: where.
        given: a home that was applied and materialised; one of its own where None.
    """

    words: str
    site: Site
    given: Path | None = None
    ready: ClassVar[tuple[str, ...]] = ("features apply", "features materialize")
    """What is done to the home once."""
    meanwhile: ClassVar[tuple[str, ...]] = ()
    """What is done between the disturbed command and the next one, and may be refused in one sentence."""
    home: Path = field(init=False)
    typed: str = field(init=False)

    def __post_init__(self) -> None:
        self.typed = self.words
        self.home = self.given or self.site.new_home()
        for words in self.ready if self.given is None else ():
            self.site.must(words, self.home)

    def prepare(self) -> None:
        """Make the home such that there is something to do."""

    def faults(self, ended: Ended) -> list[str]:  # noqa: ARG002
        """What is not as it must be after a command that said that it is done."""
        with self.site.exported(PATIENT):
            return online_differs(self.home)

    def blames(self, line: str) -> set[str]:
        """The servers that a refusal names; none where it is not as it should be."""
        said = ENDED.fullmatch(line)
        return set() if said is None else {said["server"]}

    def close(self) -> None:
        """Remove the home."""
        self.site.forget(self.home)
        shutil.rmtree(self.home.parent)


class Answers(Task):
    """A command that changes nothing, and says the same each time."""

    said: str | None = None

    def faults(self, ended: Ended) -> list[str]:
        if self.said is None:
            self.said = ended.output
        return [] if ended.output == self.said else [f"said {ended.output[:300]!r}"]


class Looks(Task):
    """`doctor`, whose table changes with the machine."""

    def faults(self, ended: Ended) -> list[str]:
        wrong = [name for name in ("registry", "online store", "online memory") if name not in ended.output]
        return [f"says nothing of {name}" for name in wrong]

    def blames(self, line: str) -> set[str]:
        said = NOT_WELL.fullmatch(line)
        amiss = set() if said is None else set(said["what"].split(", "))
        return {server for server, subjects in LOOKED_AT.items() if amiss & subjects}


class Sends(Task):
    """Brings all rows online."""

    def prepare(self) -> None:
        self.site.lose_rows(self.home)


class Applies(Task):
    """The first apply of a home."""

    ready = ()
    meanwhile = ("features plan", "features lookup --user 1 --movie 1", "features materialize")

    def prepare(self) -> None:
        self.site.forget(self.home)

    def faults(self, ended: Ended) -> list[str]:
        with self.site.exported(PATIENT):
            changes = [str(change) for change in store.plan(Settings(home=self.home), DOMAIN)]
        if changes:
            return [f"has still to {change}" for change in changes]
        self.site.must("features materialize", self.home)
        return super().faults(ended)


class Changes(Applies):
    """An apply of other declarations than are there."""

    ready = Task.ready

    def prepare(self) -> None:
        with self.site.exported(PATIENT):
            store.apply(Settings(home=self.home), otherwise(DOMAIN))


class Pushes(Task):
    """Takes in three ratings: of now, of long ago, and of both by one user."""

    pushed: list[tuple[int, int, int]]

    def prepare(self) -> None:
        n = next(self.site.numbers)
        self.pushed = [(1 + n % 30, 1 + n % 40, 1_600_000_000 + n), (1 + n % 29, 1 + n % 39, 950_000_000 + n)]
        self.pushed.append((1 + n % 30, 1 + (n + 1) % 40, 960_000_000 + n))
        file = self.home.parent / f"new-{n}.csv"
        rows = "".join(f"{user},{movie},{1 + n % 4},{second}\n" for user, movie, second in self.pushed)
        file.write_text(f"userId,movieId,rating,timestamp\n{rows}")
        self.typed = self.words.replace("NEW", str(file))

    def faults(self, ended: Ended) -> list[str]:
        rows = table(self.home, "ratings").to_pylist()
        there = [(row["user_id"], row["movie_id"], int(row["event_timestamp"].timestamp())) for row in rows]
        lost = [f"{there.count(rating)} times {rating}" for rating in self.pushed if there.count(rating) != 1]
        return lost + super().faults(ended)


TASKS: dict[str, tuple[type[Task], str]] = {
    "plan": (Answers, "features plan"),
    "apply": (Applies, "features apply"),
    "change": (Changes, "features apply"),
    "materialize": (Sends, "features materialize"),
    "push": (Pushes, "features push NEW"),
    "lookup": (Answers, "features lookup --user 1 --movie 1 --json"),
    "doctor": (Looks, "doctor"),
}
