"""The best that any model can do on rows whose labels' true probabilities are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP, quoted
from feature_repo.define.task import Task
from training.evaluate.metrics import roc_auc

ROW = "row"


def true_probabilities(rows: pa.Table, names: Sequence[str], truth: Path) -> np.ndarray:
    """The true probability of each row's label, float64 (rows,).

    Args:
        rows: with the columns `names`.
        names: the columns that tell which event a row is.
        truth: Parquet file or folder with those columns and one more, the probability.

    Raises:
        MarqueeError: the file is missing, has not just one more column, or lacks some of the rows.
    """
    import duckdb

    from lake.duckdb import connection as opened

    if not truth.exists():
        raise MarqueeError(f"There are no probabilities at {truth}.")
    pattern = str(truth / "**" / "*.parquet") if truth.is_dir() else str(truth)
    asked = rows.select(list(names))
    same = [f"r.{quoted(name)} = l.{quoted(name)}" for name in names if name != EVENT_TIMESTAMP]
    if EVENT_TIMESTAMP in names:
        instants = rows[EVENT_TIMESTAMP].cast(pa.timestamp("us", "UTC"))
        asked = asked.set_column(asked.column_names.index(EVENT_TIMESTAMP), EVENT_TIMESTAMP, instants)
        same.append(f"epoch_us(r.{EVENT_TIMESTAMP}) = epoch_us(l.{EVENT_TIMESTAMP})")
    asked = asked.append_column(ROW, pa.array(np.arange(rows.num_rows)))
    with opened(spill=truth.parent) as connection:
        connection.register("asked", asked)
        try:
            there = connection.sql("SELECT * FROM read_parquet(?) LIMIT 0", params=[pattern]).columns
            more = [name for name in there if name not in names]
            if len(more) != 1:
                raise MarqueeError(
                    f"{truth} has {len(more)} columns beside {', '.join(names)}: it needs one, the"
                    " probability."
                )
            query = (
                f"SELECT r.{ROW}, l.{quoted(more[0])} AS p FROM asked r JOIN read_parquet(?) l"
                f" ON {' AND '.join(same)} ORDER BY r.{ROW}"
            )
            found = connection.sql(query, params=[pattern]).to_arrow_table()
        except duckdb.Error as error:
            raise MarqueeError(f"The probabilities at {truth} cannot be read: {error}.") from error
    if found.num_rows != rows.num_rows:
        raise MarqueeError(
            f"{found.num_rows} probabilities at {truth} match the {rows.num_rows} test rows: "
            "they must be those of the same data."
        )
    probabilities: np.ndarray = found["p"].to_numpy()
    return probabilities


def best_attainable_auc(rows: pa.Table, names: Sequence[str], task: Task, truth: Path) -> float:
    """The ROC-AUC that the true probabilities reach on the same rows: nothing can do better but by luck.

    Args:
        rows: with the columns `names` and the task's label, true or false.
        names, truth: as in `true_probabilities`.
        task: whose label.

    Raises:
        MarqueeError: as `true_probabilities`.
    """
    labels: np.ndarray = rows[task.name].to_numpy(zero_copy_only=False)
    return roc_auc(labels.astype(bool), true_probabilities(rows, names, truth))
