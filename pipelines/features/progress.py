"""What a feature table's commits say: which versions of its sources it has seen, and how it was computed."""

import json
from collections.abc import Mapping
from pathlib import Path

from common.files import json_in
from feature_repo.define.view import View
from lake.tables import commit_digests, exists, open_table, said_of
from pipelines.features.computation import digest, stored_schema


def progress(folder: Path, view: View, seen: Mapping[str, int]) -> str:
    """What the commit of a view's table says.

    Args:
        folder: of the lake.
        seen: versions of the view's sources, by name.
    """
    said = {
        "seen": dict(seen),
        "commits": commit_digests(folder, seen),
        "computation": digest(view),
    }
    return json.dumps(said)


def seen_by(folder: Path, view: View) -> dict[str, int] | None:
    """The source versions that a view's table is up to date with.

    Args:
        folder: of the lake.

    Returns:
        None where there is no table, where it does not say, where its rows are stored or were computed
        otherwise than the view declares now, or where a source has another commit of that version now, as one
        has that was made anew or put back.
    """
    if not exists(folder, view.name):
        return None
    table = open_table(folder, view.name)
    if [field.name for field in table.schema().fields] != stored_schema(view).names:
        return None
    said = said_of(folder, view.name)
    try:
        told = json_in(said or "{}")
        if told.get("computation") != digest(view):
            return None
        seen = {str(name): int(version) for name, version in told["seen"].items()}
    except (ValueError, TypeError, KeyError, AttributeError):  # others write what they like
        return None
    # What an earlier Marquee wrote does not say which commits it saw.
    return seen if told.get("commits") in (None, commit_digests(folder, seen)) else None
