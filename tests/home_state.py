"""All that counts of a home, to be compared, and what does not belong into one."""

import hashlib
import json
import shutil
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from common.settings import Settings
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.domains.movies import DOMAIN
from tests.folders import files_of
from tests.marquee import content, table
from tests.view_rows import seen_by_readers

MOST_KEYS = 100
"""Users and movies that are looked up online, from 1 on: all that the homes of tests have."""


def state(home: Path) -> dict[str, Any]:
    """All that counts of a home: tables, the registry, what is online, models, data sets and generated files.

    Of feature tables what readers see: late events leave rows behind that are not read any more.
    """
    found: dict[str, Any] = {}
    for log in sorted(home.glob("lake/*/_delta_log")):
        found[f"table {log.parent.name}"] = _rows(_Stored(home, log.parent.name, files_of(str(log.parent))))
    if (home / "registry.db").exists():
        found["registry"] = registered(home)
        found["online"] = online(home)
    for file in home.rglob("metrics.json"):
        place = file.parent.relative_to(home).parts
        name = "/".join(place[2:] if place[0] == "runs" else place)
        found[f"model {name}"] = model_state(file.parent)
    for file in (*home.glob("sources/**/*"), home.parent / "out.parquet"):
        if file.is_file():
            found[f"file {file.relative_to(home.parent)}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


@dataclass(frozen=True)
class _Stored:
    """A table as it is stored, equal to that of a copy of the home."""

    home: Path = field(compare=False)
    name: str
    files: Hashable


@lru_cache(maxsize=500)
def _rows(stored: _Stored) -> list[dict[str, Any]]:
    """Its rows; of one that no command touched, they are read once."""
    for view in DOMAIN.views:
        if view.name == stored.name:
            return seen_by_readers(view, table(stored.home, stored.name))
    return content(stored.home, stored.name)


def model_state(folder: Path) -> dict[str, Any]:
    """What counts of a trained model: what made it, its scores of the test rows, and its metrics."""
    parts = (folder / name for name in ("inputs.json", "predictions.parquet"))
    return {
        "metrics": json.loads((folder / "metrics.json").read_text())["test"],
        "recipe": json.loads((folder / "manifest.json").read_text())["recipe"],
        **{file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in parts},
    }


def registered(home: Path) -> dict[str, list[str]]:
    """What the registry has: the columns of each view, and the views of each service."""
    from feature_repo.store import open_store

    store = open_store(Settings(home=home))
    views = {
        view.name: [f"{field.name} {field.dtype}" for field in view.schema]
        for view in store.list_feature_views()
    }
    services = {
        service.name: [view.name for view in service.feature_view_projections]
        for service in store.list_feature_services()
    }
    return {name: sorted(found) for name, found in {**views, **services}.items()}


def online(home: Path) -> list[dict[str, Any]]:
    """What is online of the first users and movies, a row for each two of one number."""
    from app.lookup import lookup_many
    from feature_repo.store import open_store

    pairs = pa.table({"user_id": range(1, MOST_KEYS + 1), "movie_id": range(1, MOST_KEYS + 1)})
    return lookup_many(open_store(Settings(home=home)), None, pairs).to_pylist()


def made_ready(home: Path, before: Sequence[str], do: Callable[[str, Path], None]) -> Path:
    """A home after some commands, each done by `do`, or after "rm FILE", which may be a folder."""
    for words in before:
        if words.startswith("rm "):
            removed = home / words.removeprefix("rm ")
            shutil.rmtree(removed) if removed.is_dir() else removed.unlink()
        else:
            do(words, home)
    return home


def remains(home: Path) -> list[str]:
    """What a command that was cut off left, and no other removes: parts of files and folders."""
    found = [path for path in home.rglob(".*") if path.name not in (".lock", ".registry.lock")]
    for unfinished in ("marquee-duckdb-*", "*-journal", "*#[0-9]*"):  # DuckDB's, SQLite's and Delta's
        found += home.rglob(unfinished)
    # Great Expectations, Delta and Hadoop have hidden files of their own.
    return sorted(
        str(path.relative_to(home))
        for path in set(found)
        if not (path.name.startswith(".") and {"gx", "_delta_log"} & set(path.relative_to(home).parts))
        and path.suffix != ".crc"
    )


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names of what differs between two states."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def online_differs(home: Path) -> list[str]:
    """The views of which something else is online than each key's newest row."""
    wrong = []
    served = online(home)
    for view in DOMAIN.views:
        key, since = view.by.name, f"{view.name}_known_since"
        newest = {row[key]: row for row in seen_by_readers(view, table(home, view.name))}
        for row in served:
            wanted = newest.get(row[key], {})
            if row[since] != wanted.get(EVENT_TIMESTAMP) or any(
                row[column.name] != wanted.get(column.name) for column in view.columns
            ):
                wrong.append(f"{view.name} of {row[key]}")
    return wrong
