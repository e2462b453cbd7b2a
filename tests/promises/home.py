"""A home and the commands on it, as the command line gives them; none starts Spark."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

from app.audit import audit_consistency, audit_leakage
from app.home import writing
from app.maintain import maintain_lake
from app.push import push
from app.train import TrainOptions, evaluate, train, train_again
from common.errors import MarqueeError
from common.progress import Stages
from common.settings import Settings
from feature_repo import store
from feature_repo.define.domain import Domain
from feature_repo.define.operation import AtLeast
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from lake.tables import open_table
from pipelines.features.jobs import run_job
from pipelines.ingest import IngestReport, add, ingest
from pipelines.sources.movielens import read_movielens
from pipelines.sources.new_events import read_events
from tests.folders import files_of, until_exit
from tests.promises.model import Film, Rating, Row, Taken
from tests.raw_rows import no_spark
from tests.view_rows import seen_by_readers
from training.tasks import Metrics

SILENT = Stages()

FIRST = {
    1: Film("Alien", ("Action", "War"), 1979),
    2: Film("Brazil", ("Comedy", "Drama"), 1985),
    3: Film("Ça ira", (), None),
    4: Film("Dune", ("Action", "Drama"), 1984),
    5: Film("Eraserhead", ("Drama",), 1977),
}
EVENTS = {(1, 1, 5): 4.0, (1, 2, 10): 3.0, (2, 1, 10): 2.5}


def otherwise(domain: Domain) -> Domain:
    """The movies' declarations, one view of them computed otherwise: from ratings of four stars on."""
    views = tuple(
        replace(view, over=replace(view.over, where=AtLeast("rating", 4.0)))
        if view.name == "user_recent_likes"
        else view
        for view in domain.views
    )
    by_name = {view.name: view for view in views}
    services = {
        name: tuple(by_name[view.name] if view.name == "user_recent_likes" else view for view in chosen)
        for name, chosen in domain.services.items()
    }
    return replace(domain, views=views, services=services)


DOMAINS = (DOMAIN, otherwise(DOMAIN))


class Home:
    """See the module.

    Args:
        folder: where it lies.
        sources: where files to be read are written.
    """

    def __init__(self, folder: Path, sources: Path) -> None:
        self.settings = Settings(home=folder)
        self.sources = sources
        self.files = 0
        self.read: dict[Hashable, tuple[Hashable, list[Row]]] = {}

    @property
    def lake(self) -> Path:
        return self.settings.lake

    def file(self, lines: Sequence[Rating], name: str = "ratings.csv") -> Path:
        """Ratings as a file in a folder of its own."""
        self.files += 1
        folder = self.sources / str(self.files)
        folder.mkdir(parents=True)
        rows = ["userId,movieId,rating,timestamp", *(line.line for line in lines)]
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
        return folder / name

    def ingest(
        self, domain: Domain, lines: Sequence[Rating], films: dict[int, Film], adding: bool
    ) -> IngestReport:
        """`pipeline ingest --source movielens`, with `--add` where a source is to be added."""
        folder = self.file(lines).parent
        rows = ["movieId,title,genres", *(film.line(movie) for movie, film in films.items())]
        (folder / "movies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        with writing(self.settings.home):
            source = read_movielens(folder, posters())
            return (add if adding else ingest)(no_spark, source, self.lake, domain)

    def run(self, domain: Domain, full: bool = False) -> None:
        """`pipeline run`."""
        with writing(self.settings.home):
            for view in domain.views:
                run_job(no_spark, self.lake, domain, view.name, full)

    def apply(self, domain: Domain) -> None:
        """`features apply`."""
        with writing(self.settings.home):
            store.apply(self.settings, domain)

    def materialize(self) -> None:
        """`features materialize`."""
        with writing(self.settings.home):
            store.materialize(self.settings)

    def publish(self, domain: Domain) -> None:
        """Both."""
        self.apply(domain)
        self.materialize()

    def push(self, domain: Domain, file: Path) -> Taken:
        """`features push FILE`."""
        raw = read_events(file, domain.events)
        with writing(self.settings.home):
            events = push(no_spark, store.open_store(self.settings), raw, domain).events
        assert events.read == events.accepted + events.known + events.quarantined
        return Taken(events.accepted, events.known, events.quarantined)

    def audit(self, domain: Domain) -> None:
        """`audit leakage`, and `audit consistency` where there are events enough to be replayed."""
        leakage, _ = audit_leakage(self.settings, domain, sample=20, seed=0, costs=False, stages=SILENT)
        assert leakage.passed, leakage
        try:
            consistency, _ = audit_consistency(
                self.settings, domain, events=8, instants=2, pairs=6, late=0.3, seed=0, stages=SILENT
            )
        except MarqueeError as error:
            assert str(error).startswith("A replay of the last 8 events"), error
        else:
            assert consistency.passed, consistency

    def train(self, domain: Domain, name: str) -> Metrics:
        """`train logistic --split random --out OUT`, a model of this name among the home's."""
        options = TrainOptions(split="random")
        return train(self.settings, domain, "logistic", self.model(name), options, SILENT).metrics

    def train_again(self, domain: Domain, name: str, out: Path) -> Metrics:
        """`train --like RUN --out OUT`, and `evaluate RUN`."""
        run = self.model(name)
        again = train_again(self.settings, domain, run, out, SILENT)
        assert again.changed == ()
        assert evaluate(self.settings, domain, run, SILENT) == again.metrics
        return again.result.metrics

    def table(self, name: str) -> list[Row]:
        """All rows of a source table."""
        return self._unless_read(
            name, name, lambda: open_table(self.lake, name).to_pyarrow_table().to_pylist()
        )

    def rows(self, view: View) -> list[Row]:
        """What readers see of a feature table."""

        def seen() -> list[Row]:
            stored = open_table(self.lake, view.name).to_pyarrow_table()
            return seen_by_readers(view, stored.select(view.table.column_names))

        return self._unless_read((view.name, *view.table.column_names), view.name, seen)

    def model(self, name: str) -> Path:
        """The folder of a model."""
        return self.settings.home / "models" / name

    def maintain(self, domain: Domain, names: list[str]) -> None:
        """`pipeline maintain NAMES --retain-days 0`."""
        maintain_lake(self.settings, domain, names, timedelta(0), SILENT)

    def _unless_read(self, what: Hashable, table: str, read: Callable[[], list[Row]]) -> list[Row]:
        """Rows of a table, read again only where its files are others: half of all steps write none."""
        files = files_of(str(self.lake / table))
        known, rows = self.read.get(what, (None, []))
        if known != files:
            rows = read()
            self.read[what] = files, rows
        return rows


@cache
def posters() -> Path:
    """A folder of the posters of three movies."""
    from PIL import Image

    folder = until_exit("posters")
    for movie in (1, 2, 4):
        colour = (40 * movie, 200 - 30 * movie, 90)
        Image.new("RGB", (4, 6), colour).save(folder / f"{movie}.jpg")
    return folder


@cache
def template() -> Path:
    """A home on which the whole road was gone once, to be copied."""
    folder = until_exit("promises-template")
    first = Home(folder / "home", folder / "sources")
    lines = [Rating(user, movie, stars, second) for (user, movie, second), stars in EVENTS.items()]
    first.ingest(DOMAIN, lines, FIRST, adding=False)
    first.run(DOMAIN)
    first.publish(DOMAIN)
    return folder / "home"
