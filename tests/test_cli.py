"""Commands that need neither Spark nor a model, and what surrounds all commands."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from app import summary
from app.home import writing
from app.run import new_run
from cli.display import Terminal
from common.errors import MarqueeError
from common.progress import StageCost, Stages
from common.settings import load_settings
from tests.marquee import ROOT, marquee


def refused(home: Path, *arguments: object) -> str:
    """The sentence with which a command refuses: alone on standard error, exit code 2."""
    done = marquee(home, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def test_brackets_in_a_path_stand_in_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "[old] data [/x]"
    assert str(path) in refused(tmp_path, "run", "--source", "movielens", "--path", path)


def test_id_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    assert "at most" in refused(tmp_path, "features", "lookup", "--user", 2**63)


def test_lookup_before_anything_is_applied_makes_no_home(tmp_path: Path) -> None:
    assert "marquee features apply" in refused(tmp_path / "home", "features", "lookup", "--user", 1)
    assert not (tmp_path / "home").exists()


def test_unknown_job_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    assert "did you mean user_rating_stats" in refused(tmp_path, "pipeline", "run", "user_rating_stat")


def test_movielens_without_a_path_says_what_to_give(tmp_path: Path) -> None:
    assert "--path" in refused(tmp_path, "pipeline", "ingest", "--source", "movielens")


def test_lookup_without_an_id_says_what_to_give(tmp_path: Path) -> None:
    assert "user id" in refused(tmp_path, "features", "lookup")


def test_training_without_ratings_says_what_to_run(tmp_path: Path) -> None:
    assert "marquee" in refused(tmp_path, "train", "gbt")


def test_setting_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_SPARK_MEMORY", "much")
    with pytest.raises(MarqueeError, match="MARQUEE_SPARK_MEMORY='much'"):
        load_settings(tmp_path)


def test_describe_lists_tables_that_are_not_there_yet(tmp_path: Path) -> None:
    done = marquee(tmp_path, "data", "describe")
    assert done.returncode == 0, done.stderr
    assert "user_rating_stats" in done.stdout


def test_plan_shows_what_apply_then_does_and_leaves_nothing_to_do(tmp_path: Path) -> None:
    planned = marquee(tmp_path, "features", "plan")
    assert "create feature view user_rating_stats" in planned.stdout, planned.stderr
    assert marquee(tmp_path, "features", "apply").returncode == 0
    assert "nothing to apply" in marquee(tmp_path, "features", "plan").stdout


def test_home_is_written_by_one_command_at_a_time(tmp_path: Path) -> None:
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom app.home import writing\n"
        "with writing(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(MarqueeError, match=f"process {holder.pid}"), writing(tmp_path):
            pass
        holder.kill()
    with writing(tmp_path):
        pass  # a killed command holds nothing


def test_new_run_removes_what_unfinished_runs_left(tmp_path: Path) -> None:
    unfinished, finished = tmp_path / "a", tmp_path / "b"
    for folder in (unfinished, finished):
        folder.mkdir()
    (finished / summary.FILE).write_text("{}")
    new_run(tmp_path, "synthetic")
    assert not unfinished.exists()
    assert finished.exists()


def test_summary_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = summary.Summary(
        run="r",
        options={"seed": 1},
        tables={"ratings": summary.TableCount(rows=3, read=4, quarantined=1, broken_rules={"x": 1})},
        models={"gbt": {"metrics": {"roc_auc": 0.5}}},
        stages=[StageCost("ingest", 1.5, 1024)],
    )
    summary.write(written, tmp_path)
    assert summary.read(tmp_path) == written
    assert json.loads((tmp_path / summary.FILE).read_text())["tables"]["ratings"]["quarantined"] == 1


def test_stage_measures_time_and_memory_and_tells_progress_off_a_terminal() -> None:
    output = io.StringIO()
    stages = Stages(Terminal(Console(file=output, width=100)))
    with stages.stage("work") as stage:
        stage.report("half", 1, 2)
        ballast = bytearray(300 * 1024**2)
        time.sleep(0.6)
        stage.outcome = f"{len(ballast)} bytes"
    (cost,) = stages.costs
    assert cost.seconds >= 0.6
    assert cost.peak_memory > 300 * 1024**2
    assert output.getvalue().startswith("▸ work\n")
    assert "1/2 half" in output.getvalue()
