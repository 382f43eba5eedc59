"""Merging of chunk columns, for a parent of which only some labels are solved again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.ranker_columns import merge_chunks
from fingerpost.tasks.xmr.model import Chunk

#: A chunk, and the index of each of its columns in the merged chunk; -1 drops the column.
Placed = tuple[Chunk, NDArray[np.int64]]
#: A chunk without its bias.
_Merged = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32]]
_EMPTY: _Merged = (np.empty(0, np.uint32), np.zeros(1, np.uint32), np.empty(0, np.uint16), np.empty(0, np.float32))


def merge_columns(parts: Sequence[Placed], width: int) -> Chunk:
    """One chunk of ``width`` columns, merged from those of all parts by their indices; values are copied unchanged."""
    bias = np.zeros(width, dtype=np.float32)
    merged: list[tuple[_Merged, NDArray[np.int64]]] = []
    for (features, start, columns, values, part_bias), indices in parts:
        bias[indices[indices >= 0]] = part_bias[indices >= 0]
        merged.append(((features, start, columns.astype(np.uint16, copy=False), values), indices))
    merged += [(_EMPTY, np.empty(0, np.int64))] * max(0, 2 - len(merged))
    (result, filled), *others = merged
    for part, indices in others:
        result, filled = merge_chunks((*result, filled), (*part, indices), width), np.arange(width)
    return *result, bias
