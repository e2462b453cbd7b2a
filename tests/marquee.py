"""Running the command as a person would, and reading what it left."""

import contextlib
import io
import json
import os
import subprocess
import sys
import unittest.mock
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import typer.main
from click.testing import CliRunner, Result
from deltalake import DeltaTable

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "cli.main"]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "MARQUEE_HOME": str(home), "MARQUEE_SPARK_MASTER": "local[2]", "COLUMNS": "200"}


def marquee(home: Path, *arguments: object, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *(str(argument) for argument in arguments)],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Refused(NamedTuple):
    """How a command ended: its exit code, and what it said on standard error."""

    code: int
    lines: list[str]


def in_process(home: Path | str, *arguments: object) -> Refused:
    """Run a command in this process, which is quick; for what is refused at once."""
    from cli.exit_codes import run

    said = io.StringIO()
    with (
        unittest.mock.patch("typer.main.get_command", _get_command),
        unittest.mock.patch.object(sys, "argv", ["marquee", *map(str, arguments), "--home", str(home)]),
        contextlib.redirect_stderr(said),
    ):
        code = run()
    return Refused(code, said.getvalue().strip().splitlines())


_get_command = cache(typer.main.get_command)
"""Makes a command of its declarations, which a process does once otherwise."""


def refused(home: Path | str, *arguments: object) -> str:
    """The sentence with which a command refuses: alone on standard error, exit code 2."""
    done = in_process(home, *arguments)
    assert done.code == 2, done
    assert len(done.lines) == 1, done
    assert done.lines[0].startswith("Error: ")
    return done.lines[0]


def feast(home: Path, *arguments: str, profile: str = "embedded") -> Result:
    """Feast's own command in this process, which it leaves as it was."""
    from feast.cli.cli import cli

    from feature_repo import lock
    from feature_repo.profile import PROFILES, REPOSITORY

    command = ["-c", str(REPOSITORY), "-f", str(REPOSITORY / PROFILES[profile]), *arguments]
    path = unittest.mock.patch.object(sys, "path", [*sys.path])
    sys.modules.pop("definitions", None)  # it takes the lock as it is imported
    with contextlib.chdir(ROOT), path, lock.until_exit:
        return CliRunner(env={"MARQUEE_HOME": str(home)}).invoke(cli, command)


def newest_summary(home: Path) -> dict[str, Any]:
    """`summary.json` of the newest run."""
    newest = max(home.glob("runs/*/summary.json"))
    return dict(json.loads(newest.read_text()))


def table(home: Path, name: str) -> pa.Table:
    """A table of the lake."""
    return DeltaTable(home / "lake" / name).to_pyarrow_table()


def query(sql: str, rows: pa.Table) -> pa.Table:
    """What DuckDB answers to a query over `rows`."""
    with _database().cursor() as connection:
        connection.register("rows", rows)
        return connection.sql(sql).to_arrow_table()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One for all queries: to begin one takes longer than to answer."""
    return duckdb.connect()


def content(home: Path, name: str) -> list[dict[str, Any]]:
    """A table's rows, sorted, without the time of writing: what two runs must agree on."""
    rows = table(home, name)
    if "created_timestamp" in rows.column_names:
        rows = rows.drop_columns(["created_timestamp"])
    return list(query("SELECT * FROM rows ORDER BY ALL", rows).to_pylist())
