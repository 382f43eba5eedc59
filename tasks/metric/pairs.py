"""What pairs of embeddings score by class: as histograms of bounded size, or exactly.

A positive pair has both ends in a class; a negative pair of a class has exactly one end in it, and so belongs to two
classes. A pair is accepted at a threshold where its score is not below it. Source: the article's "Measuring consistency";
algorithms.md 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ext.pair_counts import pair_scores
from tasks.metric.class_pairs import ClassPairs
from tasks.metric.crossing import share_crossing
from tasks.metric.scores import Measure, ScoreBins, class_rows

#: Classes whose cumulative histograms are held at a time.
CLASS_BLOCK = 256
#: Pairs that :func:`exact_pairs` sorts at most.
MAX_EXACT_PAIRS = 20_000_000


class Pairs(Protocol):
    """Pairs by class (c,), from which OPIS is computed."""

    @property
    def measure(self) -> Measure: ...
    @property
    def names(self) -> NDArray[np.generic]: ...
    @property
    def positives(self) -> NDArray[np.int64]: ...
    @property
    def negatives(self) -> NDArray[np.int64]: ...
    def accepted(self, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def score_at_far(self, rate: float) -> float: ...
    def score_at_frr(self, rate: float) -> float: ...


@dataclass(frozen=True)
class PairHistograms:
    """Pairs of each class of ``names`` (c,) by score: positive and negative int64 (c, bins); and negative ones of some pairs of
    classes, by which intervals for FAR are told.

    Within a bin pairs count as spread evenly, so that accepted counts are exact at the ends of bins and between them lie
    between the exact counts there.
    """

    bins: ScoreBins
    names: NDArray[np.generic]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    between: ClassPairs | None = None

    def __post_init__(self) -> None:
        shape = (len(self.names), self.bins.count)
        if self.inside.shape != shape or self.outside.shape != shape:
            raise ValueError(
                f"pair histograms: expected shape {shape}, got {self.inside.shape} and {self.outside.shape}; count"
                " again"
            )

    @property
    def measure(self) -> Measure:
        """What the scores are of."""
        return self.bins.measure

    @property
    def positives(self) -> NDArray[np.int64]:
        """Positive pairs of each class, int64 (c,)."""
        return self.inside.sum(axis=1)

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Negative pairs of each class, int64 (c,)."""
        return self.outside.sum(axis=1)

    def accepted(self, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positive and negative pairs of each class that thresholds (g,) accept, float64 (c, g) each."""
        wanted = np.asarray(scores, dtype=np.float64)
        if len(wanted):
            self._check_range(float(wanted.min()))
        place = np.clip((wanted - self.bins.low) / self.bins.width, 0, self.bins.count)
        left = np.minimum(place.astype(np.int64), self.bins.count - 1)
        part = place - left
        out = []
        for counts in (self.inside, self.outside):
            found = np.empty((len(counts), len(wanted)))
            for begin in range(0, len(counts), CLASS_BLOCK):
                tail = tails(counts[begin : begin + CLASS_BLOCK])
                found[begin : begin + CLASS_BLOCK] = tail[:, left] * (1 - part) + tail[:, left + 1] * part
            out.append(found)
        return out[0], out[1]

    def score_at_far(self, rate: float) -> float:
        """The lowest score at which at most this share of all negative pairs is accepted."""
        return self._check_range(share_crossing(self.bins.edges, tails(self.outside.sum(axis=0)), rate))

    def score_at_frr(self, rate: float) -> float:
        """The highest score at which at most this share of all positive pairs is rejected."""
        found = share_crossing(self.bins.edges, tails(self.inside.sum(axis=0)), 1 - rate, highest=True)
        return self._check_range(found)

    def _check_range(self, score: float) -> float:
        """The score; ValueError where it lies among distances that were beyond the range and so counted at its end."""
        beyond = self.measure == "euclidean" and score < self.bins.low + self.bins.width
        if beyond and (self.inside[:, 0].any() or self.outside[:, 0].any()):
            raise ValueError(
                f"threshold: expected a distance of less than {-self.bins.low - self.bins.width:g}, the range of the"
                f" histograms, found {-score:g}; count over a wider range (bins_covering)"
            )
        return score


def tails(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs at or above the lower end of each bin, and 0 above the last: int64 (..., bins + 1)."""
    out = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1), dtype=np.int64)
    np.cumsum(counts[..., ::-1], axis=-1, out=out[..., 1:])
    return out[..., ::-1]


@dataclass(frozen=True)
class PairScores:
    """The scores themselves, float32 ascending for each class of ``names``: positive pairs and negative pairs."""

    measure: Measure
    names: NDArray[np.generic]
    inside: Sequence[NDArray[np.float32]]
    outside: Sequence[NDArray[np.float32]]

    @property
    def positives(self) -> NDArray[np.int64]:
        """Positive pairs of each class, int64 (c,)."""
        return np.array([len(scores) for scores in self.inside], dtype=np.int64)

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Negative pairs of each class, int64 (c,)."""
        return np.array([len(scores) for scores in self.outside], dtype=np.int64)

    def accepted(self, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positive and negative pairs of each class that thresholds (g,) accept, float64 (c, g) each."""
        wanted = np.asarray(scores, dtype=np.float64)
        both = [
            np.array([len(own) - np.searchsorted(own, wanted) for own in kind], dtype=np.float64).reshape(
                len(kind), len(wanted)
            )
            for kind in (self.inside, self.outside)
        ]
        return both[0], both[1]

    def score_at_far(self, rate: float) -> float:
        """The lowest score at which at most this share of all negative pairs is accepted."""
        pooled = np.sort(np.concatenate(self.outside))
        accepted = int(np.floor(rate * len(pooled) + 1e-9))
        if accepted >= len(pooled):
            return float(pooled[0])
        return float(np.nextafter(pooled[len(pooled) - accepted - 1], np.float32(np.inf)))

    def score_at_frr(self, rate: float) -> float:
        """The highest score at which at most this share of all positive pairs is rejected."""
        pooled = np.sort(np.concatenate(self.inside))
        return float(pooled[min(int(np.floor(rate * len(pooled) + 1e-9)), len(pooled) - 1)])

    def histograms(self, bins: ScoreBins) -> PairHistograms:
        """The same pairs in bins."""

        def binned(kind: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
            out = np.zeros((len(kind), bins.count), dtype=np.int64)
            for own, scores in zip(out, kind, strict=True):
                place = np.floor(scores.astype(np.float64) / bins.width) + bins.offset
                own += np.bincount(np.clip(place, 0, bins.count - 1).astype(np.int64), minlength=bins.count)
            return out

        return PairHistograms(bins, self.names, binned(self.inside), binned(self.outside))


def exact_pairs(vectors: ArrayLike, labels: ArrayLike, measure: Measure) -> PairScores:
    """All scores of rows (n, d) with labels (n,), sorted by class; ValueError above ``MAX_EXACT_PAIRS`` pairs."""
    data = class_rows(vectors, labels, measure)
    count = len(data.rows) * (len(data.rows) - 1) // 2
    if count > MAX_EXACT_PAIRS:
        raise ValueError(f"pairs: expected at most {MAX_EXACT_PAIRS:,}, got {count:,}; count histograms instead")
    first, second = np.triu_indices(len(data.rows), 1)
    scores = pair_scores(data.rows, data.rows, measure=measure)[first, second]
    a, b = data.classes[first], data.classes[second]
    same = a == b
    inside = _by_class(a[same], scores[same], len(data.names))
    ends, others = np.concatenate([a[~same], b[~same]]), np.tile(scores[~same], 2)
    return PairScores(measure, data.names, inside, _by_class(ends, others, len(data.names)))


def _by_class(classes: NDArray[np.int64], scores: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
    order = np.lexsort((scores, classes))
    ends = np.cumsum(np.bincount(classes, minlength=count))
    return np.split(scores[order], ends[:-1])
