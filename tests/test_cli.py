"""Commands that need neither Spark nor a model, and what surrounds all commands."""

import io
import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app import doctor, spark, summary
from app.features import online_line
from app.home import writing
from app.run import new_run
from cli.display import Terminal
from common.errors import MarqueeError
from common.progress import StageCost, Stages
from common.settings import Settings, load_settings
from feature_repo.online.send import Sent
from tests.marquee import COMMAND, ROOT, environment, in_process, marquee, refused


def test_brackets_in_a_path_stand_in_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "[old] data [/x]"
    assert str(path) in refused(tmp_path, "run", "--source", "movielens", "--path", path)


REFUSED = [
    ("run --models gbt,foo", "no model 'foo'"),
    ("run --first-movies 1", "--first-movies"),
    ("run --source foo", "--source"),
    ("run --seed 4294967296", "--seed"),
    ("run --posters FOLDER", "--source movielens"),
    ("run --source movielens --path ABSENT", "does not exist"),
    ("run --source movielens --path FOLDER --posters ABSENT", "posters' folder"),
    ("pipeline ingest --source movielens", "--path"),
    ("pipeline run user_rating_stat", "did you mean user_rating_stats"),
    ("pipeline run", "marquee pipeline ingest"),
    ("validate", "marquee pipeline ingest"),
    ("pipeline maintain foo", "no table 'foo'"),
    ("pipeline maintain", "no tables"),
    ("data synth --ratings 0", "ratings=0"),
    ("data fetch foo", "no MovieLens archive 'foo'"),
    ("train", "Give a model"),
    ("train foo", "no model 'foo'"),
    ("train gbt --split foo", "no split 'foo'"),
    ("train gbt --protocol foo", "protocol 'foo'"),
    ("train gbt --task like", "no task 'like': did you mean liked"),
    ("tune gbt --task like", "no task 'like': did you mean liked"),
    ("train gbt --config ABSENT", "no readable configuration"),
    ("train gbt --data ABSENT", "no file"),
    ("train gbt --block-rows 5", "--data"),
    ("train gbt --out FILE", "is not replaced"),
    ("train gbt --like FOLDER", "leave out the model"),
    ("train --like FOLDER", "not the folder of a trained model"),
    ("tune foo", "no model 'foo'"),
    ("tune gbt --protocol foo", "protocol 'foo'"),
    ("tune gbt --trials 0", "--trials"),
    ("tune fm --paper foo", "no paper 'foo'"),
    ("tune fm --paper iarm --protocol honest", "no protocol 'honest': known: dropped,"),
    ("tune fm --paper iarm --task liked", "--task says what is predicted, and so does a protocol of --paper"),
    ("tune gbt --config ABSENT", "no readable configuration"),
    ("tune gbt --out FOLDER", "is a folder"),
    ("tune gbt --study FOLDER", "is a folder"),
    ("reproduce foo", "no paper 'foo'"),
    ("reproduce mmdin --source movielens --path FOLDER --seed 1", "--seed is of the synthetic data"),
    ("reproduce mmdin --protocols honest,foo", "protocol 'foo'"),
    ("reproduce mmdin --protocols honest,paper,honest", "'honest' stands 2 times"),
    ("run --models gbt,gbt", "'gbt' stands 2 times in 'gbt,gbt'; name each once"),
    ("reproduce mmdin --out FILE", "is a file"),
    ("reproduce mmdin --doc FOLDER", "is a folder"),
    ("report", "no finished run"),
    ("report --run ABSENT", "no finished run"),
    ("report --run FILE", "no finished run"),
    ("features lookup", "give --user (user_id), --movie (movie_id), or both"),
    ("features lookup --user 0", "positive"),
    ("features lookup --user 9223372036854775808", "at most"),
    ("features lookup --user 1", "marquee features apply"),
    ("features dataset --service din_v1 --labels FILE --out FOLDER", "is a folder"),
    ("features push", "--user, --movie and --rating"),
    ("features push --user 1 --movie 1 --rating 4 --at noon", "--at 'noon'"),
    ("audit leakage", "marquee features apply"),
    ("audit consistency --late 2", "--late"),
    ("evaluate FOLDER", "not the folder of a trained model"),
    ("foo", "No such command"),
    ("train --foo", "No such option"),
]
"""Commands that cannot work, and what their one sentence says."""


@pytest.mark.parametrize(("command", "says"), REFUSED, ids=[command for command, _ in REFUSED])
def test_what_cannot_work_is_refused_in_one_sentence_before_a_home_is_made(
    command: str, says: str, tmp_path: Path
) -> None:
    places = {"FILE": tmp_path / "file", "FOLDER": tmp_path / "folder", "ABSENT": tmp_path / "absent"}
    places["FILE"].write_text("x")
    places["FOLDER"].mkdir()
    (places["FOLDER"] / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,5\n")
    (places["FOLDER"] / "movies.csv").write_text("movieId,title,genres\n1,A (2000),Drama\n")
    arguments = [places.get(word, word) for word in command.split()]
    assert says in refused(tmp_path / "home", *arguments)
    assert not (tmp_path / "home").exists()


def test_a_run_without_options_trains_three_models_on_data_that_it_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("app.run.run", lambda *arguments: asked.extend(arguments))
    monkeypatch.setattr("cli.run._print", lambda _: None)
    assert in_process(tmp_path, "run").code == 0
    _, _, source, models, _ = asked
    assert (source.source, models) == ("synthetic", ("gbt", "din", "mmdin"))


WITH_A_HOME = [
    *("data describe", "features plan", "features apply", "features materialize", "features lookup --user 1"),
    *("features push --user 1 --movie 1 --rating 4", "train gbt", "tune gbt", "report", "validate"),
    *("pipeline run", "pipeline ingest", "pipeline maintain", "audit leakage", "audit consistency"),
    *("data synth", "data fetch ml-1m", "reproduce mmdin", "run"),
]


@pytest.mark.parametrize("command", WITH_A_HOME)
def test_home_that_is_a_file_is_refused_in_one_sentence(command: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("mine")
    assert str(home) in refused(home, *command.split())
    assert home.read_text() == "mine"


def test_training_without_events_says_what_to_run(tmp_path: Path) -> None:
    assert "marquee" in refused(tmp_path, "train", "gbt")


@pytest.mark.process
def test_refusal_by_the_command_itself_has_exit_code_2(tmp_path: Path) -> None:
    done = marquee(tmp_path, "train", "foo")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: There is no model 'foo'")
    assert done.stderr.count("\n") == 1


def test_setting_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_SPARK_MEMORY", "much")
    with pytest.raises(MarqueeError, match="MARQUEE_SPARK_MEMORY='much'"):
        load_settings(tmp_path)


@pytest.mark.process
@pytest.mark.parametrize(
    ("into", "code", "said"), [("> /dev/full", 2, "cannot be written"), ("| head -0", 141, "")]
)
def test_output_that_nobody_takes(into: str, code: int, said: str, tmp_path: Path) -> None:
    words = f"{' '.join(COMMAND)} data describe {into}; exit ${{PIPESTATUS[0]}}"
    command = ["bash", "-c", words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path / "home"), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert said in done.stderr and done.stderr.count("\n") == bool(said)


@pytest.mark.process
def test_describe_lists_tables_that_are_not_there_yet_and_makes_no_home(tmp_path: Path) -> None:
    done = marquee(tmp_path / "home", "data", "describe")
    assert done.returncode == 0, done.stderr
    assert "user_rating_stats" in done.stdout
    assert not (tmp_path / "home").exists()


def test_doctor_names_the_packages_that_it_compares_as_they_are_pinned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = dict(package.split("==") for package in declared if "==" in package)
    assert doctor.PINNED.items() <= pinned.items()
    found = doctor.versions(Settings(home=tmp_path))
    assert found.well and found.found == ", ".join(f"{name} {pinned[name]}" for name in doctor.PINNED)
    monkeypatch.setitem(doctor.PINNED, "feast", "0.1")
    found = doctor.versions(Settings(home=tmp_path))
    assert (found.well, found.remedy) == (False, "pip install feast==0.1")
    assert found.found == f"feast {pinned['feast']} (not 0.1)"


@pytest.mark.process
def test_doctor_makes_no_home(tmp_path: Path) -> None:
    assert "Delta's jars" in marquee(tmp_path / "home", "doctor").stdout
    assert not (tmp_path / "home").exists()


def test_jars_are_said_to_be_downloaded_only_where_they_are_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {}
    for jars in ([], [Path("delta.jar")]):
        monkeypatch.setattr("lake.spark_java.delta_jars", lambda jars=jars: jars)
        said[bool(jars)] = spark.starting()
    assert "downloads Delta's jars" in said[False]
    assert said[True] == "Starting Spark"


@pytest.mark.process
def test_warnings_that_feast_turns_on_are_not_for_people() -> None:
    warn = (
        "import sys, warnings\nimport feast\nfrom cli.main import main\n"
        "warnings.warn('seen', DeprecationWarning)\n"
        "sys.argv = ['marquee', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "warnings.warn('unseen', DeprecationWarning)\n"
    )
    command = [sys.executable, "-c", warn]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "DeprecationWarning: seen" in done.stderr
    assert "unseen" not in done.stderr


@pytest.mark.process
def test_plan_shows_what_apply_then_does_and_leaves_nothing_to_do(tmp_path: Path) -> None:
    planned = marquee(tmp_path, "features", "plan")
    assert "create feature view user_rating_stats" in planned.stdout, planned.stderr
    assert marquee(tmp_path, "features", "apply").returncode == 0
    assert "nothing to apply" in marquee(tmp_path, "features", "plan").stdout


@pytest.mark.process
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


def test_one_thing_is_not_counted_in_the_plural() -> None:
    def sent(views: int, rows: int, since: int | None) -> list[Sent]:
        return [Sent(f"view{view}", since, 3, rows, 0, 0, 0, 0.1) for view in range(views)]

    assert online_line(sent(1, 1, None)) == "1 key of 1 view online"
    assert online_line(sent(2, 600, 1)) == "1,200 keys of 2 views online"
    assert online_line(sent(1, 0, 3)) == "nothing changed in 1 view"


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
        versions={"ratings": 3},
    )
    summary.write(written, tmp_path)
    assert summary.read(tmp_path) == written
    values = json.loads((tmp_path / summary.FILE).read_text())
    assert values["tables"]["ratings"]["quarantined"] == 1
    other = {**values, "versions": {"ratings": 2}}
    stages = {**values, "stages": [{}], "digest": ""}
    for damaged in ("{", "[]", "{}", "[" * 200_000, json.dumps(stages), json.dumps(other)):
        (tmp_path / summary.FILE).write_text(damaged)
        with pytest.raises(MarqueeError, match="is damaged, or of an earlier version"):
            summary.read(tmp_path)


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
    assert "work: half (50 %)" in output.getvalue()
