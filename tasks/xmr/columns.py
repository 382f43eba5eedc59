"""Columns of a parent's chunk, taken out and put together: what changes where only some labels are solved again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.xmr.model import Chunk

#: A chunk and where its columns stand among the children of the parent that they are put together for.
Placed = tuple[Chunk, NDArray[np.int64]]


def pick_columns(chunk: Chunk, places: NDArray[np.int64]) -> Chunk:
    """The chunk with only the columns at these places (ascending), numbered anew."""
    rank = np.full(len(chunk[4]), -1, dtype=np.int64)
    rank[places] = np.arange(len(places))
    return merge_columns([(chunk, rank)], len(places))


def merge_columns(parts: Sequence[Placed], width: int) -> Chunk:
    """One chunk of ``width`` columns: column c of each part goes to its place, -1 leaves it out; bits stay as they are."""
    keys, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    bias = np.zeros(width, dtype=np.float32)
    for (features, start, columns, weights, mine), places in parts:
        kept = places >= 0
        bias[places[kept]] = mine[kept]
        target = places[columns]
        key = np.repeat(features.astype(np.int64) * width, start[1:] - start[:-1]) + target
        keys.append(key[target >= 0])
        values.append(weights[target >= 0])
    key, value = np.concatenate(keys), np.concatenate(values)
    # Parts ascend already, mostly: a stable sort merges runs.
    order = np.argsort(key, kind="stable")
    of_entry, column = np.divmod(key[order], max(width, 1))
    first = np.concatenate((np.ones(min(1, len(of_entry)), bool), of_entry[1:] != of_entry[:-1]))
    begins = np.flatnonzero(first)
    start = np.concatenate((begins, [len(of_entry)])).astype(np.uint32)
    return of_entry[begins].astype(np.uint32), start, column.astype(np.uint16), value[order], bias
