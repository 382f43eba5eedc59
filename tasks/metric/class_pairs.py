"""Score histograms for a sample of class pairs, chosen by hash of the class names.

They estimate the variance between class pairs, which counts by class do not determine; the histograms of all class
pairs would not fit in memory.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.pair_counts import pair_scores
from fingerpost.tasks.metric.scores import ScoreBins

#: Maximum number of sampled classes, and of rows compared per sampled class.
SAMPLED_CLASSES, SAMPLED_ROWS = 64, 64


@dataclass(frozen=True)
class ClassPairs:
    """Histograms of scores for the pairs (i, j), i < j, of k sampled classes.

    counts: int64 (k (k - 1) / 2, bins), in the order of ``numpy.triu_indices``. sizes: number of rows of each sampled
    class, int64 (k,), of which at most ``SAMPLED_ROWS`` were compared.
    """

    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def squares(self, bins: ScoreBins, share: float, score: float) -> float:
        """The mean over class pairs of (accepted - share · all pairs)² at a score, in pairs²; 0 without class pairs.

        share: fraction of pairs that are accepted at the target rate.
        """
        compared = self.counts.sum(axis=1)
        if not len(compared):
            return 0.0
        position = float(np.clip((score - bins.low) / bins.width, 0, bins.count))
        left = min(int(position), bins.count - 1)
        accepted = self.counts[:, left + 1 :].sum(axis=1) + self.counts[:, left] * (1 - (position - left))
        first, second = np.triu_indices(len(self.sizes), 1)
        pairs = self.sizes[first].astype(np.float64) * self.sizes[second]
        return float((((accepted / compared - share) * pairs) ** 2).mean())


def sampled_classes(names: NDArray[np.generic], most: int = SAMPLED_CLASSES) -> NDArray[np.int64]:
    """Indices, int64 ascending, of the ``most`` classes whose names have the lowest hashes."""
    hashes = [hashlib.blake2b(f"class pairs\0{name}".encode(), digest_size=8).digest() for name in names]
    return np.sort(np.array(sorted(range(len(names)), key=hashes.__getitem__)[:most], dtype=np.int64))


def sampled_rows(classes: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions, int64 ascending, of at most ``SAMPLED_ROWS`` evenly spaced rows of each chosen class.

    classes: class of each row, int64 (n,) ascending. chosen: the sampled classes, ascending.
    """
    begins, ends = np.searchsorted(classes, chosen, "left"), np.searchsorted(classes, chosen, "right")
    parts = [
        begin + np.arange(min(end - begin, SAMPLED_ROWS)) * (end - begin) // min(end - begin, SAMPLED_ROWS)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def count_between(
    rows: NDArray[np.float32], classes: NDArray[np.int64], sizes: NDArray[np.int64], bins: ScoreBins
) -> ClassPairs:
    """Histograms of the pairs between classes of sampled rows.

    rows: float32 (m, d), prepared for the measure. classes: int64 (m,) ascending. sizes: all rows of each of these
    classes, int64 (k,).
    """
    begins = np.searchsorted(classes, np.unique(classes)).tolist()
    ends = [*begins[1:], len(classes)]
    counts = [np.zeros((0, bins.count), dtype=np.int64)]
    for own, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        others = len(begins) - own - 1
        if others:
            scores = pair_scores(rows[begin:end], rows[end:], measure=bins.measure).astype(np.float64)
            bin_of = np.clip(np.floor(scores / bins.width) + bins.offset, 0, bins.count - 1).astype(np.int64)
            other = np.searchsorted(begins[own + 1 :], np.arange(end, len(classes)), "right") - 1
            flat = (other[None, :] * bins.count + bin_of).ravel()
            counts.append(np.bincount(flat, minlength=others * bins.count).reshape(others, bins.count))
    return ClassPairs(np.concatenate(counts), sizes)
