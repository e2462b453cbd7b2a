"""Is everything here that the road needs, and if not, how is it mended?"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from app.home import writing
from app.spark import start_spark, starting
from common.errors import MarqueeError
from common.progress import Stages
from common.settings import Settings

JAVA_VERSIONS = (17, 21)
MEMORY_NEEDED = 6 * 1024**3
DISK_NEEDED = 5 * 1024**3
PINNED = {"feast": "0.67.0", "pyspark": "4.1.1", "delta-spark": "4.2.0", "great-expectations": "1.24.1"}
"""Versions that are known to work together, others are known not to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` is what to do where it is not well."""

    subject: str
    well: bool
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; nothing is made or changed."""
    checks: list[Callable[[Settings], Finding]] = [
        python,
        java,
        names,
        versions,
        memory,
        disk,
        home_folder,
        jars,
    ]
    findings = [check(settings) for check in checks]
    if settings.profile == "scale":
        findings += servers(settings)
    return findings


def python(_: Settings) -> Finding:
    """Python 3.11 or 3.12."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python", (3, 11) <= sys.version_info < (3, 13), version, "install Python 3.11 or 3.12")


def java(_: Settings) -> Finding:
    """A full JDK or JRE that Spark 4.1 runs on."""
    from lake.spark_java import java_launcher

    remedy = "apt-get install openjdk-17-jre-headless, or point JAVA_HOME at a full Java 17 or 21"
    try:
        launcher = java_launcher()
        answer = subprocess.run(
            [launcher, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Finding("Java", False, "none that runs", remedy)
    first = answer.stderr.splitlines()[0] if answer.stderr else ""
    version = re.search(r'version "(\d+)', first)
    well = version is not None and int(version[1]) in JAVA_VERSIONS
    return Finding("Java", well, first, remedy)


def names(settings: Settings) -> Finding:
    """A locale in which Java can name the home."""
    from lake.locales import utf8_locale

    found = utf8_locale()
    well = found is not None or str(settings.home).isascii()
    return Finding("locale", well, found or "no UTF-8", "export LC_ALL=C.UTF-8")


def versions(_: Settings) -> Finding:
    """The packages whose versions must fit each other; no others are looked at."""
    wrong = {}
    for package, pinned in PINNED.items():
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            found = "none"
        if found != pinned:
            wrong[package] = f"{package} {found} (not {pinned})"
    install = " ".join(f"{package}=={PINNED[package]}" for package in wrong)
    return Finding(
        "packages",
        not wrong,
        ", ".join(wrong.values() or (f"{package} {version}" for package, version in PINNED.items())),
        f"pip install {install}",
    )


def memory(settings: Settings) -> Finding:
    """Enough for Spark's heap and a model beside it."""
    available = psutil.virtual_memory().available
    return Finding(
        "memory",
        available >= MEMORY_NEEDED,
        f"{available / 1024**3:.1f} GiB available",
        f"free some: {MEMORY_NEEDED / 1024**3:.0f} GiB are needed; "
        f"Spark takes {settings.spark_memory} of them (MARQUEE_SPARK_MEMORY)",
    )


def disk(settings: Settings) -> Finding:
    """Enough for the lake and Spark's spill files."""
    free = shutil.disk_usage(existing_parent(settings.home)).free
    return Finding(
        "disk",
        free >= DISK_NEEDED,
        f"{free / 1024**3:.0f} GiB free",
        "free some, or set MARQUEE_HOME elsewhere",
    )


def home_folder(settings: Settings) -> Finding:
    """The home can be written."""
    folder = existing_parent(settings.home)
    well = os.access(folder, os.W_OK)
    return Finding("home", well, str(settings.home), f"make {folder} writable, or set MARQUEE_HOME elsewhere")


def existing_parent(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def jars(_: Settings) -> Finding:
    """Delta's jars, as Spark's package manager keeps them."""
    from lake.spark_java import delta_jars

    kept = delta_jars()
    return Finding(
        "Delta's jars",
        bool(kept),
        ", ".join(jar.name for jar in kept if "_delta-spark_" in jar.name) or "not downloaded yet",
        "marquee doctor --fetch (needs Maven Central once)",
    )


def servers(settings: Settings) -> list[Finding]:
    """What the profile at scale needs: each server that it names answers, and knows this home."""
    from feature_repo.profile import profile_settings
    from feature_repo.servers import postgres_version, redis_version
    from lake.spark import master_answers

    try:
        profile = profile_settings(settings)
    except MarqueeError as error:
        return [Finding("servers", False, "not all are named", str(error))]
    master = settings.spark_master
    well = master_answers(master)
    findings = [
        whose(settings),
        Finding("Spark master", well, master if well else "does not answer", f"start {master}, and workers"),
        asked("registry", lambda: Finding("registry", True, postgres_version(profile))),
        asked("online store", lambda: Finding("online store", True, redis_version(profile))),
    ]
    if findings[-1].well:
        findings.append(asked("online memory", lambda: online_memory(profile)))
    return findings


def asked(subject: str, ask: Callable[[], Finding]) -> Finding:
    """What was found by asking a server, or that it does not say."""
    from feature_repo.servers import unanswered

    try:
        return ask()
    except Exception as error:
        sentence = unanswered(error)
        if sentence is None:
            raise
        return Finding(subject, False, "down, or refuses", str(sentence))


def online_memory(profile: dict[str, Any]) -> Finding:
    """The server of the online store keeps what it is given."""
    from feature_repo.servers import eviction

    evicts = eviction(profile)
    found = "keeps all rows" if evicts is None else "may evict rows"
    return Finding("online memory", evicts is None, found, evicts or "")


def whose(settings: Settings) -> Finding:
    """The home is the one that the servers know."""
    from feature_repo.identity import identity_of, space_of

    subject = "home on servers"
    try:
        found = "not applied yet" if identity_of(settings.home) is None else space_of(settings.home)
    except MarqueeError as error:
        return Finding(subject, False, "another's, or damaged", str(error))
    return Finding(subject, True, found)


def fetch_jars(settings: Settings, stages: Stages) -> None:
    """Download Delta's jars by starting Spark once, then archive the classes that Spark loads."""
    from lake.spark_java import archive_of, delta_jars, make_archive

    if not java(settings).well:
        return
    if not delta_jars():
        stages.note(starting())
        with writing(settings.home):
            start_spark(settings).stop()
    if not archive_of(delta_jars()).exists():
        stages.note("Archiving Spark's classes, so that it starts in half the time (once, 200 MB)")
        if not make_archive():
            stages.note("Java made no archive: Spark works without, and starts slower")
