"""Lines of text files, whatever encodes or compresses them, in memory or by Spark.

They are in UTF-8, or, where that does not fit, line by line in what is plausible: in Windows-1252, which has
the printable characters of Latin-1 where that has them, or in Latin-1 where Windows has none. UTF-16 is known
by its byte order mark.

Lines end with LF, CR LF or CR; the last needs no end. A byte order mark is no part of the first.
"""

import atexit
import gzip
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from common.errors import MarqueeError
from lake import session
from pipelines.sources.readings import Guess
from pipelines.sources.source import Rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

GZIP = b"\x1f\x8b"
PACKED = {b"PK\x03\x04": "a zip archive", b"BZh": "packed by bzip2", b"\xfd7zXZ": "packed by xz",
          b"\x28\xb5\x2f\xfd": "packed by zstd", b"PAR1": "a Parquet file"}  # fmt: skip
TAR = slice(257, 262)
"""Where a tar archive says that it is one."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
CHUNK = 1 << 22
GUESSED = "guessed"
"""The column of lines that says whether their encoding was guessed."""
ENCODING = Guess(
    GUESSED, "line", "not in UTF-8 and read as Windows-1252", "save the file as UTF-8 if names look wrong"
)
NOT_IN_WINDOWS = "\x81\x8d\x8f\x90\x9d"
IN_LATIN = "".join(char for char in map(chr, range(0x80, 0xA0)) if char not in NOT_IN_WINDOWS)
IN_WINDOWS = IN_LATIN.encode("latin-1").decode("cp1252")
"""Of the same bytes, what Latin-1 has and what Windows-1252 has, where they differ."""
OTHER_CODECS = (".bz2", ".deflate", ".lz4", ".snappy", ".zst")
"""How names end of files that Spark would unpack; what is packed so is refused."""
LINKED: dict[str, Path] = {}
"""Files that Spark reads by another name, by that name."""
LINE_IN_PARTITION = (1 << 33) - 1
"""`monotonically_increasing_id` has the partition above these bits, and within them the row in it."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a file.

    Args:
        texts: all of them, blank ones too.
        guessed: numbers, from 1, of those that are no UTF-8, whose encoding was guessed.
    """

    texts: list[str]
    guessed: frozenset[int]

    def numbered(self) -> Iterator[tuple[int, str]]:
        """The lines that are not blank, with their numbers from 1."""
        return ((number, text) for number, text in enumerate(self.texts, start=1) if text.strip(" "))


def read_lines(path: Path) -> Lines:
    """Read a text file.

    Raises:
        MarqueeError: the file cannot be read, or is not text.
    """
    return _lines(_read(path))


def _lines(data: bytes) -> Lines:
    if data.startswith(UTF_16):
        texts = re.split("\r\n|\r|\n", data.decode("utf-16", "replace"))
        return Lines(texts if texts[-1] else texts[:-1], frozenset())  # the last line's end begins no other
    texts, guessed = [], []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError:
            guessed.append(number)
            texts.append(plausible(line))
    return Lines(texts, frozenset(guessed))


def plausible(line: bytes) -> str:
    """A line that is no UTF-8, in the encoding that it most likely has."""
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def first_lines(path: Path, most: int) -> list[tuple[int, str]]:
    """The first lines that are not blank, with their numbers from 1.

    Raises:
        MarqueeError: the file cannot be read, or is not text.
    """
    start = _read(path, CHUNK)
    if start[TAR.start : TAR.stop] == b"ustar":
        raise _of_other_kind(path, "a tar archive")
    return list(islice(_lines(start).numbered(), most))


def line_rows(path: Path, header: bool) -> Rows:
    """The lines of a file that are not blank: `record`, `row` (their numbers), `source` and `GUESSED`.

    Args:
        header: whether the first of them is left out.

    Raises:
        MarqueeError: the file cannot be read, or is not text.
    """
    skipped = first_lines(path, 1)[0][0] if header else 0
    is_utf_16 = _read(path, 2).startswith(UTF_16)

    def in_memory() -> pa.Table:
        if not path.is_file():
            raise vanished(path)
        lines = read_lines(path)
        kept = [(at, text) for at, text in lines.numbered() if at > skipped]
        return pa.table(
            {
                "record": pa.array([text for _, text in kept], pa.string()),
                "row": pa.array([at for at, _ in kept], pa.int64()),
                "source": pa.repeat(str(path), len(kept)),
                GUESSED: pa.array([at in lines.guessed for at, _ in kept], pa.bool_()),
            }
        )

    def on_spark(spark: "SparkSession") -> "DataFrame":
        from pyspark.sql import functions as F

        if is_utf_16:
            return spark.createDataFrame(in_memory())  # Spark would take it for UTF-8
        lines = _numbered_lines(spark, path).where(~F.col("row").eqNullSafe(F.lit(skipped)))
        guessed = ~F.is_valid_utf8("record")
        record = F.when(guessed, _plausible("record")).otherwise(F.col("record")).alias("record")
        found = lines.where(F.trim("record") != "")
        return found.select(record, "row", F.lit(str(path)).alias("source"), guessed.alias(GUESSED))

    return Rows(_count(path), in_memory, on_spark)


def vanished(path: Path) -> MarqueeError:
    """The sentence for a file that was there a moment ago."""
    return MarqueeError(f"{path} vanished or changed while it was read; run again.")


def count_lines(path: Path) -> int:
    """How many lines a file has, blank ones too.

    Raises:
        MarqueeError: the file cannot be read, or is not text.
    """
    if _read(path, 2).startswith(UTF_16):
        return len(read_lines(path).texts)
    ends, last = 0, b""
    with _opened(path) as file:
        while chunk := _bytes(path, file, CHUNK):
            ends += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
            ends -= last == b"\r" and chunk.startswith(b"\n")
            last = chunk[-1:]
    return ends + (last not in (b"", b"\n", b"\r"))


def _count(path: Path) -> int:
    """Lines of a file; where they are not few, at least one more than these."""
    lines, last = 0, b"\n"
    with _opened(path) as file:
        while chunk := _bytes(path, file, CHUNK):
            lines += max(chunk.count(b"\n"), chunk.count(b"\r"))
            last = chunk[-1:]
            if lines > session.FEW:
                break
    return lines + (last not in b"\r\n")


def _read(path: Path, most: int = -1) -> bytes:
    """A file's bytes, or the first of them, unpacked.

    Raises:
        MarqueeError: it cannot be read, or is not text.
    """
    with _opened(path) as file:
        return _bytes(path, file, most)


def _bytes(path: Path, file: IO[bytes], most: int) -> bytes:
    """The next bytes of an open file.

    Raises:
        MarqueeError: it is packed, and damaged or cut off.
    """
    try:
        return file.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _opened(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked where they are packed by gzip, whatever its name."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
        for magic, what in PACKED.items():
            if start.startswith(magic):
                raise _of_other_kind(path, what)
        return gzip.open(path) if start.startswith(GZIP) else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise _unreadable(path, error) from error


def _of_other_kind(path: Path, what: str) -> MarqueeError:
    return MarqueeError(f"{path} is {what}, not text; unpack it, or save it as CSV.")


def check_readable(path: Path) -> None:
    """Read a file to its end.

    Raises:
        MarqueeError: it is packed, and damaged or cut off, or the disk refuses.
    """
    with _opened(path) as file:
        while _bytes(path, file, CHUNK):
            pass


def _unreadable(path: Path, error: Exception) -> MarqueeError:
    return MarqueeError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.")


def escaped(path: Path) -> str:
    """A path as Spark reads it, which takes it for a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", str(path))


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _is_hidden(name: str) -> bool:
    """Whether Spark passes a file of this name over without a word."""
    return name.startswith((".", "_")) or name.endswith("._COPYING_")


def _plausible(name: str) -> "Column":
    """`plausible` in Spark's words, which have Latin-1 but not Windows-1252."""
    from pyspark.sql import functions as F

    latin = F.decode(F.col(name).cast("binary"), "ISO-8859-1")
    only_latin = F.regexp_like(latin, F.lit(f"[{NOT_IN_WINDOWS}]"))
    return F.when(only_latin, latin).otherwise(F.translate(latin, IN_LATIN, IN_WINDOWS))


def _numbered_lines(spark: "SparkSession", path: Path) -> "DataFrame":
    """Lines of a text file: `record` and `row`, the line's number from 1, exact however the file is split.

    A file of one split costs no more than reading it; of several, one more pass counts the lines of each.
    """
    from pyspark.sql import functions as F

    if not path.is_file():
        raise vanished(path)
    is_gzip = _is_gzip(path)
    if is_gzip != (path.suffix == ".gz") or path.suffix in OTHER_CODECS or _is_hidden(path.name):
        # Spark knows what a file is by its name only, and may read it as long as the process lives.
        scratch = spark.sparkContext.getConf().get("spark.local.dir")
        folder = tempfile.mkdtemp(prefix="marquee-lines-", dir=scratch)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        link = Path(folder, "lines.gz" if is_gzip else "lines.txt")
        link.symlink_to(path)
        LINKED[str(link)] = path
        path = link
    lines = spark.read.text(f"file://{escaped(path)}").select(
        F.col("value").alias("record"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().bitwiseAND(F.lit(LINE_IN_PARTITION)).alias("line"),
    )
    if lines.rdd.getNumPartitions() == 1:
        return lines.select("record", F.when(F.col("block") == 0, F.col("line") + 1).alias("row"))
    counted = lines.groupBy("block").agg(F.count("*").alias("lines"), F.min("line").alias("first")).collect()
    offsets = []
    before = 0
    for split in sorted(counted, key=lambda split: int(split["block"])):
        # A partition may hold several splits; the lines of a later one do not start at 0.
        offsets.append((int(split["block"]), before - int(split["first"])))
        before += int(split["lines"])
    starts = spark.createDataFrame(
        pa.table({"block": [block for block, _ in offsets], "offset": [offset for _, offset in offsets]})
    )
    # A left join: no line is lost, whatever happens to the splits.
    return lines.join(F.broadcast(starts), "block", "left").select(
        "record", (F.col("line") + F.col("offset") + 1).alias("row")
    )
