"""What a feature table's commits say: which versions of its sources it has seen, and how it was computed."""

import json
from collections.abc import Mapping
from pathlib import Path

from feature_repo.define.view import View
from lake.tables import exists, open_table, said_of
from pipelines.features.computation import digest, stored_schema


def progress(view: View, seen: Mapping[str, int]) -> str:
    """What the commit of a view's table says.

    Args:
        seen: versions of the view's sources, by name.
    """
    return json.dumps({"seen": dict(seen), "computation": digest(view)})


def seen_by(folder: Path, view: View) -> dict[str, int] | None:
    """The source versions that a view's table is up to date with.

    Args:
        folder: of the lake.

    Returns:
        None where there is no table, where it does not say, or where its rows are stored or were computed
        otherwise than the view declares now.
    """
    if not exists(folder, view.name):
        return None
    table = open_table(folder, view.name)
    if [field.name for field in table.schema().fields] != stored_schema(view).names:
        return None
    said = said_of(folder, view.name)
    told = json.loads(said) if said else {}
    return dict(told["seen"]) if told.get("computation") == digest(view) else None
