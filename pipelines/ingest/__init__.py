"""From a source's rows to the lake's clean tables and the quarantine, for any domain.

`check` parts a table's rows by SQL that `engine` runs by DuckDB or by Spark; `publish` replaces the lake's
tables by a source, `add` adds to them.
"""

from pipelines.ingest.add import add, add_events
from pipelines.ingest.publish import complete, ingest, not_yet
from pipelines.ingest.report import IngestReport, TableReport

__all__ = ["IngestReport", "TableReport", "add", "add_events", "complete", "ingest", "not_yet"]
