"""A table that is opened again is as its log has it now, whoever changed the log."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lake import opening
from lake.opening import opened
from lake.write import LOG


def add(folder: Path, *values: int) -> None:
    write_deltalake(folder, pa.table({"a": pa.array(values, pa.int64())}), mode="append")


def values(table: DeltaTable) -> list[int]:
    return sorted(table.to_pyarrow_table()["a"].to_pylist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = tmp_path / "table"
    add(table, 1)
    add(table, 2)
    return table


def test_a_log_that_is_unchanged_is_read_once(folder: Path) -> None:
    assert opened(folder) is opened(folder)
    assert opened(folder, 0) is opened(folder, 0)
    assert (values(opened(folder)), values(opened(folder, 0))) == ([1, 2], [1])


def newest(folder: Path) -> Path:
    return max((folder / LOG).glob("*.json"))


def put_back(folder: Path) -> None:
    """Another table of as many versions takes the place."""
    other = folder.with_name("other")
    add(other, 3)
    add(other, 4)
    shutil.rmtree(folder)
    other.rename(folder)


def rewrite(folder: Path) -> None:
    """The newest commit says the same of another file, in as many bytes."""
    (file,) = set(DeltaTable(folder).files()) - set(DeltaTable(folder, version=0).files())
    other = "q" + file[1:]
    (folder / file).rename(folder / other)
    newest(folder).write_text(newest(folder).read_text().replace(file, other))


CHANGES: dict[str, tuple[Callable[[Path], object], list[int]]] = {
    "a commit more": (lambda folder: add(folder, 5), [1, 2, 5]),
    "its newest commit is gone": (lambda folder: newest(folder).unlink(), [1]),
    "another table": (put_back, [3, 4]),
    "a commit that is edited": (rewrite, [1, 2]),
    "restored": (lambda folder: DeltaTable(folder).restore(0), [1]),
    "a checkpoint": (lambda folder: DeltaTable(folder).create_checkpoint(), [1, 2]),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_log_that_changed_is_read_again(folder: Path, how: str) -> None:
    before = opened(folder)
    change, found = CHANGES[how]
    change(folder)
    after = opened(folder)
    assert after is not before
    assert values(after) == found


def test_a_commit_that_came_while_the_log_was_read_and_went_again_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_late(*given: Any, **named: Any) -> DeltaTable:
        add(folder, 5)
        return DeltaTable(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "DeltaTable", read_late)
        assert values(opened(folder)) == [1, 2, 5]
    newest(folder).unlink()
    assert values(opened(folder)) == [1, 2]


def test_a_log_that_is_damaged_is_not_taken_for_the_one_before(folder: Path) -> None:
    opened(folder)
    newest(folder).write_text("no JSON")
    with pytest.raises(Exception, match=r".+"):
        values(opened(folder))
