"""The tables that the gate judges and those that they refer to, by name, in an engine that runs SQL.

The SQL is one text in the words of `lake.dialect`, whichever engine runs it.
"""

from typing import Any, Protocol


class QueryError(Exception):
    """The engine could not run a query; the message is one line."""


class Tables(Protocol):
    """Tables in an engine; queries find a table by `checks.relation`."""

    def __contains__(self, name: str) -> bool:
        """Whether there is such a table."""

    def types(self, name: str) -> dict[str, str]:
        """A table's columns and their types, named as in `checks.TYPE_NAMES` where they are declared ones."""

    def fetch(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query of few rows; instants are without a zone, in UTC.

        Raises:
            QueryError: the engine could not run it.
        """
