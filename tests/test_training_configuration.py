"""Configuration files: typed, strict, and the rule by which a model gets one."""

from pathlib import Path

import pytest

from common.errors import MarqueeError
from training.fit.configuration import (
    COMMITTED,
    ConfigurationFile,
    committed,
    read_configuration,
    write_configuration,
)
from training.models import MODELS
from training.models.gbt import GBTConfig


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
    changed = GBTConfig.of({"inputs": {"shrinkage": 3.0}})
    assert changed.inputs == GBTConfig().inputs.model_copy(update={"shrinkage": 3.0})


def test_the_protocols_own_file_comes_first_then_the_models_then_none(tmp_path: Path) -> None:
    assert committed("gbt", "paper", tmp_path) == {}
    write_configuration(ConfigurationFile(model="gbt", config={"leaves": 9}), tmp_path / "gbt.yaml")
    write_configuration(ConfigurationFile(model="gbt", config={"leaves": 8}), tmp_path / "gbt.paper.yaml")
    assert committed("gbt", "honest", tmp_path) == {"leaves": 9}
    assert committed("gbt", "paper", tmp_path) == {"leaves": 8}


def test_every_committed_file_is_right() -> None:
    for file in COMMITTED.glob("*.yaml"):
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
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(MarqueeError, match=sentence):
        read_configuration(path, "gbt")
    with pytest.raises(MarqueeError, match="no readable configuration"):
        read_configuration(tmp_path / "none.yaml")
