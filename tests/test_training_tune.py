"""Tuning: on validation rows only, resumable, within the budget."""

from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pytest

from common.errors import MarqueeError
from tests.toy_features import toy_table
from training.data.splits import split
from training.fit import tune as tuning
from training.fit.run import Prepared
from training.fit.tune import pruner, tune
from training.models import MODELS


def prepared(service: str = "gbt_v1", rows: int = 900) -> Prepared:
    return Prepared(toy_table(rows, service), service, "honest", 3.5, {}, rows)


QUICK: dict[str, Any] = {"iterations": 15}


def test_every_model_has_a_space_whose_settings_exist() -> None:
    for entry in MODELS.values():
        trial = optuna.create_study().ask()
        entry.config_class.of(entry.space(trial))
        assert trial.params


def test_finds_the_best_of_its_trials_and_keeps_what_is_fixed(tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    found = tune(
        prepared(), "gbt", tmp_path / "studies.db", trials=3, config=QUICK, on_trial=lambda *x: told.append(x)
    )
    assert found.trials == 3
    assert found.config["iterations"] == 15
    assert [(number, of) for number, of, _ in told] == [(1, 3), (2, 3), *[(3, 3)] * 4]  # 3 are finalists
    assert told[-1][2] == found.validation_auc
    MODELS["gbt"].config_class.of(found.config)


def test_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    first = tune(prepared(), "gbt", tmp_path / "studies.db", trials=2, config=QUICK)
    told: list[int] = []
    more = tune(
        prepared(),
        "gbt",
        tmp_path / "studies.db",
        trials=3,
        config=QUICK,
        on_trial=lambda number, *_: told.append(number),
    )
    assert (first.trials, more.trials) == (2, 3)
    assert set(told) == {3}
    assert more.validation_auc >= first.validation_auc


def test_never_looks_at_a_test_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = prepared()
    latest = split(given.table).test
    first_of_test = given.table["event_timestamp"][int(latest[0])].as_py()
    seen: list[pa.Table] = []
    fit, apply = tuning.InputSpec.fit.__func__, tuning.InputSpec.apply  # type: ignore[attr-defined]

    def watched_fit(cls: Any, table: pa.Table, *rest: Any) -> Any:
        seen.append(table)
        return fit(cls, table, *rest)

    def watched_apply(self: Any, table: pa.Table) -> Any:
        seen.append(table)
        return apply(self, table)

    monkeypatch.setattr(tuning.InputSpec, "fit", classmethod(watched_fit))
    monkeypatch.setattr(tuning.InputSpec, "apply", watched_apply)
    tune(given, "gbt", tmp_path / "studies.db", trials=2, config=QUICK)
    # Of each training: fitted to, trained on, scored. Both trials are trained twice on each cut at the end.
    assert len(seen) == 3 * (2 + 2 * 2 * tuning.CUTS)
    assert all(max(table["event_timestamp"].to_pylist()) < first_of_test for table in seen)


def test_networks_are_tuned_and_pruned_by_epoch(tmp_path: Path) -> None:
    config = {"training.epochs": 1, "training.batch_size": 256}
    found = tune(prepared("din_v1", 400), "neuralcf", tmp_path / "s.db", trials=1, config=config)
    assert found.trials == 1
    assert found.config["training.epochs"] == 1
    assert 0 <= found.validation_auc <= 1


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
        tune(prepared(), "din", tmp_path / "s.db")
    with pytest.raises(MarqueeError, match="no setting leafs"):
        tune(prepared(), "gbt", tmp_path / "s.db", config={"leafs": 3})
    with pytest.raises(MarqueeError, match="No trial of gbt has finished"):
        tune(prepared(), "gbt", tmp_path / "s.db", trials=0)


def test_a_study_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    study.write_text("no database, but long enough to be looked at" * 40)
    with pytest.raises(MarqueeError, match="cannot be used: file is not a database"):
        tune(prepared(), "gbt", study, trials=1)
    with pytest.raises(MarqueeError, match="no setting 3"):
        tune(prepared(), "gbt", study, config={3: 2})  # type: ignore[dict-item]
