"""Rows of several days, oldest first: which of them count.

The newest row of a key replaces those of earlier days, and a deleted key removes them, until a later day has it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Surviving:
    """For each day the mask of its rows that count (bool), and the number of replaced and of deleted rows."""

    masks: list[NDArray[np.bool_]]
    replaced: int
    deleted: int


def newest_rows(keys: Sequence[pa.ChunkedArray], deleted: Sequence[pa.ChunkedArray]) -> Surviving:
    """The rows of each day that no later day replaces or deletes.

    keys: of the rows of each day, distinct within it. deleted: the keys that a day deletes from earlier days; a row of
    the same day with such a key stays.
    """
    rows, gone, count = _codes(keys, deleted)
    newest = np.full(count, -1, dtype=np.int64)
    for day, (there, removed) in enumerate(zip(rows, gone, strict=True)):
        newest[removed] = -1
        newest[there] = day
    masks = [newest[there] == day for day, there in enumerate(rows)]
    lost = int(sum((newest[there] < 0).sum() for there in rows))
    return Surviving(masks, sum(map(len, rows)) - int(sum(mask.sum() for mask in masks)) - lost, lost)


def undeleted_rows(keys: Sequence[pa.ChunkedArray], deleted: Sequence[pa.ChunkedArray]) -> Surviving:
    """The rows of each day that no later day deletes, however many days have the key; arguments as `newest_rows`."""
    rows, gone, count = _codes(keys, deleted)
    since = np.zeros(count, dtype=np.int64)
    for day, removed in enumerate(gone):
        since[removed] = day
    masks = [since[there] <= day for day, there in enumerate(rows)]
    return Surviving(masks, 0, int(sum((~mask).sum() for mask in masks)))


def _codes(*groups: Sequence[pa.ChunkedArray]) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]], int]:
    """The keys of two groups of days as numbers (int64), equal for equal keys, and how many there are."""
    arrays = [array for group in groups for array in group]
    chunks = [chunk for array in arrays for chunk in array.chunks]
    encoded = pa.chunked_array(chunks, pa.string()).dictionary_encode().chunks  # of one growing dictionary
    codes = np.concatenate([np.zeros(0, np.int64), *(chunk.indices.to_numpy().astype(np.int64) for chunk in encoded)])
    count = int(codes.max(initial=-1)) + 1
    parts = np.split(codes, np.cumsum([len(array) for array in arrays])[:-1])
    return parts[: len(groups[0])], parts[len(groups[0]) :], count
