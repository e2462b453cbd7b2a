"""Parquet files that people give, opened and refused in one way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import MarqueeError


@contextmanager
def opened(file: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file, to be read within.

    Raises:
        MarqueeError: there is no such file, or it cannot be read as Parquet.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            yield parquet
    except (OSError, pa.ArrowException, NotImplementedError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise MarqueeError(f"{file} is not a Parquet file that can be read: {why}.") from error
    except UnicodeDecodeError as error:
        raise MarqueeError(f"{file} has a column whose name is no text in UTF-8: rename it.") from error


def check_names(file: Path, names: Sequence[str]) -> None:
    """Refuse a file of which two columns have one name.

    Raises:
        MarqueeError: naming the file and the column.
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise MarqueeError(f"{file} has several columns named {twice[0]}: rename all but one.")
