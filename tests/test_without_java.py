"""Where rows are few, nothing starts Java: from a source to a pushed rating online, by the commands."""

import subprocess
from pathlib import Path

import pytest

from tests.marquee import COMMAND, ROOT, content, environment
from tests.small_movielens import write_small_movielens

pytestmark = pytest.mark.process


def marquee(home: Path, *arguments: object) -> str:
    """Run a command on a machine that has no Java; what it says."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env={**environment(home), "PATH": "/nowhere", "JAVA_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Starting Spark" not in done.stdout
    return done.stdout


def test_from_a_source_to_a_pushed_rating_no_java_is_started(tmp_path: Path) -> None:
    data, posters = write_small_movielens(tmp_path, users=20, movies=40)
    home = tmp_path / "home"
    marquee(home, "pipeline", "ingest", "--source", "movielens", "--path", data, "--posters", posters)
    marquee(home, "pipeline", "run")
    marquee(home, "features", "apply")
    marquee(home, "features", "materialize")
    held = len(content(home, "ratings"))
    pushed = marquee(home, "features", "push", "--user", 1, "--movie", 1, "--rating", 4)
    assert "1 rating accepted" in pushed
    assert len(content(home, "ratings")) == held + 1
    (data / "movies.csv").write_text("movieId,title,genres\n1,Another Film (1950),Drama\n")
    with (data / "ratings.csv").open("a") as file:
        file.write("1000,1,3.5,1400000000\n")
    added = marquee(home, "pipeline", "ingest", "--add", "--source", "movielens", "--path", data)
    assert "1 row of movies changed" in added
    marquee(home, "pipeline", "run")
    marquee(home, "features", "materialize")
    found = marquee(home, "features", "lookup", "--user", 1000, "--movie", 1)
    assert "Drama" in found and "1950" in found
