"""Labels: made of events by a task, and of columns of any type."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from common.errors import MarqueeError
from feature_repo.define.task import Binary, Ordinal, Regression, rule_of
from feature_repo.domains.movies import DOMAIN
from tests.marquee import in_process
from tests.toy_domain import PRESS, READS
from tests.toy_features import toy_home, toy_table
from tests.training_runs import LIKED, liked_from
from training.data.labels import as_labels, given_label, read_labels, with_label
from training.fit import artefact as artefacts
from training.recipe import task_of

RATINGS = DOMAIN.events


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("home"), ratings=300)


def rated(*stars: float | None) -> pa.Table:
    return pa.table({"rating": pa.array(stars, pa.float64())})


class TestOfEvents:
    def test_liked_is_a_rating_at_or_above_the_threshold(self, home: Path) -> None:
        labels = read_labels(home / "lake", DOMAIN, liked_from(4.0))
        assert labels.task == liked_from(4.0)
        for row in labels.table.to_pylist():
            assert row["liked"] == (row["rating"] >= 4.0)

    def test_labels_are_sorted_by_instant_then_keys(self) -> None:
        table = toy_table(50, "gbt_v1").select(["user_id", "movie_id", "event_timestamp"])
        table = table.append_column("rating", pa.array(np.full(50, 3.5)))
        table = table.set_column(2, "event_timestamp", pa.array([5] * 50, pa.timestamp("us", "UTC")))
        labels = as_labels(table, RATINGS, LIKED).to_pylist()
        keys = [(row["event_timestamp"], row["user_id"], row["movie_id"]) for row in labels]
        assert keys == sorted(keys)

    def test_version_is_recorded_and_an_older_one_can_be_read(self, tmp_path: Path) -> None:
        home = toy_home(tmp_path, ratings=60)
        before = read_labels(home / "lake", DOMAIN)
        write_deltalake(
            home / "lake" / "ratings",
            before.table.drop_columns(["liked"]).select(RATINGS.column_names),
            mode="append",
        )
        after = read_labels(home / "lake", DOMAIN)
        assert (before.version, after.version) == (0, 1)
        assert after.table.num_rows == 2 * before.table.num_rows
        assert read_labels(home / "lake", DOMAIN, version=0).table.equals(before.table)
        with pytest.raises(MarqueeError, match=r"Version 9 of table ratings in .* cannot be read"):
            read_labels(home / "lake", DOMAIN, version=9)

    def test_no_ratings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(MarqueeError, match="There are no ratings at"):
            read_labels(tmp_path, DOMAIN)

    def test_another_domain_has_labels_of_its_own_events(self, tmp_path: Path) -> None:
        instants = pa.array([3, 1, 2], pa.timestamp("us", "UTC"))
        rows = {"reader_id": [1, 2, 3], "article_id": ["a", "b", "c"], "minutes": [1.0, 3.0, 9.5]}
        events = pa.table({**rows, "event_timestamp": instants})
        write_deltalake(tmp_path / READS.name, events)
        labels = read_labels(tmp_path, PRESS).table
        assert labels.column_names == ["reader_id", "article_id", "event_timestamp", "minutes", "finished"]
        assert labels["article_id"].to_pylist() == ["b", "c", "a"]
        assert labels["finished"].to_pylist() == [True, True, False]


class TestOfTasks:
    def test_a_binary_task_leaves_out_what_lies_between_its_classes(self) -> None:
        task = Binary("liked", "rating", at_least=4.0, below=3.0)
        found = with_label(rated(2.5, 3.0, 3.5, 4.0, 5.0), task)
        assert found.to_pydict() == {"rating": [2.5, 4.0, 5.0], "liked": [False, True, True]}

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("liked", {0.5: 0, 2.5: 0, 3.0: 0, 3.5: 1, 5.0: 1}),
            ("above_three", {0.5: 0, 2.5: 0, 3.5: 1, 5.0: 1}),
            ("at_least_three", {0.5: 0, 2.5: 0, 3.0: 1, 3.5: 1, 5.0: 1}),
        ],
    )
    def test_the_rules_of_papers_read_half_stars(self, name: str, expected: dict[float, int]) -> None:
        found = with_label(rated(0.5, 2.5, 3.0, 3.5, 5.0), task_of(DOMAIN, name)).to_pydict()
        assert dict(zip(found["rating"], found[name], strict=True)) == expected

    def test_a_rule_is_told_in_words(self) -> None:
        assert [rule_of(task) for task in DOMAIN.tasks] == [
            "rating of at least 3.5 against all others",
            "rating of at least 3.5 against below 3, the rest left out",
            "rating of at least 3 against all others",
        ]
        assert rule_of(Regression("stars", "rating")) == "rating itself"
        assert rule_of(Ordinal("stars", "rating", (0.5, 1.0))) == "rating, one of 0.5, 1"

    def test_a_regressions_label_is_the_value(self) -> None:
        assert with_label(rated(2.5, 4.0), Regression("stars", "rating"))["stars"].to_pylist() == [2.5, 4.0]
        same = with_label(rated(2.5), Regression("rating", "rating"))
        assert same.column_names == ["rating"]

    def test_an_ordinal_label_is_one_of_its_values(self) -> None:
        task = Ordinal("stars", "rating", (1.0, 2.0, 3.0))
        assert with_label(rated(3, 1), task)["stars"].to_pylist() == [3.0, 1.0]
        with pytest.raises(MarqueeError, match=r"row 2, is 2\.5, .* none of the values of stars: 1, 2, 3"):
            with_label(rated(3, 2.5), task)

    @pytest.mark.parametrize("missing", [None, float("nan")])
    def test_a_missing_value_is_no_label(self, missing: float | None) -> None:
        for task in (LIKED, Regression("stars", "rating")):
            with pytest.raises(MarqueeError, match="1 of 3 rows have no rating"):
                with_label(rated(4.0, missing, 2.0), task)


def test_training_tells_its_rule_and_how_often_labels_are_true(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = tmp_path / "quick.yaml", tmp_path / "run"
    config.write_text("model: gbt\nconfig:\n  iterations: 3\n  min_leaf: 5\n")
    done = in_process(home, "train", "gbt", "--task", "above_three", "--config", config, "--out", run)
    assert done.code == 0, done
    written, rows = artefacts.read_metrics(run), artefacts.read_manifest(run).rows
    task = task_of(DOMAIN, "above_three")
    labels = read_labels(home / "lake", DOMAIN, task).table
    assert 3.0 not in labels["rating"].to_pylist()
    flags = labels["above_three"].to_pylist()
    sizes = [rows[part] for part in ("train", "valid", "test")]
    assert len(flags) == sum(sizes) < 300
    means = [float(np.mean(part)) for part in np.split(np.array(flags), np.cumsum(sizes)[:-1])]
    assert list(written["positive_rates"].values()) == means
    assert written["positive_rates"]["test"] == written["test"]["positive_rate"]
    assert written["label"] == rule_of(task)
    told = " ".join(capsys.readouterr().out.split())
    assert f"Label: above_three, {rule_of(task)}; true of {means[0]:.1%} of the training rows, " in told


class TestGiven:
    """A label column that is there already, in any type that plainly holds it."""

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([True, False]),
            pa.array([1, 0], pa.uint8()),
            pa.array([1, 0], pa.int64()),
            pa.array([1.0, 0.0], pa.float32()),
            pa.array([1.0, -0.0]),
            pa.array(np.array([1, 0], np.float16)),
            pa.array([1, 0], pa.decimal128(3, 0)),
            pa.array([True, False]).dictionary_encode(),
        ],
        ids=lambda column: str(column.type),
    )
    def test_is_read_as_what_it_means(self, column: pa.Array) -> None:
        found = given_label(pa.table({"liked": column}), LIKED)
        assert found["liked"].to_pylist() == [True, False]
        assert pa.types.is_boolean(found["liked"].type)

    @pytest.mark.parametrize(
        ("column", "sentence"),
        [
            (pa.array([True, None, False]), "1 of 3 rows have no liked"),
            (pa.array([1.0, float("nan"), 0.0]), "1 of 3 rows have no liked"),
            (pa.array([1, 2, 0]), "row 2, is 2: a label is true or false"),
            (pa.array([0.0, 1 + 2**-50]), r"row 2, is 1\.0000000000000009: a label is true or false"),
            (pa.array(["yes", "no", "no"]), "holds string, which is no label"),
            (pa.nulls(3), "3 of 3 rows have no liked"),
        ],
    )
    def test_is_refused_where_it_is_no_label(self, column: pa.Array, sentence: str) -> None:
        with pytest.raises(MarqueeError, match=sentence):
            given_label(pa.table({"liked": column}), LIKED)

    def test_infinite_values_are_no_labels(self) -> None:
        with pytest.raises(MarqueeError, match="row 1, is inf"):
            given_label(pa.table({"stars": [float("inf")]}), Regression("stars", "rating"))
