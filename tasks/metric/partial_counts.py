"""Partial pair counts as sparse arrays that are stored per shard and summed."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.metric.class_pairs import ClassPairs
from fingerpost.tasks.metric.histograms import Block, PairCounter, block_pairs, count_pairs
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.scores import ScoreBins

Arrays = dict[str, NDArray[np.int64]]


def group_pairs(left: int, right: int | None) -> list[tuple[int, int]]:
    """Pairs of block indices between ``left`` blocks and the ``right`` blocks after them; within ``left`` if None."""
    if right is None:
        return block_pairs(left)
    return [(i, left + j) for i in range(left) for j in range(right)]


def count_groups(left: Sequence[Block], right: Sequence[Block] | None, bins: ScoreBins, *, threads: int = 1) -> Arrays:
    """Counts of all pairs between two groups of blocks, or within one, over the classes that occur in them.

    Returns int64 arrays: ``classes`` (k,) ascending; ``places`` (m,) ascending, the nonzero entries as index into
    ``classes`` · bins + bin; ``ends`` and ``inside`` (m,), the counts there.
    """
    blocks = [*left, *(right or ())]
    classes = np.unique(np.concatenate([block.classes for block in blocks]))
    local = [Block(block.rows, np.searchsorted(classes, block.classes)) for block in blocks]
    pairs = group_pairs(len(left), None if right is None else len(right))
    counter = count_pairs(local, len(classes), bins, pairs, threads=threads)
    places = np.flatnonzero(counter.ends.ravel())
    ends, inside = counter.ends.ravel()[places], counter.inside.ravel()[places]
    return {"classes": classes.astype(np.int64), "places": places.astype(np.int64), "ends": ends, "inside": inside}


def summed_counts(
    parts: Iterable[Mapping[str, NDArray[np.int64]]],
    names: NDArray[np.generic],
    bins: ScoreBins,
    between: ClassPairs | None = None,
) -> PairHistograms:
    """Histograms summed over parts (the arrays of :func:`count_groups`) in any order, with ``between`` attached."""
    total = PairCounter(len(names), bins)
    for part in parts:
        row, column = np.divmod(part["places"], bins.count)
        places = part["classes"][row] * bins.count + column
        total.ends.ravel()[places] += part["ends"]
        total.inside.ravel()[places] += part["inside"]
    return total.histograms(names, between)


def histogram_arrays(pairs: PairHistograms) -> Arrays:
    """Nonzero entries of histograms: int64 ``places`` (m,) ascending, ``inside`` and ``outside`` (m,).

    Likewise ``between_places`` and ``between`` for sampled class pairs, and the sizes of the sampled classes
    (``drawn_sizes``).
    """
    places = np.flatnonzero((pairs.inside.ravel() > 0) | (pairs.outside.ravel() > 0))
    arrays = {
        "places": places.astype(np.int64),
        "inside": pairs.inside.ravel()[places],
        "outside": pairs.outside.ravel()[places],
    }
    if pairs.between is None:
        return arrays
    counts = pairs.between.counts.ravel()
    nonzero = np.flatnonzero(counts)
    return arrays | {
        "between_places": nonzero.astype(np.int64),
        "between": counts[nonzero],
        "drawn_sizes": pairs.between.sizes,
    }


def histograms_of(
    arrays: Mapping[str, NDArray[np.int64]], names: NDArray[np.generic], bins: ScoreBins
) -> PairHistograms:
    """The inverse of :func:`histogram_arrays`."""
    kinds = []
    for kind in ("inside", "outside"):
        counts = np.zeros(len(names) * bins.count, dtype=np.int64)
        counts[arrays["places"]] = arrays[kind]
        kinds.append(counts.reshape(len(names), bins.count))
    if "drawn_sizes" not in arrays:
        return PairHistograms(bins, names, kinds[0], kinds[1])
    sizes = arrays["drawn_sizes"]
    between = np.zeros(len(sizes) * (len(sizes) - 1) // 2 * bins.count, dtype=np.int64)
    between[arrays["between_places"]] = arrays["between"]
    return PairHistograms(bins, names, kinds[0], kinds[1], ClassPairs(between.reshape(-1, bins.count), sizes))
