"""Each mistake in a declaration is one sentence, said where the declaration is made, which ends a command."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import MarqueeError
from feature_repo.define.column import EVENT, Column, Type
from feature_repo.define.mistake import DeclarationError
from feature_repo.define.operation import (
    AtLeast,
    Count,
    Fact,
    FirstAt,
    LastAt,
    LastK,
    MeanStd,
    Operation,
    TopK,
)
from feature_repo.define.role import Bag, Instant, Number, Role, Sequence, Unread
from feature_repo.define.rule import Reference
from feature_repo.define.table import Table
from feature_repo.define.task import Binary, Regression
from feature_repo.define.view import Over, View
from tests.marquee import ROOT, environment
from tests.test_define import (
    ARTICLE,
    ARTICLES,
    BY_READER,
    FACTS,
    MINUTES,
    READ_COUNT,
    READER,
    READS,
    domain,
    number,
    price,
)


def of(kind: Type, length: int | None = None, role: Role | None = None, name: str = "made") -> Column:
    return Column(name, kind, "A feature.", length=length, role=role or Unread())


def said(view: View, **changes: object) -> str:
    """The one sentence with which a domain of a view is refused."""
    with pytest.raises(DeclarationError) as caught:
        domain(view, **changes)
    sentence = str(caught.value)
    assert isinstance(caught.value, MarqueeError) and isinstance(caught.value, ValueError)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


LIST, WORDS, NUMBERS = Type.STRING_LIST, Type.STRING, Type.INT64_LIST
WRONG: list[tuple[Operation, str]] = [
    (Count(of(Type.FLOAT64)), "made is Float64, but Count makes Int64"),
    (Count(of(WORDS)), "made is String, but Count makes Int64"),
    (FirstAt(of(Type.INT64)), "made is Int64, but FirstAt makes UnixTimestamp"),
    (LastAt(of(WORDS)), "made is String, but LastAt makes UnixTimestamp"),
    (
        MeanStd("minutes", of(Type.INT64), number("b")),
        "made is Int64, but MeanStd of minutes, Float64, makes",
    ),
    (MeanStd("words", number("a"), of(Type.INT64)), "MeanStd of words, Int64, makes Float64"),
    (
        MeanStd("topics", number("a"), number("b")),
        "topics is Array(String), but MeanStd is computed from Int64",
    ),
    (MeanStd("minutes", number("a"), number("b"), origin=float("nan")), "the origin of minutes is nan"),
    (MeanStd("price", price("a"), number("b")), "price may be missing, and b with it"),
    (TopK("minutes", of(LIST, 2)), "minutes is Float64, but TopK is computed from Array(String)"),
    (TopK("article_id", of(LIST, 2)), "article_id is String, but TopK is computed from Array(String)"),
    (TopK("topics", of(NUMBERS, 2)), "TopK of topics, Array(String), makes Array(String)"),
    (TopK("topics", of(LIST)), "made needs a length"),
    (
        TopK("topics", of(LIST, 2), where=AtLeast("topics", 1)),
        "topics is Array(String), so no value of it is",
    ),
    (TopK("topics", of(LIST, 2), where=AtLeast("stars", 1)), "no column stars"),
    (LastK("minutes", of(NUMBERS, 2)), "minutes is Float64, but LastK is computed from Int64 or String or"),
    (LastK("event_timestamp", of(NUMBERS, 2)), "event_timestamp is UnixTimestamp, but LastK"),
    (LastK("article_id", of(NUMBERS, 2)), "LastK of article_id, String, makes Array(String)"),
    (LastK("words", of(LIST, 2)), "LastK of words, Int64, makes Array(Int64)"),
    (LastK("topics", of(LIST, 2, Sequence("topic"))), "so its role needs a separator"),
    (LastK("topics", of(LIST, 2, Bag("topic"))), "so its role needs a separator"),
]


@pytest.mark.parametrize(("operation", "says"), WRONG)
def test_an_operation_is_held_to_what_it_computes(operation: Operation, says: str) -> None:
    assert says in said(replace(BY_READER, features=(operation,)))


@pytest.mark.parametrize(
    ("fact", "says"),
    [
        (Fact("words", of(Type.FLOAT64)), "made is Float64, but Fact of words, Int64, makes Int64"),
        (Fact("topics", of(WORDS)), "makes Array(String)"),
        (Fact("price", number("a")), "price may be missing, and a with it, so that must be nullable"),
    ],
)
def test_a_fact_is_what_the_catalogue_holds(fact: Fact, says: str) -> None:
    assert says in said(replace(FACTS, features=(fact,)))


def test_what_each_operation_computes_is_accepted() -> None:
    features = (
        Count(READ_COUNT),
        MeanStd("words", number("a"), number("b"), origin=2.3),
        MeanStd("price", price("c"), price("d")),
        FirstAt(of(Type.TIMESTAMP, role=Instant(), name="first")),
        LastAt(of(Type.TIMESTAMP, name="last")),
        TopK("topics", of(LIST, 2, Bag("topic"), "top"), AtLeast("price", 2)),
        LastK("article_id", of(LIST, 2, Sequence("article"), "articles_read")),
        LastK("words", of(NUMBERS, 1, name="lengths")),
        LastK("topics", of(LIST, 2, Sequence("topic", " "), "of")),
    )
    assert len(domain(replace(BY_READER, features=features)).views[0].columns) == 11
    assert domain(FACTS).views == (FACTS,)


@pytest.mark.parametrize(
    "name",
    [
        *("reader_id", "article_id", "event_timestamp", "created_timestamp", "state", "minutes", "long"),
        *("Reader_ID", "STATE", "_kept", "view:feature", "words"),
    ],
)
def test_a_name_that_is_taken_is_no_feature(name: str) -> None:
    spread = MeanStd("words", number("mean"), number("std"))
    assert name in said(replace(BY_READER, features=(Count(replace(READ_COUNT, name=name)), spread)))


@pytest.mark.parametrize("name", ["article_id", "event_timestamp", "created_timestamp", "minutes"])
def test_nor_is_it_a_fact(name: str) -> None:
    assert name in said(replace(FACTS, features=(Fact("price", price(name)),)))


@pytest.mark.parametrize(
    "name", ['user"c', "user count;", " ", "it's", "größe", "a.b", "a\nb", "select", "k"]
)
def test_other_names_are_free(name: str) -> None:
    view = replace(BY_READER, features=(Count(replace(READ_COUNT, name=name)),))
    assert domain(view).views[0].columns[0].name == name


def test_totals_are_kept_beside_no_column_of_their_name() -> None:
    state = Column("state", Type.INT64, "Of the reader.", step=1)
    reads = replace(READS, columns=(*READS.columns, state))
    view = View(
        "by_state", READER, Over(reads), (MeanStd("state", number("a"), number("b")),), "What is read."
    )
    assert "no column may be called state" in said(view, sources=(reads, ARTICLES))
    counted = replace(view, features=(Count(READ_COUNT),))
    assert domain(views=(counted,), sources=(reads, ARTICLES)).views == (counted,)


def test_names_that_differ_by_capitals_only_are_one_name() -> None:
    two = (Count(READ_COUNT), Count(replace(READ_COUNT, name="Reader_Read_Count")))
    assert "differ by capitals only" in said(replace(BY_READER, features=two))


COLUMNS: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "a column has no name"),
    ({"type": "Int64"}, "the type of minutes is 'Int64'"),
    ({"low": 5.0, "high": 1.0}, "the range of minutes is empty: low 5 is over high 1"),
    ({"step": 0}, "the step of minutes is 0"),
    ({"step": -0.5}, "the step of minutes is -0.5"),
    ({"type": Type.STRING}, "the step of minutes is 0.25"),
    ({"type": Type.STRING, "step": None, "low": 1}, "only numbers have a range"),
    ({"type": Type.TIMESTAMP, "step": None, "high": 1}, "only numbers have a range"),
    ({"length": 3}, "the length of minutes is 3"),
    ({"fill": "none"}, "minutes is Float64, which 'none' does not fill"),
    ({"type": Type.INT64, "fill": 0.5}, "minutes is Int64, which 0.5 does not fill"),
]


@pytest.mark.parametrize(("changes", "says"), COLUMNS)
def test_a_column_that_contradicts_itself_is_refused(changes: dict[str, Any], says: str) -> None:
    reads = replace(READS, columns=(replace(MINUTES, **changes), EVENT))
    assert says in said(replace(BY_READER, over=Over(reads)), sources=(reads, ARTICLES))


def test_so_is_that_of_a_feature() -> None:
    zero = replace(FACTS, features=(Fact("topics", of(LIST, 0)),))
    assert "the length of made is 0" in said(zero)
    word = replace(BY_READER, features=(Count(replace(READ_COUNT, fill="")),))
    assert "reader_read_count is Int64, which '' does not fill" in said(word)
    bare = replace(BY_READER, features=(Count(replace(READ_COUNT, role=Number)),))  # type: ignore[arg-type]
    assert "the role of reader_read_count is a class: write Number(…)" in said(bare)


KEY = Column("shelf", Type.INT64, "Where it is.")
SHELVES = Table("shelves", "catalogue", (KEY,), (), "Shelves.", ("shelf",))
ROWS: list[tuple[Over, str]] = [
    (Over(READS, SHELVES), "reads has no shelf by which to join shelves"),
    (Over(READS, READS), "reads is no catalogue of one key"),
    (Over(READS, replace(ARTICLES, key=(ARTICLE, KEY))), "articles is no catalogue of one key"),
    (Over(READS, where=AtLeast("words", 3)), "no column words to compute from"),
    (Over(READS, where=AtLeast("article_id", 3)), "article_id is String, so no value of it is at least 3"),
    (Over(READS, where=AtLeast("minutes", "3")), "minutes is compared with '3'"),  # type: ignore[arg-type]
    (Over(READS, where=AtLeast("minutes", float("inf"))), "minutes is compared with inf"),
]


@pytest.mark.parametrize(("over", "says"), ROWS)
def test_rows_that_cannot_be_read_so_are_refused(over: Over, says: str) -> None:
    assert says in said(replace(BY_READER, over=over))


KEYS: list[tuple[dict[str, Any], str]] = [
    ({"by": replace(READER, side="reader")}, "the side of its key reader_id is 'reader', not user, item"),
    ({"by": replace(READER, type=Type.STRING)}, "its key reader_id is String, which reads holds as Int64"),
]


@pytest.mark.parametrize(("changes", "says"), KEYS)
def test_a_key_that_is_not_that_of_the_rows_is_refused(changes: dict[str, Any], says: str) -> None:
    assert says in said(replace(BY_READER, **changes))


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (Count(READ_COUNT), "its features are no tuple of operations"),
        ([Count(READ_COUNT)], "its features are no tuple of operations"),
        ((), "its features are no tuple of operations"),
        ((READ_COUNT,), "is no operation"),
    ],
)
def test_a_view_is_made_of_operations(features: Any, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        replace(BY_READER, features=features)


def test_a_service_joins_no_view_without_all_its_features() -> None:
    with pytest.raises(DeclarationError, match="no tuple of operations"):
        BY_READER.without(READ_COUNT.name)


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"key": (replace(READER, side="item"), ARTICLE)}, "none of its keys has the side user"),
    ({"key": (replace(READER, side=""), ARTICLE)}, "none of its keys has the side user"),
    ({"key": ()}, "it has no key"),
    ({"columns": (MINUTES,)}, "events need a column event_timestamp of type UnixTimestamp"),
    ({"columns": (MINUTES, replace(EVENT, type=Type.INT64))}, "events need a column event_timestamp"),
    ({"columns": (MINUTES, EVENT, MINUTES)}, "a column is declared twice: minutes"),
    (
        {"columns": (MINUTES, EVENT, replace(MINUTES, name="MINUTES"))},
        "minutes and MINUTES differ by capitals",
    ),
    ({"unique": ("stars",)}, "it has no column stars"),
    ({"references": (Reference("stars", "articles"),)}, "it has no column stars"),
    ({"kind": "feature"}, "no table of kind 'feature'"),
    ({"name": "quarantine"}, "two tables have one name"),
    ({"name": "ARTICLES"}, "two tables have one name"),
]


@pytest.mark.parametrize(("changes", "says"), OTHERS)
def test_a_table_that_contradicts_itself_is_refused(changes: dict[str, Any], says: str) -> None:
    assert says in said(FACTS, sources=(replace(READS, **changes), ARTICLES))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sources": (ARTICLES,)}, "it has 0 tables of events, not one"),
        ({"sources": (READS, ARTICLES, replace(READS, name="more"))}, "it has 2 tables of events, not one"),
        ({"tasks": ()}, "it has no task"),
        ({"tasks": (Binary("whose", "article_id", 3),)}, "article_id is String, so it gives no label"),
        (
            {"tasks": (Regression("when", "event_timestamp"),)},
            "event_timestamp is UnixTimestamp, so it gives",
        ),
        ({"tasks": (Regression("article_price", "minutes"),)}, "no feature may be called article_price"),
    ],
)
def test_a_domain_has_what_general_code_relies_on(changes: dict[str, Any], says: str) -> None:
    assert says in said(FACTS, **changes)


ANEW = """
import subprocess
import sys
from dataclasses import replace
from feature_repo.define.column import Column, Type
from feature_repo.define.operation import Count, LastK, TopK
from feature_repo.define.role import Number, Sequence
from feature_repo.domains.movies import features

view = features.USER_RECENT_LIKES
features.USER_RECENT_LIKES = replace(view, features=(*view.features, {operation}))
del sys.modules["feature_repo.domains.movies"]

from cli.exit_codes import run
sys.exit(run())
"""
"""The command line, with an operation more in a view of the movies."""
LIKES = 'Count(Column({name!r}, Type.INT64, "Likes.", role=Number()))'
LISTED = '{kind}({of!r}, Column("listed", Type.STRING_LIST, "Words.", length=2, role=Sequence("word")))'


@pytest.mark.process
@pytest.mark.parametrize(
    ("operation", "says", "command"),
    [
        (LIKES.format(name="user_id"), "no feature may be called user_id", "features plan"),
        (LIKES.format(name="a:b"), "a:b has a : in it", "run"),
        (
            LISTED.format(kind="TopK", of="title"),
            "title is String, but TopK",
            "pipeline run user_recent_likes",
        ),
        (LISTED.format(kind="LastK", of="rating"), "rating is Float64, but LastK", "features apply"),
    ],
)
def test_a_mistake_in_a_declaration_ends_a_command(
    operation: str, says: str, command: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", ANEW.format(operation=operation), *command.split(), "--home", str(home)],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: Declaration of user_recent_likes: {says}")
    assert done.returncode == 2 and not done.stdout and not home.exists()
