"""Folders that several tests of one process share."""

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp


def until_exit(name: str) -> Path:
    """A new folder that is gone when the process ends."""
    folder = Path(mkdtemp(prefix=f"marquee-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
