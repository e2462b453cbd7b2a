"""Configuration files: typed, strict, and the rule by which a model gets one."""

from pathlib import Path

import pytest

from app.train import TrainOptions, recipe_for
from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from training.fit.configuration import (
    ConfigurationFile,
    committed,
    read_configuration,
    write_configuration,
)
from training.models import MODELS
from training.models.din import DINConfig
from training.models.entry import CONFIGURATIONS
from training.models.gbt import GBTConfig
from training.recipe import recipe_of


def test_what_is_written_comes_back_by_section(tmp_path: Path) -> None:
    found = ConfigurationFile(
        model="gbt",
        config={"leaves": 9, "inputs.shrinkage": 3.0},
        command="marquee tune gbt",
        protocol="honest",
        data="90 labels",
        metric="auc",
        validation=0.75,
        trials=20,
        pruned=3,
    )
    write_configuration(found, tmp_path / "gbt.yaml")
    again = read_configuration(tmp_path / "gbt.yaml", "gbt")
    assert again == found.model_copy(update={"config": {"leaves": 9, "inputs": {"shrinkage": 3.0}}})


def test_a_setting_of_a_section_leaves_the_models_others_alone() -> None:
    for kind in (GBTConfig, DINConfig):
        changed = kind.of({"inputs": {"shrinkage": 3.0}})
        assert changed.inputs == kind().inputs.model_copy(update={"shrinkage": 3.0})


def test_the_protocols_own_file_comes_first_then_the_models_then_none(tmp_path: Path) -> None:
    assert committed("gbt", "paper", tmp_path) == {}
    write_configuration(ConfigurationFile(model="gbt", config={"leaves": 9}), tmp_path / "gbt.yaml")
    write_configuration(ConfigurationFile(model="gbt", config={"leaves": 8}), tmp_path / "gbt.paper.yaml")
    assert committed("gbt", "honest", tmp_path) == {"leaves": 9}
    assert committed("gbt", "paper", tmp_path) == {"leaves": 8}


OUT_OF_BOUNDS = [
    ("din", "units: [0]", "units.0 = 0 "),
    ("deepfm", "units: [-1]", "units.0 = -1 "),
    ("embedding_mlp", "units: [8, 0]", "units.1 = 0 "),
    ("neuralcf", "tower_units: [0]", "tower_units.0 = 0 "),
    ("mmdin", "attention_units: [0]", "attention_units.0 = 0 "),
    ("din", "units: []", r"units = \[\] "),
    ("din", "units: [1.5]", "units.0 = 1.5 "),
    ("din", "dropout: 1", "dropout = 1 "),
    ("din", "dropout: -0.1", "dropout = -0.1 "),
    ("mmdin", "heads: 0", "heads = 0 "),
    ("din", "training: {learning_rate: 0}", "training.learning_rate = 0 "),
    ("din", "training: {epochs: 0}", "training.epochs = 0 "),
    ("din", "training: {batch_size: 0}", "training.batch_size = 0 "),
    ("din", "training: {learning_rate: .nan}", "training.learning_rate = nan "),
    ("logistic", "strengths: [0.3, 0]", "strengths.1 = 0 "),
    ("gbt", "learning_rate: .inf", "learning_rate = inf "),
    ("gbt", "inputs: {numeric: false}", "trees read numbers: set inputs.numeric to true"),
    ("logistic", "inputs: {numeric: false, bucketised: false}", "it reads numbers: set inputs.numeric or"),
    ("din", "inputs: {lists: false}", "attention reads a history: set inputs.lists to true"),
    ("mmdin", "inputs: {lists: false}", "attention reads a history: set inputs.lists to true"),
    ("neuralcf", "inputs: {ids: false}", "it learns from ids: set inputs.ids to true"),
    ("deepfm", "inputs: {missing: nan}", "cannot read numbers that stay missing: set inputs.missing to mean"),
]


@pytest.mark.parametrize(("model", "config", "says"), OUT_OF_BOUNDS)
def test_what_cannot_be_trained_with_is_refused_in_one_sentence_before_any_work(
    tmp_path: Path, model: str, config: str, says: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"model: {model}\nconfig: {{{config}}}\n")
    with pytest.raises(MarqueeError, match=says) as refused:
        recipe_for(DOMAIN, model, TrainOptions(config=file))
    assert str(refused.value).startswith(f"In {file}: ") and "\n" not in str(refused.value)


def test_inputs_that_are_all_switched_off_are_refused_before_any_work() -> None:
    off = dict.fromkeys(("numeric", "bucketised", "ids", "categories", "lists", "vectors", "context"), False)
    with pytest.raises(MarqueeError, match="The inputs of din_v1 are all switched off"):
        recipe_of(DOMAIN, "deepfm", config={"inputs": off})
    # The service has nothing of the one kind that is left.
    with pytest.raises(MarqueeError, match="The inputs of din_v1 are all switched off"):
        recipe_of(DOMAIN, "deepfm", config={"inputs": off | {"vectors": True}})
    assert recipe_of(DOMAIN, "deepfm", config={"inputs": off | {"lists": True}}).model == "deepfm"


ALIASES = "\n".join(
    ("a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 40)))
)
"""Few lines that stand for 2^40 values."""


def test_every_committed_file_is_right() -> None:
    for file in CONFIGURATIONS.glob("*.yaml"):
        model = file.name.split(".")[0]
        assert model in MODELS
        read_configuration(file, model)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: gbt\nconfg: {}", "ConfigurationFile has no setting confg: did you mean config"),
        ("model: gbt\nconfig: {leafs: 3}", "no setting leafs: did you mean leaves"),
        ("model: gbt\nconfig: {leaves: 1}", "leaves = 1 is not allowed"),
        ("model: din", "it configures din, not gbt"),
        ("model: [", "is not YAML"),
        ("3", "holds no keys and values"),
        ("model: gbt\nmodel: din", "In .*: model is given twice"),
        ("model: gbt\nconfig: {leaves: 9}\nconfig: {l2: 1}", "config is given twice"),
        ("model: gbt\nconfig: {leaves: 9, leaves: 9}", "config.leaves is given twice"),
        ('{"model": "gbt", "config": {"leaves": 9, "leaves": 8}}', "config.leaves is given twice"),
        ("model: gbt\nconfig: {inputs: {buckets: 9}, inputs.buckets: 8}", "inputs.buckets is given twice"),
        ("model: gbt\ncommand: 2020-13-45", "is not YAML: month must be in 1..12"),
        ("model: gbt\nconfig: {leaves: !!int x}", "is not YAML"),
        ("model: gbt\nconfig: {leaves: !!timestamp x}", "is not YAML"),
        (f"model: gbt\nconfig: {{leaves: {'9' * 5_000}}}", "is not YAML"),
        ("[" * 5_000, "is not YAML"),
        ("model: gbt\nconfig: &a {leaves: *a}", "an alias .* stands for a mapping or a list"),
        (ALIASES, "an alias .* stands for a mapping or a list"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(MarqueeError, match=sentence):
        read_configuration(path, "gbt")
    with pytest.raises(MarqueeError, match="no readable configuration"):
        read_configuration(tmp_path / "none.yaml")
    with pytest.raises(MarqueeError, match="/dev/zero is a device"):
        read_configuration(Path("/dev/zero"))
