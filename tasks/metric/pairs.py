"""Scores of pairs of embeddings by class: as histograms of bounded size, or exactly.

A positive pair has both ends in a class; a negative pair of a class has exactly one end in it, and so belongs to two
classes. A pair is accepted at a threshold if its score is not below it. Source: Zhang et al., ICLR 2024
(arXiv 2307.04047); counting a negative pair for both of its classes is our reading of the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext.pair_counts import pair_scores
from fingerpost.tasks.metric.class_pairs import ClassPairs
from fingerpost.tasks.metric.crossing import share_crossing
from fingerpost.tasks.metric.scores import Measure, ScoreBins, class_rows

#: Classes whose cumulative histograms are in memory at a time.
CLASS_BLOCK = 256
#: Maximum number of pairs that :func:`exact_pairs` sorts.
MAX_EXACT_PAIRS = 20_000_000


class Pairs(Protocol):
    """Scores of pairs by class (c,): the input of OPIS and of error rates."""

    @property
    def measure(self) -> Measure: ...
    @property
    def names(self) -> NDArray[np.generic]: ...
    @property
    def positives(self) -> NDArray[np.int64]: ...
    @property
    def negatives(self) -> NDArray[np.int64]: ...
    def accepted(self, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def exact_at(self, score: float) -> bool: ...
    def score_at_far(self, rate: float) -> float: ...
    def score_at_frr(self, rate: float) -> float: ...


@dataclass(frozen=True)
class PairHistograms:
    """Histograms of the scores of each class's pairs.

    names: classes (c,). inside, outside: positive and negative pairs, int64 (c, bins). between: negative pairs of
    sampled class pairs, for intervals of FAR. divided: ends of all bins, float64 (bins + 1,), where some were counted
    again more finely (tasks/metric/recount.py); otherwise those of ``bins``. Counts of accepted pairs are exact at the
    ends of bins (:meth:`exact_at`); between them they are estimates, as if pairs were evenly spread within a bin.
    ValueError for other shapes.
    """

    bins: ScoreBins
    names: NDArray[np.generic]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    between: ClassPairs | None = None
    divided: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.edges) - 1)
        if self.inside.shape != shape or self.outside.shape != shape:
            raise ValueError(
                f"pair histograms: expected shape {shape}, got {self.inside.shape} and {self.outside.shape}; count"
                " again"
            )

    @property
    def measure(self) -> Measure:
        """The measure of the scores."""
        return self.bins.measure

    @property
    def edges(self) -> NDArray[np.float64]:
        """Lower ends of all bins and the upper end of the last, float64 (bins + 1,)."""
        return self.bins.edges if self.divided is None else self.divided

    def exact_at(self, score: float) -> bool:
        """Whether counts of pairs accepted at a score are exact: at ends of bins but those of the range.

        Scores beyond the range are counted in the outermost bins.
        """
        return bool((self.edges[1:-1] == score).any())

    @property
    def positives(self) -> NDArray[np.int64]:
        """Positive pairs of each class, int64 (c,)."""
        return self.inside.sum(axis=1)

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Negative pairs of each class, int64 (c,)."""
        return self.outside.sum(axis=1)

    def accepted(self, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positive and negative pairs of each class accepted at scores (g,), float64 (c, g) each.

        Estimates where :meth:`exact_at` does not hold. ValueError for a distance beyond the range of the bins.
        """
        thresholds = np.asarray(scores, dtype=np.float64)
        if len(thresholds):
            self._check_range(float(thresholds.min()))
        left, part = self._places(thresholds)
        out = []
        for counts in (self.inside, self.outside):
            accepted = np.empty((len(counts), len(thresholds)))
            for begin in range(0, len(counts), CLASS_BLOCK):
                tail = tails(counts[begin : begin + CLASS_BLOCK])
                accepted[begin : begin + CLASS_BLOCK] = tail[:, left] * (1 - part) + tail[:, left + 1] * part
            out.append(accepted)
        return out[0], out[1]

    def _places(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The bin of each score (g,), and how far into it the score lies, 0 to 1."""
        if self.divided is None:
            position = np.clip((scores - self.bins.low) / self.bins.width, 0, self.bins.count)
            left = np.minimum(position.astype(np.int64), self.bins.count - 1)
            return left, position - left
        edges = self.divided
        left = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2).astype(np.int64)
        return left, np.clip((scores - edges[left]) / (edges[left + 1] - edges[left]), 0, 1)

    def score_at_far(self, rate: float) -> float:
        """An estimate of the lowest score at which at most this fraction of all negative pairs is accepted."""
        return self._check_range(share_crossing(self.edges, tails(self.outside.sum(axis=0)), rate))

    def score_at_frr(self, rate: float) -> float:
        """An estimate of the highest score at which at most this fraction of all positive pairs is rejected."""
        score = share_crossing(self.edges, tails(self.inside.sum(axis=0)), 1 - rate, highest=True)
        return self._check_range(score)

    def _check_range(self, score: float) -> float:
        """The score; ValueError for a distance in the outermost bin if that holds pairs, which may lie beyond it."""
        beyond = self.measure == "euclidean" and score < self.edges[1]
        if beyond and (self.inside[:, 0].any() or self.outside[:, 0].any()):
            raise ValueError(
                f"threshold: expected a distance of less than {-self.edges[1]:g}, the range of the"
                f" histograms, found {-score:g}; count over a wider range (bins_covering)"
            )
        return score


def tails(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cumulative counts from above, int64 (..., bins + 1): pairs at or above each bin's lower edge, then 0."""
    out = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1), dtype=np.int64)
    np.cumsum(counts[..., ::-1], axis=-1, out=out[..., 1:])
    return out[..., ::-1]


@dataclass(frozen=True)
class PairScores:
    """Exact scores of each class's pairs: ``inside`` positive and ``outside`` negative, float32 ascending per class."""

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

    def exact_at(self, score: float) -> bool:
        """True: all scores are known."""
        return True

    def accepted(self, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positive and negative pairs of each class accepted at scores (g,), float64 (c, g) each."""
        thresholds = np.asarray(scores, dtype=np.float64)
        both = [
            np.array([len(own) - np.searchsorted(own, thresholds) for own in kind], dtype=np.float64).reshape(
                len(kind), len(thresholds)
            )
            for kind in (self.inside, self.outside)
        ]
        return both[0], both[1]

    def score_at_far(self, rate: float) -> float:
        """The lowest score at which at most this fraction of all negative pairs is accepted."""
        pooled = np.sort(np.concatenate(self.outside))
        accepted = int(np.floor(rate * len(pooled) + 1e-9))
        if accepted >= len(pooled):
            return float(pooled[0])
        return float(np.nextafter(pooled[len(pooled) - accepted - 1], np.float32(np.inf)))

    def score_at_frr(self, rate: float) -> float:
        """The highest score at which at most this fraction of all positive pairs is rejected."""
        pooled = np.sort(np.concatenate(self.inside))
        return float(pooled[min(int(np.floor(rate * len(pooled) + 1e-9)), len(pooled) - 1)])

    def histograms(self, bins: ScoreBins) -> PairHistograms:
        """Histograms of the same pairs."""

        def binned(kind: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
            out = np.zeros((len(kind), bins.count), dtype=np.int64)
            for own, scores in zip(out, kind, strict=True):
                bin_of = np.floor(scores.astype(np.float64) / bins.width) + bins.offset
                own += np.bincount(np.clip(bin_of, 0, bins.count - 1).astype(np.int64), minlength=bins.count)
            return out

        return PairHistograms(bins, self.names, binned(self.inside), binned(self.outside))


def exact_pairs(vectors: ArrayLike, labels: ArrayLike, measure: Measure) -> PairScores:
    """All scores of pairs of rows (n, d) with labels (n,), by class; ValueError above ``MAX_EXACT_PAIRS`` pairs."""
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
