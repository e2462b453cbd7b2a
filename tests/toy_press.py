"""Rows of features drawn at random for any views, and views in which every role occurs."""

from collections.abc import Sequence as Many
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.arrow import ARROW_TYPES
from feature_repo.define import role
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from feature_repo.define.operation import Fact
from feature_repo.define.table import Table
from feature_repo.define.view import Over, View
from tests.toy_domain import ARTICLE, PRESS, READER

START = datetime(2001, 1, 1, tzinfo=UTC)
WORDS = ("art", "money", "sport", "war")


def drawn_table(
    views: Many[View] = PRESS.views, rows: int = 200, seed: int = 0, missing: float = 0.1
) -> pa.Table:
    """Keys, instants, a label `finished` that depends on the first number, and the features of some views.

    `missing` of the rows lack each of the views, as where nothing is known yet.
    """
    random = np.random.default_rng(seed)
    found = {key.name: pa.array(drawn_values(random, key, rows)) for key in (READER, ARTICLE)}
    instants = [START + timedelta(minutes=i) for i in range(rows)]
    found[EVENT_TIMESTAMP] = pa.array(instants, ARROW_TYPES[Type.TIMESTAMP])
    leaning = random.normal(size=rows)
    told = False
    for view in views:
        known = random.random(rows) >= missing
        for column in view.columns:
            values = drawn_values(random, column, rows)
            if not told and column.type is Type.FLOAT64:
                leaning, told = np.array(values) * known, True
            held = [value if there else None for value, there in zip(values, known, strict=True)]
            found[column.name] = pa.array(held, ARROW_TYPES[column.type])
    found["finished"] = pa.array(leaning + random.normal(0, leaning.std() / 2, rows) > np.median(leaning))
    return pa.table(found)


def drawn_values(random: np.random.Generator, column: Column, rows: int) -> list[Any]:
    """Values that keep a column's type, length and role."""

    def elements(n: int) -> list[Any]:
        if column.type in (Type.INT64, Type.INT64_LIST):
            low = 0 if isinstance(column.role, role.Category) else 1
            return [int(x) for x in random.integers(low, 20, n)]
        if isinstance(column.role, role.Bag | role.Category) or column.vocabulary == "topic":
            return [WORDS[i] for i in random.integers(0, len(WORDS), n)]
        return [f"a{i}" for i in random.integers(1, 20, n)]

    match column.type:
        case Type.FLOAT64:
            return [float(x) for x in random.uniform(column.low or 0, column.high or 100, rows)]
        case Type.TIMESTAMP:
            return [START - timedelta(minutes=int(x)) for x in random.integers(0, 10**6, rows)]
        case Type.FLOAT64_LIST:
            assert isinstance(column.role, role.Vector)
            return [[float(x) for x in random.normal(size=column.role.width)] for _ in range(rows)]
        case Type.INT64 | Type.STRING:
            return elements(rows)
    lists = []
    for _ in range(rows):
        there = elements(int(random.integers(0, (column.length or 4) + 1)))
        if isinstance(column.role, role.Sequence) and column.role.separator:
            there = [column.role.separator.join(dict.fromkeys([word, *elements(2)])) for word in there]
        padding: list[Any] = [0 if column.type is Type.INT64_LIST else ""] * (column.length or 0)
        lists.append((there + padding)[: column.length] if column.length else there)
    return lists


def facts(name: str, by: Column, columns: tuple[Column, ...], modality: str) -> View:
    """A view whose features are a catalogue's columns as they stand."""
    catalogue = Table(f"{name}_catalogue", "catalogue", (by,), columns, "Facts.", (by.name,))
    features = tuple(Fact(column.name, column) for column in columns)
    return View(name, by, Over(catalogue), features, "Facts.", modality)


WHO, WHAT = "picture", "text"
"""Modalities."""
EVERY_KIND = (
    *PRESS.views,
    facts(
        "reader_extras",
        READER,
        (
            Column("reader_office", Type.INT64, "Where.", role=role.Category("office")),
            Column("reader_friend", Type.INT64, "Who.", role=role.Id("reader")),
            Column("reader_taste", Type.FLOAT64_LIST, "Taste.", role=role.Vector(3)),
            Column("reader_favourites", Type.STRING_LIST, "Articles.", role=role.Bag("article")),
            Column(
                "reader_pairs", Type.STRING_LIST, "Two each.", length=3, role=role.Sequence("article", "+")
            ),
            Column("reader_colour", Type.FLOAT64, "Colour.", role=role.Number()),
            Column("reader_note", Type.STRING, "For people.", role=role.Unread()),
        ),
        WHO,
    ),
    facts(
        "article_extras",
        ARTICLE,
        (
            Column("article_author", Type.STRING, "Who wrote it.", role=role.Id("author")),
            Column("article_main_topic", Type.STRING, "The first.", role=role.Category("topic")),
            Column("article_readers", Type.INT64_LIST, "The last.", length=4, role=role.Sequence("reader")),
            Column(
                "article_topics_read", Type.STRING_LIST, "Of.", length=2, role=role.Sequence("topic", " ")
            ),
            Column("article_vector", Type.FLOAT64_LIST, "Text.", role=role.Vector(4)),
            Column("article_colour", Type.FLOAT64, "Colour.", role=role.Number()),
        ),
        WHO,
    ),
    facts(
        "article_text",
        ARTICLE,
        (
            Column("article_reads", Type.INT64, "Counted elsewhere.", role=role.Count()),
            Column("article_updated_at", Type.TIMESTAMP, "When.", role=role.Instant()),
            Column("article_titled", Type.STRING, "How.", role=role.Category("style"), fill="plain"),
        ),
        WHAT,
    ),
)
"""The press, and views with every role in every place where it may stand."""
