"""The plain loop over rows gives what the golden files say."""

from datetime import timedelta

import pytest

from tests.golden_operations import FOLDER, OPERATIONS, Golden, all_golden_cases, golden_cases
from validation.audit.oracle import events_by_key, feature_rows, features_at, same


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_a_golden_file_that_uses_it(operation: str) -> None:
    features = [feature for case in golden_cases(operation) for feature in case.view.features]
    assert any(isinstance(feature, OPERATIONS[operation]) for feature in features)


def test_every_golden_file_is_of_an_operation() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(OPERATIONS)


@pytest.mark.parametrize("case", all_golden_cases(), ids=lambda case: case.name)
def test_the_loop_gives_the_golden_rows(case: Golden) -> None:
    found = feature_rows(case.view, case.tables)
    assert len(found) == len(case.rows)
    for got, want in zip(found, case.rows, strict=True):
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert same(got[name], value), (name, got, want)


@pytest.mark.parametrize("case", all_golden_cases(), ids=lambda case: case.name)
def test_at_each_instant_the_newest_row_holds(case: Golden) -> None:
    rows = feature_rows(case.view, case.tables)
    events = events_by_key(case.view, case.tables)
    key = case.view.by.name
    names = [column.name for column in case.view.columns]
    for row in rows:
        known = [other for other in rows if other[key] == row[key]]
        at = row["event_timestamp"]
        assert features_at(case.view, events[row[key]], at) == {name: row[name] for name in names}
        earlier = [other for other in known if other["event_timestamp"] < at]
        before = features_at(case.view, events[row[key]], at - timedelta(microseconds=1))
        assert before == ({name: earlier[-1][name] for name in names} if earlier else None)
