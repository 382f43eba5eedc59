"""Scores of pairs of embeddings (higher is closer for every measure), and rows prepared for the kernels."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import hnsw, pair_counts
from fingerpost.tasks.ann.search import VectorError, checked_vectors, no_direction

#: cosine: the dot product of rows scaled to length one; euclidean: minus the distance.
Measure = Literal["cosine", "euclidean"]


def check_measure(measure: str) -> None:
    """Raises ValueError unless ``measure`` is one of the two."""
    if measure not in get_args(Measure):
        raise ValueError(f"measure: expected one of {get_args(Measure)}, got {measure!r}; choose one of them")


def threshold_of(score: float, measure: Measure) -> float:
    """The threshold that a score stands for: a minimum similarity, or a maximum distance."""
    return float(score) if measure == "cosine" else -float(score)


def score_of(threshold: float, measure: Measure) -> float:
    """The score that a threshold stands for; the inverse of :func:`threshold_of`."""
    return threshold_of(threshold, measure)


@dataclass(frozen=True)
class ScoreBins:
    """``count`` bins of equal width over scores from ``low`` on.

    The width is a power of two and ``low`` a multiple of it: the bin of a float32 score is computed without rounding,
    and counts at bin edges are exact. Scores beyond the ends fall into the outermost bins. ValueError for another
    width.
    """

    measure: Measure
    width: float
    low: float
    count: int

    def __post_init__(self) -> None:
        check_measure(self.measure)
        if not (self.width > 0 and math.frexp(self.width)[0] == 0.5 and (self.low / self.width).is_integer()):
            raise ValueError(
                f"score bins: expected a power of two as width and a multiple of it as low end, got {self.width} and "
                f"{self.low}; use ScoreBins.cosine or ScoreBins.euclidean"
            )
        if not 2 <= self.count <= pair_counts.MAX_BINS or abs(self.low / self.width) > 2**23:
            raise ValueError(
                f"score bins: expected 2 to {pair_counts.MAX_BINS}, got {self.count}; choose another width"
            )

    @classmethod
    def cosine(cls, bins: int = 2048) -> "ScoreBins":
        """Bins over -1 to 1; their number must be a power of two."""
        if bins < 2 or bins & (bins - 1):
            raise ValueError(f"bins: expected a power of two from 2 on, got {bins}; use 2048")
        return cls("cosine", 2 / bins, -1.0, bins)

    @classmethod
    def euclidean(cls, largest: float, bins: int = 2048) -> "ScoreBins":
        """Bins over distances from 0 to at least ``largest``; the width is the next power of two up."""
        if not (math.isfinite(largest) and largest > 0 and bins >= 2):
            raise ValueError(
                f"largest distance: expected a number above 0 and two bins, got {largest}, {bins}; correct them"
            )
        width = 2.0 ** math.ceil(math.log2(largest / bins))
        count = max(2, math.ceil(largest / width))
        return cls("euclidean", width, -count * width, count)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Lower ends of all bins and the upper end of the last, float64 (count + 1,)."""
        return np.arange(self.count + 1, dtype=np.float64) * self.width + self.low

    @property
    def offset(self) -> int:
        """The index of the bin that begins at score 0."""
        return round(-self.low / self.width)


#: Minimum number of bins for useful histograms.
MIN_BINS = 64


def bounded_bins(bins: int, classes: int, memory_mb: float) -> int:
    """The number of bins, halved until two int64 histograms per class fit in ``memory_mb`` (10^6 bytes).

    ValueError if they do not fit with ``MIN_BINS``.
    """
    count = bins
    while 16 * classes * count > memory_mb * 1e6 and count % 2 == 0 and count > MIN_BINS:
        count //= 2
    if 16 * classes * count > memory_mb * 1e6:
        raise ValueError(
            f"histograms: expected at most {memory_mb:g} MB, found {16 * classes * count / 1e6:.1f} MB for {classes:,}"
            f" classes with {count} bins; raise metric.memory_mb or leave small classes out"
        )
    return count


#: Rows further out than this multiple of the distance that holds ``MOST_ROWS`` of them are outliers.
OUTLIERS_BEYOND, MOST_ROWS = 4.0, 0.99
#: Rows that the centre is the median of.
_CENTRE_ROWS = 4096


def bins_covering(vectors: ArrayLike, measure: Measure, bins: int = 2048, *, outliers: bool = True) -> ScoreBins:
    """Bins over all possible scores of pairs of rows (n, d): no distance exceeds twice the largest one to the mean.

    outliers: whether the bins cover the distances of rows far beyond all others too, which then share few bins; if not,
    these are counted in the outermost bin.
    """
    check_measure(measure)
    if measure == "cosine":
        return ScoreBins.cosine(bins)
    rows = checked_vectors(vectors)
    largest = float(_distances(rows, rows.mean(axis=0, dtype=np.float64)).max(initial=0.0))
    if not outliers and len(rows):
        median = np.median(rows[:: -(-len(rows) // _CENTRE_ROWS)].astype(np.float64), axis=0)
        # "lower": at least one row does not count, however few there are.
        most = float(np.quantile(_distances(rows, median), MOST_ROWS, method="lower"))
        largest = min(largest, OUTLIERS_BEYOND * most or largest)
    return ScoreBins.euclidean(2 * largest * (1 + 1e-6) or 1.0, bins)


def _distances(rows: NDArray[np.float32], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distances of rows (n, d) to a centre (d,), float64 (n,)."""
    blocks = [np.linalg.norm(rows[at : at + 4096] - centre, axis=1) for at in range(0, len(rows), 4096)]
    return np.concatenate([np.zeros(0), *blocks])


@dataclass(frozen=True)
class ClassRows:
    """Rows float32 (n, d) sorted by class; classes: int64 (n,) ascending, indices into ``names`` (c,)."""

    rows: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: NDArray[np.generic]


def prepared_rows(vectors: ArrayLike, measure: Measure, name: str = "vectors") -> NDArray[np.float32]:
    """Finite float32 rows (n, d), scaled to length one for cosine; VectorError names the first bad row."""
    check_measure(measure)
    rows = checked_vectors(vectors, name)
    if measure == "euclidean":
        return rows
    unit, bad = hnsw.normalise_rows(rows)
    if bad >= 0:
        raise no_direction(name, bad)
    return unit


def class_rows(vectors: ArrayLike, labels: ArrayLike, measure: Measure) -> ClassRows:
    """Rows (n, d) with labels (n,), prepared for the kernels; classes are the distinct labels in sorted order.

    VectorError for bad rows and for another number of labels.
    """
    rows, label_of = prepared_rows(vectors, measure), np.asarray(labels)
    if label_of.shape != (len(rows),):
        raise VectorError(
            f"labels: expected one for each of {len(rows)} vectors, got shape {label_of.shape}; pass one per row"
        )
    names, classes = np.unique(label_of, return_inverse=True)
    order = np.argsort(classes, kind="stable")
    return ClassRows(np.ascontiguousarray(rows[order]), classes[order].astype(np.int64), names)
