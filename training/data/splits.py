"""Cutting labelled rows into training, validation and test."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError, unknown
from common.words import count, count_of
from feature_repo.define.column import EVENT_TIMESTAMP

Strategy = Literal["time", "random"]
SHARES = (0.72, 0.08, 0.20)
"""Training, validation and test: 8:2, and a tenth of the eight for choosing."""
LEAKY: dict[str, bool] = {"time": False, "random": True}
"""Whether rows of a split's training part may lie later than rows of its test part."""


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the three parts, each ascending, together all rows, none twice.

    Args:
        train, valid, test: int64 row numbers.
        strategy: how they were cut.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    strategy: Strategy

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The three parts by their names for people."""
        return {"training": self.train, "validation": self.valid, "test": self.test}

    @property
    def leaky(self) -> bool:
        """Whether the future may have been trained on; stands wherever the numbers do."""
        return LEAKY[self.strategy]


def check_strategy(strategy: str) -> Strategy:
    """A way of cutting, by its name.

    Raises:
        MarqueeError: there is none of that name.
    """
    if strategy not in get_args(Strategy):
        raise unknown("split", strategy, get_args(Strategy))
    return "time" if strategy == "time" else "random"


def check_shares(shares: tuple[float, float, float]) -> None:
    """Refuse shares of training, validation and test that are no shares.

    Raises:
        MarqueeError: one is not positive, or they do not add up to 1.
    """
    if abs(sum(shares) - 1) > 1e-9 or min(shares) <= 0:
        raise MarqueeError(f"The shares of a split must be positive and add up to 1, not {shares}.")


def split(
    table: pa.Table,
    strategy: str = "time",
    *,
    by: str = EVENT_TIMESTAMP,
    shares: tuple[float, float, float] = SHARES,
    seed: int = 0,
) -> Split:
    """Cut a table of labels.

    "time": the first rows by their instants train, the next validate, the last test. Rows of one instant
    stay together: a cut moves on to the end of the instant that it falls into, so every training row is
    strictly earlier than every validation row, and that than every test row.
    "random": rows are dealt at random by `seed`, as the papers do. Leaky.

    Args:
        table: in any order.
        strategy: "time" or "random".
        by: the column with the instants, or with the places in a log.
        shares: of training, validation and test; they add up to 1.
        seed: of the random strategy.

    Raises:
        MarqueeError: an unknown strategy, shares that do not add up to 1, or a part that would be empty.
    """
    strategy = check_strategy(strategy)
    check_shares(shares)
    rows = table.num_rows
    cuts = [round(rows * shares[0]), round(rows * (shares[0] + shares[1]))]
    if strategy == "time":
        column = table[by]
        if column.null_count:
            raise MarqueeError(
                f"{column.null_count} of {rows} labels have no {by}: they cannot be split by time."
            )
        times = column.cast(pa.int64()).to_numpy()
        order = np.argsort(times)
        ordered = times[order]
        cuts = [int(np.searchsorted(ordered, ordered[cut - 1], side="right")) if cut else 0 for cut in cuts]
    else:
        order = np.random.default_rng(seed).permutation(rows)
    parts = [np.sort(part) for part in np.split(order, cuts)]
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            raise MarqueeError(_nothing_left(table[by], strategy, shares, name))
    train, valid, test = parts
    return Split(train, valid, test, strategy)


def _nothing_left(
    times: pa.ChunkedArray, strategy: Strategy, shares: tuple[float, float, float], part: str
) -> str:
    """Why a part would be empty: there are too few labels, or they share their instants, which stay whole."""
    rows = len(times)
    if 0 < round(rows * shares[0]) < round(rows * (shares[0] + shares[1])) < rows:
        instants = len(pc.unique(times))
        labels = f"All {count(rows)} labels share one instant"
        if instants > 1:
            labels = f"{count(rows)} labels share {count(instants)} instants"
        return (
            f"{labels}, and a split by {strategy} tears none apart: no row is left for {part}. Give events of"
            " more instants, or train with --split random, which leaks the future."
        )
    return (
        f"{count_of(rows, 'label')} {'is' if rows == 1 else 'are'} too few to split by {strategy}: no row is"
        f" left for {part}. Give more events."
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows before the test, cut as a model meets them; row numbers, each ascending.

    Args:
        train: to train on.
        valid: that choose for how long.
        later: to score once both are trained on.
    """

    train: np.ndarray
    valid: np.ndarray
    later: np.ndarray

    @property
    def earlier(self) -> np.ndarray:
        """All but `later`."""
        return np.sort(np.concatenate([self.train, self.valid]))


def before_test(
    table: pa.Table,
    strategy: str,
    number: int,
    *,
    by: str = EVENT_TIMESTAMP,
    shares: tuple[float, float, float] = SHARES,
    seed: int = 0,
) -> list[Cut]:
    """Several cuts of the rows before the test, which score different rows.

    "time": of consecutive blocks as large as the validation part, the newest is scored first, the one before
    it validates, and all before trains; each further cut lies one block earlier. "random": the blocks are
    dealt at random, and all others train.

    Args:
        table, strategy, by, shares, seed: as in `split`.
        number: of cuts.

    Raises:
        MarqueeError: as `split`, or too few rows or instants for so many cuts.
    """
    parts = split(table, strategy, by=by, shares=shares, seed=seed)
    rows = np.sort(np.concatenate([parts.train, parts.valid]))
    size = len(parts.valid)
    if (number + 1) * size >= len(rows):
        raise MarqueeError(f"{len(rows)} rows are too few for {number} cuts in blocks of {size}.")
    if strategy == "time":
        times = table[by].cast(pa.int64()).to_numpy()
        cuts, train, later = [], parts.train, parts.valid
        for _ in range(number):
            newest = times[train] >= np.sort(times[train])[-size:][0]  # an instant is not cut in two
            if newest.all():
                raise MarqueeError(f"{len(rows)} rows are of too few instants for {number} cuts.")
            train, valid = train[~newest], train[newest]
            cuts.append(Cut(train, valid, later))
            later = valid
        return cuts
    dealt = np.random.default_rng(seed).permutation(rows)
    blocks = [np.sort(dealt[k * size : (k + 1) * size]) for k in range(number + 1)]
    return [
        Cut(np.setdiff1d(rows, np.concatenate([valid, later])), valid, later)
        for later, valid in pairwise(blocks)
    ]
