"""One number for all values of a table, or of files, to tell whether two sets of rows are the same."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from hashlib import _Hash


def fingerprint(table: pa.Table) -> str:
    """SHA-256 of a table's columns, by name, and of their values, row by row.

    Chunks do not matter, nor what lies beneath a null.

    Args:
        table: of integers, floats, booleans, timestamps, strings, and lists of these.
    """
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        digest.update(name.encode() + b"\0")
        _add(digest, table[name].combine_chunks())
    return digest.hexdigest()


def fingerprint_of(files: Sequence[Path]) -> str:
    """SHA-256 of a file's bytes, or of those of several files."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _add(digest: "_Hash", values: pa.Array) -> None:
    kind = values.type
    digest.update(f"{kind} {len(values)} {values.null_count}\0".encode())
    if pa.types.is_null(kind):
        return
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.fill_null(pc.list_value_length(values), -1)
        digest.update(lengths.to_numpy().astype(np.int64).tobytes())
        _add(digest, pc.list_flatten(values))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        lengths = pc.fill_null(pc.binary_length(values), -1)
        digest.update(lengths.to_numpy().astype(np.int64).tobytes())
        digest.update(b"".join(text.as_buffer() for text in values if text.is_valid))
    else:
        digest.update(values.is_valid().to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_timestamp(kind):
            values = values.cast(pa.int64())
        digest.update(
            pc.fill_null(values, False if pa.types.is_boolean(kind) else 0)
            .to_numpy(zero_copy_only=False)
            .tobytes()
        )
