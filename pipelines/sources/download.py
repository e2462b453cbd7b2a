"""The official MovieLens archives, by name: resumed where cut, verified, unpacked whole or not at all."""

import contextlib
import difflib
import hashlib
import json
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx

from common.errors import MarqueeError
from common.files import cannot_write, folder_atomically, json_in, write_atomically
from common.locks import BusyError, locked
from common.progress import Progress, ignore

BASE_URL = "https://files.grouplens.org/datasets/movielens"
ARCHIVES = (
    "ml-latest-small",
    "ml-latest",
    "ml-32m",
    "ml-25m",
    "ml-20m",
    "ml-10m",
    "ml-1m",
    "ml-100k",
)
NO_POSTERS = (
    "Posters are not part of the MovieLens archives: name a folder of pictures called <movieId>.jpg "
    "with --posters, or go without them."
)

TRIES = 5
"""In a row without a new byte."""
PAUSE_SECONDS = 0.5
"""Before the second try; doubled for each further one."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
CHUNK_BYTES = 1 << 18


def check_archive(name: str) -> None:
    """Refuse an archive that there is not.

    Raises:
        MarqueeError: naming the nearest, or all.
    """
    if name not in ARCHIVES:
        near = difflib.get_close_matches(name.lower(), ARCHIVES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(ARCHIVES)}."
        raise MarqueeError(f"There is no MovieLens archive {name!r}; {hint}")


def fetch(
    name: str,
    folder: Path,
    *,
    base_url: str = BASE_URL,
    on_progress: Progress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """Download and unpack an archive, unless it is there already.

    The archive is read into `folder/.<name>.zip.part`. A cut connection is taken up again where it broke, in
    this run or the next, as long as the server's archive is still the same one (ETag or Last-Modified);
    otherwise it starts anew. The archive is verified by the MD5 that stands beside it, or, where there is
    none, by the checksums of the files in it.

    Args:
        name: one of `ARCHIVES`.
        folder: where the archive's folder goes.
        base_url: the folder of the archives on the server.
        on_progress: told the bytes that are here, and those that there will be.
        on_note: told in a sentence what a person should know, such as that there was no checksum.

    Returns:
        `folder/<name>`, which holds the archive's files.

    Raises:
        MarqueeError: an unknown name, no network, no such archive on the server, a checksum that does not
            match, an archive that cannot be unpacked safely, or a folder that cannot be written.
    """
    check_archive(name)
    target = folder.absolute() / name
    if target.is_dir() and any(target.iterdir()):
        return target
    url = f"{base_url.rstrip('/')}/{name}.zip"
    part = _Part(target.with_name(f".{name}.zip.part"))
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client, _locked(target.parent):
        if target.is_dir() and any(target.iterdir()):  # another run was faster
            return target
        _download(client, url, part, on_progress or ignore)
        try:
            _verify(client, url, part.path, on_note or (lambda _note: None))
            _unpack(part.path, target)
        except _CorruptArchiveError as error:
            part.forget()
            raise MarqueeError(f"The archive from {url} is corrupt ({error}); fetch it again.") from error
        part.forget()
    return target


# --- downloading ----------------------------------------------------------------------------------------


class _CorruptArchiveError(Exception):
    """The archive is not what it should be: it is thrown away."""


class _CutError(Exception):
    """The transfer broke off, or the server asks for patience; worth another try."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An unfinished download, and beside it what tells whether the server still has the same archive."""

    path: Path

    @property
    def _validator_path(self) -> Path:
        return self.path.with_suffix(".validator")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json_in(self._validator_path.read_text())["validator"])
        return ""

    def begin(self, validator: str) -> None:
        """Empty the file and remember which archive it will hold."""
        self.path.write_bytes(b"")
        write_atomically(self._validator_path, json.dumps({"validator": validator}))

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._validator_path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second run from writing into the same download. The lock ends with the process."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock"))
        except BusyError as busy:
            raise MarqueeError(
                f"Another run (process {busy.holder}) is fetching into {folder}; wait until it ends."
            ) from None
        yield


def _download(client: httpx.Client, url: str, part: _Part, on_progress: Progress) -> None:
    """Bring the file in full, trying again as long as that makes headway."""
    failures = 0
    while True:
        before = part.size()
        try:
            return _transfer(client, url, part, on_progress)
        except (_CutError, httpx.RequestError) as error:
            failures = 1 if part.size() > before else failures + 1
            if failures >= TRIES:
                raise MarqueeError(
                    f"Cannot get {url} ({_why(error)}): check the network and run the same command again, "
                    "which goes on where it broke off, or unpack a copy and name its folder with --path."
                ) from error
            time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))
        except httpx.InvalidURL as error:
            raise MarqueeError(f"{url} is no address ({error}); mend the base address.") from error
        except OSError as error:
            raise cannot_write(part.path, error) from error


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _transfer(client: httpx.Client, url: str, part: _Part, on_progress: Progress) -> None:
    """One request, for what is still missing."""
    start, validator = part.size(), part.validator()
    # Without a validator there is no telling whether the rest belongs to the same archive.
    resuming = start > 0 and validator != ""
    headers = {"Accept-Encoding": "identity"}
    if resuming:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        if resuming and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            same = _validator(response) in ("", validator)
            if same and response.headers.get("Content-Range") == f"bytes */{start}":
                _tell(on_progress, start, start)
                return  # it was all here
            part.forget()
            raise _CutError("the archive has changed")
        _check_status(response, url)
        if resuming and response.status_code == httpx.codes.PARTIAL_CONTENT:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                part.forget()
                raise _CutError("the server sent another range than the one asked for")
        else:
            part.begin(_validator(response))
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        here = start
        _tell(on_progress, here, total)
        with part.path.open("ab") as file:
            # As it comes: chunks of a fixed size would lose up to one of them at a cut.
            for chunk in response.iter_raw():
                file.write(chunk)
                here += len(chunk)
                _tell(on_progress, here, total)


def _tell(on_progress: Progress, here: int, total: int | None) -> None:
    on_progress(f"{here / 1e6:,.1f} MB", here, total or 0)


def _validator(response: httpx.Response) -> str:
    """What `If-Range` may name: a strong ETag, else the date."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _check_status(response: httpx.Response, url: str) -> None:
    code = response.status_code
    if code == httpx.codes.NOT_FOUND:
        raise MarqueeError(f"There is no archive at {url} (HTTP 404): check the base address.")
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= 500:
        raise _CutError(f"HTTP {code}")
    if code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise MarqueeError(f"The server refuses {url} (HTTP {code}).")


# --- verifying and unpacking ----------------------------------------------------------------------------


def _verify(client: httpx.Client, url: str, archive: Path, on_note: Callable[[str], None]) -> None:
    expected = _published_md5(client, f"{url}.md5")
    if expected is None:
        on_note(f"There is no checksum beside {url}: the archive was verified by those of the files in it.")
    else:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != expected:
            raise _CorruptArchiveError(f"its MD5 is {found}, and should be {expected}")
    try:
        with zipfile.ZipFile(archive) as zipped:
            damaged = zipped.testzip() if expected is None else None
    except Exception as error:  # damaged archives raise anything
        raise _CorruptArchiveError(_why(error)) from error
    if damaged is not None:
        raise _CorruptArchiveError(f"{damaged} in it is damaged")


def _published_md5(client: httpx.Client, url: str) -> str | None:
    """The checksum at `url` ("<md5>  <file>" or "MD5 (<file>) = <md5>"), None where there is none."""
    for failures in range(1, TRIES + 1):
        try:
            response = client.get(url)
            if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
                return None
            _check_status(response, url)
        except (_CutError, httpx.RequestError) as error:
            if failures == TRIES:
                raise MarqueeError(
                    f"Cannot get the checksum {url} ({_why(error)}): check the network and run the same "
                    "command again; what was downloaded is kept."
                ) from error
            time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))
        else:
            found = re.search(r"\b[0-9a-fA-F]{32}\b", response.text)
            if found is None:
                raise MarqueeError(f"{url} holds no MD5 checksum; fetch again later.")
            return found[0].lower()
    raise AssertionError("the last try returns or raises")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack into `target`, without the one folder that the archive's files lie in."""
    try:
        zipped = zipfile.ZipFile(archive)
    except Exception as error:
        raise _CorruptArchiveError(_why(error)) from error
    with zipped:
        members = [member for member in zipped.infolist() if not member.is_dir()]
        paths = [_safe_path(member) for member in members]
        if not members:
            raise _CorruptArchiveError("it holds no files")
        needed, free = sum(member.file_size for member in members), shutil.disk_usage(archive.parent).free
        if needed > free:
            raise MarqueeError(
                f"Unpacking {target.name} needs {needed:,} bytes and {archive.parent} has {free:,} left; "
                "free some space."
            )
        tops = {path.parts[0] for path in paths}
        nested = len(tops) == 1 and all(len(path.parts) > 1 for path in paths)
        with folder_atomically(target) as folder:
            for member, path in zip(members, paths, strict=True):
                inside = folder.joinpath(*path.parts[1:]) if nested else folder / path
                inside.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with zipped.open(member) as packed, inside.open("wb") as file:
                        shutil.copyfileobj(packed, file, CHUNK_BYTES)
                except OSError:
                    raise
                except Exception as error:  # damaged archives raise anything
                    raise _CorruptArchiveError(_why(error)) from error


def _safe_path(member: zipfile.ZipInfo) -> PurePosixPath:
    """The member's path, sure to stay below the folder that it is unpacked into."""
    path = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or is_link or not path.parts:
        raise _CorruptArchiveError(f"it holds {member.filename!r}, which would leave its folder")
    return path
