"""Users, in every layout that has them: one table in one language, and bad rows by themselves."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.features.jobs import run_job
from pipelines.ingest import add, ingest
from pipelines.sources.movielens import read_movielens
from pipelines.sources.movielens_users import ITEM_USERS, OCCUPATIONS_1M, users_of
from tests.raw_rows import no_spark, part, table_rows
from tests.test_movielens import atomic_layout, csv_layout, dat_layout, ml_100k_layout

COLUMNS = DOMAIN.tables["users"].column_names
EXPECTED = [
    (1, 24, "F", "writer", "85711"),
    (2, 53, None, "other", "T8H1N"),
    (3, None, "M", None, None),
]
HEAD = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"

WRITTEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "dat": (dat_layout, "users.dat", "1::F::24::20::85711\n2::::53::0::T8H1N\n3::M::::::\n"),
    "100k": (ml_100k_layout, "u.user", "1|24|F|writer|85711\n2|53||other|T8H1N\n3||M||\n"),
    "atomic": (
        atomic_layout,
        "x.user",
        f"{HEAD}1\t24\tF\t20\t85711\n2\t53\t\tother\tT8H1N\n3\t\tM\t\t\n",
    ),
    "atomic, in another order": (
        atomic_layout,
        "x.user",
        "zip:token\tuser_id:token\tgender:token\tnote:token\toccupation:token\tage:token\n"
        "85711\t1\tF\tx\twriter\t24\nT8H1N\t2\t\t\tother\t53\n\t3\tM\t\t\t\n",
    ),
}


def users(lake: Path) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in table_rows(lake, "users")), key=repr)


@pytest.mark.parametrize("layout", WRITTEN)
def test_every_layout_gives_the_same_users(tmp_path: Path, layout: str) -> None:
    others, name, text = WRITTEN[layout]
    others(tmp_path)
    (tmp_path / name).write_text(text, "latin-1")
    source = read_movielens(tmp_path, first_movies=10)
    assert name in source.description
    report = ingest(no_spark, source, tmp_path / "lake", DOMAIN).tables["users"]
    assert (report.read, report.accepted) == (3, 3)
    assert users(tmp_path / "lake") == EXPECTED
    assert tuple(table_rows(tmp_path / "lake", "users")[0]) == COLUMNS


def test_users_are_nowhere_required(tmp_path: Path) -> None:
    for place, (layout, name, _) in enumerate(WRITTEN.values()):
        folder = tmp_path / str(place)
        folder.mkdir()
        layout(folder)
        assert "users" not in read_movielens(folder).tables, name
    csv_layout(tmp_path)
    (tmp_path / "users.dat").write_text("no users of this layout")
    assert "users" not in read_movielens(tmp_path).tables


def test_a_bad_row_is_quarantined_by_itself(start: StartSpark, tmp_path: Path) -> None:
    dat_layout(tmp_path)
    lines = {
        "1::F::1::10::48067": "",
        "2::M::56::16::caf\xe9": "",  # not in UTF-8
        "2::M::56::16::70072": "users_are_unique",
        "3::M::old::1::2": "age_is_number",
        "4::M::130::1::1": "age_in_range",
        "5::M::0::1::1": "age_in_range",
        "6::M::25::21::1": "occupation_is_known",
        "7::M::25::-1::1": "occupation_is_known",
        "8::M::25::3": "users_have_their_fields",
        "9::M::25::3::1::2": "users_have_their_fields",
        "x::M::25::3::1": "user_id_is_number",
        "::M::25::3::1": "user_id_is_present",
        "0::M::25::3::1": "user_id_in_range",
        "12:: :: :: :: ": "",  # nothing is told, not even a blank
    }
    (tmp_path / "users.dat").write_bytes("\n".join(lines).encode("latin-1"))
    found = part(start, DOMAIN, "users", read_movielens(tmp_path).tables["users"])
    assert found.read == len(lines)
    assert found.good == [
        (1, 1, "F", "K-12 student", "48067"),
        (12, None, None, None, None),
        (2, 56, "M", "self-employed", "café"),
    ]
    rules = {row: rule for row, (rule, _) in found.verdicts.items()}
    assert rules == {row: rule for row, rule in enumerate(lines.values(), start=1) if rule}
    assert found.verdicts[9][1] == "the line has 4 fields, not 5"
    assert any("1 line is not in UTF-8" in note for note in found.notes)
    layout = users_of(tmp_path / "users.dat", ITEM_USERS)  # bars, which patterns have a use for
    assert set(part(start, DOMAIN, "users", layout).verdicts) == set(range(1, len(lines) + 1))
    (tmp_path / "users.dat").write_text("1|24|F|writer|8::1\n")
    assert part(start, DOMAIN, "users", layout).good == [(1, 24, "F", "writer", "8::1")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.user", "", "x.user is empty"),
        ("x.user", HEAD, "x.user has a first line and no rows below it"),
        ("x.user", "user_id\tage\n1\t2\n", "x.user, line 1: expected the header 'user_id:token"),
        ("x.user", "age:token\tgender:token\n1\tF\n", "x.user, line 1: expected the header 'user_id:token"),
        ("x.user", "user_id:token\tage:token\tAge:float\n1\t2\t3\n", "x.user has several columns for age"),
        ("y.user", "", r"several files of users \(x.user, y.user\)"),
    ],
)
def test_a_file_that_is_none_of_users_is_one_sentence(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    atomic_layout(tmp_path)
    (tmp_path / "x.user").write_text(HEAD)
    (tmp_path / name).write_text(text)
    with pytest.raises(MarqueeError, match=message):
        read_movielens(tmp_path)


def test_columns_that_a_file_lacks_are_missing(tmp_path: Path) -> None:
    atomic_layout(tmp_path)
    (tmp_path / "x.user").write_text("user_id:token\tage:token\n1\t30\n")
    ingest(no_spark, read_movielens(tmp_path), tmp_path / "lake", DOMAIN)
    assert users(tmp_path / "lake") == [(1, 30, None, None, None)]


def test_codes_are_all_words_once() -> None:
    assert len(OCCUPATIONS_1M) == len(set(OCCUPATIONS_1M)) == 21
    assert (OCCUPATIONS_1M[0], OCCUPATIONS_1M[12], OCCUPATIONS_1M[20]) == ("other", "programmer", "writer")


def test_users_are_added_like_movies_and_features_follow(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ml_100k_layout(tmp_path)
    (tmp_path / "u.user").write_text("1|24|F|writer|85711\n2|53|M|other|T8H1N\n")
    ingest(no_spark, read_movielens(tmp_path), lake, DOMAIN)
    run_job(no_spark, lake, DOMAIN, "user_profile")
    (tmp_path / "u.user").write_text("1|24|F|writer|85711\n2|54|M|other|T8H1N\n3|9|F|none|1\n")
    for expected in ((1, 1, 1), (0, 0, 3)):
        report = add(no_spark, read_movielens(tmp_path), lake, DOMAIN).tables["users"]
        assert (report.accepted, report.changed, report.known) == expected
    run_job(no_spark, lake, DOMAIN, "user_profile")
    newest = {
        row["user_id"]: (row["user_age"], row["user_gender"], row["user_occupation"], row["user_zip_code"])
        for row in sorted(table_rows(lake, "user_profile"), key=lambda row: row["created_timestamp"])
    }
    assert newest == {
        1: (24, "F", "writer", "85711"),
        2: (54, "M", "other", "T8H1N"),
        3: (9, "F", "none", "1"),
    }


def test_real_users_equal_an_independent_reading(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "ml-100k"
    with (folder / "ml-100k.user").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    expected = [(int(user), int(age), *words) for user, age, *words in rows]
    lake = tmp_path / "lake"
    report = ingest(no_spark, read_movielens(folder, first_movies=50), lake, DOMAIN).tables["users"]
    assert (report.read, report.accepted) == (943, 943)
    assert users(lake) == sorted(expected, key=repr)
