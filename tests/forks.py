"""A process that has imported the program, and forks for each command, which then starts at once.

    with Forks() as forks:
        command = forks.begin([sys.executable, "-m", "cli.main", "doctor"], ...)

What a command does from there on is what it does when a person starts it; only its imports are done already.
"""

import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from tests.steps import put_filter

MODULE = "-m"
IMPORTED = (
    *("cli.commands", "cli.display", "app.features", "app.push", "app.run", "app.train"),
    *("feature_repo.online.sqlite", "feature_repo.store", "pipelines.features.jobs", "pipelines.ingest"),
    *("pipelines.sources.new_events", "training.estimators.scikit", "training.fit.train"),
    *("rich.progress", "rich.table", "sklearn.ensemble", "skops.io", "sqlalchemy.dialects.sqlite"),
)
"""They import what commands need; networks come later, with threads that a fork would lack."""
MOST = 1 << 18
"""Bytes of a message."""


class Forked:
    """A command that a fork runs.

    Args:
        pid: the fork's.
        channel: to the process that waits for it.
    """

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid, self.channel = pid, channel

    def wait(self) -> int:
        """Its exit code, negative for that of a signal that ended it."""
        return int(_received(self.channel))


class Forks:
    """The process; it serves one command at a time, until the block ends."""

    def __enter__(self) -> Self:
        # Each message arrives as a whole.
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, MODULE, __spec__.name, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.wait()

    def begin(
        self,
        command: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        descriptors: Sequence[int],
    ) -> Forked:
        """Begin `python -m MODULE WORDS`.

        Args:
            descriptors: of its output, of its errors, and of a socket over which it hands over a filter
                (`tests.steps`).
        """
        _, option, *words = command
        assert option == MODULE
        asked = {"words": words, "cwd": str(cwd), "environment": dict(environment)}
        socket.send_fds(self.channel, [_message(asked)], list(descriptors))
        return Forked(int(_received(self.channel)), self.channel)


def _message(said: Any) -> bytes:
    return json.dumps(said).encode()


def _received(channel: socket.socket) -> Any:
    return json.loads(channel.recv(MOST))


def serve(channel: socket.socket) -> None:
    """Fork for each command that is asked for, until nobody asks."""
    for module in IMPORTED:
        import_module(module)
    while True:
        message, descriptors, *_ = socket.recv_fds(channel, MOST, 3)
        if not message:
            return
        asked = json.loads(message)
        fork = os.fork()
        if not fork:
            channel.close()
            _become(asked, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.sendall(_message(fork))
        channel.sendall(_message(os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])))


def _become(asked: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Be the command."""
    output, errors, sender = descriptors
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    put_filter(socket.socket(fileno=sender))
    module, *words = asked["words"]
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
