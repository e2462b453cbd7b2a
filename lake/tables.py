"""The lake's tables without Spark: one Delta table a folder, opened, counted, appended to and replaced."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from common.errors import MarqueeError
from common.files import REFUSALS, cannot_write
from lake.write import write

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
    return (lake / name / "_delta_log").is_dir()


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
    """A table at a version, or at its newest.

    Raises:
        MarqueeError: the table is not there.
    """
    require(lake, name)
    return DeltaTable(lake / name, version=version)


def newest_version(lake: Path, name: str) -> int:
    """The number of a table's newest version.

    Raises:
        MarqueeError: the table is not there.
    """
    return open_table(lake, name).version()


def require_versions(lake: Path, versions: Mapping[str, int], made: str) -> None:
    """Refuse to go on where a version of a table cannot be read any more.

    Args:
        versions: by table.
        made: what was made of them, for the sentence.

    Raises:
        MarqueeError: naming the table and the version.
    """
    for name, version in versions.items():
        if not exists(lake, name):
            raise MarqueeError(f"There is no table {name} in {lake}: use the home of {made}.")
        try:
            whole = _files_are_there(lake, name, DeltaTable(lake / name, version=version))
        except (DeltaError, OSError) as error:
            raise MarqueeError(
                f"Version {version} of {name}, which {made} was made of, is not in {lake}: {error}."
            ) from error
        if not whole:
            raise MarqueeError(
                f"Version {version} of {name}, which {made} was made of, is gone from {lake}:"
                " its files were vacuumed."
            )


def count_rows(lake: Path, name: str) -> int:
    """Rows of a table's newest version by its log, without reading the data.

    Raises:
        MarqueeError: the table is not there.
    """
    files = open_table(lake, name).get_add_actions(flatten=True)
    return int(sum(files["num_records"].to_pylist())) if files.num_rows else 0


def files_are_gone(lake: Path, name: str) -> bool:
    """Whether a data file of a table's newest version is missing, so that its rows cannot be read.

    Raises:
        MarqueeError: the table is not there.
    """
    return not _files_are_there(lake, name, open_table(lake, name))


def _files_are_there(lake: Path, name: str, table: DeltaTable) -> bool:
    return all((lake / name / unquote(file)).exists() for file in table.files())


def said_of(lake: Path, name: str) -> str:
    """What the newest commit that says something says of itself, as `append` and `overwrite` were told; ""
    where none does. Commits of maintenance say nothing.

    Raises:
        MarqueeError: the table is not there.
    """
    history = open_table(lake, name).history()
    return next((str(commit[USER_METADATA]) for commit in history if commit.get(USER_METADATA)), "")


def last_commit(lake: Path, name: str) -> Mapping[str, Any]:
    """The newest commit's entry in the log.

    Raises:
        MarqueeError: the table is not there.
    """
    (commit,) = open_table(lake, name).history(1)
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

    Args:
        rows: in the types that `feature_repo.arrow` declares.
        metadata: what the commit says of itself.

    Raises:
        MarqueeError: the lake cannot be written, or the disk is full.
    """
    make_folder(lake, name)
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
