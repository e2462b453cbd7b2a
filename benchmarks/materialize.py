"""Bringing changes online side by side: ours, Feast's own materialisation, and the bare writing of the rows.

    python benchmarks/materialize.py [--quick] [--json FILE] [--rows N] [--keys N] [--changed N]

A table with the columns of `user_rating_stats` has rows (5,000,000) of users (100,000), in Delta; the
newest row of each is online (SQLite). Then some users (10,000) get new rows in one commit: four in five a
later row; one in five a correction of their newest one, as after a late event. Each contender starts from a
copy of that state:

    bare write              the new rows, at hand as Arrow, through the store's `online_write_batch`
    write only              the same, without Feast's conversion to protobuf
    ours                    `send_changed`
    feast incremental       `materialize-incremental`: rows by event time since it last ran
    feast materialize       `materialize` of all time, with `pull_latest_features`
    feast, pulling all      the same without

Feast runs on our stores, so that offline and online side are the same for all. Time goes from an open
store to the end, imports excluded; peak memory is of the process and its children. `stale` counts changed
users whose online row is not their newest one.
"""

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measure import Measured, Timer, machine, names_of, run_child, warn_if_busy

sys.path.insert(0, str(Path(__file__).parents[1]))

VIEW = "user_rating_stats"
START = datetime(2015, 1, 1, tzinfo=UTC)
SPAN = 5 * 365 * 86_400 * 1_000_000
END = START + timedelta(microseconds=SPAN)
LATER = timedelta(days=1)
FILES = 8
INSTANT = pa.timestamp("us", "UTC")


# --- data -------------------------------------------------------------------------------------------------


def make(home: Path, rows: int, keys: int, changed: int) -> None:
    """A home whose table has changed since it was last brought online."""
    from deltalake import write_deltalake

    from common.settings import Settings
    from feature_repo import store
    from feature_repo.define.column import BEGINNING
    from feature_repo.domains.movies import DOMAIN
    from feature_repo.online.send import send_changed

    rng = np.random.default_rng(0)
    user = np.concatenate([np.arange(keys), rng.integers(0, keys, rows - keys)])
    at = rng.permutation(np.arange(rows)) * (SPAN // rows)
    newest = np.zeros(keys, np.int64)
    np.maximum.at(newest, user, at)
    table = home / "lake" / VIEW
    for part in np.array_split(rng.permutation(rows), FILES):
        write_deltalake(table, stats(rng, user[part], at[part], LATER), mode="append")
    store.apply(Settings(home=home), DOMAIN)
    opened = store.open_store(Settings(home=home))
    send_changed(opened, [VIEW])
    opened.registry.apply_materialization(opened.get_feature_view(VIEW), opened.project, BEGINNING, END)
    users = rng.choice(keys, changed, replace=False)
    corrected = users < keys // 5
    after = np.where(corrected, newest[users], SPAN + rng.integers(1, 86_400_000_000, changed))
    write_deltalake(table, stats(rng, users, after, 10 * LATER), mode="append")


def stats(rng: np.random.Generator, users: np.ndarray, at: np.ndarray, written: timedelta) -> pa.Table:
    """Rows of the table, written some time after their instants."""
    from feature_repo.arrow import arrow_schema
    from feature_repo.domains.movies import DOMAIN

    instants = int(START.timestamp()) * 1_000_000 + at
    columns: dict[str, Any] = {
        "user_id": users + 1,
        "event_timestamp": pa.array(instants).cast(INSTANT),
        "created_timestamp": pa.array(instants + written // timedelta(microseconds=1)).cast(INSTANT),
    }
    columns |= {column.name: values(rng, column, instants) for column in DOMAIN.tables[VIEW].columns}
    schema = arrow_schema(DOMAIN.tables[VIEW])
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def values(rng: np.random.Generator, column: Any, instants: np.ndarray) -> Any:
    """Values of a column, one a row."""
    low, high, n = column.low or 0, column.high or 1000, len(instants)
    match column.type.value:
        case "Float64":
            return rng.uniform(low, high, n)
        case "Int64":
            return rng.integers(int(low), int(high), n)
        case "UnixTimestamp":
            return pa.array(instants).cast(INSTANT)
        case "Array(String)":
            texts = pa.array(np.array(["Action", "Comedy", "Drama", "War"])[rng.integers(0, 4, 3 * n)])
            return pa.ListArray.from_arrays(np.arange(0, 3 * n + 1, 3, dtype=np.int32), texts)
    raise NotImplementedError(column.type)


# --- contenders: each takes an open store and the rows that ought to go online, and gives seconds ----------


def bare_write(store: Any, changed: pa.Table) -> float:
    with Timer() as timer:
        _write(store, _protos(store, changed))
    return timer.seconds


def write_only(store: Any, changed: pa.Table) -> float:
    rows = _protos(store, changed)
    with Timer() as timer:
        _write(store, rows)
    return timer.seconds


def ours(store: Any, _: pa.Table) -> float:
    from feature_repo.online.send import send_changed

    with Timer() as timer:
        send_changed(store, [VIEW])
    return timer.seconds


def feast_incremental(store: Any, _: pa.Table) -> float:
    with Timer() as timer:
        store.materialize_incremental(END + 2 * LATER, [VIEW])
    return timer.seconds


def feast_materialize(store: Any, _: pa.Table) -> float:
    with Timer() as timer:
        store.materialize(START, END + 2 * LATER, [VIEW])
    return timer.seconds


def feast_pulling_all(store: Any, changed: pa.Table) -> float:
    store.config.materialization_config.pull_latest_features = False
    return feast_materialize(store, changed)


def _protos(store: Any, changed: pa.Table) -> list[Any]:
    from feast.utils import _convert_arrow_to_proto

    view = store.get_feature_view(VIEW)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    return list(_convert_arrow_to_proto(changed, view, keys))


def _write(store: Any, rows: list[Any]) -> None:
    store._get_provider().online_write_batch(store.config, store.get_feature_view(VIEW), rows, None)


CONTENDERS: dict[str, Callable[[Any, pa.Table], float]] = {
    "bare write": bare_write,
    "write only": write_only,
    "ours": ours,
    "feast incremental": feast_incremental,
    "feast materialize": feast_materialize,
    "feast, pulling all": feast_pulling_all,
}


# --- side by side -----------------------------------------------------------------------------------------


def newest_of_changed(store: Any) -> pa.Table:
    """The rows of the last commit, which are the newest of their users."""
    from feature_repo.offline.tables import delta_table, file_source
    from lake.changes import added_rows

    table = delta_table(store.config, file_source(store.get_feature_view(VIEW).batch_source))
    added = added_rows(table, table.version() - 1)
    assert added is not None
    return added.to_table().combine_chunks()


def stale(store: Any, changed: pa.Table) -> int:
    """Of the changed users, those whose online row is another than their newest."""
    from app.lookup import lookup_many

    pairs = pa.table({"user_id": changed.column("user_id"), "movie_id": pa.nulls(len(changed), pa.int64())})
    online = lookup_many(store, None, pairs).to_pylist()
    return sum(
        row[f"{VIEW}_known_since"] != truth["event_timestamp"]
        or row["user_rating_mean"] != truth["user_rating_mean"]
        for row, truth in zip(online, changed.to_pylist(), strict=True)
    )


def measure(home: Path, contender: str) -> None:
    """In the child: run one contender and print what it took."""
    from common.settings import Settings
    from feature_repo import store

    warnings.simplefilter("ignore")
    opened = store.open_store(Settings(home=home))
    changed = newest_of_changed(opened)
    stale(opened, changed.slice(0, 1))
    _protos(opened, changed.slice(0, 1))  # both for what they import
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        seconds = CONTENDERS[contender](opened, changed)
    print(json.dumps({"seconds": seconds, "stale": stale(opened, changed)}))


def compare(
    rows: int, keys: int, changed: int, names: tuple[str, ...], limits: tuple[float, float]
) -> list[Any]:
    results = []
    with tempfile.TemporaryDirectory(prefix="marquee-materialize-") as folder:
        home = Path(folder) / "home"
        make(home, rows, keys, changed)
        print(f"\n{changed:,} changed users of {keys:,}, {rows:,} rows", flush=True)
        print(f"{'':20}{'seconds':>9}{'× bare':>9}{'peak GB':>9}  stale", flush=True)
        bare = None
        for name in names:
            # The lake stays where it is: only what a contender writes is copied.
            kept = Path(folder) / "kept"
            kept.mkdir()
            for file in ("online.db", "registry.db"):
                shutil.copy(home / file, kept / file)
            found = run_child([__file__, "--child", name, str(home)], *limits)
            for file in ("online.db", "registry.db"):
                (kept / file).replace(home / file)
            kept.rmdir()
            seconds = found.report.get("seconds")
            bare = seconds if name == "bare write" else bare
            ratio = seconds / bare if seconds and bare else None
            results.append(
                {
                    "rows": rows,
                    "keys": keys,
                    "changed": changed,
                    "contender": name,
                    "seconds": seconds,
                    "ratio": ratio,
                    "peak_gb": round(found.peak_gb, 2),
                    "stale": found.report.get("stale"),
                    "failure": found.failure,
                }
            )
            print(line(name, seconds, ratio, found), flush=True)
    return results


def line(name: str, seconds: float | None, ratio: float | None, found: Measured) -> str:
    time = "" if seconds is None else f"{seconds:.2f}"
    times = "" if ratio is None else f"{ratio:.2f}"
    return f"{name:20}{time:>9}{times:>9}{found.peak_gb:>9.2f}  {found.failure or found.report['stale']}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200,000 rows: under a minute")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument(
        "--contenders",
        type=names_of(CONTENDERS, ";"),
        default=[*CONTENDERS],
        help=f"separated by semicolons, of: {'; '.join(CONTENDERS)}",
    )
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one measurement")
    parser.add_argument("--memory", type=float, default=10, help="GB for one measurement")
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "HOME"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(Path(arguments.child[1]), arguments.child[0])
        return
    size = (
        (200_000, 10_000, 1_000) if arguments.quick else (arguments.rows, arguments.keys, arguments.changed)
    )
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    results = compare(*size, tuple(arguments.contenders), (arguments.timeout, arguments.memory))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
