"""Toxiproxy: how it comes onto this machine, and how it is told what to do to connections."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.servers import free_ports

MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"
VERSION = "v2.12.0"


def installed() -> str:
    """The program: `toxiproxy-server` where there is one, else built by Go once and kept with its caches.

    Raises:
        pytest.skip.Exception: there is neither, or Go cannot build it; it says why.
    """
    there = shutil.which("toxiproxy-server")
    if there is not None:
        return there
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is neither toxiproxy-server nor Go, which would build it")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "marquee-tests" / f"toxiproxy-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "server"
    with FileLock(Path(tempfile.gettempdir(), f"marquee-toxiproxy-{os.getuid()}.lock")):
        if not program.exists():
            command = [go, "install", f"{MODULE}@{VERSION}"]
            env = {**os.environ, "GOBIN": str(folder)}
            done = subprocess.run(
                command, env=env, cwd=folder, capture_output=True, text=True, timeout=600, check=False
            )
            if done.returncode != 0:
                pytest.skip(f"Go cannot build Toxiproxy: {done.stderr.strip()[-300:]}")
    return str(program)


@dataclass(frozen=True)
class Toxiproxy:
    """A Toxiproxy that runs.

    Args:
        url: of its API.
    """

    url: str

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """What it answers to a request of its API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def reset(self) -> None:
        """Let everything through again."""
        self.ask("/reset", "POST")


@dataclass(frozen=True)
class Proxy:
    """A proxy of it, before one server.

    Args:
        toxiproxy: that has it.
        name: its own.
        port: where it listens.
    """

    toxiproxy: Toxiproxy
    name: str
    port: int

    def down(self) -> None:
        """Close all connections, and take no new one."""
        self.toxiproxy.ask(f"/proxies/{self.name}", "POST", {"enabled": False})

    def restart(self) -> None:
        """Close all connections, and take new ones at once."""
        for enabled in (False, True):
            self.toxiproxy.ask(f"/proxies/{self.name}", "POST", {"enabled": enabled})

    def add(self, type: str, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> None:
        """Add a toxic; "downstream" are the answers, "upstream" the requests."""
        toxic = {"type": type, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        toxic["name"] = f"{type} {stream} {toxicity}"
        self.toxiproxy.ask(f"/proxies/{self.name}/toxics", "POST", toxic)


@contextmanager
def toxiproxy(servers: dict[str, tuple[str, int]]) -> Iterator[dict[str, Proxy]]:
    """Proxies before servers, each by the name that its server is given under."""
    port, *ports = free_ports(1 + len(servers))
    command = [installed(), "-host", "127.0.0.1", "-port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "LOG_LEVEL": "fatal"}, **quiet) as process:  # type: ignore[call-overload]
        running = Toxiproxy(f"http://127.0.0.1:{port}")
        try:
            _wait_for(running)
            found = {}
            for (name, (host, to)), at in zip(servers.items(), ports, strict=True):
                given = {"name": name, "listen": f"127.0.0.1:{at}", "upstream": f"{host}:{to}"}
                running.ask("/proxies", "POST", {**given, "enabled": True})
                found[name] = Proxy(running, name, at)
            yield found
        finally:
            process.terminate()


def _wait_for(running: Toxiproxy) -> None:
    for _ in range(200):
        try:
            running.ask("/version")
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("Toxiproxy did not start")
