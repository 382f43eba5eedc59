"""Similarity histograms of all pairs by class, in one pass over pairs of blocks of rows.

Memory: two blocks, the counts of their classes, and the result; independent of the number of rows. Time: O(n² d) for n
rows of d dimensions. Counts are exact integers of scores that depend on two rows only, so blocks, shards, threads and
the order of rows do not change them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext.pair_counts import pair_counts
from fingerpost.tasks.metric.class_pairs import ClassPairs, count_between, sampled_classes, sampled_rows
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.scores import ScoreBins, class_rows

#: Rows per block.
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Block:
    """Rows float32 (m, d), prepared for the measure and sorted by their classes int64 (m,)."""

    rows: NDArray[np.float32]
    classes: NDArray[np.int64]


def block_pairs(blocks: int) -> list[tuple[int, int]]:
    """Pairs (i, j) of blocks, i <= j, that together hold every pair of rows once; the unit of sharding."""
    return [(i, j) for i in range(blocks) for j in range(i, blocks)]


class PairCounter:
    """Accumulator of counts over pairs of blocks.

    ends: pairs by the class of each end, int64 (classes, bins). inside: pairs within a class, int64 (classes, bins).
    """

    def __init__(self, classes: int, bins: ScoreBins) -> None:
        self.bins = bins
        self.ends = np.zeros((classes, bins.count), dtype=np.int64)
        self.inside = np.zeros((classes, bins.count), dtype=np.int64)

    def add(self, left: Block, right: Block | None, *, threads: int = 1) -> None:
        """Counts the pairs between two blocks, or within the first if ``right`` is None."""
        of_left, of_right, inside = pair_counts(
            left.rows,
            left.classes,
            None if right is None else right.rows,
            None if right is None else right.classes,
            measure=self.bins.measure,
            inverse_width=1 / self.bins.width,
            offset=self.bins.offset,
            bins=self.bins.count,
            threads=threads,
        )
        _add(self.ends, left.classes, of_left)
        _add(self.ends, (left if right is None else right).classes, of_right)
        _add(self.inside, left.classes, inside)

    def merge(self, other: "PairCounter") -> None:
        """Adds the counts of another counter; ValueError for other bins or classes."""
        if other.bins != self.bins or other.ends.shape != self.ends.shape:
            raise ValueError(
                "pair counts: expected the same bins and classes, got different ones; count with the same settings"
            )
        self.ends += other.ends
        self.inside += other.inside

    def histograms(self, names: NDArray[np.generic], between: ClassPairs | None = None) -> PairHistograms:
        """The histograms so far of classes named ``names`` (c,); ``inside`` shares memory with this counter."""
        outside = self.ends - self.inside
        outside -= self.inside
        return PairHistograms(self.bins, names, self.inside, outside, between)


def _add(total: NDArray[np.int64], classes: NDArray[np.int64], counts: NDArray[np.uint32]) -> None:
    """Adds the counts of a block's distinct classes, ascending, to the total."""
    numbers = np.unique(classes)
    if len(numbers) == 0:
        return
    if numbers[-1] - numbers[0] + 1 == len(numbers):
        total[numbers[0] : numbers[-1] + 1] += counts
    else:
        total[numbers] += counts


def count_pairs(
    blocks: Sequence[Block],
    classes: int,
    bins: ScoreBins,
    pairs: Iterable[tuple[int, int]] | None = None,
    *,
    threads: int = 1,
) -> PairCounter:
    """Counts pairs of blocks, by default all.

    ``blocks[i]`` may read its rows on each access; two blocks are in memory at a time. Rows must be sorted by class
    within each block; counting is fastest if they are sorted across blocks too.
    """
    counter = PairCounter(classes, bins)
    held, left = -1, None
    for i, j in block_pairs(len(blocks)) if pairs is None else pairs:
        if left is None or held != i:
            held, left = i, blocks[i]
        counter.add(left, None if i == j else blocks[j], threads=threads)
    return counter


def pair_histograms(
    vectors: ArrayLike, labels: ArrayLike, bins: ScoreBins, *, block_rows: int = BLOCK_ROWS, threads: int = 1
) -> PairHistograms:
    """Histograms of all pairs of rows (n, d) with labels (n,).

    ``block_rows`` (1 to 65535) and ``threads`` affect memory and time only. ValueError for another ``block_rows``.
    """
    if not 1 <= block_rows < 1 << 16:
        raise ValueError(f"block rows: expected 1 to 65535, got {block_rows}; use {BLOCK_ROWS}")
    data = class_rows(vectors, labels, bins.measure)
    blocks = [
        Block(data.rows[begin : begin + block_rows], data.classes[begin : begin + block_rows])
        for begin in range(0, len(data.rows), block_rows)
    ]
    counter = count_pairs(blocks, len(data.names), bins, threads=threads)
    sample = sampled_classes(data.names)
    positions = sampled_rows(data.classes, sample)
    sizes = np.bincount(data.classes, minlength=len(data.names))[sample].astype(np.int64)
    between = count_between(data.rows[positions], data.classes[positions], sizes, bins)
    return counter.histograms(data.names, between)
