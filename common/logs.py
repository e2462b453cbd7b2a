"""What is kept of errors that nobody foresaw: their tracebacks, without passwords."""

import os
import shlex
import sys
import tempfile
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

FILE = "errors.log"
MOST = 2**20
"""Bytes after which a new log begins; one old one is kept."""
LEAST = 3
"""Characters of a password that is looked for: a shorter one is in any word."""


def write_traceback(error: BaseException, home: Path) -> Path | None:
    """Add a traceback to the log in a home that is there, or put it into a temporary file.

    Returns:
        The file; None where no disk takes one.
    """
    when, command = datetime.now(UTC).isoformat(timespec="seconds"), shlex.join(sys.argv[1:])
    lines = traceback.format_exception(error)
    text = without_passwords(f"{when} marquee {command}\n{''.join(lines)}\n")
    with suppress(OSError):
        if home.is_dir():
            log = home / "logs" / FILE
            log.parent.mkdir(exist_ok=True)
            if log.exists() and log.stat().st_size > MOST:
                log.replace(log.with_name(f"{FILE}.1"))
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return log
    with suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix="marquee-error-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return Path(name)
    return None


def without_passwords(text: str) -> str:
    """A text in which the passwords that the environment holds are blotted out."""
    for password in sorted(_passwords(), key=len, reverse=True):
        text = text.replace(password, "***")
    return text


def _passwords() -> set[str]:
    """Of the servers that the settings name."""
    found = {
        part.partition("=")[2]
        for part in os.environ.get("MARQUEE_REDIS", "").split(",")
        if part.startswith("password=")
    }
    with suppress(ValueError):
        given = urlsplit(os.environ.get("MARQUEE_POSTGRES", "")).password or ""
        found |= {given, unquote(given)}
    return {password for password in found if len(password) >= LEAST}
