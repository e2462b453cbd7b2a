"""Generated data as a source: where rows come from, what is left out, and what no table holds."""

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from feature_repo.domains.movies import DOMAIN
from pipelines.ingest import ingest
from pipelines.sources.synthetic import job, read_synthetic
from tests.raw_rows import ENGINES, engine_named, no_spark, raw_values, table_rows
from tests.test_synthetic import CONFIG, folder, ratings

__all__ = ["folder", "ratings"]

# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_source_says_where_each_row_came_from(
    engine: str, request: pytest.FixtureRequest, folder: Path
) -> None:
    source = read_synthetic(folder)
    assert source.name == "synthetic"
    assert source.tables.keys() == {"ratings", "movies", "posters", "users"}
    names = [*job.RATINGS_SCHEMA.names, "record", "source", "row"]
    with engine_named(engine, request) as start:
        rows = pd.DataFrame(raw_values(start, source.tables["ratings"], *names), columns=names)
        movies = raw_values(start, source.tables["movies"], "row", "record")
    assert sorted(row for row, _ in movies) == list(range(1, CONFIG.movies + 1))
    assert all(record.startswith('{"movie_id":') and record.endswith("}") for _, record in movies)
    for path, part in rows.groupby("source"):
        stored = pq.read_table(Path(str(path))).to_pandas()
        part = part.sort_values("row").reset_index(drop=True)
        assert list(part["row"]) == list(range(1, len(stored) + 1))
        assert part[list(stored.columns)].equals(stored)
    assert '"movie_id":' in rows["record"].iloc[0]
    for row in source.tables["posters"].rows.in_memory().to_pylist():
        assert row["source"] == str(folder / job.POSTERS / f"{row['movie_id']}.jpg")
        assert row["problem"] is None


def test_first_movies_leaves_the_others_out(folder: Path, ratings: pd.DataFrame, tmp_path: Path) -> None:
    report = ingest(no_spark, read_synthetic(folder, first_movies=50), tmp_path, DOMAIN).tables
    few = ratings["movie_id"] <= 50
    assert report["ratings"].accepted == report["ratings"].read == few.sum()
    assert report["ratings"].left_out == (~few).sum()
    assert report["movies"].accepted == 50
    assert {row["movie_id"] for row in table_rows(tmp_path, "posters")} <= set(range(1, 51))


def test_generated_data_are_accepted_whole(folder: Path, tmp_path: Path) -> None:
    report = ingest(no_spark, read_synthetic(folder), tmp_path, DOMAIN).tables
    assert {name: table.quarantined for name, table in report.items()} == dict.fromkeys(report, 0)
    assert report["ratings"].accepted == CONFIG.ratings
    stored = {(row["user_id"], row["movie_id"]): row for row in table_rows(tmp_path, "ratings")}
    raw = pq.read_table(folder / job.RATINGS).to_pylist()
    assert len(stored) == len(raw)
    for row in raw:
        found = stored[row["user_id"], row["movie_id"]]
        assert (found["rating"], found["event_timestamp"].timestamp()) == (row["rating"], row["timestamp"])


def test_likelihood_is_in_no_table_of_the_source(folder: Path, tmp_path: Path) -> None:
    """The tables read the same with the side table gone, and nothing in them names it."""
    shutil.copytree(folder, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / job.LIKELIHOOD)
    source = read_synthetic(tmp_path / "data")
    assert source.tables["ratings"].rows.count == CONFIG.ratings
    for raw in source.tables.values():
        rows = raw.rows.in_memory()
        names = [*rows.column_names, *raw.fields, *(reading.column for reading in raw.readings)]
        assert not any("like" in name for name in names)
        assert not any(job.LIKELIHOOD in file for file in rows["source"].unique().to_pylist())
