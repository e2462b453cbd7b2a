"""The lake's tables without Spark: one Delta table a folder, opened, counted, appended to and replaced."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from common.errors import MarqueeError
from common.files import REFUSALS, cannot_write
from lake.damage import check_files, put_aside, reading
from lake.opening import opened
from lake.write import LOG, write

PROPERTIES = {
    # Incremental jobs read what is new in a table.
    "delta.enableChangeDataFeed": "true",
    # The rows that a model was trained on can be had as long as their files are there: so must their log.
    "delta.logRetentionDuration": "interval 3650 days",
}
"""What every table of the lake is made with, whoever makes it."""
USER_METADATA = "userMetadata"
"""Where a commit keeps what its writer says of it."""


def exists(lake: Path, name: str) -> bool:
    """Whether the lake has a table."""
    return (lake / name / LOG).is_dir()


def require(lake: Path, name: str) -> None:
    """Refuse a table that the lake does not have.

    Raises:
        MarqueeError: the table is not there.
    """
    if not exists(lake, name):
        raise MarqueeError(
            f"There is no table {name} in {lake}: run `marquee run` or `marquee pipeline run` first."
        )


def open_table(lake: Path, name: str, version: int | None = None) -> DeltaTable:
    """A table at a version, or at its newest; its data files may be gone.

    Raises:
        MarqueeError: the table is not there, or its log cannot be read.
    """
    require(lake, name)
    with reading(lake / name, version):
        return opened(lake / name, version)


def rows_of(lake: Path, name: str, version: int | None = None) -> pads.Dataset:
    """The rows of a table at a version, or at its newest; nothing is read yet.

    Raises:
        MarqueeError: as `require_rows`.
    """
    return require_rows(lake, name, version).to_pyarrow_dataset()


def require_rows(lake: Path, name: str, version: int | None = None) -> DeltaTable:
    """A table as `open_table` gives it, whose rows can be read.

    Raises:
        MarqueeError: as `open_table`; or a data file is gone or was cut off.
    """
    table = open_table(lake, name, version)
    check_files(lake / name, table, version)
    return table


def newest_version(lake: Path, name: str) -> int:
    """The number of a table's newest version.

    Raises:
        MarqueeError: as `open_table`.
    """
    return open_table(lake, name).version()


def commit_digest(folder: Path, version: int) -> str:
    """What tells the commit of a version from another of the same number, as a lake that was put back, or
    that lost its newest commit, makes them; "" where the log does not have it.

    Args:
        folder: of the table.
    """
    try:
        text = (folder / LOG / f"{version:020}.json").read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(text).hexdigest()[:16]


def commit_digests(lake: Path, versions: Mapping[str, int]) -> dict[str, str]:
    """The digest of the commit of a version of each table."""
    return {name: commit_digest(lake / name, version) for name, version in versions.items()}


def require_versions(
    lake: Path, versions: Mapping[str, int], made: str, commits: Mapping[str, str] | None = None
) -> None:
    """Refuse to go on where a version of a table cannot be read any more, or is another one.

    Args:
        versions: by table.
        made: what was made of them, for the sentence.
        commits: by table, as `commit_digests` gave them; None where nobody asked.

    Raises:
        MarqueeError: naming the table and the version.
    """
    for name, version in versions.items():
        if not exists(lake, name):
            raise MarqueeError(f"There is no table {name} in {lake}: use the home of {made}.")
        try:
            require_rows(lake, name, version)
        except MarqueeError as error:
            raise MarqueeError(f"{error} {made} was made of it.") from error
        if commits and commits.get(name) != commit_digest(lake / name, version):
            raise MarqueeError(
                f"Version {version} of table {name} in {lake} is not the one that {made} was made of: use its"
                " home as it was."
            )


def count_rows(lake: Path, name: str) -> int:
    """Rows of a table's newest version by its log, without reading the data.

    Raises:
        MarqueeError: as `open_table`.
    """
    files = open_table(lake, name).get_add_actions(flatten=True)
    return int(sum(files["num_records"].to_pylist())) if files.num_rows else 0


def said_of(lake: Path, name: str) -> str:
    """What the newest commit that says something says of itself, as `append` and `overwrite` were told; ""
    where none does. Commits of maintenance say nothing.

    Raises:
        MarqueeError: as `open_table`.
    """
    table = open_table(lake, name)
    with reading(lake / name):
        history = table.history()
    return next((str(commit[USER_METADATA]) for commit in history if commit.get(USER_METADATA)), "")


def last_commit(lake: Path, name: str) -> Mapping[str, Any]:
    """The newest commit's entry in the log.

    Raises:
        MarqueeError: as `open_table`.
    """
    table = open_table(lake, name)
    with reading(lake / name):
        (commit,) = table.history(1)
    return commit


def append(rows: pa.Table, lake: Path, name: str, metadata: str = "") -> None:
    """Add rows to a table that is there, in one commit.

    Args:
        rows: with the table's columns, in any order; they are cast to its types.
        metadata: what the commit says of itself.

    Raises:
        MarqueeError: the table is not there, the lake cannot be written, or the disk is full.
    """
    schema = open_table(lake, name).to_pyarrow_dataset().schema
    try:
        write(lake / name, rows.select(schema.names).cast(schema), said={USER_METADATA: metadata})
    except (OSError, DeltaError) as error:
        raise not_written(lake, name, error) from error


def overwrite(rows: pa.Table, lake: Path, name: str, metadata: str = "") -> None:
    """Replace a table's rows and columns in one commit; readers see the old version or the new one.

    A table that cannot be read is put aside, and made anew.

    Args:
        rows: in the types that `feature_repo.arrow` declares.
        metadata: what the commit says of itself.

    Raises:
        MarqueeError: the lake cannot be written, or the disk is full.
    """
    make_folder(lake, name)
    put_aside(lake / name)
    try:
        write(lake / name, rows, overwrite=True, properties=PROPERTIES, said={USER_METADATA: metadata})
    except (OSError, DeltaError) as error:
        raise not_written(lake, name, error) from error


def make_folder(lake: Path, name: str) -> None:
    """Make a table's folder.

    Raises:
        MarqueeError: the lake cannot be written.
    """
    try:
        (lake / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(lake / name, error) from error


def not_written(lake: Path, name: str, error: Exception) -> Exception:
    """The sentence for a write that the disk refused; any other error as it is."""
    refusal = next((text for text in REFUSALS if text in str(error)), None)
    if refusal is None:
        return error
    return MarqueeError(
        f"Cannot write table {name} in {lake}: {refusal}. "
        "Free some space or choose a writable folder (--home or MARQUEE_HOME)."
    )
