"""Runs one measurement in a process of its own and watches its memory, children (a Java machine) included."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Measured:
    """What a child process reported, and the most memory that it and its children held at once.

    Args:
        report: the JSON object that the child printed last; empty if it failed.
        seconds: wall time of the whole process.
        peak_gb: sum of resident memory, sampled twenty times a second, in GB.
        failure: why there is no report, "" if there is one.
    """

    report: dict[str, Any]
    seconds: float
    peak_gb: float
    failure: str = ""


def names_of(known: Iterable[str], separator: str = ",") -> Callable[[str], list[str]]:
    """For an option that takes several of the known names: what `argparse` calls its type."""
    known = list(known)

    def parse(text: str) -> list[str]:
        names = text.split(separator)
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no '{name}': choose among {', '.join(known)}")
        return names

    return parse


def run_child(arguments: list[str], timeout: float, memory_gb: float) -> Measured:
    """Run this Python with `arguments`; end it after `timeout` seconds or beyond `memory_gb`."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=err)
        peak, ended_for = _watch(child, started + timeout, memory_gb * 1e9)
        seconds = time.perf_counter() - started
        out.seek(0)
        err.seek(0)
        lines, errors = out.read().strip().splitlines(), err.read().strip().splitlines()
    if ended_for:
        return Measured({}, seconds, peak / 1e9, ended_for)
    if child.returncode != 0 or not lines:
        return Measured({}, seconds, peak / 1e9, (errors or ["no output"])[-1])
    return Measured(json.loads(lines[-1]), seconds, peak / 1e9)


def in_turn(
    contenders: list[str], rounds: int, arguments_of: Callable[[str], list[str]]
) -> dict[str, list[dict[str, Any]]]:
    """What each contender reported, round by round, with its peak memory; failures are printed.

    Args:
        arguments_of: of this Python, for a contender.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            measured = run_child(arguments_of(name), timeout=900, memory_gb=14)
            if measured.failure:
                print(f"{name}: {measured.failure}", flush=True)
            else:
                found[name].append({**measured.report, "peak_gb": measured.peak_gb})
    return found


def report_training(fit: Callable[[int], Any], epochs: int, rows: int) -> None:
    """Print, as JSON, what epochs cost after a first one, which compiles.

    Args:
        fit: trains for a number of epochs.
        rows: of one epoch.
    """
    fit(1)
    cpu, wall = time.process_time(), time.perf_counter()
    fit(epochs)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"rows": rows * epochs, "cpu": cpu, "wall": wall}))


def _watch(child: subprocess.Popen[bytes], until: float, most: float) -> tuple[float, str]:
    peak, why = 0.0, ""
    process = psutil.Process(child.pid)
    while child.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        held = 0
        for member in family:
            try:
                held += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, held)
        late = time.perf_counter() > until
        if held > most or late:
            why = "ended: too slow" if late else f"ended: over {most / 1e9:.0f} GB"
            for member in reversed(family):
                try:
                    member.kill()
                except psutil.NoSuchProcess:
                    continue
        time.sleep(0.05)
    child.wait()
    return peak, why


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    try:
        model = next(
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
    except (OSError, StopIteration):
        model = platform.processor()
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


class Timer:
    """`with Timer() as t: …`, then `t.seconds`, and `t.cpu_seconds` of this process and its children.

    The latter hardly depends on what else the machine does; of children that end meanwhile it lacks some.
    """

    seconds = 0.0
    cpu_seconds = 0.0

    def __enter__(self) -> "Timer":
        self._started, self._cpu = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = _cpu_seconds() - self._cpu


def _cpu_seconds() -> float:
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def warn_if_busy() -> None:
    """Say so where other work takes the processors: the figures are then too high."""
    load = os.getloadavg()[0]
    if load > 0.5 * len(os.sched_getaffinity(0)):
        print(f"note: load average is {load:.1f}; other work on this machine slows what follows", flush=True)
