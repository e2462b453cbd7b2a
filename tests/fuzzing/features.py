"""Features that were joined before, as `train --data FILE` reads them."""

from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa

from app.train import TrainOptions, recipe_for
from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from tests.fuzzing.columns import values_of, write
from tests.fuzzing.damage import damaged
from tests.fuzzing.tables import Typed, change
from tests.toy_features import toy_spec, toy_table
from training.data.prepared import prepare_file
from training.data.storage import feature_rows
from training.inputs.spec import Arrays, InputSpec

ROWS = 30
SERVICE = "gbt_v1"


def features(random: Random, folder: Path) -> str:
    """One file; the inputs of a row are those of the same row in a file that is as it should be."""
    file = folder / "data.parquet"
    table = _whole()
    typed = Typed(
        [*table.column_names],
        [table[name].combine_chunks() for name in table.column_names],
        [*table.column_names],
        bases={name: table[name].to_pylist() for name in table.column_names},
    )
    change(random, typed)
    write(random, typed.table, file)
    broken = random.random() < 0.4
    if broken:
        file.write_bytes(damaged(random, file.read_bytes()))
    model = random.choice(("gbt", "logistic"))
    same = not broken and _is_whole(typed)
    try:
        recipe = recipe_for(DOMAIN, model, TrainOptions(data=file, service=SERVICE))
        prepared = prepare_file(file, DOMAIN, recipe, block=random.choice((7, 1_000)))
        labels = prepared.table["liked"].to_pylist()
        with feature_rows(prepared.table, prepared.service, (file,), prepared.block, folder / "rows") as rows:
            half = np.arange(0, len(labels), 2)
            fitted = rows.fit(half, recipe.settings.inputs)
            rows.arrays(fitted, half)
            (arrays,) = rows.arrays(_spec(), np.arange(len(labels)))
            prepared.fingerprint()
            found = {name: np.asarray(array[0 : len(labels)]) for name, array in arrays.items()}
    except MarqueeError:
        assert not same, "a file that is whole was refused"
        raise
    if broken:
        return "read"
    assert len(labels) == typed.rows
    _compare(typed, found, labels)
    return "compared"


def _compare(typed: Typed, found: Arrays, labels: list[bool]) -> None:
    """Rows of which nothing was changed read as they did."""
    columns = {
        role: values_of(column) for role, column in zip(typed.roles, typed.columns, strict=True) if role
    }
    liked = typed.bases["liked"]
    for place in range(typed.rows):
        if all(name in columns and columns[name][place] == typed.bases[name][place] for name in typed.bases):
            assert labels[place] == liked[place], f"label {place} is {labels[place]}"
            for name, array in _arrays().items():
                assert np.array_equal(found[name][place], array[place], equal_nan=True), (
                    f"{name} of row {place}"
                )


def _is_whole(typed: Typed) -> bool:
    table = _whole()
    if len({*typed.names}) != len(typed.names):
        return False
    return all(name in typed.names and typed.table[name].equals(table[name]) for name in table.column_names)


@cache
def _whole() -> pa.Table:
    return toy_table(ROWS, SERVICE, missing=0.2).combine_chunks()


@cache
def _spec() -> InputSpec:
    return toy_spec(_whole(), SERVICE)


@cache
def _arrays() -> Arrays:
    return _spec().apply(_whole())
