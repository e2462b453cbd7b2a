"""The steps by which a command changes files, one by one: each can be seen, failed, or be its last.

The kernel stops a process at the system calls that a filter names and asks us what to do (`seccomp`'s user
notification). strace injects faults, too, but counts calls by thread: Delta's writes are done by whichever
thread is free, so that its n-th rename is another one in each run. Here a step is known by what it is done
to, and by how often that was done before, whoever does it.

Run as a program, this file puts the filter on itself, and becomes the command.
"""

import ctypes
import errno
import fcntl
import os
import platform
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

# --- what is watched --------------------------------------------------------------------------------------

OPEN_FLAGS = {2: 1, 257: 2}
"""Calls that open files, by their number on x86-64: which argument has the flags."""
MAKES = os.O_CREAT | os.O_TRUNC
CALLS = {
    1: "write",
    2: "open",
    18: "pwrite64",
    20: "writev",
    40: "sendfile",
    74: "fsync",
    75: "fdatasync",
    76: "truncate",
    77: "ftruncate",
    82: "rename",
    83: "mkdir",
    84: "rmdir",
    86: "link",
    87: "unlink",
    88: "symlink",
    257: "openat",
    258: "mkdirat",
    263: "unlinkat",
    264: "renameat",
    265: "linkat",
    266: "symlinkat",
    285: "fallocate",
    296: "pwritev",
    316: "renameat2",
    326: "copy_file_range",
}
"""By number on x86-64. What maps a file's pages and writes to memory is not among them: nothing here does."""
BY_DESCRIPTOR = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "ftruncate"), 0),
    **{"fallocate": 0, "sendfile": 0, "copy_file_range": 2},
}
"""Calls on a file that is open, and which argument has its descriptor."""
BY_PATH: dict[str, tuple[tuple[int | None, int], ...]] = {
    **dict.fromkeys(("open", "truncate", "mkdir", "rmdir", "unlink"), ((None, 0),)),
    **dict.fromkeys(("openat", "mkdirat", "unlinkat"), ((0, 1),)),
    **dict.fromkeys(("rename", "link"), ((None, 0), (None, 1))),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), ((0, 1), (2, 3))),
    **{"symlink": ((None, 1),), "symlinkat": ((1, 2),)},
}
"""Calls on names: for each, which arguments have the folder that it is relative to, and the name."""
WRITES = frozenset({"write", "pwrite", "writev", "pwritev", "sendfile", "copy_file_range"})
TAKES_SPACE = WRITES | {"open", "mkdir", "rename", "link", "symlink", "fsync", "fdatasync", "fallocate"}
"""What a full disk refuses, by the names of steps; it still removes and cuts files."""


class Step(NamedTuple):
    """A step.

    Args:
        call: what is done, such as "rename".
        place: to what, below the folder; what is drawn by chance is blotted out.
        transaction: how many of the file were committed before, for SQLite's: how much each one writes
            hangs on the lengths of instants, so that the n-th write of all is another one in each run.
        time: which one of this kind in the transaction, from 0.
    """

    call: str
    place: str
    transaction: int
    time: int

    def __str__(self) -> str:
        of = f" of transaction {self.transaction + 1}" if self.transaction else ""
        again = f" ({self.time + 1}.{of})" if self.time or of else ""
        return f"{self.call} {self.place}{again}"

    @property
    def commits(self) -> bool:
        """Whether it commits a transaction of SQLite's: it removes the journal that would undo it."""
        return self.call == "unlink" and self.place.endswith(JOURNAL)


JOURNAL = "-journal"
"""How the names of SQLite's end."""


CHANCE = re.compile(
    r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|(?<=\.)[a-z0-9_]{8}(?=\.partial|/|$)|\d{8}[T-]\d{6}[\w.-]*|[0-9a-f]{32}"
)
"""In names: UUIDs, what `tempfile` draws, instants."""


def why_not() -> str:
    """Why this machine cannot do it; empty where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "system calls are told apart by their numbers on Linux on x86-64 only"
    with tempfile.TemporaryDirectory() as folder:
        return watched(["true"], Path(folder), os.environ).errors


# --- the side of the command ------------------------------------------------------------------------------

LOAD, JUMP_IF_EQUAL, JUMP_IF_SET, ANSWER = 0x20, 0x15, 0x45, 0x06
GO_ON, ASK = 0x7FFF0000, 0x7FC00000
NUMBER_AT, ARGUMENTS_AT = 0, 16
NO_NEW_PRIVILEGES, SET_FILTER, WITH_LISTENER, SECCOMP = 38, 1, 8, 317


def _program() -> bytes:
    """The filter, in the kernel's small language: ask at these calls, but not where a file is only read, nor
    of standard output and error."""
    code = [(LOAD, 0, 0, NUMBER_AT)]
    for number in CALLS:
        if number in OPEN_FLAGS:
            flags = ARGUMENTS_AT + 8 * OPEN_FLAGS[number]
            code += [
                (JUMP_IF_EQUAL, 0, 4, number),
                (LOAD, 0, 0, flags),
                (JUMP_IF_SET, 0, 1, MAKES),
                (ANSWER, 0, 0, ASK),
                (ANSWER, 0, 0, GO_ON),
            ]
        else:
            code += [(JUMP_IF_EQUAL, 0, 1, number), (ANSWER, 0, 0, ASK)]
    code.append((ANSWER, 0, 0, GO_ON))
    return b"".join(struct.pack("HBBI", *line) for line in code)


def put_filter(sender: socket.socket) -> None:
    """Put the filter on this process, and hand over whom it asks."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(_program())
    program = struct.pack("HxxxxxxP", len(code.raw) // 8, ctypes.addressof(code))
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    asks = libc.syscall(SECCOMP, SET_FILTER, WITH_LISTENER, program)
    if asks < 0:
        sys.exit(f"the kernel takes no filter: {os.strerror(ctypes.get_errno())}")
    socket.send_fds(sender, [b"."], [asks])
    os.close(asks)
    sender.close()


# --- our side ---------------------------------------------------------------------------------------------

RECEIVE, SEND = 0xC0502100, 0xC0182101
ASKED, SAID = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
DO_IT = 1

Judge = Callable[[Step], int | None]
"""What becomes of a step: None, it is done; KILLED, the process is, before it; else the error it fails by."""
KILLED = 0


@dataclass
class Ended:
    """How a watched command ended.

    Args:
        code: its exit code, negative for that of a signal that ended it.
        output: what it said.
        errors: on standard error.
        steps: that it took, the last of which it may not have done.
    """

    code: int
    output: str
    errors: str
    steps: list[Step] = field(default_factory=list)


class Begun(Protocol):
    """A command that has begun."""

    pid: int

    def wait(self) -> int:
        """Its exit code, negative for that of a signal that ended it."""


Begin = Callable[[Sequence[str], Path | None, Mapping[str, str], Sequence[int]], Begun]
"""Begins a command in a folder and an environment, given descriptors of output, errors, and a socket over
which it hands over whom its filter asks."""


def spawned(
    command: Sequence[str],
    cwd: Path | None,
    environment: Mapping[str, str],
    descriptors: Sequence[int],
) -> subprocess.Popen[bytes]:
    """Begin a command as a new process."""
    output, errors, channel = descriptors
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(channel), *command],
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        pass_fds=[channel],
    )


def watched(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    judge: Judge = lambda _: None,
    cwd: Path | None = None,
    begin: Begin = spawned,
) -> Ended:
    """Run a command and all that it starts, and judge each of its steps in a folder before it is taken.

    Args:
        folder: without symbolic links in its path; what the command says is kept there meanwhile.
        cwd: the command's working folder; ours where None.
        begin: begins it.
    """
    ours, theirs = socket.socketpair()
    with (folder / "stdout").open("w+") as output, (folder / "stderr").open("w+") as errors, ours:
        with theirs:
            descriptors = [output.fileno(), errors.fileno(), theirs.fileno()]
            process = begin(command, cwd, environment, descriptors)
        message, (*asks,), _, _ = socket.recv_fds(ours, 1, 1)
        steps: list[Step] = []
        if message:
            try:
                steps = _answer(asks[0], folder, process.pid, judge)
            finally:
                os.close(asks[0])
        code = process.wait()
        output.seek(0)
        errors.seek(0)
        return Ended(code, output.read(), errors.read(), steps)


def _answer(asks: int, folder: Path, command: int, judge: Judge) -> list[Step]:
    """Answer until no process is left that asks."""
    poll = select.poll()
    poll.register(asks, select.POLLIN)
    steps: list[Step] = []
    seen: Counter[tuple[str, str, int]] = Counter()
    committed: Counter[str] = Counter()
    while True:
        ((_, events),) = poll.poll()
        if not events & select.POLLIN:
            return steps
        asked = bytearray(ASKED.size)
        try:
            fcntl.ioctl(asks, RECEIVE, asked)
        except FileNotFoundError:  # who asked has ended meanwhile
            continue
        question, thread, _, number, _, _, *arguments = ASKED.unpack(asked)
        error, flags = 0, DO_IT
        done = _what(thread, number, arguments, folder)
        if done is not None:
            database = done[1].removesuffix(JOURNAL)
            kind = (*done, committed[database])
            step = Step(*kind, seen[kind])
            seen[kind] += 1
            committed[database] += step.commits
            steps.append(step)
            verdict = judge(step)
            if verdict == KILLED:
                for process in {_process_of(thread), command}:
                    os.kill(process, signal.SIGKILL)
                continue
            if verdict is not None:
                error, flags = -verdict, 0
        try:
            fcntl.ioctl(asks, SEND, SAID.pack(question, 0, error, flags))
        except FileNotFoundError:
            continue


def _process_of(thread: int) -> int:
    lines = Path(f"/proc/{thread}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def _what(thread: int, number: int, arguments: Sequence[int], folder: Path) -> tuple[str, str] | None:
    """What is about to be done, and to what below the folder; None where nothing below it changes."""
    call = CALLS[number]
    try:
        if call in BY_DESCRIPTOR:
            places = [Path(f"/proc/{thread}/fd/{arguments[BY_DESCRIPTOR[call]]}").readlink()]
        else:
            places = [_named(thread, arguments, *where) for where in BY_PATH[call]]
    except OSError:
        return None
    call = re.sub("(at2?|64)$", "", call)
    inside = [place for place in places if place.is_relative_to(folder) and place.parent != folder.parent]
    if not inside or inside[0].name in ("stdout", "stderr"):
        return None
    there = [os.path.lexists(place) for place in places]
    changes = {
        "open": not there[0] or bool(arguments[OPEN_FLAGS.get(number, 0)] & os.O_TRUNC),
        "mkdir": not there[0],
        "link": there[0] and not there[-1],
        "symlink": not there[0],
    }
    if not changes.get(call, there[0]):
        return None
    names = [CHANCE.sub("*", str(place.relative_to(folder))) for place in inside]
    return call, " to ".join(names)


def _named(thread: int, arguments: Sequence[int], folder: int | None, name: int) -> Path:
    """The path that a call names."""
    with Path(f"/proc/{thread}/mem").open("rb") as memory:
        memory.seek(arguments[name])
        text = os.fsdecode(memory.read1(4096).split(b"\0")[0])
    at = -100 if folder is None else ctypes.c_int(arguments[folder] & 0xFFFFFFFF).value
    base = Path(f"/proc/{thread}/cwd" if at == -100 else f"/proc/{thread}/fd/{at}")
    return Path(os.path.normpath(base.readlink() / text))


ENOSPC, EIO = errno.ENOSPC, errno.EIO

if __name__ == "__main__":
    put_filter(socket.socket(fileno=int(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
