"""What a report says of events, in a domain that is not movies; counted by plain loops."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from app.facts import MOST_VALUES, EventFacts, event_facts, identified, refusals
from app.report import data_figures
from feature_repo.define.table import QUARANTINE
from tests.toy_domain import ARTICLE, PRESS, READER

START = datetime(2019, 12, 31, 23, 59, 58, tzinfo=UTC)


def reads(lake: Path, minutes: list[float]) -> pa.Table:
    """Reads of one minute-column, many of them at one instant; written to the lake."""
    rng = np.random.default_rng(0)
    rows = len(minutes)
    table = pa.table(
        {
            "reader_id": rng.integers(1, 4, rows),
            "article_id": [f"a{number}" for number in rng.integers(0, 9, rows)],
            "minutes": minutes,
            "event_timestamp": pa.array(
                [START + timedelta(seconds=int(second)) for second in rng.integers(0, 6, rows)],
                pa.timestamp("us", "UTC"),
            ),
        }
    )
    write_deltalake(lake / "reads", table)
    return table


def test_facts_are_those_of_plain_loops(tmp_path: Path) -> None:
    minutes = [0.25, 1.0, 3.0, 3.0, 5.5] * 8
    rows = reads(tmp_path, minutes).to_pylist()
    together = Counter((row["reader_id"], row["event_timestamp"]) for row in rows)
    assert event_facts(tmp_path, PRESS, "1GB") == EventFacts(
        rows=40,
        keys={
            "reader": len({row["reader_id"] for row in rows}),
            "article": len({row["article_id"] for row in rows}),
        },
        first=min(row["event_timestamp"] for row in rows).strftime("%Y-%m-%d"),
        last=max(row["event_timestamp"] for row in rows).strftime("%Y-%m-%d"),
        positive=24 / 40,
        shared_instants=pytest.approx(sum(number for number in together.values() if number > 1) / 40),
        values={0.25: 8, 1.0: 8, 3.0: 16, 5.5: 8},
        by_year=dict(sorted(Counter(row["event_timestamp"].year for row in rows).items())),
    )


def test_the_share_is_that_of_the_events_that_have_a_label(tmp_path: Path) -> None:
    reads(tmp_path, [0.25, 1.0, 3.0, 3.0, 5.5] * 8)
    (finished, *others) = PRESS.tasks
    dropped = replace(finished, at_least=5.0, below=3.0)
    facts = event_facts(tmp_path, replace(PRESS, tasks=(dropped, *others)), "1GB")
    assert facts.positive == 8 / 24


def test_no_bars_for_a_value_that_hardly_repeats(tmp_path: Path) -> None:
    reads(tmp_path, [number / 4 for number in range(MOST_VALUES + 1)])
    facts = event_facts(tmp_path, PRESS, "1GB")
    assert facts.values == {}
    assert [figure.caption for figure in data_figures(PRESS, facts)] == ["Reads by year."]


def test_figures_are_named_after_the_events(tmp_path: Path) -> None:
    reads(tmp_path, [1.0, 2.0])
    captions = [figure.caption for figure in data_figures(PRESS, event_facts(tmp_path, PRESS, "1GB"))]
    assert captions == ["Reads by minutes.", "Reads by year."]


def test_a_key_is_called_by_what_it_identifies() -> None:
    assert (identified(READER), identified(ARTICLE)) == ("reader", "article")


def test_quarantine_is_shown_by_table_and_rule_with_its_first_row(tmp_path: Path) -> None:
    columns = ("table", "rule", "reason", "source", "row", "record")
    rows = [
        ("reads", "late", "too late", "b.csv", 1, "x"),
        ("reads", "late", "too late indeed", "a.csv", 7, "y"),
        ("reads", "early", "too early", "a.csv", 3, "z"),
    ]
    write_deltalake(
        tmp_path / QUARANTINE, pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows])
    )
    early, late = refusals(tmp_path, PRESS, "1GB")
    assert (early.rule, early.rows, early.row) == ("early", 1, 3)
    assert (late.rule, late.rows, late.reason, late.source, late.row, late.record) == (
        *("late", 2, "too late indeed", "a.csv", 7, "y"),
    )
