"""Folders that several tests of one process share."""

import atexit
import os
import shutil
from collections.abc import Hashable
from pathlib import Path
from tempfile import mkdtemp


def until_exit(name: str) -> Path:
    """A new folder that is gone when the process ends."""
    folder = Path(mkdtemp(prefix=f"marquee-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def files_of(folder: str) -> Hashable:
    """Names, lengths and instants of all files of a folder, equal to those of a copy of it."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            state = entry.stat()
            inside = files_of(entry.path) if entry.is_dir() else ()
            found.append((entry.name, state.st_size, state.st_mtime_ns, inside))
    return tuple(sorted(found))
