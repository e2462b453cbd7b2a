"""Who a home is to servers that several homes share: an id of its own, and where it lives.

Everything that a server holds for a home is called by its id, so that no home meets what is another's. A copy
has the id, too, and says that it lives elsewhere: a person tells whether it is the same home, moved, or a new
one. Stores that keep all within the home need none of this.
"""

import os
import platform
import secrets
import shlex
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import MarqueeError
from common.files import PARTIAL, cannot_write, held
from common.locks import locked

FILE = "identity.json"
"""Its name in the home."""
LOCK = ".registry.lock"
"""Name of the file in the home that one apply at a time holds."""
ANSWERS = "marquee home moved", "marquee home new"
"""The commands by which a person says that a home is the same one, or another."""


class Identity(BaseModel):
    """What a home says of itself.

    Args:
        id: what servers know it by.
        folder: where it lives, as an absolute path without links.
        machine: from where it was last said so. Several may share its file system.
        inode: of the file that this stands in; a copy at the same path of another machine has another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    folder: str = Field(min_length=1)
    machine: str
    inode: int


def identity_of(home: Path) -> Identity | None:
    """What a home says of itself; None where it was never applied to servers.

    Raises:
        MarqueeError: the file cannot be read, or is damaged.
    """
    file = home / FILE
    try:
        return Identity.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise MarqueeError(
            f"{file} cannot be read ({why}): restore it, or remove it and run marquee features apply, then"
            " marquee features materialize, which make the home a new one on the servers."
        ) from error


def give_identity(home: Path) -> None:
    """Make a home known to servers, if it is not: its first apply does. Of two at once, one is the first."""
    if identity_of(home) is None:
        with locked(home / LOCK, wait=True):
            if identity_of(home) is None:
                _write(home, _new_id())


def space_of(home: Path) -> str:
    """What all that servers hold for a home is called by.

    Raises:
        MarqueeError: the home was never applied, or lives elsewhere by what it says of itself.
    """
    found = identity_of(home)
    if found is None:
        raise MarqueeError(
            f"Nothing on the servers belongs to {home}: run marquee features apply, then marquee features"
            " materialize, first."
        )
    if not _lives_here(found, home):
        moved, new = _answers(home)
        raise MarqueeError(
            f"{home} is a copy of {_place(found, home)}, or was moved from there, and what the servers hold"
            f" belongs to that one: run {moved} if it is the same home, or {new} if it is another."
        )
    return f"marquee_{found.id}"


def say_moved(home: Path) -> str:
    """Take a home for the one that it says it is, which lives here now; where it lived before.

    Raises:
        MarqueeError: it was never applied, lives here already, or the other is still there.
    """
    found = _asked(home)
    other = Path(found.folder)
    still = identity_of(other) if other.is_dir() and not _is_folder(home, found.folder) else None
    if still is not None and still.id == found.id:
        _, new = _answers(home)
        raise MarqueeError(
            f"{other} is still there, and is the home that the servers know: remove it if {home} is to take"
            f" its place, or run {new}."
        )
    _write(home, found.id)
    return _place(found, home)


def say_new(home: Path) -> str:
    """Make a copied home one of its own, of which servers hold nothing yet; what it was a copy of.

    Raises:
        MarqueeError: it was never applied, or is no copy.
    """
    found = _asked(home)
    _write(home, _new_id())
    return _place(found, home)


def _asked(home: Path) -> Identity:
    """The identity of a home of which a person must say what it is."""
    found = identity_of(home)
    if found is None:
        raise MarqueeError(
            f"Nothing on the servers belongs to {home}: {' and '.join(ANSWERS)} are for homes of the profile"
            " scale, whose registry and rows are on servers, and say nothing before marquee features apply;"
            " an embedded home may be copied or moved freely."
        )
    if _lives_here(found, home):
        raise MarqueeError(f"{home} is neither a copy nor moved: there is nothing to say of it.")
    return found


def _lives_here(identity: Identity, home: Path) -> bool:
    """Whether a home lives where it says. Another machine may see the same file system, or have a copy."""
    same = identity.machine == platform.node() or identity.inode == (home / FILE).stat().st_ino
    return same and _is_folder(home, identity.folder)


def _is_folder(home: Path, folder: str) -> bool:
    return os.path.realpath(home) == folder


def _place(identity: Identity, home: Path) -> str:
    """Where a home lives, with the machine if that is all that differs."""
    return (
        f"{identity.folder} on {identity.machine}" if _is_folder(home, identity.folder) else identity.folder
    )


def _answers(home: Path) -> tuple[str, str]:
    where = f"--home {shlex.quote(os.fspath(home))}"
    moved, new = (f"`{command} {where}`" for command in ANSWERS)
    return moved, new


def _new_id() -> str:
    return secrets.token_hex(8)


def _write(home: Path, id: str) -> None:
    """Say who a home is, whole or not at all."""
    part: Path | None = None
    try:
        with (
            NamedTemporaryFile("w", dir=home, prefix=f".{FILE}.", suffix=PARTIAL, delete=False) as file,
            held(Path(file.name)),
        ):
            part = Path(file.name)
            inode = os.fstat(file.fileno()).st_ino
            said = Identity(id=id, folder=os.path.realpath(home), machine=platform.node(), inode=inode)
            file.write(said.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)  # a temporary file is private
        part.replace(home / FILE)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise cannot_write(home / FILE, error) from error
