"""Tuning: on validation rows only, resumable, within the budget."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pytest

from app.tune import TuneOptions, search_for, trial_line
from common.errors import MarqueeError
from feature_repo.define.task import Regression
from feature_repo.domains.movies import DOMAIN
from tests.toy_domain import PRESS
from tests.toy_features import toy_table
from tests.training_runs import prepared, recipe
from training.data.labels import with_label
from training.data.splits import before_test, split
from training.fit import tune as tuning
from training.fit.configuration import ConfigurationFile, write_configuration
from training.fit.tune import pruner, tune
from training.inputs.spec import InputSpec
from training.models import MODELS
from training.models.search import HIDDEN

pytestmark = pytest.mark.training

ROWS = prepared("gbt_v1", 900)
GBT = recipe("gbt")
QUICK: dict[str, Any] = {"iterations": 15}


def test_every_model_has_a_space_whose_settings_exist() -> None:
    for entry in MODELS.values():
        trial = optuna.create_study().ask()
        found = entry.space(trial)
        assert found.keys() == trial.params.keys()
        entry.config_class.of(found)


def test_finds_the_best_of_its_trials_and_keeps_what_is_fixed(tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    found = tune(
        ROWS, GBT, tmp_path / "studies.db", trials=3, fixed=QUICK, on_trial=lambda *x: told.append(x)
    )
    assert found.trials == 3
    assert found.metric == "auc"
    assert found.config["iterations"] == 15
    assert [(number, of) for number, of, _ in told] == [(1, 3), (2, 3), *[(3, 3)] * 4]  # 3 are finalists
    assert told[-1][2] == found.value
    MODELS["gbt"].config_class.of(found.config)


def test_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    first = tune(ROWS, GBT, tmp_path / "studies.db", trials=2, fixed=QUICK)
    told: list[int] = []
    more = tune(
        ROWS,
        GBT,
        tmp_path / "studies.db",
        trials=3,
        fixed=QUICK,
        on_trial=lambda number, *_: told.append(number),
    )
    assert (first.trials, more.trials) == (2, 3)
    assert set(told) == {3}
    assert more.value >= first.value


def test_never_looks_at_a_test_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ROWS
    latest = split(given.table).test
    first_of_test = given.table["event_timestamp"][int(latest[0])].as_py()
    seen: list[pa.Table] = []
    fit, apply = InputSpec.fit.__func__, InputSpec.apply  # type: ignore[attr-defined]

    def watched_fit(cls: Any, table: pa.Table, *rest: Any) -> Any:
        seen.append(table)
        return fit(cls, table, *rest)

    def watched_apply(self: Any, table: pa.Table) -> Any:
        seen.append(table)
        return apply(self, table)

    monkeypatch.setattr(InputSpec, "fit", classmethod(watched_fit))
    monkeypatch.setattr(InputSpec, "apply", watched_apply)
    tune(given, GBT, tmp_path / "studies.db", trials=2, fixed=QUICK)
    # Of each training: fitted to, trained on, scored. Both trials are trained twice on each cut at the end.
    assert len(seen) == 3 * (2 + 2 * 2 * tuning.CUTS)
    assert all(max(table["event_timestamp"].to_pylist()) < first_of_test for table in seen)


def test_a_paper_says_rows_split_and_settings_of_a_search(tmp_path: Path) -> None:
    file = tmp_path / "gbt.yaml"
    write_configuration(ConfigurationFile(model="fm", config={"training": {"epochs": 9}}), file)
    first = search_for(DOMAIN, "fm", TuneOptions(paper="iarm", config=file))
    assert first.name == "fm.iarm.yaml"
    assert first.protocol == "dropped"
    assert first.fixed == {"training": {"epochs": 9}, "inputs": {"context": False}}
    found = search_for(DOMAIN, "din", TuneOptions(paper="iarm", protocol="test_20")).recipe
    told = found.model, found.service, found.task.name, found.split, found.shares
    assert told == ("din", "iarm_v1", "above_three", "random", (0.7, 0.1, 0.2))
    assert search_for(DOMAIN, "din", TuneOptions(paper="mmdin")).name == "din.honest.yaml"
    with pytest.raises(MarqueeError, match="iarm is on marquee, not on press"):
        search_for(PRESS, "fm", TuneOptions(paper="iarm"))


def test_a_search_cuts_rows_by_its_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, ...]] = []

    def watched(*rows: Any, shares: tuple[float, float, float], **options: Any) -> Any:
        asked.append(shares)
        return before_test(*rows, shares=shares, **options)

    monkeypatch.setattr(tuning, "before_test", watched)
    tune(ROWS, recipe("gbt", shares=(0.6, 0.1, 0.3)), tmp_path / "studies.db", trials=1, fixed=QUICK)
    assert asked == [(0.6, 0.1, 0.3)]


def test_settings_that_a_study_cannot_hold_are_found_by_their_names(tmp_path: Path) -> None:
    config = {"training.epochs": 1, "training.batch_size": 256}
    rows = prepared("iarm_v1", 200)
    found = tune(rows, recipe("nfm"), tmp_path / "s.db", trials=1, fixed=config)
    assert found.config["units"] in HIDDEN.values()
    MODELS["nfm"].config_class.of(found.config)


def test_no_share_is_told_while_the_best_are_trained_again() -> None:
    assert trial_line(1, 2, 0.75) == ("best validation value 0.7500", 1, 2)
    assert trial_line(2, 2, 0.75) == ("best validation value 0.7500, all 2 trials done, choosing", 0, 0)


def test_networks_are_tuned_and_pruned_by_epoch(tmp_path: Path) -> None:
    config = {"training.epochs": 1, "training.batch_size": 256}
    found = tune(prepared("din_v1", 400), recipe("neuralcf"), tmp_path / "s.db", trials=1, fixed=config)
    assert found.trials == 1
    assert found.config["training.epochs"] == 1
    assert 0 <= found.value <= 1


def test_a_trial_has_the_epochs_of_its_patience_before_it_is_given_up() -> None:
    config = MODELS["din"].config_class.of({"training.patience": 8})
    study = optuna.create_study(direction="maximize", pruner=pruner(config))
    for _ in range(5):
        good = study.ask()
        for epoch in range(12):
            good.report(0.8, epoch)
        study.tell(good, 0.8)
    late = study.ask()
    for epoch in range(9):
        late.report(0.7, epoch)
        assert late.should_prune() == (epoch >= 8)


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="din reads din_v1, but the features are those of gbt_v1"):
        tune(ROWS, recipe("din"), tmp_path / "s.db")
    with pytest.raises(MarqueeError, match="no setting leafs"):
        tune(ROWS, GBT, tmp_path / "s.db", fixed={"leafs": 3})
    with pytest.raises(MarqueeError, match="No trial of gbt has finished"):
        tune(ROWS, GBT, tmp_path / "s.db", trials=0)


def test_a_study_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    study.write_text("no database, but long enough to be looked at" * 40)
    with pytest.raises(MarqueeError, match="cannot be used: file is not a database"):
        tune(ROWS, GBT, study, trials=1)
    with pytest.raises(MarqueeError, match="no setting 3"):
        tune(ROWS, GBT, study, fixed={3: 2})  # type: ignore[dict-item]


def test_a_regression_is_tuned_to_the_least_error(tmp_path: Path) -> None:
    task = Regression("stars", "rating")
    table = with_label(toy_table(900, "gbt_v1").append_column("rating", pa.array(stars())), task)
    given = prepared("gbt_v1", table=table, task=task)
    seen: list[float] = []
    found = tune(
        given,
        recipe("gbt", task=task),
        tmp_path / "s.db",
        trials=2,
        fixed=QUICK,
        on_trial=lambda *told: seen.append(told[2]),
    )
    assert found.metric == "rmse"
    assert seen[1] <= seen[0]
    assert found.value == seen[-1] == min(seen[2:])


def stars() -> np.ndarray:
    means = toy_table(900, "gbt_v1")["movie_rating_mean"].to_numpy()
    found: np.ndarray = np.nan_to_num(means, nan=2.5)
    return found
