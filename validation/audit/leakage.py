"""The leakage audit: no feature at a label holds an event of the label's instant or later.

Three checks together are the proof; each names the features that break it.

- Bounds, for all labels: the row that the offline store joins to a label is stamped at or before the label,
  so its last event (its stamp less `KNOWN_AFTER`) came strictly earlier.
- Content, for all rows: each feature of each row is what the events strictly before the row's stamp give,
  recomputed in SQL (`audit.sql`); and no event lacks its row. A row stamped at its own event, or one that
  counts events of one instant one after the other, differs. Rows that a late event has corrected are judged
  by their newest version.
- Recomputation, for a sample of labels: source events are cut off strictly before the label, and every
  feature is recomputed by a plain loop (`audit.oracle`) and compared with what the offline store returns.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore

from common.progress import Progress
from feature_repo.define.column import BEGINNING, EVENT_TIMESTAMP, KNOWN_AFTER
from feature_repo.define.domain import Domain
from feature_repo.define.view import View
from feature_repo.feast_internals import offline_store
from lake.duckdb import MEMORY
from validation.audit.leakage_cost import LeakCost, leak_costs
from validation.audit.leakage_report import FeatureFinding, LeakageReport, ViewFinding
from validation.audit.leakage_rows import count_rows, missing_rows, wrong_rows
from validation.audit.oracle import features_at, same
from validation.audit.reading import (
    History,
    known_since,
    label_in_words,
    lake,
    microseconds,
    offline_rows,
    read_labels,
    value_in_words,
)
from validation.audit.sql import restated, words_of

SAMPLE = 500
STEPS = 4
"""Beside one for each view."""


def audit_leakage(
    store: FeatureStore,
    domain: Domain,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    costs: bool = True,
    memory: str = MEMORY,
    on_progress: Progress | None = None,
) -> LeakageReport:
    """Look for the future in every feature, for all labels of the lake.

    Args:
        store: an applied store; its offline store is audited.
        domain: what the lake is about.
        sample: how many labels are recomputed one by one; all where there are fewer.
        seed: of the sample.
        costs: measure what the papers' protocol would have leaked, too.
        memory: limit of the SQL over the lake, past which it spills.

    Raises:
        MarqueeError: a table is not there, or nothing is applied yet.
    """
    started = perf_counter()
    done = 0

    def told(what: str) -> None:
        nonlocal done
        if on_progress is not None:
            on_progress(what, done, len(domain.views) + (STEPS if costs else STEPS - 1))
        done += 1

    with lake(store, domain, memory) as con:
        told("labels")
        labels = read_labels(con, domain)
        told("bounds of all labels")
        stamps = offline_rows(store, domain, labels, features=False)
        findings: dict[str, FeatureFinding] = {}
        views = []
        for view in domain.views:
            told(f"rows of {view.name}")
            late, joined, nearest = bounds(stamps, view)
            rows, superseded = count_rows(con, view)
            views.append(ViewFinding(view.name, rows, superseded, joined, nearest))
            should_be = restated(view, words_of(con, view))
            wrong = wrong_rows(con, view, should_be)
            missing, example = missing_rows(con, view, should_be)
            for column in view.columns:
                differing, first = wrong[column.name]
                findings[column.name] = FeatureFinding(
                    view.name, column.name, late, differing, missing, example=first or example
                )
        told(f"recomputation of {min(sample, labels.num_rows):,} labels")
        chosen = choose(labels, sample, seed)
        recomputed = recompute(store, domain, con, chosen)
    findings = {
        name: _with_sample(finding, *recomputed.get(name, (0, ""))) for name, finding in findings.items()
    }
    found_costs: tuple[LeakCost, ...] = ()
    if costs:
        told("what the papers' protocol leaks")
        found_costs = leak_costs(store, domain, labels, seed)
    return LeakageReport(
        engine=type(offline_store(store)).__name__,
        labels=labels.num_rows,
        sample=chosen.num_rows,
        seed=seed,
        views=tuple(views),
        features=tuple(findings.values()),
        costs=found_costs,
        created=datetime.now(UTC),
        seconds=perf_counter() - started,
    )


# --- bounds -----------------------------------------------------------------------------------------------


def bounds(stamps: pa.Table, view: View) -> tuple[int, int, float | None]:
    """Labels joined to a later row, labels joined to any, and the least seconds from event to label."""
    known = stamps.column(known_since(view)).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    at = stamps.column(EVENT_TIMESTAMP).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    joined = len(known) - known.null_count
    late = pc.sum(pc.greater(known, at)).as_py() or 0
    gaps = pc.subtract(at, known).filter(pc.not_equal(known, microseconds(BEGINNING)))
    least = pc.min(gaps).as_py()
    return late, joined, None if least is None else (least + KNOWN_AFTER.microseconds) / 1e6


# --- recomputation of a sample ----------------------------------------------------------------------------


def choose(labels: pa.Table, sample: int, seed: int) -> pa.Table:
    """A sample of the labels, in their order."""
    if sample >= labels.num_rows:
        return labels
    places = np.random.default_rng(seed).choice(labels.num_rows, sample, replace=False)
    return labels.take(pa.array(np.sort(places)))


def recompute(
    store: FeatureStore, domain: Domain, con: duckdb.DuckDBPyConnection, labels: pa.Table
) -> dict[str, tuple[int, str]]:
    """By feature, at how many labels the offline store does not return what a plain loop over the strictly
    earlier events gives, and the first in words."""
    history = History.of(con, domain, labels)
    wrong: dict[str, int] = defaultdict(int)
    first: dict[str, str] = {}
    for row in offline_rows(store, domain, labels).to_pylist():
        for view in domain.views:
            truth = features_at(view, history.of_key(view, row), row[EVENT_TIMESTAMP]) or {}
            for column in view.columns:
                got, want = row[column.name], truth.get(column.name)
                if not same(got, want):
                    wrong[column.name] += 1
                    first.setdefault(
                        column.name,
                        f"{label_in_words(domain, row)}: {value_in_words(got)} instead of"
                        f" {value_in_words(want)}",
                    )
    return {name: (wrong[name], first[name]) for name in wrong}


def _with_sample(finding: FeatureFinding, wrong: int, example: str) -> FeatureFinding:
    return replace(finding, sample_wrong=wrong, example=finding.example or example)
