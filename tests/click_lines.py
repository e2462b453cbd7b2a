"""Lines of click logs as they are published, files of them, and what is read of those."""

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feature_repo.define.domain import Domain
from feature_repo.domains.clicks.criteo import CRITEO
from lake.session import StartSpark
from pipelines.ingest import IngestReport, ingest
from pipelines.sources.click_logs import AVAZU_HEADER, READERS
from tests.raw_rows import table_rows

AVAZU_LINE = (
    "10000169349117863715,0,14102100,1005,0,1fbe01fe,f3845767,28905ebd,ecad2386,7801e8d9,07d7df22,a99f214a,"
    "96809ac8,711ee120,1,0,15704,320,50,1722,0,35,100084,79"
)
CRITEO_LINE = "\t".join(["1", *map(str, range(1, 14)), *(f"{place:08x}" for place in range(26))])


def criteo_line(**changed: str) -> str:
    """A good line but for some fields, such as `i2` or `c26`."""
    values = dict(zip(CRITEO.events.column_names[1:], CRITEO_LINE.split("\t"), strict=True)) | changed
    return "\t".join(values.values())


def avazu_line(**changed: str) -> str:
    """As `criteo_line`, in the header's order."""
    values = dict(zip(AVAZU_HEADER.lower().split(","), AVAZU_LINE.split(","), strict=True)) | changed
    return ",".join(values.values())


def written(path: Path, lines: Iterable[str], end: str = "\n") -> Path:
    data = "".join(line + end for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(start: StartSpark, log: Domain, path: Path, lake: Path) -> IngestReport:
    return ingest(start, READERS[log.name](path), lake, log)


def stored(lake: Path, log: Domain) -> list[dict[str, Any]]:
    return table_rows(lake, log.events.name)
