"""The servers that tests talk to: how they come onto this machine, and Redis alone."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket

import pytest
from filelock import FileLock

from tests.marquee import ROOT


def script(word: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script that installs, starts and stops the servers."""
    command = [str(ROOT / "scripts" / "servers.sh"), word]
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
