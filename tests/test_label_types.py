"""Label frames of any type that Arrow or pandas has: what they plainly mean, or one sentence."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feast import FeatureStore

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from tests.asof_battery import ENGINES
from tests.lake import build_tables
from tests.test_press_store import with_offline_store
from tests.toy_domain import PRESS

DAY = datetime(2020, 6, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", "UTC")
AT = pa.array([DAY] * 3, INSTANT)
READERS = pa.array([2, 1, 2])
ARTICLES = pa.array(["article_id 1", "article_id 3", "article_id 1"])
FEATURES = ["reader_stats:reader_read_count", "article_stats:article_read_count"]

Ask = Callable[[Any], pa.Table]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    home = tmp_path_factory.mktemp("labels")
    build_tables(home, PRESS, {"reader_id": 3, "article_id": 3})
    store.apply(Settings(home=home), PRESS)
    return store.open_store(Settings(home=home))


@pytest.fixture(scope="module", params=ENGINES)
def ask(opened: FeatureStore, request: pytest.FixtureRequest) -> Ask:
    """Joins a feature by each key to labels."""
    if request.param == "spark":
        request.getfixturevalue("spark")
        opened = with_offline_store(opened, ENGINES["spark"])

    def joined(labels: Any) -> pa.Table:
        return opened.get_historical_features(labels, FEATURES).to_arrow().select([-2, -1])

    return joined


def labels(reader: Any = READERS, article: Any = ARTICLES, at: Any = AT) -> pa.Table:
    return pa.table({"reader_id": reader, "article_id": article, "event_timestamp": at})


@pytest.fixture(scope="module")
def plain(ask: Ask) -> pa.Table:
    found = ask(labels())
    assert found.column(0).null_count == found.column(1).null_count == 0
    return found


ENCODED: dict[str, Callable[[pa.Array], Any]] = {
    "dictionary": lambda array: array.dictionary_encode(),
    "dictionary of a dictionary's index": lambda array: array.dictionary_encode().cast(
        pa.dictionary(pa.int8(), array.type)
    ),
    "runs": pc.run_end_encode,
    "chunks": lambda array: pa.chunked_array([array.slice(0, 1), array.slice(1)]),
}
NUMBERS = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
]
DECIMALS = [
    *(pa.decimal32(5, 1), pa.decimal64(10, 0), pa.decimal128(5, 0), pa.decimal128(20, 4)),
    *(pa.decimal256(50, 2), pa.decimal256(76, 0)),
]
TEXTS = [pa.large_string(), pa.string_view()]


@pytest.mark.parametrize("how", ENCODED)
def test_encodings_change_nothing(ask: Ask, plain: pa.Table, how: str) -> None:
    encode = ENCODED[how]
    assert ask(labels(reader=encode(READERS))).equals(plain)
    assert ask(labels(article=encode(ARTICLES))).equals(plain)
    assert ask(labels(at=encode(AT))).equals(plain)


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
def test_whole_numbers_of_any_type_are_keys(ask: Ask, plain: pa.Table, kind: pa.DataType) -> None:
    cast = READERS.cast(pa.float32()).cast(kind) if kind == pa.float16() else READERS.cast(kind)
    assert ask(labels(reader=cast)).equals(plain)


@pytest.mark.parametrize("kind", DECIMALS, ids=str)
def test_decimals_of_any_width_are_keys(ask: Ask, plain: pa.Table, kind: pa.DataType) -> None:
    values = pa.array([Decimal(2), Decimal(1), Decimal(2)], kind)
    assert ask(labels(reader=values)).equals(plain)


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_text_of_any_type_is_a_key(ask: Ask, plain: pa.Table, kind: pa.DataType) -> None:
    assert ask(labels(article=ARTICLES.cast(kind))).equals(plain)


INSTANTS: dict[str, Any] = {
    **{
        f"{unit} {zone}": AT.cast(pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in ("UTC", "Asia/Tokyo")
    },
    **{
        f"naive {unit}": pa.array([DAY.replace(tzinfo=None)] * 3, pa.timestamp(unit))
        for unit in ("s", "ms", "us", "ns")
    },
    "date32": pa.array([DAY.date()] * 3, pa.date32()),
    "date64": pa.array([DAY.date()] * 3, pa.date64()),
    **{f"ISO {kind}": pa.array([DAY.isoformat()] * 3).cast(kind) for kind in (pa.string(), *TEXTS)},
    "ISO without a zone": pa.array(["2020-06-01"] * 3),
    "ISO elsewhere": pa.array(["2020-06-01T09:00:00+09:00"] * 3),
}


@pytest.mark.parametrize("name", INSTANTS)
def test_instants_of_any_type_are_the_same_instant(ask: Ask, plain: pa.Table, name: str) -> None:
    assert ask(labels(at=INSTANTS[name])).equals(plain)


def test_missing_keys_and_columns_of_nothing_find_nothing(ask: Ask) -> None:
    for kind in (pa.int64(), pa.float64(), pa.null(), pa.dictionary(pa.int8(), pa.int64())):
        assert ask(labels(reader=pa.nulls(3, kind))).column(0).to_pylist() == [None] * 3
    assert ask(labels(article=pa.nulls(3))).column(1).to_pylist() == [None] * 3


WRONG: dict[str, tuple[str, Any]] = {
    **{
        f"{kind} as a number": ("reader_id", pa.array(["1"] * 3).cast(kind)) for kind in (pa.string(), *TEXTS)
    },
    "bool as a number": ("reader_id", pa.array([True] * 3)),
    "half as a number": ("reader_id", pa.array([0.5, 1, 2])),
    "infinity as a number": ("reader_id", pa.array([np.inf, 1, 2])),
    "too large": ("reader_id", pa.array([2**64 - 1] * 3, pa.uint64())),
    "decimal with a fraction": ("reader_id", pa.array([Decimal("1.5")] * 3)),
    "huge decimal": ("reader_id", pa.array([Decimal(10) ** 30] * 3, pa.decimal128(38, 0))),
    "bytes as a number": ("reader_id", pa.array([b"1"] * 3)),
    "date as a number": ("reader_id", pa.array([DAY.date()] * 3)),
    "time as a number": ("reader_id", pa.array([1] * 3, pa.time64("us"))),
    "duration as a number": ("reader_id", pa.array([1] * 3, pa.duration("s"))),
    "instant as a number": ("reader_id", AT),
    "list as a number": ("reader_id", pa.array([[1]] * 3)),
    "struct as a number": ("reader_id", pa.array([{"id": 1}] * 3)),
    "map as a number": ("reader_id", pa.array([[("id", 1)]] * 3, pa.map_(pa.string(), pa.int64()))),
    "interval as a number": ("reader_id", pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval())),
    "number as text": ("article_id", READERS),
    "bytes as text": ("article_id", pa.array([b"article_id 1"] * 3)),
    "list as text": ("article_id", pa.array([["article_id 1"]] * 3)),
    "bool as an instant": ("event_timestamp", pa.array([True] * 3)),
    "number as an instant": ("event_timestamp", pa.array([1] * 3)),
    "float as an instant": ("event_timestamp", pa.array([1.0] * 3)),
    "decimal as an instant": ("event_timestamp", pa.array([Decimal(1)] * 3)),
    "time as an instant": ("event_timestamp", pa.array([1] * 3, pa.time64("us"))),
    "duration as an instant": ("event_timestamp", pa.array([1] * 3, pa.duration("s"))),
    "bytes as an instant": ("event_timestamp", pa.array([b"2020-06-01"] * 3)),
    "list as an instant": ("event_timestamp", pa.array([[DAY]] * 3)),
    "text that is no instant": ("event_timestamp", pa.array(["noon"] * 3)),
    "an instant beyond all": ("event_timestamp", pa.array([2**62] * 3, pa.timestamp("s"))),
    "a date beyond all": ("event_timestamp", pa.array([2**31 - 1] * 3, pa.date32()).cast(pa.date32())),
    "no instant": ("event_timestamp", pa.nulls(3, INSTANT)),
    "nothing at all": ("event_timestamp", pa.nulls(3)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_meant_is_one_sentence_with_its_column(ask: Ask, name: str) -> None:
    column, values = WRONG[name]
    given = labels()
    given = given.set_column(given.column_names.index(column), column, values)
    with pytest.raises(MarqueeError, match=column) as caught:
        ask(given)
    assert "\n" not in str(caught.value)


def test_two_columns_of_one_name_are_refused(ask: Ask) -> None:
    with pytest.raises(MarqueeError, match="several columns named reader_id"):
        ask(labels().append_column("reader_id", READERS))


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"reader_id": [2, 1, 2], "article_id": ARTICLES.to_pylist(), "event_timestamp": [DAY] * 3} | columns
    )


FRAMES: dict[str, pd.DataFrame] = {
    "as it is": frame(),
    "Int64": frame(reader_id=pd.array([2, 1, 2], "Int64")),
    "Float64": frame(reader_id=pd.array([2, 1, 2], "Float64")),
    "floats": frame(reader_id=[2.0, 1.0, 2.0]),
    "objects": frame(reader_id=np.array([2, 1, 2], object)),
    "numbers as a category": frame(reader_id=pd.Categorical([2, 1, 2])),
    "Arrow's own": frame(reader_id=pd.array([2, 1, 2], "int32[pyarrow]")),
    "string": frame(article_id=pd.array(ARTICLES.to_pylist(), "string")),
    "Arrow's string": frame(article_id=pd.array(ARTICLES.to_pylist(), "string[pyarrow]")),
    "text as a category": frame(article_id=pd.Categorical(ARTICLES.to_pylist())),
    "naive": frame(event_timestamp=[DAY.replace(tzinfo=None)] * 3),
    "seconds": frame(event_timestamp=np.array(["2020-06-01"] * 3, "datetime64[s]")),
    "elsewhere": frame(event_timestamp=pd.to_datetime([DAY] * 3).tz_convert("America/New_York")),
    "dates": frame(event_timestamp=[date(2020, 6, 1)] * 3),
    "text": frame(event_timestamp=["2020-06-01"] * 3),
    "instants as a category": frame(event_timestamp=pd.Categorical([pd.Timestamp(DAY)] * 3)),
    "an index of its own": frame().set_index(pd.Index([9, 9, 9], name="row")),
}


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_frames_mean_the_same(ask: Ask, plain: pa.Table, name: str) -> None:
    assert ask(FRAMES[name]).equals(plain)


WRONG_FRAMES: dict[str, tuple[str, pd.DataFrame]] = {
    "mixed": ("reader_id", frame(reader_id=np.array([1, "2", None], object))),
    "period": ("event_timestamp", frame(event_timestamp=pd.period_range("2020-06", periods=3, freq="M"))),
    "interval": ("reader_id", frame(reader_id=pd.interval_range(0, 3))),
    "timedelta": ("event_timestamp", frame(event_timestamp=pd.to_timedelta([1, 2, 3]))),
    "complex": ("reader_id", frame(reader_id=[1j, 2j, 3j])),
    "sets": ("reader_id", frame(reader_id=[{1}, {2}, {3}])),
    "bool": ("reader_id", frame(reader_id=[True, False, True])),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_pandas_columns_that_mean_nothing_here_are_one_sentence(ask: Ask, name: str) -> None:
    column, given = WRONG_FRAMES[name]
    with pytest.raises(MarqueeError, match=column) as caught:
        ask(given)
    assert "\n" not in str(caught.value)
