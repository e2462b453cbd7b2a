"""New ratings are read whatever is in them; what cannot be used is one sentence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cli.main import app
from common.errors import MarqueeError
from feature_repo.schema import EVENT_TIMESTAMP
from pipelines.sources.new_ratings import FIELDS, one_rating, read_new_ratings


def test_one_rating_keeps_its_microsecond() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123457, tzinfo=UTC)
    (row,) = one_rating(1, 2, 4.5, at).to_pylist()
    assert datetime.fromtimestamp(row["timestamp"], UTC) == at
    assert (row["user_id"], row["movie_id"], row["rating"], row["row"]) == (1, 2, 4.5, 1)
    assert row["record"] == "1,2,4.5,2026-11-21T12:00:00.123457+00:00"


def test_csv_comes_line_by_line_whatever_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text(
        'rating,note,user_id,movie_id,timestamp\n4.5,"a,b",1,2,100\n\n4,x\n3,y,1,2,5,6\n1,"q,1,2,3\n'
    )
    rows = read_new_ratings(file).to_pylist()
    assert [tuple(row[name] for name in FIELDS) for row in rows] == [
        ("1", "2", "4.5", "100"),
        (None, None, "4", None),
        ("1", "2", "3", "5,6"),
        (None, None, "1", None),
    ]
    assert [row["row"] for row in rows] == [2, 4, 5, 6]
    assert rows[1]["record"] == "4,x"


def test_parquet_may_have_instants(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)
    columns = {"user_id": [1, 2], "movie_id": [3.0, None], "rating": [4, 5], EVENT_TIMESTAMP: [at, None]}
    pq.write_table(pa.table(columns), tmp_path / "new.parquet")
    first, second = read_new_ratings(tmp_path / "new.parquet").to_pylist()
    assert datetime.fromtimestamp(first["timestamp"], UTC) == at
    assert (first["user_id"], first["movie_id"], first["rating"]) == (1, 3.0, 4)
    assert (second["movie_id"], second["timestamp"], second["row"]) == (None, None, 2)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.csv", None, "There is no file"),
        ("empty.csv", b"", "is empty"),
        ("other.csv", b"user_id,movie_id,stars,timestamp\n", "lacks the column rating"),
        ("bad.parquet", b"user_id", "cannot be read as Parquet"),
    ],
)
def test_files_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MarqueeError, match=words):
        read_new_ratings(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--user", "1"], "needs --user, --movie and --rating"),
        (["new.csv", "--user", "1"], "not both"),
        (["--user", "1", "--movie", "1", "--rating", "4", "--at", "soon"], "is no instant"),
        (["--user", "1", "--movie", "1", "--rating", "4"], "features apply"),
    ],
)
def test_options_that_cannot_be_used_are_one_sentence(tmp_path: Path, options: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["features", "push", *options, "--home", str(tmp_path)])
    assert isinstance(done.exception, MarqueeError)
    assert words in str(done.exception)
