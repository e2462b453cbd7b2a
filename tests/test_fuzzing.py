"""A few fuzzed files of each kind; `python -m tests.fuzzing` makes as many as one likes."""

import os
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from common.errors import MarqueeError
from pipelines.sources.lines import line_rows
from pipelines.sources.readings import Kind, Reading, number
from pipelines.sources.source import Rows
from tests.fuzzing import artefacts
from tests.fuzzing.kinds import KINDS
from tests.fuzzing.tries import Attempt, search

SEED = 1_000
TRIES = {
    "sources": 15,
    "pushed": 25,
    "configurations": 60,
    "frames": 10,
    "features": 25,
    "posters": 60,
}
"""Of what needs no trained model."""


def no_findings(kind: str, tries: int) -> None:
    outcome = search(kind, KINDS[kind], range(tries), SEED)
    assert outcome.findings == []
    assert outcome.words["refused"] > 0 and outcome.words.total() - outcome.words["refused"] > tries / 10


@pytest.mark.parametrize("kind", TRIES)
def test_no_file_is_misread_or_raises_more_than_one_sentence(kind: str) -> None:
    no_findings(kind, TRIES[kind])


def every_line(path: Path, header: bool) -> Rows:
    """A fault: the header is a row, too."""
    return line_rows(path, header=not header)


def rounded(name: str, of: Kind) -> Reading:
    """A fault: ids lose their fractions."""
    return replace(number(name, of=of), value=f"CAST(floor({number(name, of=of).value}) AS BIGINT)")


@pytest.mark.parametrize(("place", "fault"), [("line_rows", every_line), ("whole_number", rounded)])
def test_a_planted_fault_is_found(place: str, fault: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"pipelines.sources.new_events.{place}", fault)
    assert any(search("pushed", KINDS["pushed"], [number], SEED).findings for number in range(60))


@pytest.mark.training
def test_no_artefact_is_misread_or_raises_more_than_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "MODELS", {"gbt": artefacts.MODELS["gbt"]})  # trained in no time
    no_findings("artefacts", 40)


def raises(error: BaseException) -> Attempt:
    def do(_: Random, __: Path) -> str:
        raise error

    return do


def writes_down(random: Random, folder: Path) -> str:
    (folder / "x").write_text(str(random.random()))
    raise KeyError("x")


@pytest.mark.parametrize(
    "error", [ValueError("x"), RecursionError(), AssertionError("a wrong value"), MarqueeError("")]
)
def test_what_is_no_sentence_is_a_finding_of_its_number(error: BaseException) -> None:
    findings = search("any", raises(error), [7], seed=3).findings
    assert [(finding.seed, finding.number) for finding in findings] == [(3, 7)]


def test_a_try_is_made_again_by_its_number_and_its_files_are_kept(tmp_path: Path) -> None:
    search("any", writes_down, range(3), 0, tmp_path / "first")
    search("any", writes_down, [2], 0, tmp_path / "again")
    first, again = (tmp_path / name / "any-0-2" / "x" for name in ("first", "again"))
    assert first.read_text() == again.read_text() != (tmp_path / "first" / "any-0-1" / "x").read_text()


def test_code_that_a_file_runs_is_a_finding() -> None:
    def runs(_: Random, __: Path) -> str:
        os.system("true")
        return "read"

    (finding,) = search("any", runs, [0], seed=0).findings
    assert 'code was run: ["os.system' in finding.error
