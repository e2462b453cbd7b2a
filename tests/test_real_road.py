"""The whole road on the real ratings, in a process of its own, and what it left.

It trains the trees only. Networks would take most of the time; one learns for an epoch of what the road left.
"""

import csv
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from app.lookup import lookup
from app.train import TrainOptions, recipe_for, train
from common.progress import Silence, Stages
from common.settings import Settings
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.posters import STATISTICS
from feature_repo.store import open_store
from lake.tables import append
from tests.feature_oracle import Movie, Rating, features_at_labels
from tests.marquee import in_process, marquee, newest_summary, query, table
from training.data.prepared import prepare

pytestmark = pytest.mark.process
RATINGS = 100_004
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Path:
    """A home in which the road was gone once."""
    home = tmp_path_factory.mktemp("real") / "home"
    done = marquee(
        home,
        *("run", "--source", "movielens", "--path", real_data / "movielens-small"),
        *("--posters", real_data / "posters", "--models", "gbt"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(scope="module")
def summary(home: Path) -> dict[str, Any]:
    return newest_summary(home)


@pytest.fixture(scope="module")
def ratings(real_data: Path) -> list[Rating]:
    with (real_data / "movielens-small" / "ratings.csv").open() as file:
        return [
            Rating(int(row["userId"]), int(row["movieId"]), float(row["rating"]), int(row["timestamp"]))
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def truth(
    home: Path, real_data: Path, ratings: list[Rating]
) -> Mapping[tuple[int, int, int], dict[str, Any]]:
    """The oracle's features at every label."""
    movies = {}
    with (real_data / "movielens-small" / "movies.csv").open() as file:
        for row in csv.DictReader(file):
            year = re.search(r"\((\d{4})[^()]*\)\s*$", row["title"])
            genres = [] if row["genres"].startswith("(") else sorted(row["genres"].split("|"))
            movies[int(row["movieId"])] = Movie(genres, int(year[1]) if year else None)
    columns = ["movie_id", *STATISTICS]
    posters = {
        row["movie_id"]: {name: row[name] for name in STATISTICS}
        for row in table(home, "posters").select(columns).to_pylist()
    }
    return features_at_labels(ratings, movies, posters, lambda seconds: datetime.fromtimestamp(seconds, UTC))


def dataset(home: Path, labels: pa.Table, folder: Path) -> pa.Table:
    """What `marquee features dataset` gives for labels."""
    asked, given = folder / "labels.parquet", folder / "dataset.parquet"
    pq.write_table(labels, asked)
    done = in_process(home, "features", "dataset", "--service", "mmdin_v1", "--labels", asked, "--out", given)
    assert done.code == 0, done
    return pq.read_table(given)


def labels_of(ratings: list[Rating]) -> pa.Table:
    instants = pa.array([rating.instant * 1_000_000 for rating in ratings], pa.int64())
    return pa.table(
        {
            "user_id": pa.array([rating.user for rating in ratings], pa.int64()),
            "movie_id": pa.array([rating.movie for rating in ratings], pa.int64()),
            EVENT_TIMESTAMP: instants.cast(pa.timestamp("us", "UTC")),
            "stars": pa.array([rating.stars for rating in ratings], pa.float64()),
        }
    )


def differences(got: Sequence[Any], want: Sequence[Any]) -> list[int]:
    """Rows in which a feature is not what the oracle says: counts and lists exactly, numbers to 1e-9."""
    return [
        row
        for row, (one, other) in enumerate(zip(got, want, strict=True))
        if one != other
        and not (
            isinstance(one, float)
            and isinstance(other, float)
            and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        )
    ]


def test_every_rating_is_accepted_or_quarantined(summary: dict[str, Any]) -> None:
    counts = summary["tables"]["ratings"]
    assert counts["read"] == RATINGS
    assert counts["rows"] + counts["quarantined"] == RATINGS


def test_every_label_asked_for_is_returned(home: Path, summary: dict[str, Any]) -> None:
    assert summary["models"]["gbt"]["labels"] == {"asked": RATINGS, "returned": RATINGS}
    settings = Settings(home=home)
    for model in ("din", "mmdin"):
        recipe = recipe_for(DOMAIN, model, TrainOptions())
        prepared = prepare(open_store(settings), settings.lake, DOMAIN, recipe)
        assert (prepared.asked, prepared.table.num_rows) == (RATINGS, RATINGS), model


def test_a_network_learns_of_every_label(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "mmdin.yaml"
    config.write_text("model: mmdin\nconfig: {training: {epochs: 1}}\n")
    options = TrainOptions(config=config)
    result = train(Settings(home=home), DOMAIN, "mmdin", tmp_path / "mmdin", options, Stages(Silence()))
    assert (result.labels_asked, result.labels_returned) == (RATINGS, RATINGS)
    assert result.metrics["roc_auc"] > 0.7


def test_key_and_instant_are_unique_in_every_feature_table(home: Path) -> None:
    for declared in (view.table for view in DOMAIN.views):
        rows = table(home, declared.name)
        key = f"{declared.key[0].name}, {EVENT_TIMESTAMP}"
        repeated = query(f"SELECT {key} FROM rows GROUP BY {key} HAVING count(*) > 1", rows)
        # MovieLens-small tells nothing of its users.
        assert (rows.num_rows > 0) is (declared.name != "user_profile"), declared.name
        assert repeated.num_rows == 0, declared.name


def test_features_at_all_real_labels_equal_the_oracle(
    home: Path, ratings: list[Rating], truth: Mapping[tuple[int, int, int], dict[str, Any]], tmp_path: Path
) -> None:
    given = dataset(home, labels_of(ratings), tmp_path)
    assert given.num_rows == RATINGS
    assert given["stars"].to_pylist() == [rating.stars for rating in ratings], "order or values changed"
    expected = [truth[rating.user, rating.movie, rating.instant] for rating in ratings]
    for view in DOMAIN.services["mmdin_v1"]:
        for column in view.columns:
            want = [row.get(column.name) for row in expected]
            wrong = differences(given[column.name].to_pylist(), want)
            assert wrong == [], (column.name, ratings[wrong[0]], want[wrong[0]])


def test_features_at_arbitrary_instants_contain_strictly_earlier_events_only(
    home: Path, ratings: list[Rating], tmp_path: Path
) -> None:
    event = sorted(ratings, key=lambda rating: rating.instant)[len(ratings) // 2]
    at = datetime.fromtimestamp(event.instant, UTC)
    first = datetime.fromtimestamp(min(rating.instant for rating in ratings), UTC)
    instants = [
        first - DAY,
        first,
        at - timedelta(microseconds=1),
        at,
        at + timedelta(microseconds=1),
        at + DAY,
        datetime(2030, 1, 1, tzinfo=UTC),
    ]
    labels = pa.table(
        {
            "user_id": [event.user] * len(instants),
            "movie_id": [event.movie] * len(instants),
            EVENT_TIMESTAMP: pa.array(instants, pa.timestamp("us", "UTC")),
        }
    )
    given = dataset(home, labels, tmp_path)
    for row, instant in zip(given.to_pylist(), instants, strict=True):
        earlier = [r for r in ratings if datetime.fromtimestamp(r.instant, UTC) < instant]
        by_user = [r for r in earlier if r.user == event.user]
        of_movie = [r for r in earlier if r.movie == event.movie]
        liked = sorted((r.instant, r.movie) for r in by_user if r.stars >= 3.5)[::-1][:5]
        padded = [movie for _, movie in liked] + [0] * (5 - len(liked))
        assert row["user_rating_count"] == (len(by_user) or None), instant
        assert row["movie_rating_count"] == (len(of_movie) or None), instant
        assert row["user_recent_liked_movie_ids"] == (padded if liked else None), instant


def test_online_lookup_equals_the_newest_offline_row(home: Path, ratings: list[Rating]) -> None:
    users = sorted({rating.user for rating in ratings})[::3][:200]
    movies = sorted({rating.movie for rating in ratings})[::40][:200]
    assert min(len(users), len(movies)) == 200
    newest: dict[str, dict[int, dict[str, Any]]] = {}
    for declared in (view.table for view in DOMAIN.views):
        key = declared.key[0].name
        newest_first = f"row_number() OVER (PARTITION BY {key} ORDER BY {EVENT_TIMESTAMP} DESC)"
        found = query(f"SELECT * FROM rows QUALIFY {newest_first} = 1", table(home, declared.name))
        newest[declared.name] = {row[key]: row for row in found.to_pylist()}
    store = open_store(Settings(home=home))
    for user, movie in zip(users, movies, strict=True):
        online = lookup(store, None, {"user_id": user, "movie_id": movie}).values
        for declared in (view.table for view in DOMAIN.views):
            key_value = user if declared.key[0].name == "user_id" else movie
            row = newest[declared.name].get(key_value, {})
            for column in declared.feature_columns:
                assert online[column.name] == row.get(column.name), (user, movie, column.name)


def test_leakage_audit_passes_on_real_ratings(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = in_process(home, "audit", "leakage", "--no-costs")
    assert done.code == 0, done
    told = json.loads((home / "audits" / "leakage.json").read_text())
    assert (told["passed"], told["labels"]) == (True, RATINGS)
    assert str(home / "audits" / "leakage.html") in capsys.readouterr().out.splitlines()[-1]


def test_lookup_command_gives_known_features_and_names_unknown_ids(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = marquee(home, "features", "lookup", "--user", 1, "--movie", 1, "--json")
    assert known.returncode == 0, known.stderr
    answer = json.loads(known.stdout)
    assert answer["unknown"] == []
    assert answer["features"]["user_rating_count"] == 20
    assert in_process(home, "features", "lookup", "--user", 999_999, "--movie", 1).code == 0
    assert "user_id 999999 is unknown" in capsys.readouterr().out


def test_run_leaves_its_pages_and_its_summary(home: Path, summary: dict[str, Any]) -> None:
    folder = home / "runs" / summary["run"]
    for page in ("report.html", "validation/validation.html"):
        text = (folder / page).read_text()
        assert not re.search(r"(src|href)\s*=\s*[\"']?https?://", text), f"{page} loads from the web"
    assert all(stage["seconds"] >= 0 and stage["peak_memory"] > 0 for stage in summary["stages"])


def test_a_finished_runs_page_stays_what_it_was(home: Path, summary: dict[str, Any], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(home, tmp_path / "home"))
    before = without_pictures(copy / "runs" / summary["run"] / "report.html")
    assert page_written_again(copy, summary) == before
    late = table(copy, "ratings").slice(0, 60)
    place = late.column_names.index(EVENT_TIMESTAMP)
    late = late.set_column(place, EVENT_TIMESTAMP, pc.add(late[EVENT_TIMESTAMP], pa.scalar(DAY)))
    append(late, copy / "lake", "ratings")
    assert page_written_again(copy, summary) == before
    assert "100,004" in before
    assert "100,064" not in before


def page_written_again(home: Path, summary: dict[str, Any]) -> str:
    """What `marquee report` writes, without its pictures."""
    page = home / "runs" / summary["run"] / "report.html"
    page.unlink()
    done = in_process(home, "report")
    assert done.code == 0, done
    return without_pictures(page)


def without_pictures(page: Path) -> str:
    """A page's text but for what it draws."""
    return re.sub("<svg.*?</svg>", "", page.read_text(), flags=re.S)
