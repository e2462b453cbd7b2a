"""What became of the rows that were read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of one table's rows: `read` = `accepted` + `quarantined` + `known` + `changed`.

    Args:
        read: rows that were asked for.
        accepted: rows that are new in the lake.
        quarantined: rows that broke a rule.
        by_rule: how many of these broke which rule.
        known: rows that the lake had already, where a source was added to it.
        changed: rows of a catalogue that the lake had otherwise, where a source was added to it.
        left_out: further rows of the source that were not asked for.
        reasons: the first row of each rule broken: what is wrong with it.
        notes: sentences about what was guessed in reading.
    """

    read: int
    accepted: int
    quarantined: int
    by_rule: dict[str, int]
    known: int = 0
    changed: int = 0
    left_out: int = 0
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of every row read.

    Args:
        source: the source in words.
        tables: by name.
        opening: sentences about what was guessed in opening it.
    """

    source: str
    tables: dict[str, TableReport]
    opening: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about all that was guessed."""
        return (*self.opening, *(note for table in self.tables.values() for note in table.notes))
