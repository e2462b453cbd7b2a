"""Models trained on a click log: in memory, and out of the table's files."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.train import TrainOptions, evaluate, recipe_for, train, train_again
from app.tune import TuneOptions, search_for, tune
from common.errors import MarqueeError
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.column import Type
from feature_repo.define.fields import MISSING, NO_CODE, Fields, categories, numbers
from feature_repo.domains.clicks import SYNTHETIC
from feature_repo.domains.movies import DOMAIN
from tests.small_log import LOG, SMALL, log_rows, write_log
from training.data.log import prepare_log
from training.data.splits import split
from training.data.storage import Streamed
from training.fit.configuration import read_configuration
from training.fit.train import Result
from training.inputs.columns import NO_NUMBER, squared_logarithms
from training.inputs.config import InputConfig
from training.inputs.spec import InputSpec
from training.papers.iarm import LEAST
from training.recipe import Recipe, recipe_of

ROWS = 900
SILENT = Stages()


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return log_rows(ROWS)


@pytest.fixture
def home(tmp_path: Path, table: pa.Table) -> Settings:
    write_log(tmp_path / "home" / "lake", table)
    return Settings(home=tmp_path / "home")


def recipe(**options: object) -> Recipe:
    return recipe_of(SMALL, "fm", **options)  # type: ignore[arg-type]


def test_a_log_in_several_files_is_read_in_its_own_order(home: Settings, table: pa.Table) -> None:
    read = prepare_log(home.lake, SMALL, recipe())
    assert read.table["place"].to_pylist() == table["place"].to_pylist()
    assert read.table["clicked"].to_pylist() == [click == 1 for click in table["click"].to_pylist()]
    assert "click" not in read.table.column_names
    streamed = prepare_log(home.lake, SMALL, recipe(), block=100)
    assert streamed.table.column_names == ["place", "clicked"]
    assert streamed.table["place"].equals(read.table["place"])
    assert len(streamed.files) == 3


def test_what_is_streamed_out_of_a_table_is_what_is_read_whole(
    home: Settings, table: pa.Table, tmp_path: Path
) -> None:
    config = InputConfig(logarithmic=True, min_category_count=3)
    whole = prepare_log(home.lake, SMALL, recipe())
    files = prepare_log(home.lake, SMALL, recipe(), block=100).files
    streamed = Streamed(files, whole.service, 10_000, tmp_path)
    parts = [np.arange(0, ROWS, 2), np.arange(1, ROWS, 2)]
    spec = streamed.fit(parts[0], config)
    assert spec == InputSpec.fit(table.take(parts[0]), LOG.name, SMALL.fields, config)
    expected = spec.apply(table)
    for found, part in zip(streamed.arrays(spec, *parts), parts, strict=True):
        for name, array in found.items():
            np.testing.assert_array_equal(array[:], expected[name][part], err_msg=name)


def test_vocabularies_hold_what_is_frequent_and_missing_is_a_value_of_its_own(table: pa.Table) -> None:
    least = 20
    config = InputConfig(logarithmic=True, min_category_count=least, numeric=False, bucketised=False)
    spec = InputSpec.fit(table, LOG.name, SMALL.fields, config)
    for name, missing in (("c1", MISSING), ("c3", NO_CODE)):
        counts = Counter(missing if word is None else word for word in table[name].to_pylist())
        assert spec.vocabularies[name] == tuple(sorted(word for word, n in counts.items() if n >= least))
        assert missing in spec.vocabularies[name]
    logs = squared_logarithms(np.array([np.nan if n is None else n for n in table["n2"].to_pylist()], float))
    counts = Counter(logs.to_pylist())
    wanted = tuple(sorted(value for value, n in counts.items() if n >= least))
    assert spec.vocabularies["n2_logarithm"] == wanted
    assert [item.name for item in spec.inputs] == ["c1", "c2", "c3", "n1_logarithm", "n2_logarithm"]
    assert (spec.apply(table)["c1"] > 0).all()


def test_squared_logarithms_are_those_of_criteos_winners() -> None:
    found = squared_logarithms(np.array([-2.0, 0.0, 1.0, 2.0, 3.0, 10.0, 1000.0, np.nan]))
    assert found.to_pylist() == [-2, 0, 1, 2, 1, 5, 47, NO_NUMBER]


def test_a_log_is_split_in_time_by_its_places(home: Settings) -> None:
    read = prepare_log(home.lake, SMALL, recipe())
    cut = read.cut(recipe())
    places = read.table["place"].to_numpy()
    assert places[cut.train].max() < places[cut.valid].min() < places[cut.test].min()
    assert cut.train.tolist() == split(read.table, by="place").train.tolist()


def trained(home: Settings, out: Path, **options: object) -> Result:
    config = out.with_name("quick.yaml")
    config.write_text(
        "model: fm\nconfig:\n  training: {epochs: 2, batch_size: 64}\n  inputs: {logarithmic: true}\n"
    )
    return train(home, SMALL, "fm", out, TrainOptions(config=config, **options), SILENT)  # type: ignore[arg-type]


def test_a_model_of_a_log_is_scored_and_trained_again_as_it_was(home: Settings, tmp_path: Path) -> None:
    whole = trained(home, tmp_path / "whole")
    streamed = trained(home, tmp_path / "streamed", block_rows=200)
    for result in (whole, streamed):
        assert result.metrics["roc_auc"] > 0.55
        assert evaluate(home, SMALL, result.folder, SILENT) == result.metrics
    again = train_again(home, SMALL, streamed.folder, tmp_path / "again", SILENT)
    assert again.same_metrics
    assert again.changed == ()


def test_a_log_out_of_order_is_refused(home: Settings, table: pa.Table) -> None:
    write_log(home.lake, table.take(list(range(10, ROWS)) + list(range(10))), files=1)
    with pytest.raises(MarqueeError, match="are not in the log's order: ingest it again"):
        prepare_log(home.lake, SMALL, recipe())


def test_an_empty_log_and_a_missing_one_are_one_sentence_each(home: Settings, table: pa.Table) -> None:
    write_log(home.lake, table.slice(0, 0), files=1)
    with pytest.raises(MarqueeError, match=r"clicks_small .* is empty: there is nothing to train on"):
        prepare_log(home.lake, SMALL, recipe())
    with pytest.raises(MarqueeError, match=r"There is no clicks_small .*: run `marquee pipeline ingest`"):
        prepare_log(home.lake / "elsewhere", SMALL, recipe())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (TrainOptions(protocol="paper"), "--protocol is of joined features, and small is a log"),
        (TrainOptions(service="din_v1"), "no feature service 'din_v1'"),
        (TrainOptions(task="liked"), "task"),
    ],
)
def test_what_a_log_does_not_have_is_refused(options: TrainOptions, says: str) -> None:
    with pytest.raises(MarqueeError, match=says):
        recipe_for(SMALL, "fm", options)


def test_events_are_no_log() -> None:
    assert replace(LOG, order="n1").in_time == "n1"


def test_a_search_reads_a_log_that_memory_holds(home: Settings, tmp_path: Path) -> None:
    config = tmp_path / "fixed.yaml"
    config.write_text("model: gbt\nconfig:\n  iterations: 3\n  inputs:\n    logarithmic: true\n")
    options = TuneOptions(trials=2, config=config)
    file = tune(home, SMALL, "gbt", options, "marquee tune", SILENT)
    assert file.name == "gbt.small.yaml"
    found = read_configuration(file, "gbt")
    assert found.config["iterations"] == 3
    assert found.config["inputs"]["logarithmic"]
    assert found.trials == 2
    assert found.data.startswith("900 labels; versions of tables: clicks_small ")
    with pytest.raises(MarqueeError, match=r"has 900 rows, and a search holds all .* at most 899:"):
        tune(home, SMALL, "gbt", replace(options, block_rows=899), "marquee tune", SILENT)


def test_what_a_log_does_not_have_is_refused_before_a_search() -> None:
    with pytest.raises(MarqueeError, match="--protocol is of joined features, and small is a log"):
        search_for(SMALL, "fm", TuneOptions(protocol="paper"))
    with pytest.raises(MarqueeError, match="--block-rows belongs to a log"):
        search_for(DOMAIN, "fm", TuneOptions(block_rows=10))
    with pytest.raises(MarqueeError, match="mmdin reads features that are joined, and small is a log"):
        search_for(SMALL, "fm", TuneOptions(paper="mmdin"))


def test_a_paper_says_how_a_log_is_searched() -> None:
    found = search_for(SYNTHETIC, "fm", TuneOptions(paper="iarm"))
    assert found.name == "fm.synthetic_clicks.yaml"
    assert found.protocol == "at_random"
    assert (found.recipe.split, found.recipe.shares) == ("random", (0.8, 0.1, 0.1))
    assert found.fixed["inputs"]["min_category_count"] == LEAST["synthetic_clicks"]


def test_what_is_attainable_is_told_where_the_truth_is_given(home: Settings, tmp_path: Path) -> None:
    table = log_rows(ROWS)
    truth = pa.table({"place": table["place"], "probability": table["click"].cast(pa.float64())})
    pq.write_table(truth, tmp_path / "truth.parquet")
    options = TrainOptions(truth=tmp_path / "truth.parquet")
    done = train(home, SMALL, "gbt", None, options, SILENT)
    assert done.best_auc == 1
    assert done.attainable == pytest.approx(2 * done.metrics["roc_auc"] - 1)
    pq.write_table(truth.slice(0, ROWS - 1), tmp_path / "truth.parquet")
    with pytest.raises(MarqueeError, match=r"179 probabilities .* match the 180 test rows"):
        train(home, SMALL, "gbt", None, options, SILENT)
    with pytest.raises(MarqueeError, match="There are no probabilities at"):
        recipe_for(SMALL, "gbt", TrainOptions(truth=tmp_path / "none.parquet"))
    with pytest.raises(MarqueeError, match="--truth has the probabilities of liked, not of above_three"):
        recipe_for(DOMAIN, "gbt", TrainOptions(truth=tmp_path / "truth.parquet", task="above_three"))


def test_a_code_that_is_missing_is_no_code_of_the_log() -> None:
    (column,) = categories(("c",), Type.INT64)
    spec = InputSpec.fit(
        pa.table({"c": pa.array([-1, None, 5], pa.int64())}), "log", (Fields("fields", (column,)),)
    )
    assert spec.vocabularies["c"] == (NO_CODE, -1, 5)
    assert len(set(spec.apply(pa.table({"c": pa.array([-1, None, 5], pa.int64())}))["c"].tolist())) == 3


def test_numbers_of_a_log_are_standardised_by_their_logarithms() -> None:
    (column,) = numbers(("n",))
    table = pa.table({"n": pa.array([-3, 0, 1, None, 10**6], pa.int64())})
    spec = InputSpec.fit(table, "log", (Fields("fields", (column,)),), InputConfig(bucketised=False))
    logs = np.array([-np.log(4), 0, np.log(2), np.log(1 + 10**6)])
    z = (logs - logs.mean()) / logs.std()
    found = spec.apply(table)["context_behaviour_numeric"][:, 0]
    np.testing.assert_allclose(found, [*z[:3], 0, z[3]], rtol=1e-6)
