"""Declarations that contradict themselves are refused where they are made."""

from dataclasses import replace

import pytest

from feature_repo.define.column import EVENT, Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.operation import Count, Fact, LastK, MeanStd
from feature_repo.define.role import Bag, Category, Id, Instant, Number, Role, Sequence, Unread, Vector
from feature_repo.define.role import Count as CountRole
from feature_repo.define.rule import Reference
from feature_repo.define.table import Table
from feature_repo.define.task import Binary
from feature_repo.define.view import Over, View
from feature_repo.domains import movies
from tests.toy_domain import PRESS

READER = Column("reader_id", Type.INT64, "Who read.", role=Id("reader"), side="user")
ARTICLE = Column("article_id", Type.STRING, "What was read.", role=Id("article"), side="item")
MINUTES = Column("minutes", Type.FLOAT64, "How long.", step=0.25)
READS = Table(
    "reads",
    "event",
    (READER, ARTICLE),
    (MINUTES, EVENT),
    "Who read what.",
    ("reader_id", "article_id", EVENT.name),
    (Reference("article_id", "articles"),),
)
ARTICLES = Table(
    "articles",
    "catalogue",
    (ARTICLE,),
    (
        Column("words", Type.INT64, "Length.", step=1),
        Column("pages", Type.INT64, "Length."),
        Column("topics", Type.STRING_LIST, "Topics."),
        Column("price", Type.FLOAT64, "Of a copy.", nullable=True, step=0.5),
    ),
    "What there is to read.",
    ("article_id",),
)
READ_COUNT = Column("reader_read_count", Type.INT64, "Articles read so far.", low=1, fill=0, role=CountRole())
BY_READER = View("reader_stats", READER, Over(READS, ARTICLES), (Count(READ_COUNT),), "How much is read.")


RECENT = Column("recent", Type.STRING_LIST, "Articles.", role=Bag("article"))


def number(name: str) -> Column:
    return Column(name, Type.FLOAT64, "A number.", role=Number())


def price(name: str) -> Column:
    return replace(number(name), nullable=True)


FACTS = View("facts", ARTICLE, Over(ARTICLES), (Fact("price", price("article_price")),), "Facts.")


def domain(*views: View, **changes: object) -> Domain:
    told = {"sources": (READS, ARTICLES), "views": views, "tasks": (Binary("long", "minutes", 3),)} | changes
    return Domain("press", "Articles.", **told)  # type: ignore[arg-type]


def test_a_view_makes_the_columns_of_its_operations_in_order() -> None:
    view = replace(BY_READER, features=(Count(READ_COUNT), MeanStd("words", number("mean"), number("std"))))
    assert view.table.column_names == (
        "reader_id", "reader_read_count", "mean", "std", "event_timestamp", "created_timestamp",
    )  # fmt: skip


def test_keys_of_a_view_are_in_the_catalogue_that_its_events_refer_to() -> None:
    by_article = View("article_stats", ARTICLE, Over(READS), (Count(READ_COUNT),), "How often it is read.")
    assert by_article.table.references == (Reference("article_id", "articles"),)
    assert BY_READER.table.references == ()
    assert FACTS.table.references == (Reference("article_id", "articles"),)
    assert FACTS.is_timeless and not by_article.is_timeless


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (replace(BY_READER, by=replace(READER, side="")), "no side"),
        (replace(BY_READER, by=replace(READER, role=Number())), "role of its key reader_id is not Id"),
        (replace(BY_READER, over=Over(ARTICLES)), "no column reader_id"),
        (replace(BY_READER, features=(Fact("words", number("length")),)), "facts come from a catalogue"),
        (replace(BY_READER, features=(MeanStd("stars", number("a"), number("b")),)), "no column stars"),
        (replace(BY_READER, features=(Count(READ_COUNT), Count(READ_COUNT))), "declared twice"),
        (replace(BY_READER, features=(Count(replace(READ_COUNT, role=None)),)), "no role"),
        (replace(BY_READER, features=(MeanStd("words", number("a"), number("a")),)), "declared twice"),
        (
            replace(BY_READER, over=Over(READS), features=(MeanStd("words", number("a"), number("b")),)),
            "no column words",
        ),
        (replace(BY_READER, features=(MeanStd("pages", number("a"), number("b")),)), "pages has no step"),
        (replace(BY_READER, features=(LastK("article_id", RECENT),)), "recent needs a length"),
        (replace(FACTS, over=Over(ARTICLES, ARTICLES)), "nothing is joined"),
    ],
)
def test_a_view_that_contradicts_itself_is_refused(view: View, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        domain(view)


@pytest.mark.parametrize(
    ("kind", "length", "role", "says"),
    [
        (Type.STRING, None, Number(), "a is String, but its role Number needs Int64 or Float64"),
        (Type.TIMESTAMP, None, CountRole(), "role Count needs Int64 or Float64"),
        (Type.INT64, None, Instant(), "role Instant needs UnixTimestamp"),
        (Type.FLOAT64, None, Id("a"), "role Id needs Int64 or String"),
        (Type.STRING_LIST, 2, Category("a"), "role Category needs Int64 or String"),
        (Type.STRING, None, Bag("a"), r"role Bag needs Array\(Int64\) or Array\(String\)"),
        (Type.FLOAT64_LIST, 2, Sequence("a"), "role Sequence needs"),
        (Type.INT64_LIST, 2, Vector(2), r"role Vector needs Array\(Float64\)"),
        (Type.STRING_LIST, None, Sequence("a"), "a is a sequence, so it needs a length"),
        (Type.INT64_LIST, 2, Sequence("a", "|"), "a has a separator, but it is no list of words"),
        (Type.FLOAT64_LIST, 2, Vector(3), "a is a vector of 3 numbers, not 2"),
        (
            Type.INT64,
            None,
            Category("article"),
            "article_id and a share .* article, but only one holds words",
        ),
    ],
)
def test_a_role_that_a_column_cannot_play_is_refused(
    kind: Type, length: int | None, role: Role, says: str
) -> None:
    facts = Fact("words", Column("a", kind, "A feature.", length=length, role=role))
    with pytest.raises(ValueError, match=says):
        domain(View("facts", ARTICLE, Over(ARTICLES), (facts,), "Facts."))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sources": (READS,)}, "no table articles"),
        ({"sources": (READS, ARTICLES, ARTICLES)}, "two tables have one name"),
        ({"views": (BY_READER, BY_READER)}, "two tables have one name"),
        ({"services": {"s_v1": (replace(BY_READER, name="other"),)}}, "does not have"),
        ({"services": {"s_v1": (replace(BY_READER, by=ARTICLE),)}}, "does not have"),
        ({"tasks": (Binary("long", "stars", 3),)}, "no column stars"),
    ],
)
def test_a_domain_that_contradicts_itself_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        domain(BY_READER, **changes)


def test_a_service_may_leave_features_out_that_the_table_keeps() -> None:
    whole = PRESS.view("reader_stats")
    part = whole.without("reader_last_at", "reader_words_mean", "reader_words_std")
    left_out = [column.name for column in whole.columns if column not in part.columns]
    assert left_out == ["reader_words_mean", "reader_words_std", "reader_last_at"]
    one = replace(PRESS, services={"press_v1": (part,), "press_v2": (whole,)})
    assert one.view("reader_stats") == whole
    assert one.tables["reader_stats"] == whole.table


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["reader_last"], "no feature reader_last to leave out"),
        (["reader_words_mean"], "reader_words_mean is made together with a feature that is not left out"),
    ],
)
def test_what_cannot_be_left_out_is_refused(names: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PRESS.view("reader_stats").without(*names)


def test_features_of_one_service_have_different_names() -> None:
    again = replace(BY_READER, name="again")
    with pytest.raises(ValueError, match="one name"):
        domain(BY_READER, again, services={"s_v1": (BY_READER, again)})


def test_every_feature_of_the_movies_has_a_role_that_fits_its_type() -> None:
    for view in movies.DOMAIN.views:
        for column in view.columns:
            if isinstance(column.role, Sequence):
                assert column.type.is_list and column.length, column.name
            if isinstance(column.role, Number | CountRole):
                assert column.type.is_number, column.name
            assert not isinstance(column.role, Unread)


def test_a_view_of_some_events_only_may_be_empty() -> None:
    assert movies.DOMAIN.view("user_recent_likes").table.may_be_empty
    assert not movies.DOMAIN.view("user_rating_stats").table.may_be_empty
    assert movies.DOMAIN.view("user_poster_taste").table.may_be_empty


def test_last_values_are_of_events_or_of_what_is_joined() -> None:
    recent = LastK(
        "article_id",
        Column("recent", Type.STRING_LIST, "Recent.", fill="", length=3, role=Sequence("article")),
    )
    assert domain(replace(BY_READER, features=(recent,))).views[0].columns[0].vocabulary == "article"
