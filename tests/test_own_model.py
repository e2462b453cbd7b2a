"""A model of the user's own, given by import path, through what the commands do."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.run import check_distinct
from app.train import TrainOptions, recipe_for
from app.tune import TuneOptions, search_for
from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from tests.marquee import in_process, refused
from tests.toy_features import toy_table
from tests.training_runs import prepared
from training.fit import artefact as artefacts
from training.fit.configuration import committed
from training.fit.train import train_on
from training.models import MODELS, model, own
from training.recipe import recipe_of

pytestmark = pytest.mark.training

MODEL = """
from training.backend import keras
from training.models import Entry
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_fields as space

class MineConfig(KerasConfig):
    embedding: FieldConfig = FieldConfig()

def build(config, spec):
    inputs = model_inputs(spec)
    weights = fields_of(spec, inputs, config.embedding).first_order
    return keras.Model(inputs, keras.layers.Dense(1)(weights), name="mine")

ENTRY = Entry("mine", "MineConfig", "din_v1", "keras", "Mine")
FM = Entry("fm", "MineConfig", "din_v1", "keras", "Mine")
TITLE = Entry("mine", "MineConfig", "din_v1", "keras", "FM")
KEY = Entry("../mine", "MineConfig", "din_v1", "keras", "Mine")
CONFIG = Entry("mine", "YourConfig", "din_v1", "keras", "Mine")
TREES = Entry("mine", "MineConfig", "din_v1", "sklearn", "Mine")
OTHER = Entry("mine", "MineConfig", "din_v1", "keras", "Another")
NUMBER = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a model in it; nothing of it stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(own, "_LOADED", {})
    before = set(sys.modules)
    (tmp_path / "my_model.py").write_text(MODEL)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def forget() -> None:
    """As in a new process."""
    del sys.modules["my_model"]
    own._LOADED.clear()


def trained(folder: Path, name: str = "my_model:ENTRY", rate: float = 0.01) -> artefacts.Artefact:
    config = {"training.epochs": 1, "training.learning_rate": rate}
    train_on(prepared("din_v1", 300), recipe_of(DOMAIN, name, config=config), folder)
    return artefacts.load(folder)


@pytest.mark.usefixtures("here")
def test_it_is_known_by_its_path_wherever_a_model_is() -> None:
    entry = model("my_model:ENTRY")
    assert (entry.key, entry.path) == ("mine", "my_model:ENTRY")
    assert "mine" not in MODELS
    made = recipe_for(DOMAIN, "my_model:ENTRY", TrainOptions())
    assert made.model == "my_model:ENTRY"
    assert made.service == "din_v1"
    same = replace(made, model="my_model:OTHER")
    assert same.digest() != made.digest()
    assert search_for(DOMAIN, "my_model:ENTRY", TuneOptions()).name == "mine.honest.yaml"
    assert search_for(DOMAIN, "my_model:ENTRY", TuneOptions(paper="iarm")).name == "mine.iarm.yaml"


def test_it_is_trained_and_reloaded_to_the_same_predictions(here: Path) -> None:
    made = trained(here / "made")
    assert made.manifest.recipe.model == "my_model:ENTRY"
    again = artefacts.load(here / "made")
    rows = toy_table(50, "din_v1", seed=3)
    np.testing.assert_array_equal(made.predict(rows), again.predict(rows))


def test_its_manifest_tells_one_file_from_another(here: Path) -> None:
    first = trained(here / "made").manifest.packages["my_model"]
    assert trained(here / "again").manifest.packages["my_model"] == first
    (here / "my_model.py").write_text(MODEL + "# changed\n")
    assert trained(here / "again").manifest.packages["my_model"] == first  # what was loaded is what ran
    forget()
    assert trained(here / "changed").manifest.packages["my_model"] != first
    assert own.code_of(MODELS["fm"]) == {}


def test_its_configuration_lies_beside_its_file(here: Path) -> None:
    assert committed("my_model:ENTRY", "honest") == {}
    (here / "mine.honest.yaml").write_text("model: my_model:ENTRY\nconfig: {embedding: {dim: 5}}\n")
    assert committed("my_model:ENTRY", "honest") == {"embedding": {"dim": 5}}
    assert recipe_for(DOMAIN, "my_model:ENTRY", TrainOptions()).config["embedding"]["dim"] == 5


def test_a_package_of_models_is_as_good_as_a_file(here: Path) -> None:
    (here / "my_package").mkdir()
    (here / "my_package" / "inner.py").write_text(MODEL)
    assert model("my_package.inner:ENTRY").configurations == here / "my_package"


def test_an_installed_module_comes_before_one_of_the_current_folder(here: Path) -> None:
    (here / "colorsys.py").write_text(MODEL)
    with pytest.raises(MarqueeError, match=r"colorsys \(.*\) has no ENTRY that is an Entry"):
        model("colorsys:ENTRY")


BAD = [
    ("my_model", "no model 'my_model'"),
    ("my_model.py:ENTRY", "There is no module my_model.py for the model"),
    ("./my_model.py", "no import path of a model: write it as module:attribute"),
    ("my_model:", "no import path of a model"),
    (":ENTRY", "no import path of a model"),
    ("my_model:ENTRY.x", "no import path of a model"),
    ("no_model:ENTRY", "There is no module no_model for the model no_model:ENTRY: run the command in"),
    ("my_model.sub:ENTRY", "There is no module my_model.sub for"),
    ("my_model:ENTRI", r"my_model \(.*my_model.py\) has no ENTRI that is an Entry"),
    ("my_model:NUMBER", r"has no NUMBER that is an Entry"),
    ("my_model:FM", "has the key fm and the title Mine, of which one is taken by a model of the zoo"),
    ("my_model:TITLE", "the title FM, of which one is taken"),
    ("my_model:KEY", "has the key '../mine', which names files: give it small letters"),
    ("my_model:CONFIG", "The model my_model:CONFIG has no KerasConfig YourConfig in its file"),
    ("my_model:TREES", "The model my_model:TREES has no function fit in its file"),
    ("needs:ENTRY", r"Importing needs for .* failed: No module named 'absent' \(.*needs.py:2\)"),
    ("broken:ENTRY", r"Importing broken for .* failed: .*broken.py, line 1\) \(SyntaxError\)"),
    ("ends:ENTRY", "Importing ends for the model ends:ENTRY failed: 3 "),
]


@pytest.mark.parametrize(("name", "says"), BAD)
def test_what_is_no_model_is_refused_in_one_sentence(here: Path, name: str, says: str) -> None:
    (here / "needs.py").write_text("\nimport absent\n")
    (here / "broken.py").write_text("def\n")
    (here / "ends.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(MarqueeError, match=says):
        model(name)


@pytest.mark.parametrize("command", ["train", "tune"])
def test_commands_refuse_with_exit_code_two(here: Path, command: str) -> None:
    said = refused(here / "home", command, "no_model:ENTRY")
    assert "no module no_model for the model no_model:ENTRY" in said


def test_an_artefact_whose_module_is_gone_is_one_sentence(here: Path) -> None:
    trained(here / "made")
    forget()
    (here / "my_model.py").unlink()
    with pytest.raises(MarqueeError, match="There is no module my_model for the model my_model:ENTRY"):
        artefacts.load(here / "made")
    assert "There is no module my_model" in refused(here / "home", "evaluate", here / "made")


def test_no_code_of_an_artefact_is_run(here: Path) -> None:
    trained(here / "made")
    sentinel = here / "ran"
    (here / "made" / "evil.py").write_text(f"open({str(sentinel)!r}, 'w')\n{MODEL}")
    file = here / "made" / "manifest.json"
    values = json.loads(file.read_text())
    values["recipe"]["model"] = "made.evil:ENTRY"
    file.write_text(json.dumps({**values, "digest": ""}))
    for read in (artefacts.read_manifest, artefacts.load):
        with pytest.raises(MarqueeError, match=r"made.* lies within it: code .* is not run"):
            read(here / "made")
    assert not sentinel.exists()


def test_what_fails_in_its_code_is_named_with_its_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "my_model.py").write_text(MODEL.replace("inputs = model_inputs(spec)", "1 / 0"))
    monkeypatch.setattr("app.train.train", lambda *_: trained(here / "made"))
    done = in_process(here / "home", "train", "my_model:ENTRY")
    assert done.code == 2
    (said,) = done.lines
    line = MODEL.splitlines().index("    inputs = model_inputs(spec)") + 1
    assert (
        f"my_model:ENTRY ({here / 'my_model.py'}:{line}) failed (ZeroDivisionError: division by zero" in said
    )


@pytest.mark.usefixtures("here")
def test_two_models_that_a_page_could_not_tell_apart_are_refused() -> None:
    recipes = [recipe_of(DOMAIN, f"my_model:{name}") for name in ("ENTRY", "OTHER")]
    with pytest.raises(MarqueeError, match="my_model:ENTRY and my_model:OTHER have one key, mine"):
        check_distinct(recipes)
    check_distinct([recipes[0], recipe_of(DOMAIN, "fm", service="din_v1")])
