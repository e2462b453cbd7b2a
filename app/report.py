"""The page of one run: what data, what was refused, which tables, how the models did, what it cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import summary as summaries
from app.summary import Summary
from common.files import write_atomically
from common.progress import Stages
from common.settings import Settings

if TYPE_CHECKING:
    from training.evaluate.figures import Picture

PAGE = "report.html"
SAMPLE = 20_000
"""Labels at which the features are shown."""
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class RatingsFacts:
    """What the accepted ratings look like.

    Args:
        shared_seconds: share of ratings whose user rated something else in the same second.
        by_stars: ratings by number of stars.
        by_year: ratings by year.
    """

    rows: int
    users: int
    movies: int
    first: str
    last: str
    liked: float
    shared_seconds: float
    by_stars: dict[float, int]
    by_year: dict[int, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rows of one table that broke one rule; reason, source, row and record are those of the first."""

    table: str
    rule: str
    rows: int
    reason: str
    source: str
    row: int | None
    record: str


def rewrite_report(settings: Settings, run: Path | None, stages: Stages) -> Path:
    """Write a run's page again, from what the run left; the page.

    Args:
        run: its folder; None for the newest.

    Raises:
        MarqueeError: there is no such run, or it did not end.
    """
    folder = run or summaries.newest_run(settings.runs)
    with stages.stage("report") as stage:
        write_report(settings, summaries.read(folder), folder)
        stage.outcome = str(folder / PAGE)
    return folder / PAGE


def write_report(settings: Settings, summary: Summary, folder: Path) -> None:
    """Write `report.html` into the run's folder, from the summary, the artefacts and the lake."""
    from common.page import render
    from feature_repo.schema import RATINGS, TABLES
    from training.models import MODELS

    facts = ratings_facts(settings.lake)
    values: dict[str, Any] = {
        "summary": summary,
        "ratings": facts,
        "ratings_left_out": summary.tables[RATINGS.name].left_out,
        "quarantine": refusals(settings.lake),
        "descriptions": {name: table.description for name, table in TABLES.items()},
        "titles": {name: MODELS[name].title for name in summary.models},
        "data_figures": data_figures(facts),
        "feature_figures": feature_figures(settings),
        "model_figures": model_figures(folder, list(summary.models)),
    }
    write_atomically(folder / PAGE, render(TEMPLATES, "report.html", **values))


def data_figures(facts: RatingsFacts) -> "list[Picture]":
    """Stars, and ratings by year."""
    from training.evaluate.figures import bars

    years = [str(year) for year in facts.by_year]
    return [
        bars(
            [f"{stars:g}" for stars in facts.by_stars],
            list(facts.by_stars.values()),
            "stars",
            "Ratings by stars.",
        ),
        bars(years, list(facts.by_year.values()), "year", "Ratings by year."),
    ]


def feature_figures(settings: Settings) -> "list[Picture]":
    """The numbers of each feature table as they stand at a sample of the labels."""
    import numpy as np

    from feature_repo.schema import POSTER, SERVICES
    from feature_repo.store import open_store
    from training.data.dataset import point_in_time
    from training.data.labels import read_labels
    from training.evaluate.figures import histograms

    labels = read_labels(settings.lake).table
    sample = np.random.default_rng(0).permutation(labels.num_rows)[:SAMPLE]
    service = next(name for name, tables in SERVICES.items() if set(POSTER) <= set(tables))
    rows = point_in_time(open_store(settings, must_exist=True), service, labels.take(sample))
    pictures = []
    for table in SERVICES[service]:
        numbers = {
            column.name: rows[column.name].to_pandas().to_numpy(dtype=float)
            for column in table.feature_columns
            if column.type.is_number
        }
        if numbers:
            pictures.append(histograms(numbers, f"{table.name}: {table.description}"))
    return pictures


def model_figures(folder: Path, models: list[str]) -> "list[Picture]":
    """Curves over the test rows, and how training went."""
    from training.evaluate import figures
    from training.fit import artefact
    from training.models import MODELS

    if not models:
        return []
    scores, curves = {}, {}
    for model in models:
        artefact_folder = folder / "models" / model
        rows = artefact.read_predictions(artefact_folder)
        scores[MODELS[model].title] = figures.Scores(
            rows["liked"].to_numpy(zero_copy_only=False).astype(bool), rows["score"].to_numpy()
        )
        curve = artefact.read_history(artefact_folder)
        if curve.epochs:
            curves[MODELS[model].title] = curve
    pictures = [figures.roc_curves(scores), figures.precision_recall_curves(scores)]
    if curves:
        pictures.append(figures.training_curves(curves))
    return pictures + [figures.score_histogram(name, found) for name, found in scores.items()]


def ratings_facts(lake: Path) -> RatingsFacts:
    """Counts over the table `ratings`."""
    import duckdb
    from deltalake import DeltaTable

    from feature_repo.schema import LIKED_RATING, RATINGS

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("ratings", DeltaTable(lake / RATINGS.name).to_pyarrow_dataset())
        totals = connection.execute(
            "SELECT count(*), count(DISTINCT user_id), count(DISTINCT movie_id),"
            " strftime(min(event_timestamp), '%Y-%m-%d'), strftime(max(event_timestamp), '%Y-%m-%d'),"
            f" avg((rating >= {LIKED_RATING})::INT) FROM ratings"
        ).fetchone()
        shared = connection.execute(
            "SELECT coalesce(sum(n) FILTER (n > 1) / sum(n), 0) FROM"
            " (SELECT count(*) AS n FROM ratings GROUP BY user_id, event_timestamp)"
        ).fetchone()
        by_stars = connection.execute(
            "SELECT rating, count(*) FROM ratings GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        by_year = connection.execute(
            "SELECT year(event_timestamp), count(*) FROM ratings GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert totals is not None
    assert shared is not None
    rows, users, movies, first, last, liked = totals
    return RatingsFacts(rows, users, movies, first, last, liked, shared[0], dict(by_stars), dict(by_year))


def refusals(lake: Path) -> list[Refusal]:
    """The quarantine by table and rule."""
    import duckdb
    from deltalake import DeltaTable

    from feature_repo.schema import QUARANTINE

    with duckdb.connect() as connection:
        connection.register("quarantine", DeltaTable(lake / QUARANTINE).to_pyarrow_dataset())
        found = connection.execute(
            'SELECT "table", rule, count(*), first(reason ORDER BY source, row),'
            " first(source ORDER BY source, row), first(row ORDER BY source, row),"
            ' first(record ORDER BY source, row) FROM quarantine GROUP BY "table", rule ORDER BY ALL'
        ).fetchall()
    return [Refusal(*case) for case in found]
