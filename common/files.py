"""Files and folders that are either whole or absent."""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from common.errors import MarqueeError

REFUSALS = ("No space left on device", "Permission denied", "Read-only file system", "Disk quota exceeded")
"""What the operating system says when it will not write."""
PARTIAL = ".partial"
"""How the names of hidden files and folders end that are not whole yet, and that their process holds."""

HERE, EXCHANGE = -100, 2
"""Of `renameat2`: names are relative to the working folder; change their places."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    Raises:
        MarqueeError: the folder cannot be written, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL, delete=False
        ) as file:
            temporary = Path(file.name)
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)  # a temporary file is private
            temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def json_in(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, or is nested more deeply than anybody writes.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of what a JSON file says, all but its `digest`, by which a reader sees that it is whole."""
    said = {name: value for name, value in values.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def is_whole(values: Mapping[str, Any]) -> bool:
    """Whether a JSON file says what was written, by its `digest`; older files have none and are believed."""
    return values.get("digest", "") in ("", digest_of(values))


@contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; on success it becomes `path`, replacing what was there.

    On an exception the temporary folder is removed and `path` is left as it was.

    Raises:
        MarqueeError: the parent folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with held(temporary):
            yield temporary
        temporary.chmod(0o755)  # mkdtemp makes it private
        if not path.exists():
            temporary.replace(path)
        elif _exchanged(temporary, path):
            shutil.rmtree(temporary)
        else:  # for a moment there is neither
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(retired / path.name)
            temporary.replace(path)
            shutil.rmtree(retired)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise cannot_write(path, error) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if libc.renameat2(HERE, names[0], HERE, names[1], EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), os.fspath(other))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a temporary file or folder, so that nobody takes it for what a killed process left."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_partial(folder: Path) -> None:
    """Remove the temporary files and folders below one that killed processes left."""
    for place, inner, files in os.walk(folder):
        for name in (*files, *inner):
            if name.startswith(".") and name.endswith(PARTIAL):
                _remove_unless_held(Path(place, name))
        inner[:] = [name for name in inner if not name.endswith(PARTIAL)]


def remove_partial_of(path: Path) -> None:
    """Remove what killed processes left beside a path, of files and folders that were to be it, or for it."""
    with suppress(OSError):  # there may be no such place yet
        for other in path.absolute().parent.iterdir():
            if other.name.startswith(f".{path.name}.") and other.name.endswith(PARTIAL):
                _remove_unless_held(other)


def _remove_unless_held(path: Path) -> None:
    with suppress(OSError), ExitStack() as stack:
        descriptor = os.open(path, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def unusable_name(path: str) -> str | None:
    """Why a path cannot be used, such as it was typed; None where it can."""
    if sys.getfilesystemencoding() != "utf-8" and not path.isascii():
        return "this locale does not name files in UTF-8: export LC_ALL=C.UTF-8"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "a path is text in UTF-8"
    return None


def file_to_write(path: Path) -> Path:
    """The path, where a file may be written.

    Raises:
        MarqueeError: it is a folder, a device or the like, or lies below a file.
    """
    if path.is_dir():
        raise MarqueeError(f"{path} is a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise MarqueeError(f"{path} is no regular file, and would be replaced by one: name another.")
    _refuse_below_a_file(path)
    return path


def refuse_to_replace(inputs: Mapping[str, Path | None], out: Path, option: str = "--out") -> None:
    """Refuse an output, file or folder, that would replace what it is made from, however they are spelt.

    Args:
        inputs: files and folders that are read, by the option that names them; None for none.
        option: that names the output.

    Raises:
        MarqueeError: naming both options.
    """
    place = Path(os.path.realpath(out))
    for name, given in inputs.items():
        read = None if given is None else Path(os.path.realpath(given))
        if read is not None and read.is_relative_to(place):
            what = "is" if read == place else "holds"
            raise MarqueeError(
                f"{option} {out} {what} what {name} reads, and would replace it: name another place."
            )


def folder_to_write(path: Path) -> Path:
    """The path, where a folder may be.

    Raises:
        MarqueeError: it is a file, or lies below one.
    """
    if path.exists() and not path.is_dir():
        raise MarqueeError(f"{path} is a file: name a folder.")
    _refuse_below_a_file(path)
    return path


def _refuse_below_a_file(path: Path) -> None:
    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        raise MarqueeError(f"Cannot write {path}: {above} is a file. Name another place.")


def cannot_write(path: Path, error: OSError) -> MarqueeError:
    """The sentence for a write that the operating system refused."""
    why = error.strerror or str(error)
    return MarqueeError(
        f"Cannot write {path}: {why}. Free some space or choose a writable folder (--home or MARQUEE_HOME)."
    )
