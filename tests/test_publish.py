"""From source to lake: every row read is accounted for, and a source that is no good changes nothing."""

import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.define.table import QUARANTINE
from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.ingest import TableReport, ingest
from pipelines.sources.movielens import MOVIE_READINGS, RATING_READINGS, read_movielens
from pipelines.sources.source import Raw, Source, rows_of
from tests.raw_rows import ENGINES, engine_named, no_spark, opened, raw, table_rows
from tests.test_ingest import jpeg

# --- the whole ------------------------------------------------------------------------------------------


def contents(lake: Path) -> dict[str, list[str]]:
    names = [*(table.name for table in DOMAIN.sources), QUARANTINE]
    return {name: sorted(map(str, table_rows(lake, name))) for name in names}


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """A folder of files with one of each trouble."""
    folder = tmp_path / "messy"
    (folder / "posters").mkdir(parents=True)
    ratings = [
        "userId,movieId,rating,timestamp", "1,1,4,964982703", "1,1,4,964982703", "2,1,abc,964982703",
        "3,1,7,964982703", "4,1,3,-5", "5,1,3,9999999999", "6,999999,3,964982703", "7,2,3.5,964982703",
        "8,2,4",
    ]  # fmt: skip
    movies = [
        "movieId,title,genres",
        '1,"American President, The (1995)",Drama',
        "2,Lost (1990),Drama",
        "z,Y,X",
    ]
    (folder / "ratings.csv").write_text("\n".join(ratings))
    (folder / "movies.csv").write_text("\n".join(movies))
    jpeg(folder / "posters" / "1.jpg")
    jpeg(folder / "posters" / "2.jpg", keep=0.5)
    (folder / "posters" / "3.jpg").write_text("text")
    return folder


def test_every_row_read_is_accepted_or_quarantined_and_twice_gives_the_same(
    start: StartSpark, messy: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    report = ingest(start, read_movielens(messy, messy / "posters"), lake, DOMAIN)
    ratings = report.tables["ratings"]
    assert (ratings.read, ratings.accepted, ratings.quarantined) == (9, 2, 7)
    assert ratings.by_rule == {
        "event_timestamp_in_range": 2,
        "event_timestamp_is_present": 1,
        "movie_id_in_movies": 1,
        "rating_in_range": 1,
        "rating_is_number": 1,
        "ratings_are_unique": 1,
    }
    assert report.tables["movies"].by_rule == {"movie_id_is_number": 1}
    assert report.tables["posters"].by_rule == {"poster_is_readable": 2}
    first = contents(lake)
    assert {name: len(rows) for name, rows in first.items()} == {
        "ratings": 2,
        "movies": 2,
        "posters": 1,
        "users": 0,
        "quarantine": 10,
    }
    for row in table_rows(lake, QUARANTINE):
        if row["table"] != "posters":
            assert Path(row["source"]).read_text().splitlines()[row["row"] - 1] == row["record"]
    ingest(start, read_movielens(messy, messy / "posters"), lake, DOMAIN)
    assert contents(lake) == first


def test_where_nothing_is_good_nothing_is_written(start: StartSpark, messy: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (messy / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,good,964982703\n2,1,9,964982703\n"
    )
    with pytest.raises(MarqueeError) as raised:
        ingest(start, read_movielens(messy), lake, DOMAIN)
    assert str(raised.value) == (
        f"None of the 2 ratings that were read can be used, so nothing was written; the first, "
        f"{messy / 'ratings.csv'} row 2, broke rating_is_number: rating 'good' is not a number."
    )
    (messy / "movies.csv").write_text("movieId,title,genres\nx,y,z\n")
    with pytest.raises(MarqueeError, match=r"None of the 1 movies .*movie_id 'x' is not a whole number"):
        ingest(start, read_movielens(messy), lake, DOMAIN)
    assert not lake.exists()


def test_file_that_vanishes_is_one_clear_sentence(start: StartSpark, messy: Path, tmp_path: Path) -> None:
    source = read_movielens(messy)
    (messy / "ratings.csv").unlink()
    with pytest.raises(MarqueeError, match=rf"^{messy}/ratings.csv vanished or changed while it was read"):
        ingest(start, source, tmp_path / "lake", DOMAIN)


def persisted(spark: SparkSession) -> int:
    return int(spark.sparkContext._jsc.sc().getPersistentRDDs().size())


def test_kept_rows_are_released(spark: SparkSession, request: pytest.FixtureRequest) -> None:
    before = persisted(spark)  # Delta keeps some of its own
    with engine_named(ENGINES[1], request) as start, opened(start) as engine:
        engine.keep("kept", "SELECT 1 AS one")
        assert engine.fetch("SELECT * FROM kept").num_rows == 1
        assert persisted(spark) > before
    assert persisted(spark) == before
    assert not spark.catalog.tableExists("kept")


def test_source_of_two_files_counts_each_row_once(start: StartSpark, tmp_path: Path) -> None:
    """Rows of several files may share a number."""
    ratings = pa.concat_tables(
        [raw([("1", "10", "3", "964982703")], RATING_READINGS, source=n).rows.in_memory() for n in ("a", "b")]
    )
    tables = {
        "ratings": Raw(rows_of(ratings), RATING_READINGS),
        "movies": raw([("10", "T", "", None)], MOVIE_READINGS),
    }
    report = ingest(start, Source("two", "two files", tables), tmp_path / "lake", DOMAIN).tables
    found = report["ratings"]
    assert (found.read, found.accepted, found.by_rule) == (2, 1, {"ratings_are_unique": 1})
    # A source without posters or users empties their tables.
    for name in ("posters", "users"):
        assert report[name] == TableReport(0, 0, 0, {})
        assert table_rows(tmp_path / "lake", name) == []


# --- real data ------------------------------------------------------------------------------------------


def test_real_sample_is_accounted_for_to_the_row(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "movielens-small"
    report = ingest(no_spark, read_movielens(folder, real_data / "posters"), tmp_path, DOMAIN)
    ratings, movies, posters = (report.tables[name] for name in ("ratings", "movies", "posters"))
    assert ratings.read == 100_004 == ratings.accepted + ratings.quarantined
    assert (ratings.accepted, movies.accepted) == (100_004, 9_125)
    assert posters.read == 971 == posters.accepted + posters.quarantined
    # Pictures of movies that this catalogue lacks, and no other trouble.
    assert posters.by_rule == {"movie_id_in_movies": 166}
    # The published ratings are those of the file.
    found = Counter(
        (row["user_id"], row["movie_id"], row["rating"], int(row["event_timestamp"].timestamp()))
        for row in table_rows(tmp_path, "ratings")
    )
    lines = (folder / "ratings.csv").read_text().splitlines()[1:]
    wanted: Counter[tuple[int, int, float, int]] = Counter()
    for line in lines:
        user, movie, rating, second = re.split(",", line)
        wanted[int(user), int(movie), float(rating), int(second)] += 1
    assert found == wanted


def test_real_ml_100k_is_accepted_whole(real_data: Path, tmp_path: Path) -> None:
    report = ingest(no_spark, read_movielens(real_data / "ml-100k"), tmp_path, DOMAIN)
    ratings, movies = report.tables["ratings"], report.tables["movies"]
    assert (ratings.read, ratings.accepted) == (100_000, 100_000)
    assert (movies.read, movies.accepted) == (1682, 1682)
