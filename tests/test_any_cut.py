"""Incremental equals full: any cut of the events into batches, late ones included, ends in equal tables."""

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_repo.define.domain import Domain
from feature_repo.define.view import View
from tests.generated_rows import Rows, in_arrow, many_deliveries, rows_of, sources_of
from tests.test_feature_jobs import DOMAINS
from tests.view_rows import Tables, computed, grown, seen_by_readers


def running(domain: Domain) -> list[View]:
    return [view for view in domain.views if not view.is_timeless]


@st.composite
def deliveries(draw: st.DrawFn, domain: Domain) -> list[dict[str, Rows]]:
    """Three deliveries: some of the events each, in any order, and catalogues whose rows come and change."""
    sources = draw(sources_of(domain))
    events = sources[domain.events.name]
    batch_of = draw(st.lists(st.integers(0, 2), min_size=len(events), max_size=len(events)))
    found: list[dict[str, Rows]] = []
    for place in range(3):
        catalogues: dict[str, Rows] = {}
        for table in domain.sources:
            if table == domain.events:
                continue
            rows = {row[table.key[0].name]: row for row in found[-1][table.name]} if found else {}
            rows |= {row[table.key[0].name]: row for row in draw(rows_of(table))}
            catalogues[table.name] = list(rows.values())
        part = [event for event, batch in zip(events, batch_of, strict=True) if batch == place]
        found.append({**catalogues, domain.events.name: part})
    return found


def assert_as_at_once(domain: Domain, batches: Sequence[Tables], spark: SparkSession | None = None) -> int:
    """Each view's table after the batches is that of one run; how many late keys there were."""
    events = domain.events.name
    whole = {**batches[-1], events: pa.concat_tables([batch[events] for batch in batches])}
    late = 0
    for view in running(domain):
        stored, late_keys = grown(view, batches, spark)
        assert seen_by_readers(view, stored) == seen_by_readers(view, computed(view, whole)), view.name
        late += late_keys
    return late


@DOMAINS
@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_any_cut_into_batches_ends_in_the_tables_of_one_run(domain: Domain, data: st.DataObject) -> None:
    assert_as_at_once(domain, [in_arrow(domain, rows) for rows in data.draw(deliveries(domain))])


@DOMAINS
def test_deliveries_taken_in_by_spark_end_in_the_tables_of_one_run(
    spark: SparkSession, domain: Domain
) -> None:
    late = assert_as_at_once(domain, many_deliveries(domain, seed=0), spark)
    assert late > 20, "many of so many come late"
