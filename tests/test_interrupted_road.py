"""The road on small data: repeated, killed, and given what it cannot use."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from feature_repo.define.table import QUARANTINE
from feature_repo.domains.movies import DOMAIN
from tests.marquee import COMMAND, ROOT, content, environment, marquee, newest_summary, refused
from tests.small_movielens import write_small_movielens

pytestmark = pytest.mark.process
MODELS = ("gbt", "neuralcf")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_small_movielens(tmp_path_factory.mktemp("small"))


def arguments(small: tuple[Path, Path]) -> list[str]:
    data, posters = small
    options = [
        "run",
        "--source",
        "movielens",
        "--path",
        data,
        "--posters",
        posters,
        "--models",
        ",".join(MODELS),
    ]
    return [str(option) for option in options]


@pytest.fixture(scope="module")
def clean(small: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the road was gone once, undisturbed."""
    home = tmp_path_factory.mktemp("clean") / "home"
    done = marquee(home, *arguments(small))
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def kill_at(home: Path, small: tuple[Path, Path], stage: str) -> None:
    """Start a run and kill it, and all its children, once it is within `stage`."""
    with subprocess.Popen(
        [*COMMAND, *arguments(small)],
        cwd=ROOT,
        env={**environment(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line.startswith(f"▸ {stage}"):
                os.killpg(process.pid, signal.SIGKILL)
                break
        else:
            pytest.fail(f"never came to {stage}: {''.join(seen)}")


def test_run_after_three_kills_equals_an_undisturbed_one(
    small: tuple[Path, Path], clean: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for stage in ("ingest", "features", "train neuralcf"):
        kill_at(home, small, stage)
    done = marquee(home, *arguments(small))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (*DOMAIN.tables, QUARANTINE):
        assert content(home, name) == content(clean, name), name
    again, once = newest_summary(home), newest_summary(clean)
    assert again["tables"] == once["tables"]
    for model in MODELS:
        assert again["models"][model]["metrics"] == once["models"][model]["metrics"], model
    assert len(list((home / "runs").iterdir())) == 1, "what killed runs left was not removed"


def test_second_run_in_one_home_gives_the_same_tables_and_metrics(
    small: tuple[Path, Path], clean: Path
) -> None:
    before = {name: content(clean, name) for name in DOMAIN.tables}
    once = newest_summary(clean)
    assert marquee(clean, *arguments(small)).returncode == 0
    again = newest_summary(clean)
    assert again["run"] != once["run"]
    assert {name: content(clean, name) for name in DOMAIN.tables} == before
    for model in MODELS:
        assert again["models"][model]["metrics"] == once["models"][model]["metrics"], model


def test_missing_folder_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    said = refused(tmp_path / "home", "run", "--source", "movielens", "--path", tmp_path / "nowhere")
    assert "nowhere" in said


def test_home_that_cannot_be_made_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    # Root may write anywhere, so the home is put where no folder can be: below a file.
    (tmp_path / "file").write_text("")
    said = refused(tmp_path / "file" / "home", "run")
    assert "Cannot write" in said and "is a file. Name another place" in said


def test_unknown_model_is_refused_with_the_nearest_name_before_any_work(tmp_path: Path) -> None:
    said = refused(tmp_path / "home", "run", "--models", "dinn")
    assert "dinn" in said and "din?" in said
    assert not (tmp_path / "home" / "lake").exists()


@pytest.mark.parametrize("size", ["8k", "60k"])
def test_full_disk_is_one_sentence_and_leaves_tables_as_they_were(
    small: tuple[Path, Path], tmp_path: Path, size: str
) -> None:
    """A file-size limit stands for a full disk: the operating system refuses to write on."""
    mount = tmp_path / "tiny"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        data, posters = small
        ingest = ("pipeline", "ingest", "--source", "movielens", "--path", data, "--posters", posters)
        assert "No space left on device" in refused(mount / "home", *ingest)
        assert not any((mount / "home").glob("lake/*/_delta_log"))
    finally:
        # Lazily: the command may hold files of it for a moment.
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
