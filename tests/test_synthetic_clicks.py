"""The synthetic click log: same seed, same rows; Criteo's shape; probabilities and orders as declared."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from common.errors import MarqueeError
from feature_repo.domains.clicks.criteo import SYNTHETIC
from pipelines.ingest import ingest
from pipelines.sources.synthetic_clicks import ClicksConfig, generate, job, read_clicks
from pipelines.sources.synthetic_clicks.model import (
    ALONE,
    DIM,
    LOG_DEVIATIONS,
    LOG_MEANS,
    MISSING_CATEGORIES,
    MISSING_NUMBERS,
    PAIRED,
    TOGETHER,
    TRIPLES,
    VOCABULARIES,
    draw,
    effects,
    logit,
    places,
    probability,
    shares,
    terms,
)
from pipelines.sources.synthetic_clicks.rows import block_tables, words
from tests.raw_rows import ENGINES, engine_named, no_spark, table_rows

SMALL = ClicksConfig(rows=1_050, seed=3, block=200)
LARGE = ClicksConfig(seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("clicks") / "data"
    generate(no_spark, SMALL, target)
    return target


@pytest.fixture(scope="module")
def large() -> tuple[pa.Table, np.ndarray]:
    """Rows enough for statistics, and their probabilities."""
    rows, likelihood = block_tables(LARGE, 0)
    return rows, likelihood["probability"].to_numpy()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the same rows --------------------------------------------------------------------------------------


def test_spark_writes_the_same_bytes_whatever_its_partitions(
    spark: SparkSession, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.session.FEW", -1)
    generate(lambda: spark, SMALL, tmp_path / "data")
    assert contents(tmp_path / "data") == contents(folder)
    assert len(contents(folder)) == 2 * 6 + 1


def test_a_block_follows_from_the_seed_and_its_number_alone() -> None:
    again = block_tables(SMALL, 2)
    assert block_tables(ClicksConfig(rows=600, seed=3, block=200), 2) == again
    others = [block_tables(SMALL, 1), block_tables(ClicksConfig(rows=600, seed=4, block=200), 2)]
    for rows, likelihood in others:
        assert rows["c2"] != again[0]["c2"]
        assert likelihood["probability"] != again[1]["probability"]


def test_the_same_config_is_not_generated_twice_and_another_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(no_spark, ClicksConfig(rows=10), tmp_path / "data")
    generate(no_spark, ClicksConfig(rows=20), tmp_path / "data")
    assert pq.read_table(tmp_path / "data" / job.ROWS).num_rows == 20
    monkeypatch.setattr(job, "write_block", lambda *_: pytest.fail("generated twice"))
    generate(no_spark, ClicksConfig(rows=20), tmp_path / "data")


def test_what_is_no_synthetic_log_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    with pytest.raises(MarqueeError, match="it holds something else"):
        generate(no_spark, SMALL, tmp_path / "mine")
    with pytest.raises(MarqueeError, match="No synthetic clicks in"):
        read_clicks(tmp_path / "mine")


def test_generated_rows_of_which_some_are_gone_or_damaged_are_not_read(tmp_path: Path) -> None:
    generate(no_spark, ClicksConfig(rows=1000, block=300), tmp_path)
    parts = sorted((tmp_path / job.ROWS).iterdir())
    assert read_clicks(tmp_path).tables["clicks_synthetic"].rows.count == 1000
    parts[1].unlink()
    with pytest.raises(MarqueeError, match=r"damaged \(rows.parquet has 700 rows, not 1,000\): remove it"):
        read_clicks(tmp_path)
    parts[0].write_bytes(parts[0].read_bytes()[:100])
    with pytest.raises(MarqueeError, match=r"damaged \(.*\): remove it, and run again"):
        read_clicks(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("rows", 0), ("rows", 10**9), ("click_rate", 1), ("third", -1)])
def test_a_config_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(MarqueeError, match=f"Synthetic clicks cannot have {name}="):
        ClicksConfig(**{name: value})  # type: ignore[arg-type]


# --- Criteo's shape -------------------------------------------------------------------------------------


def test_fields_are_missing_as_often_as_declared_and_have_values_of_criteos_kind(
    large: tuple[pa.Table, np.ndarray],
) -> None:
    rows, _ = large
    assert rows.column_names == list(SYNTHETIC.events.column_names)
    assert rows["position"].to_pylist() == list(range(1, LARGE.rows + 1))
    absent = [*MISSING_NUMBERS, *MISSING_CATEGORIES]
    for name, share in zip(rows.column_names[2:], absent, strict=True):
        assert rows[name].null_count / LARGE.rows == pytest.approx(share, abs=0.006), name
    for field, size in enumerate(VOCABULARIES):
        values = rows[f"c{field + 1}"].unique().drop_null().to_pylist()
        assert len(values) <= size
        assert size > 300 or len(values) == size, "all values of a small vocabulary occur"
        assert all(re.fullmatch("[0-9a-f]{8}", value) for value in values[:100])
    assert min(rows["i5"].drop_null().to_pylist()) >= 0


def test_values_of_a_category_are_each_their_own() -> None:
    ranks = np.arange(1_000_000)
    assert len(words(7, 2, ranks).unique()) == len(ranks)
    assert words(7, 2, ranks[:100]) != words(7, 3, ranks[:100])


def test_a_few_values_make_up_most_rows_by_the_declared_law() -> None:
    ranks = draw(np.random.default_rng(5), 100_000).ranks
    for field in (0, 2, 8, 21):
        found = np.bincount(places(field, ranks[field], ALONE), minlength=len(shares(field, ALONE)))
        found = found / ranks.shape[1]
        assert np.abs(found - shares(field, ALONE)).max() < 0.006
    assert np.sort(shares(2, ALONE)[:-2])[::-1][:10].sum() > 0.35, "ten of a million values"


# --- the truth ------------------------------------------------------------------------------------------


def test_the_logit_is_the_sum_that_is_declared() -> None:
    """Row by row, pair by pair, without arrays."""
    found, drawn = effects(SMALL), draw(np.random.default_rng(8), 50)
    for row, value in enumerate(logit(found, drawn)):
        first = second = third = 0.0
        for field, count in enumerate(drawn.numbers[:, row]):
            standard = (np.log1p(count) - LOG_MEANS[field]) / LOG_DEVIATIONS[field] if count >= 0 else 0
            first += found.absent[field] if count < 0 else found.slopes[field] * standard
        ranks = drawn.ranks[:, row : row + 1]
        first += sum(said[places(field, ranks[field], ALONE)[0]] for field, said in enumerate(found.alone))
        at = [int(places(field, rank, TOGETHER)[0]) for field, rank in enumerate(ranks)]
        for (one, left), (other, right) in combinations(zip(PAIRED, found.together, strict=True), 2):
            second += sum(left[at[one]][dim] * right[at[other]][dim] for dim in range(DIM))
        for (a, b, c), (x, y, z) in zip(TRIPLES, found.threefold, strict=True):
            third += x[at[a]] * y[at[b]] * z[at[c]]
        expected = sum(scale * term for scale, term in zip(found.scales, (first, second, third), strict=True))
        assert value == pytest.approx(found.bias + expected)


def test_clicks_come_as_often_as_their_probabilities_say(large: tuple[pa.Table, np.ndarray]) -> None:
    rows, chance = large
    clicks = rows["click"].to_numpy()
    assert clicks.mean() == pytest.approx(LARGE.click_rate, abs=0.006)
    for part in np.array_split(np.argsort(chance), 20):
        deviation = np.sqrt((chance[part] * (1 - chance[part])).sum()) / len(part)
        assert abs(clicks[part].mean() - chance[part].mean()) < 4.5 * deviation


@pytest.mark.parametrize("seed", range(3))
def test_best_auc_is_near_080_and_each_order_has_its_part_of_it(seed: int) -> None:
    config = ClicksConfig(seed=seed)
    found, rng = effects(config), np.random.default_rng(9)
    drawn = draw(rng, 100_000)
    one, two, three = (scale * term for scale, term in zip(found.scales, terms(found, drawn), strict=True))
    clicks = rng.random(len(one)) < probability(found.bias + one + two + three)
    first, second, best = (roc_auc_score(clicks, score) for score in (one, one + two, one + two + three))
    assert best == pytest.approx(0.805, abs=0.015)
    assert (second - first) / (best - 0.5) > 0.2
    assert (best - second) / (best - 0.5) > 0.04
    assert np.abs(np.corrcoef([one, two, three]) - np.eye(3)).max() < 0.02, "orders say nothing of others"


# --- as a source ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_generated_rows_are_accepted_whole_and_in_order(
    engine: str, request: pytest.FixtureRequest, folder: Path, tmp_path: Path
) -> None:
    source = read_clicks(folder)
    with engine_named(engine, request) as start:
        report = ingest(start, source, tmp_path, SYNTHETIC).tables["clicks_synthetic"]
    assert (report.read, report.accepted, report.quarantined) == (SMALL.rows, SMALL.rows, 0)
    stored = sorted(table_rows(tmp_path, "clicks_synthetic"), key=lambda row: row["position"])
    assert stored == pq.read_table(folder / job.ROWS).to_pylist()
    assert source.likelihood is not None
    truth = pq.read_table(source.likelihood)
    assert truth.column_names == ["position", "probability"]
    assert truth["position"].to_pylist() == list(range(1, SMALL.rows + 1))
