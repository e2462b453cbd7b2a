"""The servers that tests talk to: how they come onto this machine; all, the stores, or Redis alone."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection, socket

import pytest
from filelock import FileLock
from redis import Redis

from tests.marquee import ROOT

# Tests are many short jobs: what the JVM's second compiler spends on them is never earned back. Java would
# leave the first one little room, and compile again and again what it had to drop.
SHORT_JOBS = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""What Java is told that runs Spark for a test."""


@dataclass(frozen=True)
class Servers:
    """The servers of some tests.

    Args:
        folder: where they keep everything.
        environment: of their script.
        variables: what to export to use them.
    """

    folder: Path
    environment: dict[str, str]
    variables: dict[str, str]

    def start(self) -> None:
        """Once more what does not run any longer."""
        assert script("start", self.environment).returncode == 0

    @contextmanager
    def used(self, **more: str) -> Iterator[None]:
        """What runs here uses them; `more` is exported beside what they ask for."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.variables, **more}.items():
                patch.setenv(name, value)
            yield

    @property
    def redis(self) -> Redis:
        """A client of the online store's server."""
        address, password = self.variables["MARQUEE_REDIS"].split(",password=")
        host, port = address.split(":")
        return Redis(host, int(port), password=password)


@contextmanager
def servers_at_scale(*what: str) -> Iterator[Servers]:
    """Servers of these tests' own, on loopback; gone with all that they kept afterwards.

    Args:
        what: "stores" for Redis and PostgreSQL only.
    """
    install()
    # PostgreSQL's own user must come to its folder, which it may not below pytest's.
    folder = Path(tempfile.mkdtemp(prefix="marquee-"))
    names = ("SPARK_PORT", "REDIS_PORT", "POSTGRES_PORT")
    environment = {
        **os.environ,
        **dict(zip(names, map(str, free_ports(3)), strict=True)),
        "MARQUEE_SERVERS": str(folder),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        # Spark's own processes, and those of its workers, are as short as ours.
        "JAVA_TOOL_OPTIONS": os.environ.get("SPARK_SUBMIT_OPTS", ""),
    }
    try:
        started = script("start", environment, *what)
        assert started.returncode == 0, started.stderr
        exported = (line.removeprefix("export ") for line in started.stdout.splitlines() if "export" in line)
        yield Servers(folder, environment, dict(line.split("=", 1) for line in exported))
    finally:
        script("stop", environment)
        assert not folder.exists()


def script(word: str, environment: dict[str, str], *what: str) -> subprocess.CompletedProcess[str]:
    """Run the script that installs, starts and stops the servers."""
    command = [str(ROOT / "scripts" / "servers.sh"), word, *what]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def install() -> None:
    """Install Redis and PostgreSQL where they are missing, one process of tests at a time; skip where they
    cannot be had."""
    with FileLock(Path(tempfile.gettempdir(), f"marquee-servers-{os.getuid()}.lock")):
        done = script("install", dict(os.environ))
    if "could not be installed" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr


def free_ports(n: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    sockets = [socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def redis_in(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing; its address."""
    install()
    program = shutil.which("redis-server")
    assert program is not None
    (port,) = free_ports(1)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
