"""Features streamed from Parquet: the same as in memory where they fit a block, bounded where they do not."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from common.errors import MarqueeError
from tests.toy_features import toy_spec, toy_table
from training.data.rows import OnDisk, Streamed
from training.fit import artefact as artefacts
from training.fit.run import Prepared, prepare_file, train_on
from training.fit.trainer import Batches
from training.inputs.config import InputConfig

CONFIG = {"training.epochs": 2, "training.batch_size": 64, "inputs.min_count": 2}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joined data set whose row groups are smaller than any block."""
    path = tmp_path_factory.mktemp("data") / "joined.parquet"
    pq.write_table(toy_table(420, "din_v1"), path, row_group_size=50)
    return path


def test_one_block_gives_the_very_result_of_memory(file: Path, tmp_path: Path) -> None:
    table = toy_table(420, "din_v1")
    inside = train_on(
        Prepared(table, "din_v1", "honest", 3.5, {}, 420), "neuralcf", tmp_path / "in", config=CONFIG
    )
    streamed = train_on(prepare_file(file, "din_v1"), "neuralcf", tmp_path / "out", config=CONFIG)
    assert streamed.metrics == inside.metrics
    tables = [artefacts.read_predictions(run.folder) for run in (inside, streamed)]
    assert tables[0].equals(tables[1])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_small_blocks_train_too_with_the_vocabularies_of_all_rows(file: Path, tmp_path: Path) -> None:
    result = train_on(prepare_file(file, "din_v1", block=100), "neuralcf", tmp_path / "out", config=CONFIG)
    assert result.rows == {"train": 302, "valid": 34, "test": 84}
    spec = artefacts.load(result.folder).spec
    whole = toy_spec(toy_table(420, "din_v1").slice(0, 302), "din_v1", spec_config())
    assert spec.vocabularies == {name: whole.vocabularies[name] for name in spec.vocabularies}


def spec_config() -> InputConfig:
    return InputConfig(numeric=False, bucketised=False, lists=False, context=False, min_count=2)


def test_streamed_arrays_are_those_of_the_table(file: Path, tmp_path: Path) -> None:
    table = toy_table(420, "din_v1")
    rows = Streamed(file, 1000, tmp_path)
    parts = np.array([0, 3, 49, 50, 51, 300]), np.arange(310, 420)
    spec = rows.fit(parts[0], "din_v1", InputConfig())
    assert spec == toy_spec(table.take(parts[0]), "din_v1")
    expected = spec.apply(table)
    for found, part in zip(rows.arrays(spec, *parts), parts, strict=True):
        assert list(found) == list(expected)
        for name, array in found.items():
            np.testing.assert_array_equal(array[:], expected[name][part], err_msg=name)
            np.testing.assert_array_equal(array[2:5], expected[name][part][2:5], err_msg=name)


def on_disk(folder: Path, rows: int, width: int, block: int) -> OnDisk:
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    values.tofile(folder / "a")
    return OnDisk(folder / "a", values.dtype, values.shape, block)


def test_blocks_are_shuffled_and_rows_within_them_each_once_by_seed_and_epoch(tmp_path: Path) -> None:
    array = on_disk(tmp_path, 103, 1, block=20)

    def order(seed: int, epoch: int) -> list[int]:
        batches = Batches({"a": array}, np.arange(103) % 2 == 0, 5, seed, epoch)
        taken = [batches[i] for i in range(len(batches))]
        for batch, labels in taken:
            np.testing.assert_array_equal(labels, batch["a"] % 2 == 0)
        return [int(row) for batch, _ in taken for row in batch["a"][:, 0]]

    first = order(1, 0)
    assert sorted(first) == list(range(103))
    assert order(1, 0) == first
    assert order(1, 1) != first != order(2, 0)
    blocks = list(dict.fromkeys(row // 20 for row in first))
    assert [row // 20 for row in first] == [b for b in blocks for _ in range(min(20, 103 - 20 * b))]
    assert blocks != sorted(blocks) or order(1, 1)[0] // 20 != 0


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
        prepare_file(tmp_path / "none.parquet", "din_v1")
    bare = tmp_path / "bare.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["liked"]), bare)
    with pytest.raises(MarqueeError, match="lacks liked or rating"):
        prepare_file(bare, "din_v1")
    with pytest.raises(MarqueeError, match="gbt needs all rows in memory"):
        train_on(prepare_file(file, "gbt_v1"), "gbt", tmp_path / "x")
