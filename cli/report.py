"""The page of one run: what data, what was refused, which tables, how the models did, what it cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.settings import Settings
from cli.summary import Summary
from common.files import write_atomically

PAGE = "report.html"
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


def write_report(settings: Settings, summary: Summary, folder: Path) -> None:
    """Write `report.html` into the run's folder, from the summary, the artefacts and the lake."""
    from common.page import render
    from feature_repo.schema import RATINGS, TABLES
    from training.models import MODELS

    values: dict[str, Any] = {
        "summary": summary,
        "ratings": ratings_facts(settings.lake),
        "ratings_left_out": summary.tables[RATINGS.name].left_out,
        "quarantine": refusals(settings.lake),
        "descriptions": {name: table.description for name, table in TABLES.items()},
        "titles": {name: MODELS[name].title for name in summary.models},
        "data_figures": [],
        "feature_figures": [],
        "model_figures": [],
    }
    write_atomically(folder / PAGE, render(TEMPLATES, "report.html", **values))


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
