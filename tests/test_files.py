"""Files and folders are whole or absent."""

import json
from pathlib import Path

import pytest

from common.errors import MarqueeError
from common.files import (
    PARTIAL,
    digest_of,
    folder_atomically,
    held,
    is_whole,
    json_in,
    remove_partial,
    remove_partial_of,
    write_atomically,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "page", "old")
    write_atomically(tmp_path / "page", b"new")
    assert (tmp_path / "page").read_text() == "new"
    assert names(tmp_path) == ["page"]


def test_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomically(tmp_path / "page", "")
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o644


def test_file_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MarqueeError, match=r"Cannot write .*MARQUEE_HOME"):
        write_atomically(tmp_path / "file" / "page", "")


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000, '{"a": ' * 200_000])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        json_in(text)


def test_a_digest_tells_of_any_change_to_what_a_file_says() -> None:
    said = {"a": 1, "b": {"c": [2.5, None, "é"]}}
    written = json.dumps({**said, "digest": digest_of(said)})
    assert is_whole(json_in(written)) and is_whole(said)
    assert not is_whole(json_in(written.replace("2.5", "2.25")))
    assert not is_whole(json_in(written.replace('"a"', '"d"')))


def test_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with folder_atomically(tmp_path / "model") as folder:
            (folder / content).write_text(content)
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["new"]


def test_what_processes_still_write_is_not_taken_for_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / f".file.killed{PARTIAL}").write_text("")
    (tmp_path / f".folder.killed{PARTIAL}" / "deep").mkdir(parents=True)
    with folder_atomically(tmp_path / "model") as folder:
        remove_partial(tmp_path)
        assert names(tmp_path) == [folder.name]
    assert names(tmp_path) == ["model"]


def test_where_names_cannot_change_places_a_folder_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.files.EXCHANGE", 1 << 20)  # which no system knows
    test_folder_replaces_the_old_one_as_a_whole(tmp_path)


def test_failure_leaves_the_old_folder_and_no_remains(tmp_path: Path) -> None:
    with folder_atomically(tmp_path / "model") as folder:
        (folder / "old").write_text("")
    with pytest.raises(ZeroDivisionError), folder_atomically(tmp_path / "model") as folder:
        (folder / "new").write_text("")
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["old"]


def test_rows_that_a_killed_training_laid_down_are_removed_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "model"
    left, of_another = tmp_path / ".model.rows.x.partial", tmp_path / ".other.rows.x.partial"
    for folder in (left, of_another):
        folder.mkdir()
        (folder / "array").write_text("")
    remove_partial_of(out)
    assert not left.exists() and of_another.exists()
    with held(of_another):
        remove_partial_of(tmp_path / "other")
    assert of_another.exists()
    remove_partial_of(tmp_path / "absent" / "model")
