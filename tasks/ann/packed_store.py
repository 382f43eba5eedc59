"""Vectors as a packed index keeps them for exact distances: float32, whole numbers of 8 bits, or 12 bits a value."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import packed as kernel
from fingerpost.ext.hnsw import normalise_rows
from fingerpost.tasks.ann.codes import BLOCK_ROWS
from fingerpost.tasks.ann.search import Metric, VectorError, no_direction

#: float32: as given. integers: whole numbers of 8 bits, without loss. bits12: each column in 4,095 steps from its
#: minimum to its maximum.
Keeping = Literal["float32", "integers", "bits12"]
KEEPINGS: tuple[Keeping, ...] = ("float32", "integers", "bits12")
_STEPS = 4095


@dataclass(frozen=True)
class StoredRange:
    """What stored integers stand for: value = low + step · integer; float32, one a column, or one for all integers."""

    low: NDArray[np.float32]
    step: NDArray[np.float32]


def fits(keeping: Keeping, rows: NDArray[np.float32], metric: Metric) -> bool:
    """Whether vectors can be kept so; rows of length one are no whole numbers."""
    if keeping != "integers":
        return True
    if metric == "cosine":
        return False
    for begin in range(0, len(rows), BLOCK_ROWS):
        block = rows[begin : begin + BLOCK_ROWS]
        # The first block settles it for almost all other vectors.
        if block.min() < -128 or block.max() > 255 or not (block == np.rint(block)).all():
            return False
    return bool(rows.min() >= 0 or rows.max() <= 127)


def stored_range(rows: NDArray[np.float32], metric: Metric, keeping: Keeping) -> StoredRange:
    """The ranges of vectors (n, d); VectorError where they cannot be kept so."""
    nothing = np.zeros(0, dtype=np.float32)
    if keeping == "float32":
        return StoredRange(nothing, nothing)
    if keeping == "integers":
        if not fits(keeping, rows, metric):
            raise VectorError(
                "vectors: expected whole numbers of 0 to 255 or -128 to 127 without cosine, got others; keep them as"
                " float32"
            )
        return StoredRange(np.array([0 if rows.min() >= 0 else -128], np.float32), np.ones(1, np.float32))
    low = np.full(rows.shape[1], np.inf, dtype=np.float32)
    high = -low
    for begin in range(0, len(rows), BLOCK_ROWS):
        block = rows[begin : begin + BLOCK_ROWS]
        block = unit_block(block, None, begin) if metric == "cosine" else block
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    width = kernel.row_bytes("integers", rows.shape[1])
    step = np.zeros(width, dtype=np.float32)
    step[: len(low)] = (high.astype(np.float64) - low) / _STEPS
    return StoredRange(np.pad(low, (0, width - len(low))), step)


def store_rows(block: NDArray[np.float32], stored: StoredRange, keeping: Keeping, out: NDArray[np.generic]) -> None:
    """Writes rows float32 (m, d) as bytes (m, row_bytes)."""
    columns = block.shape[1]
    if keeping == "float32":
        out.view(np.float32)[:, :columns] = block
        return
    if keeping == "integers":
        out[:, :columns] = (block - stored.low[0]).astype(np.uint8)
        # Columns that fill a row up stand for zero.
        out[:, columns:] = np.uint8(-stored.low[0])
        return
    steps = np.where(stored.step > 0, stored.step, np.float32(1))[:columns]
    values = np.zeros((len(block), len(stored.step)), dtype=np.uint16)
    values[:, :columns] = np.clip(np.rint((block - stored.low[:columns]) / steps), 0, _STEPS)
    width = values.shape[1]
    out[:, :width] = values & 255
    halves = np.zeros((len(block), -(-width // 32) * 32), dtype=np.uint8)
    halves[:, :width] = values >> 8
    pairs = halves.reshape(len(block), -1, 2, 16)
    out[:, width:] = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(len(block), -1)


def unit_block(block: NDArray[np.float32], order: NDArray[np.int64] | None, begin: int) -> NDArray[np.float32]:
    """Rows scaled to length one; VectorError names the row without a direction."""
    scaled, bad = normalise_rows(block)
    if bad >= 0:
        raise no_direction("vectors", begin + bad if order is None else int(order[begin + bad]))
    return scaled
