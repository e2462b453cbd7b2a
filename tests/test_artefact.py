"""Artefacts: whole or absent, back as they were, refusing what does not fit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.report import model_figures
from common.errors import MarqueeError
from tests.toy_features import toy_spec, toy_table
from tests.training_runs import LIKED, recipe
from training.estimators import Blueprint
from training.estimators.network import Network
from training.fit import artefact as artefacts
from training.fit.artefact import Artefact, Manifest, check_replaceable
from training.fit.curve import Curve, Epoch
from training.models import model
from training.tasks import objective_of

TABLE = toy_table(80, "din_v1")


def made(config: dict[str, object] | None = None) -> Artefact:
    entry, asked = model("din"), recipe("din", config=config, seed=3)
    spec = toy_spec(TABLE, entry.service, asked.settings.inputs)
    network = Network(Blueprint(entry, asked.settings, spec, objective_of(LIKED)))
    network.build(None, seed=0)
    return Artefact(
        manifest=Manifest(asked, {"ratings": 4}, {"test": 80}, "tensorflow", "now"),
        estimator=network,
        metrics={"test": {"roc_auc": 0.75}},
        history=Curve([Epoch(1, 0.6, {"auc": 0.7, "log_loss": 0.5}, 1.5)], 1),
        predictions=TABLE.select(["user_id", "movie_id", "event_timestamp", "liked"]),
    )


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    artefact = made({"dropout": 0.35})
    before = artefact.predict(TABLE)
    artefacts.save(artefact, tmp_path / "run")
    back = artefacts.load(tmp_path / "run")
    np.testing.assert_array_equal(back.predict(TABLE), before)
    assert replace(back.manifest, files={}, digest="") == artefact.manifest
    assert back.estimator.blueprint.config == artefact.estimator.blueprint.config
    assert back.spec == artefact.spec
    assert back.metrics == artefact.metrics
    assert back.history == artefact.history
    assert back.predictions.equals(artefact.predictions)
    assert before.dtype == np.float64
    assert ((before > 0) & (before < 1)).all()


def test_files_are_the_documented_ones(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "manifest.json",
        "inputs.json",
        "model.weights.h5",
        "metrics.json",
        "history.json",
        "predictions.parquet",
    }


def test_features_of_another_shape_are_refused(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    back = artefacts.load(tmp_path / "run")
    with pytest.raises(
        MarqueeError, match=r"lacks 1 of the \d+ columns that din_v1 needs \(user_rating_mean\)"
    ):
        back.predict(TABLE.drop_columns(["user_rating_mean"]))


def test_a_failed_save_leaves_the_old_artefact_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefacts.save(made(), tmp_path / "run")
    before = (tmp_path / "run" / "manifest.json").read_text()

    def full(_: Network, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Network, "save", full)
    with pytest.raises(MarqueeError, match="No space left on device"):
        artefacts.save(made({"dropout": 0.4}), tmp_path / "run")
    assert (tmp_path / "run" / "manifest.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["manifest.json", "inputs.json", "model.weights.h5", "history.json"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    artefacts.save(made(), tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_text("{")
    with pytest.raises(MarqueeError, match="run"):
        artefacts.load(tmp_path / "run")
    path.unlink()
    with pytest.raises(MarqueeError, match=name.replace(".", r"\.")):
        artefacts.load(tmp_path / "run")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff\xfe", b"[" * 99_999, b"9" * 5_000]
)
def test_whatever_stands_in_a_file_it_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    readers = {
        artefacts.MANIFEST: artefacts.read_manifest,
        artefacts.METRICS: artefacts.read_metrics,
        artefacts.HISTORY: artefacts.read_history,
        artefacts.PREDICTIONS: artefacts.read_predictions,
    }
    for name, read in readers.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MarqueeError):
            read(tmp_path)


@pytest.mark.parametrize(
    "name", ["manifest.json", "inputs.json", "metrics.json", "model.weights.h5", "predictions.parquet"]
)
def test_a_file_that_is_not_as_it_was_saved_is_refused(tmp_path: Path, name: str) -> None:
    artefacts.save(made(), tmp_path / "run")
    path = tmp_path / "run" / name
    content = bytearray(path.read_bytes())
    # Of the manifest a number that no part of the artefact would miss.
    place = content.find(b"80") if name == "manifest.json" else len(content) // 2
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(MarqueeError, match=rf"{name} is damaged: it is not what was saved"):
        artefacts.load(tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update(files=1),
        lambda it: it.update(versions=["ratings"]),
        lambda it: it["rows"].update(test="many"),
        lambda it: it["recipe"].update(seed="x"),
        lambda it: it["recipe"].update(shares=[0.5, 0.5]),
        lambda it: it["recipe"]["task"].update(at_least="four"),
        lambda it: it["recipe"].update(model=["din"]),
    ],
)
def test_a_value_of_another_type_is_one_sentence(tmp_path: Path, change: Callable[[Any], object]) -> None:
    artefacts.save(made(), tmp_path / "run")
    edit(tmp_path / "run" / "manifest.json", change)
    with pytest.raises(MarqueeError, match=r"manifest\.json is damaged: "):
        artefacts.load(tmp_path / "run")


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    # The inputs read columns whose types they do not have.
    edit(tmp_path / "run" / "inputs.json", lambda it: it["types"].pop("movie_rating_mean"))
    edit(tmp_path / "run" / "manifest.json", lambda it: it["files"].clear())
    with pytest.raises(MarqueeError, match=r"The parts of the artefact .* do not fit each other"):
        artefacts.load(tmp_path / "run")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a file of JSON holds; a manifest has no digest then, as older ones have none."""
    values = json.loads(path.read_text())
    values.pop("digest", None)
    change(values)
    path.write_text(json.dumps(values))


def test_weights_of_another_configuration_are_refused(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    edit(tmp_path / "run" / "manifest.json", lambda it: it["recipe"]["config"].update(units=[16]))
    with pytest.raises(MarqueeError, match="do not fit the model"):
        artefacts.load(tmp_path / "run")


def test_another_format_is_refused(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    edit(tmp_path / "run" / "manifest.json", lambda it: it.update(format=99))
    with pytest.raises(MarqueeError, match="has format 99, this version reads 3: train the model again"):
        artefacts.load(tmp_path / "run")


def test_an_artefact_of_the_old_layout_says_that_it_must_be_trained_anew(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    # As manifests were before there were recipes.
    old = {"model": "din", "service": "din_v1", "seed": 0, "liked_rating": 3.5, "format": 1}
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(old))
    for read in (artefacts.load, artefacts.read_manifest):
        with pytest.raises(MarqueeError, match="has format 1, this version reads 3: train the model again"):
            read(tmp_path / "run")


def test_a_configuration_of_another_version_is_refused(tmp_path: Path) -> None:
    artefacts.save(made(), tmp_path / "run")
    edit(tmp_path / "run" / "manifest.json", lambda it: it["recipe"]["config"].update(unheard_of=1))
    with pytest.raises(MarqueeError, match="does not fit this version of Marquee: unheard_of"):
        artefacts.load(tmp_path / "run")


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    check_replaceable(precious)  # an empty one may be
    (precious / "thesis.txt").write_text("important")
    extension = tmp_path / "extension"
    (extension / "icons").mkdir(parents=True)
    (extension / "manifest.json").write_text("{}")
    for taken in (precious, precious / "thesis.txt", extension):
        with pytest.raises(MarqueeError, match="is not replaced"):
            check_replaceable(taken)
    check_replaceable(tmp_path / "new")


def test_a_page_draws_no_predictions_that_were_not_saved(tmp_path: Path) -> None:
    artefact = made()
    artefacts.save(artefact, tmp_path / "models" / "din")
    path = tmp_path / "models" / "din" / artefacts.PREDICTIONS
    pq.write_table(artefact.predictions.slice(0, 40), path)
    with pytest.raises(MarqueeError, match=r"predictions\.parquet is damaged: it is not what was saved"):
        model_figures(tmp_path, LIKED, ["din"])
