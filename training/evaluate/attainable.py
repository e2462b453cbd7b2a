"""The best that any model can do on rows whose true like-probabilities are known."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError
from feature_repo import schema
from training.data.labels import LIKED
from training.evaluate.metrics import roc_auc

LIKELIHOOD = "like_probability"
KEYS = [column.name for column in schema.RATINGS.key] + [schema.EVENT_TIMESTAMP]
ROW = "row"


def true_likelihood(rows: pa.Table, likelihood: Path) -> np.ndarray:
    """The true like-probability of each row, float64 (rows,).

    Args:
        rows: with the keys and `event_timestamp`.
        likelihood: Parquet file or folder with the keys, `event_timestamp` and `like_probability`.

    Raises:
        MarqueeError: the file is missing or lacks some of the rows.
    """
    import duckdb

    if not likelihood.exists():
        raise MarqueeError(f"There are no like-probabilities at {likelihood}.")
    pattern = str(likelihood / "**" / "*.parquet") if likelihood.is_dir() else str(likelihood)
    instant = schema.EVENT_TIMESTAMP
    asked = rows.select(KEYS).set_column(
        KEYS.index(instant), instant, rows[instant].cast(pa.timestamp("us", "UTC"))
    )
    asked = asked.append_column(ROW, pa.array(np.arange(rows.num_rows)))
    same = [f"r.{key} = l.{key}" for key in KEYS if key != instant]
    same.append(f"epoch_us(r.{instant}) = epoch_us(l.{instant})")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("asked", asked)
        query = (
            f"SELECT r.{ROW}, l.{LIKELIHOOD} FROM asked r JOIN read_parquet(?) l"
            f" ON {' AND '.join(same)} ORDER BY r.{ROW}"
        )
        try:
            joined = connection.sql(query, params=[pattern]).to_arrow_table()
        except duckdb.Error as error:
            raise MarqueeError(f"The like-probabilities at {likelihood} cannot be read: {error}.") from error
    if joined.num_rows != rows.num_rows:
        raise MarqueeError(
            f"{joined.num_rows} like-probabilities at {likelihood} match the {rows.num_rows} test rows: "
            "they must be those of the same data."
        )
    found: np.ndarray = joined[LIKELIHOOD].to_numpy()
    return found


def best_attainable_auc(predictions: pa.Table, likelihood: Path) -> float:
    """The ROC-AUC that the true like-probabilities reach on the same rows: nothing can do better but by luck.

    Args:
        predictions: with the keys, `event_timestamp` and `liked`.
        likelihood: as in `true_likelihood`.

    Raises:
        MarqueeError: the file is missing or lacks some of the rows.
    """
    liked: np.ndarray = predictions[LIKED].to_numpy(zero_copy_only=False)
    return roc_auc(liked.astype(bool), true_likelihood(predictions, likelihood))
