"""What pairs of rows score between each two of some classes, drawn by name: how much pairs of classes differ by themselves.

Counts by class alone do not tell that, and all pairs of classes are too many to keep.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ext.pair_counts import pair_scores
from tasks.metric.scores import ScoreBins

#: Classes that are drawn at most, and rows of each that are compared at most.
DRAWN_CLASSES, DRAWN_ROWS = 64, 64


@dataclass(frozen=True)
class ClassPairs:
    """Pairs of rows by score for the pairs (i, j), i below j in order, of drawn classes: counts int64 (k (k - 1) / 2, bins).

    sizes: all rows of the drawn classes, int64 (k,), of which at most ``DRAWN_ROWS`` were compared.
    """

    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def squares(self, bins: ScoreBins, share: float, score: float) -> float:
        """The mean over pairs of classes of (accepted pairs - share of all their pairs) squared, at a score; 0 without pairs."""
        compared = self.counts.sum(axis=1)
        if not len(compared):
            return 0.0
        place = float(np.clip((score - bins.low) / bins.width, 0, bins.count))
        left = min(int(place), bins.count - 1)
        accepted = self.counts[:, left + 1 :].sum(axis=1) + self.counts[:, left] * (1 - (place - left))
        first, second = np.triu_indices(len(self.sizes), 1)
        pairs = self.sizes[first].astype(np.float64) * self.sizes[second]
        return float((((accepted / compared - share) * pairs) ** 2).mean())


def drawn_classes(names: NDArray[np.generic], most: int = DRAWN_CLASSES) -> NDArray[np.int64]:
    """Numbers, ascending, of the classes whose names have the lowest hashes."""
    hashes = [hashlib.blake2b(f"class pairs\0{name}".encode(), digest_size=8).digest() for name in names]
    return np.sort(np.array(sorted(range(len(names)), key=hashes.__getitem__)[:most], dtype=np.int64))


def drawn_rows(classes: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places, ascending, of rows of chosen classes among rows whose classes (n,) ascend: ``DRAWN_ROWS`` of each, evenly."""
    begins, ends = np.searchsorted(classes, chosen, "left"), np.searchsorted(classes, chosen, "right")
    parts = [
        begin + np.arange(min(end - begin, DRAWN_ROWS)) * (end - begin) // min(end - begin, DRAWN_ROWS)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def count_between(
    rows: NDArray[np.float32], classes: NDArray[np.int64], sizes: NDArray[np.int64], bins: ScoreBins
) -> ClassPairs:
    """The pairs between classes of rows (m, d) as the measure takes them, their classes (m,) ascending; ``sizes`` (k,) of these."""
    begins = np.searchsorted(classes, np.unique(classes)).tolist()
    ends = [*begins[1:], len(classes)]
    counts = [np.zeros((0, bins.count), dtype=np.int64)]
    for own, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        others = len(begins) - own - 1
        if others:
            scores = pair_scores(rows[begin:end], rows[end:], measure=bins.measure).astype(np.float64)
            place = np.clip(np.floor(scores / bins.width) + bins.offset, 0, bins.count - 1).astype(np.int64)
            which = np.searchsorted(begins[own + 1 :], np.arange(end, len(classes)), "right") - 1
            flat = (which[None, :] * bins.count + place).ravel()
            counts.append(np.bincount(flat, minlength=others * bins.count).reshape(others, bins.count))
    return ClassPairs(np.concatenate(counts), sizes)
