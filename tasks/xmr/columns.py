"""Columns of a parent's chunk, taken out and put together: what changes where only some labels are solved again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ext.ranker_columns import merge_chunks
from tasks.xmr.model import Chunk

#: A chunk and where its columns stand among the children of the parent that they are put together for.
Placed = tuple[Chunk, NDArray[np.int64]]
#: A chunk without its bias.
_Merged = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32]]
_NOTHING: _Merged = (np.empty(0, np.uint32), np.zeros(1, np.uint32), np.empty(0, np.uint16), np.empty(0, np.float32))


def merge_columns(parts: Sequence[Placed], width: int) -> Chunk:
    """One chunk of ``width`` columns: column c of each part goes to its place, -1 leaves it out; bits stay."""
    bias = np.zeros(width, dtype=np.float32)
    merged: list[tuple[_Merged, NDArray[np.int64]]] = []
    for (features, start, columns, values, mine), places in parts:
        bias[places[places >= 0]] = mine[places >= 0]
        merged.append(((features, start, columns.astype(np.uint16, copy=False), values), places))
    merged += [(_NOTHING, np.empty(0, np.int64))] * max(0, 2 - len(merged))
    (whole, done), *others = merged
    for part, places in others:
        whole, done = merge_chunks((*whole, done), (*part, places), width), np.arange(width)
    return *whole, bias
