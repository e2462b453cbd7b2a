"""The engine gives what the golden files of operations say: at once, going on from any earlier row, by Arrow
and by Spark."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

from feature_repo.define.column import EVENT_TIMESTAMP
from pipelines.features.pieces import STATE
from tests.golden_operations import Golden, all_golden_cases
from tests.view_rows import computed, grown, seen_by_readers
from validation.audit.oracle import same

CASES = all_golden_cases()
OF_EVENTS = [case for case in CASES if not case.view.is_timeless]


def assert_golden(case: Golden, found: pa.Table) -> None:
    rows = seen_by_readers(case.view, found)
    assert len(rows) == len(case.rows)
    for got, want in zip(rows, case.rows, strict=True):
        got.pop(STATE, None)
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert same(got[name], value), (name, got, want)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernels_give_the_golden_rows(case: Golden) -> None:
    assert_golden(case, computed(case.view, case.arrow))


@pytest.mark.parametrize("case", OF_EVENTS, ids=lambda case: case.name)
def test_going_on_from_any_instant_gives_the_golden_rows(case: Golden) -> None:
    name = case.view.over.table.name
    events = case.arrow[name]
    for cut in sorted({row[EVENT_TIMESTAMP] for row in case.tables[name]}):
        early = pc.less(events.column(EVENT_TIMESTAMP), cut)
        batches = [{**case.arrow, name: events.filter(part)} for part in (early, pc.invert(early))]
        found, late = grown(case.view, batches)
        assert late == 0, "all of them come in time"
        assert_golden(case, found)


@pytest.mark.parametrize("case", OF_EVENTS, ids=lambda case: case.name)
def test_events_one_by_one_as_they_arrive_give_the_golden_rows(case: Golden) -> None:
    events = case.arrow[case.view.over.table.name]
    batches = [{**case.arrow, case.view.over.table.name: events.slice(at, 1)} for at in range(len(events))]
    assert_golden(case, grown(case.view, batches)[0])


@pytest.mark.parametrize("case", OF_EVENTS, ids=lambda case: case.name)
def test_spark_gives_the_golden_rows(case: Golden, spark: SparkSession) -> None:
    assert_golden(case, computed(case.view, case.arrow, spark))
