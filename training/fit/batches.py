"""Batches of a dictionary of arrays, in memory or on disk.

They are taken by permuted index from contiguous arrays: no per-row work, no copies but the batch itself. What
is on disk is brought into memory block by block; Keras asks for a batch while the ones before are computed.
"""

from typing import Any

import numpy as np

from training.backend import keras
from training.data.storage import OnDisk
from training.inputs.spec import Arrays
from training.models.config import TrainingConfig

SMALLEST_BATCH, LARGEST_BATCH = 256, 4500


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of a dictionary of arrays, in an order that depends on seed and epoch only.

    Arrays on disk are shuffled in blocks of one size: the blocks come in random order, and within each its
    rows do. What fits one block is shuffled as if it were in memory.

    Args:
        arrays: contiguous arrays of the same number of rows, in memory or on disk.
        targets: (rows,), or None to predict.
        size: rows of a batch. The last of a block may be smaller; where rows are shuffled, those that came
            first fill it up, as each shape of batch is compiled for itself.
        seed: of the permutation; None keeps the order.
        epoch: that comes first.
        full: fill up the last batch of a block where rows keep their order, too.
    """

    def __init__(
        self,
        arrays: Arrays,
        targets: np.ndarray | None,
        size: int,
        seed: int | None = None,
        epoch: int = 0,
        full: bool = False,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.arrays = arrays
        self.targets = targets
        first = next(iter(arrays.values()))
        self.rows = len(first)
        self.size = size
        self.seed = seed
        self.epoch = epoch
        self.full = full
        most = first.block if isinstance(first, OnDisk) else max(self.rows, 1)
        # Blocks of one size: a last one of a few rows would be a step as large as any.
        blocks = max(-(-self.rows // most), 1)
        self.block = max(-(-self.rows // blocks), 1)
        self._permute()

    def _permute(self) -> None:
        """The order of the blocks, and the number of batches up to the end of each."""
        self._held = -1
        starts = np.arange(0, self.rows, self.block)
        rows = np.minimum(starts + self.block, self.rows) - starts
        self._blocks = np.arange(len(starts))
        if self.seed is not None and len(starts) > 1:
            self._blocks = np.random.default_rng((self.seed, self.epoch)).permutation(len(starts))
        self._ends = np.cumsum(-(-rows[self._blocks] // self.size))

    def _hold(self, block: int) -> None:
        """Bring a block into memory, and draw its order."""
        if block == self._held:
            return
        rows = slice(block * self.block, min((block + 1) * self.block, self.rows))
        self._arrays = {}  # let go of first, so that memory holds one block
        self._arrays = {name: array[rows] for name, array in self.arrays.items()}
        self._rows = rows.stop - rows.start
        self._labels = None if self.targets is None else self.targets[rows].astype(np.float32)[:, None]
        self._order = None
        if self.seed is not None:
            key = (self.seed, self.epoch) if len(self._blocks) == 1 else (self.seed, self.epoch, 1 + block)
            self._order = np.random.default_rng(key).permutation(self._rows)
        self._held = block

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.rows else 0

    def __getitem__(self, index: int) -> Any:
        place = int(np.searchsorted(self._ends, index, side="right"))
        self._hold(int(self._blocks[place]))
        start = (index - (int(self._ends[place - 1]) if place else 0)) * self.size
        rows: Any = slice(start, start + self.size)
        if self._order is not None:
            chosen = self._order[rows]
            short = self.size - len(chosen)
            rows = chosen if len(self._order) < self.size else np.concatenate([chosen, self._order[:short]])
        elif self.full and rows.stop > self._rows:
            rows = np.arange(rows.start, rows.stop) % self._rows
        batch = {name: array[rows] for name, array in self._arrays.items()}
        return (batch,) if self._labels is None else (batch, self._labels[rows])

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._permute()


class Rest(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches without the first ones of the epoch.

    Args:
        batches: all.
        done: how many are left out.
    """

    def __init__(self, batches: Batches, done: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.batches = batches
        self.done = done

    def __len__(self) -> int:
        return len(self.batches) - self.done

    def __getitem__(self, index: int) -> Any:
        return self.batches[self.done + index]


def batch_size(rows: int, config: TrainingConfig) -> int:
    """The configured batch, or one that gives an epoch some 100 steps, within 256 and 4500 rows."""
    if config.batch_size is not None:
        return min(config.batch_size, rows)
    return min(rows, max(SMALLEST_BATCH, min(LARGEST_BATCH, rows // 100)))
