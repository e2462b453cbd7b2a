"""Features streamed from Parquet: the same as in memory where they fit a block, bounded where they do not."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from tests.toy_features import toy_spec, toy_table
from tests.training_runs import SERVICES, prepared, recipe
from training.data.prepared import Prepared, prepare_file
from training.data.storage import OnDisk, Streamed
from training.fit import artefact as artefacts
from training.fit.batches import Batches
from training.fit.train import train_on
from training.inputs.config import InputConfig

pytestmark = pytest.mark.training

CONFIG = {"training.epochs": 2, "training.batch_size": 64, "inputs.min_count": 2}


NEURALCF = recipe("neuralcf", config=CONFIG)


def from_file(path: Path, block: int = 1_000_000) -> Prepared:
    return prepare_file(path, DOMAIN, NEURALCF, block=block)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joined data set whose row groups are smaller than any block."""
    path = tmp_path_factory.mktemp("data") / "joined.parquet"
    pq.write_table(toy_table(420, "din_v1"), path, row_group_size=50)
    return path


def test_one_block_gives_the_very_result_of_memory(file: Path, tmp_path: Path) -> None:
    inside = train_on(prepared("din_v1", 420), NEURALCF, tmp_path / "in")
    killed = tmp_path / ".out.rows.x.partial"
    killed.mkdir()
    streamed = train_on(from_file(file), NEURALCF, tmp_path / "out")
    assert not killed.exists()
    assert streamed.metrics == inside.metrics
    tables = [artefacts.read_predictions(run.folder) for run in (inside, streamed)]
    assert tables[0].equals(tables[1])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_small_blocks_train_too_with_the_vocabularies_of_all_rows(file: Path, tmp_path: Path) -> None:
    result = train_on(from_file(file, block=100), NEURALCF, tmp_path / "out")
    assert result.rows == {"train": 302, "valid": 34, "test": 84}
    spec = artefacts.load(result.folder).spec
    whole = toy_spec(toy_table(420, "din_v1").slice(0, 302), "din_v1", spec_config())
    assert spec.vocabularies == {name: whole.vocabularies[name] for name in spec.vocabularies}


def spec_config() -> InputConfig:
    return InputConfig(numeric=False, bucketised=False, lists=False, context=False, min_count=2)


def test_streamed_arrays_are_those_of_the_table(file: Path, tmp_path: Path) -> None:
    table = toy_table(420, "din_v1")
    rows = Streamed((file,), SERVICES["din_v1"], 1000, tmp_path)
    parts = np.array([0, 3, 49, 50, 51, 300]), np.arange(310, 420)
    spec = rows.fit(parts[0], InputConfig())
    assert spec == toy_spec(table.take(parts[0]), "din_v1")
    expected = spec.apply(table)
    for found, part in zip(rows.arrays(spec, *parts), parts, strict=True):
        assert list(found) == list(expected)
        for name, array in found.items():
            np.testing.assert_array_equal(array[:], expected[name][part], err_msg=name)
            np.testing.assert_array_equal(array[2:5], expected[name][part][2:5], err_msg=name)


def test_a_file_with_views_and_with_columns_that_nobody_reads_is_streamed_as_others_are(
    file: Path, tmp_path: Path
) -> None:
    """Of views Arrow cannot take single rows; Polars writes them."""
    table = pq.read_table(file)
    rows = np.arange(0, 420, 3)
    expected = Streamed((file,), SERVICES["din_v1"], 1000, tmp_path).fit(rows, InputConfig())
    name = "user_top_genres"
    views = table[name].combine_chunks().cast(pa.list_(pa.string_view()))
    table = table.set_column(table.column_names.index(name), name, views)
    table = table.append_column("note", pa.array([b"x"] * 420, pa.binary_view()))
    pq.write_table(table, tmp_path / "views.parquet")
    streamed = Streamed((tmp_path / "views.parquet",), SERVICES["din_v1"], 1000, tmp_path)
    assert streamed.fit(rows, InputConfig()) == expected


def test_a_file_whose_features_are_damaged_is_one_sentence(file: Path, tmp_path: Path) -> None:
    place = pq.ParquetFile(file).metadata.row_group(0)
    names = [place.column(at).path_in_schema for at in range(place.num_columns)]
    column = place.column(names.index("user_rating_mean"))
    start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(file.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    (tmp_path / "damaged.parquet").write_bytes(content)
    streamed = Streamed((tmp_path / "damaged.parquet",), SERVICES["din_v1"], 1000, tmp_path)
    with pytest.raises(MarqueeError, match=r"damaged\.parquet is not a Parquet file that can be read: "):
        streamed.fit(np.arange(10), InputConfig())


def test_a_file_some_of_whose_columns_end_early_is_one_sentence(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *args, **kw: list(batches(*args, **kw))[:0])
    streamed = Streamed((file,), SERVICES["din_v1"], 1000, tmp_path)
    with pytest.raises(MarqueeError, match=r"joined\.parquet is damaged: some of its columns have 0 rows"):
        streamed.fit(np.arange(10), InputConfig())


def on_disk(folder: Path, rows: int, width: int, block: int) -> OnDisk:
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    values.tofile(folder / "a")
    return OnDisk(folder / "a", values.dtype, values.shape, block)


def test_blocks_are_shuffled_and_rows_within_them_each_once_by_seed_and_epoch(tmp_path: Path) -> None:
    array = on_disk(tmp_path, 105, 1, block=20)

    def order(seed: int, epoch: int) -> list[int]:
        batches = Batches({"a": array}, np.arange(105) % 2 == 0, 3, seed, epoch)
        taken = [batches[i] for i in range(len(batches))]
        for batch, labels in taken:
            np.testing.assert_array_equal(labels, batch["a"] % 2 == 0)
        return [int(row) for batch, _ in taken for row in batch["a"][:, 0]]

    first = order(1, 0)
    assert sorted(first) == list(range(105))
    assert order(1, 0) == first
    assert order(1, 1) != first != order(2, 0)
    size = 18  # in six blocks of at most 20, of one size
    blocks = list(dict.fromkeys(row // size for row in first))
    assert len(blocks) == 6
    assert [row // size for row in first] == [b for b in blocks for _ in range(min(size, 105 - size * b))]
    assert blocks != sorted(blocks) or order(1, 1)[0] // size != 0


def test_no_block_is_left_with_a_few_rows(tmp_path: Path) -> None:
    array = on_disk(tmp_path, 21, 1, block=10)
    batches = Batches({"a": array}, np.zeros(21, bool), 8, seed=0)
    assert [len(batches[i][1]) for i in range(len(batches))] == [7, 7, 7]


def test_an_epoch_over_many_blocks_holds_about_one(tmp_path: Path) -> None:
    rows, width, block = 200_000, 16, 10_000
    array = on_disk(tmp_path, rows, width, block)
    batches = Batches({"a": array}, np.zeros(rows, bool), 1000, seed=0)
    tracemalloc.start()
    for i in range(len(batches)):
        batches[i]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * block * width * 4 < rows * width * 4 / 6


def test_bad_files_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="not a Parquet file that can be read"):
        from_file(tmp_path / "none.parquet")
    table = pq.read_table(file)
    bad = tmp_path / "bad.parquet"
    for other, sentence in (
        (table.drop_columns(["liked"]), "lacks liked or rating"),
        (table.drop_columns(["movie_id"]), "lacks movie_id"),
        (table.append_column("user_id", table["user_id"]), "several columns named user_id"),
        (table.slice(0, 0), "has no rows"),
        (changed(table, "liked", pa.array([None, *[True] * 419])), "1 of 420 rows have no liked"),
        (changed(table, "event_timestamp", pa.array(np.arange(420))), "event_timestamp holds int64"),
        (changed(table, "user_id", pa.array([1, None, *[2] * 418])), "1 of 420 rows have no user_id, row 2"),
        (rated(table, [4.0, 7.0, *[2.0] * 418]), r"rating, row 2, is 7, outside \[0.5, 5\]"),
        (rated(table, [4.25, *[2.0] * 419]), r"rating, row 1, is 4.25, no multiple of 0.5"),
        (rated(table, [4.0, 3.0, 0.0, *[2.0] * 417]), r"rating, row 3, is 0, outside \[0.5, 5\]"),
    ):
        pq.write_table(other, bad)
        with pytest.raises(MarqueeError, match=sentence):
            from_file(bad)
    with pytest.raises(MarqueeError, match="gbt needs all rows in memory"):
        train_on(prepare_file(file, DOMAIN, recipe("gbt")), recipe("gbt"), tmp_path / "x")


def test_numbers_that_no_model_can_read_are_told_of(file: Path, tmp_path: Path) -> None:
    table, odd = pq.read_table(file), tmp_path / "odd.parquet"
    mean, count = (table[name].to_pylist() for name in ("movie_rating_mean", "movie_rating_count"))
    mean[70], mean[71], mean[400], mean[5] = float("inf"), -1e300, float("-inf"), float("nan")
    count[9], count[10] = -1, None
    table = changed(table, "movie_rating_mean", pa.array(mean))
    pq.write_table(changed(table, "movie_rating_count", pa.array(count)), odd, row_group_size=50)
    assert from_file(file).notes == ()
    of_count, of_mean = prepare_file(odd, DOMAIN, recipe("din", config={"inputs.min_count": 2})).notes
    missing = "it counts as missing"
    assert (
        of_count
        == f"movie_rating_count in row 10 of {odd} is infinite, beyond float32, or negative: {missing}"
    )
    where = f"in 3 rows, first in row 71, of {odd}"
    assert of_mean == f"movie_rating_mean {where} is infinite, or beyond float32: {missing}"


def rated(table: pa.Table, ratings: list[float]) -> pa.Table:
    """A table whose labels are to be made of ratings."""
    return table.drop_columns(["liked"]).append_column("rating", pa.array(ratings))


def changed(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def test_keys_and_instants_of_other_types_train_to_the_same_result(file: Path, tmp_path: Path) -> None:
    table = pq.read_table(file)
    table = changed(table, "user_id", table["user_id"].cast(pa.float64()))
    table = changed(table, "movie_id", table["movie_id"].cast(pa.uint16()).dictionary_encode())
    text = pc.strftime(table["event_timestamp"], "%Y-%m-%dT%H:%M:%SZ")
    table = changed(table, "event_timestamp", text)
    table = changed(table, "liked", table["liked"].cast(pa.int8()))
    pq.write_table(table, tmp_path / "odd.parquet", row_group_size=50)
    plain, odd = (
        train_on(from_file(path), NEURALCF, tmp_path / path.stem) for path in (file, tmp_path / "odd.parquet")
    )
    assert odd.metrics == plain.metrics
    scores = [artefacts.read_predictions(run.folder)["score"].to_numpy() for run in (plain, odd)]
    np.testing.assert_array_equal(*scores)
