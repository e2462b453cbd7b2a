"""Every type that Arrow knows, as key, instant and label: read as what it means, or one sentence."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from common.errors import MarqueeError
from feature_repo.define.column import Column, Type
from tests.toy_domain import ARTICLE, READER
from training.data.columns import instant_values, key_values, number_values, readable_labels

INSTANT = datetime(2020, 3, 4, tzinfo=UTC)
WHOLE: list[pa.Array] = [
    *(
        pa.array([7, None, 1], kind)
        for kind in (
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
            *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
            *(pa.float32(), pa.float64()),
            *(pa.decimal32(5, 1), pa.decimal64(9, 2), pa.decimal128(12, 3), pa.decimal256(40, 4)),
        )
    ),
    pa.array([np.float16(7), None, np.float16(1)], pa.float16()),
    pa.array([7.0, float("nan"), 1.0]),
    pa.array([7, None, 1]).dictionary_encode(),
    pa.array([7, None, 1], pa.uint8()).dictionary_encode(),
    pa.compute.run_end_encode(pa.array([7, None, 1])),
]
TEXTS = [
    *(pa.array(["a", None, "b"], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    pa.array(["a", None, "b"]).dictionary_encode(),
    pa.compute.run_end_encode(pa.array(["a", None, "b"])),
]
OTHERS: list[pa.Array] = [
    pa.array([True, None]),
    pa.array([b"a", None], pa.binary()),
    pa.array([b"a", None], pa.large_binary()),
    pa.array([b"a", None], pa.binary_view()),
    pa.array([b"ab", None], pa.binary(2)),
    pa.array([time(1), None], pa.time32("s")),
    pa.array([time(1), None], pa.time64("ns")),
    pa.array([timedelta(1), None], pa.duration("s")),
    pa.array([pa.MonthDayNano([1, 2, 3]), None], pa.month_day_nano_interval()),
    pa.array([[1], None], pa.list_(pa.int64())),
    pa.array([[1], None], pa.large_list(pa.int64())),
    pa.array([[1], None], pa.list_view(pa.int64())),
    pa.array([[1], None], pa.list_(pa.int64(), 1)),
    pa.array([{"a": 1}, None]),
    pa.array([[(1, 2)], None], pa.map_(pa.int64(), pa.int64())),
    pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])]),
]
DATES: list[pa.Array] = [
    *(pa.array([INSTANT, None], pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
    *(pa.array([INSTANT, None], pa.timestamp(unit, "UTC")) for unit in ("s", "ms", "us", "ns")),
    pa.array([INSTANT, None], pa.timestamp("us", "Europe/Berlin")),
    pa.array([date(2020, 3, 4), None], pa.date32()),
    pa.array([date(2020, 3, 4), None], pa.date64()),
    pa.array([date(2020, 3, 4), None]).dictionary_encode(),
    pa.compute.run_end_encode(pa.array([INSTANT, None], pa.timestamp("us"))),
    pa.array(["2020-03-04", None]),
    pa.array(["2020-03-04T01:00:00+01:00", None], pa.large_string()),
    pa.array(["2020-03-04T00:00:00Z", None], pa.string_view()),
]


def named(array: pa.Array) -> str:
    return str(array.type)


def chunked(array: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([array.slice(0, 1), array.slice(1)])


class TestKeys:
    @pytest.mark.parametrize("column", WHOLE, ids=named)
    def test_whole_numbers_of_any_type_are_integers(self, column: pa.Array) -> None:
        found = key_values(chunked(column), READER)
        assert found.type == pa.int64()
        assert found.to_pylist() == [7, None, 1]

    @pytest.mark.parametrize("column", TEXTS, ids=named)
    def test_text_of_any_type_is_text(self, column: pa.Array) -> None:
        found = key_values(chunked(column), ARTICLE)
        assert found.type == pa.string()
        assert found.to_pylist() == ["a", None, "b"]

    @pytest.mark.parametrize("key", [READER, ARTICLE], ids=lambda key: key.name)
    def test_nothing_at_all_is_no_key(self, key: Column) -> None:
        found = key_values(pa.chunked_array([pa.nulls(2)]), key)
        assert found.null_count == 2
        assert found.type == (pa.int64() if key.type is Type.INT64 else pa.string())

    @pytest.mark.parametrize("column", [*OTHERS, *TEXTS, *DATES], ids=named)
    def test_what_is_no_number_is_refused(self, column: pa.Array) -> None:
        with pytest.raises(MarqueeError, match=r"column reader_id holds .*, not whole numbers"):
            key_values(chunked(column), READER)

    @pytest.mark.parametrize("column", [*OTHERS, *WHOLE, *DATES[:-3]], ids=named)
    def test_what_is_no_text_is_refused(self, column: pa.Array) -> None:
        with pytest.raises(MarqueeError, match=r"column article_id holds .*, not text"):
            key_values(chunked(column), ARTICLE)

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([1, 2.5]),
            pa.array([1, float("inf")]),
            pa.array([1, 1e30]),
            pa.array([1, 2**63], pa.uint64()),
            pa.array([Decimal("1.0"), Decimal("2.5")]),
            pa.array([Decimal(1), Decimal(10) ** 30]),
        ],
        ids=named,
    )
    def test_what_no_integer_holds_is_named_by_its_row(self, column: pa.Array) -> None:
        for rows in (chunked(column), pa.chunked_array([pa.concat_arrays([column[:1]] * 5 + [column])])):
            with pytest.raises(MarqueeError, match=rf"row {len(rows)} is .*, no whole number of 64 bits"):
                key_values(rows, READER)


class TestInstants:
    @pytest.mark.parametrize("column", DATES, ids=named)
    def test_timestamps_dates_and_iso_text_are_instants(self, column: pa.Array) -> None:
        found = instant_values(chunked(column), "event_timestamp")
        assert pa.types.is_timestamp(found.type)
        utc = found.cast(pa.timestamp(found.type.unit)).cast(pa.timestamp("us"))
        assert utc.to_pylist() == [INSTANT.replace(tzinfo=None), None]

    def test_nothing_at_all_is_no_instant(self) -> None:
        assert instant_values(pa.chunked_array([pa.nulls(2)]), "event_timestamp").null_count == 2

    @pytest.mark.parametrize("column", [*OTHERS, *WHOLE], ids=named)
    def test_what_is_no_instant_is_refused(self, column: pa.Array) -> None:
        with pytest.raises(MarqueeError, match=r"column event_timestamp holds .*, not timestamps"):
            instant_values(chunked(column), "event_timestamp")

    @pytest.mark.parametrize(
        "column",
        [
            *(pa.array([0, 2**62], pa.timestamp(unit)) for unit in ("s", "ms", "us")),
            *(pa.array([0, far], pa.timestamp("us", "UTC")) for far in (-(2**62), 2**63 - 2)),
            pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32()),
            pa.array([0, 2**62], pa.int64()).view(pa.date64()),
        ],
        ids=named,
    )
    def test_an_instant_outside_the_calendar_is_named_by_its_row(self, column: pa.Array) -> None:
        with pytest.raises(MarqueeError, match="event_timestamp, row 2, is outside the years"):
            instant_values(chunked(column), "event_timestamp")

    def test_text_that_is_no_time_is_refused(self) -> None:
        with pytest.raises(MarqueeError, match="event_timestamp, row 1, is 'yesterday', which is no instant"):
            instant_values(pa.chunked_array([["yesterday"]]), "event_timestamp")


@pytest.mark.parametrize("column", [*OTHERS[1:], *TEXTS, *DATES], ids=named)
def test_what_is_no_number_is_no_label(column: pa.Array) -> None:
    with pytest.raises(MarqueeError, match="which is no label"):
        number_values(chunked(column), "minutes")


def test_an_extension_type_is_what_it_stores() -> None:
    class Id(pa.ExtensionType):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(pa.int32(), "test.id")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage: Any, serialized: Any) -> "Id":
            return cls()

    column = pa.ExtensionArray.from_storage(Id(), pa.array([7, None], pa.int32()))
    assert key_values(pa.chunked_array([column]), READER).to_pylist() == [7, None]


def test_only_keys_and_instant_are_changed() -> None:
    labels = pa.table(
        {
            "stars": pa.array([1, 2], pa.uint8()),
            "event_timestamp": pa.array([date(2020, 3, 4)] * 2),
            "article_id": pa.array(["a", "b"]).dictionary_encode(),
            "reader_id": pa.array([1.0, 2.0]),
        }
    )
    found = readable_labels(labels, (READER, ARTICLE))
    assert found.column_names == labels.column_names
    assert found["stars"].equals(labels["stars"])
    assert [str(found.schema.field(name).type) for name in ("article_id", "reader_id")] == ["string", "int64"]
    empty = readable_labels(labels.slice(0, 0), (READER, ARTICLE))
    assert empty.num_rows == 0
    with pytest.raises(MarqueeError, match="labels lack reader_id; they have"):
        readable_labels(labels.drop_columns(["reader_id"]), (READER, ARTICLE))
