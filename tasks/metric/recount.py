"""Exact counts of pairs where histograms have none: at a threshold, and along the bin that a target rate falls into.

Pairs are scored again with other bins; the counts of a bin are then divided among parts of it. A threshold is an end of
a bin, so the rates told of it are counts, and the bins that outliers stretch, or that hold many equal scores, are
resolved where it matters. Each pass costs what counting all pairs costs, in O(classes) of memory more.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.tasks.metric.crossing import safe_edges, share_crossing
from fingerpost.tasks.metric.histograms import BLOCK_ROWS, Block, count_pairs
from fingerpost.tasks.metric.opis import CalibrationRange
from fingerpost.tasks.metric.pairs import PairHistograms, tails
from fingerpost.tasks.metric.scores import Measure, ScoreBins, class_rows, score_of
from fingerpost.tasks.metric.thresholds import Target, side

#: Counts the same pairs in other bins.
Recount = Callable[[ScoreBins], PairHistograms]

#: A bin with at most this fraction of the wrong pairs that a target allows is not divided: its safe end is near enough.
SMALL_BIN = 0.05
#: Bits of the narrowest bin below the range of scores, and below the bin's own scores: float32 tells 24 apart, and
#: scores of the same two rows by other arithmetic differ in the last few.
RANGE_BITS, SCORE_BITS = 19, 22
#: Factor by which distances beyond the range are searched.
WIDER = 4096.0
#: Parts that a bin is divided into at least.
_LEAST_PARTS = 64
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _Cut(ScoreBins):
    """Two bins on either side of a float32 score, narrower than bins of a histogram may be."""

    def __post_init__(self) -> None:
        """Checks nothing: the width is that of the score's last bit."""


def recounting(
    vectors: ArrayLike, labels: ArrayLike, measure: Measure, *, block_rows: int = BLOCK_ROWS, threads: int = 1
) -> Recount:
    """Recounts of the pairs of rows (n, d) with labels (n,), as :func:`histograms.pair_histograms` counts them."""
    data = class_rows(vectors, labels, measure)
    blocks = [
        Block(data.rows[begin : begin + block_rows], data.classes[begin : begin + block_rows])
        for begin in range(0, len(data.rows), block_rows)
    ]

    def recount(bins: ScoreBins) -> PairHistograms:
        return count_pairs(blocks, len(data.names), bins, threads=threads).histograms(data.names)

    return recount


def refined(
    pairs: PairHistograms, target: Target, recount: Recount, *, classes: NDArray[np.int64] | None = None
) -> PairHistograms:
    """Histograms whose bin that a target falls into is divided until its safe end is near enough.

    classes: indices of the classes whose pairs are to keep the target; by default all.
    """
    while (index := _crossed(pairs, target, classes)) is not None:
        pairs = _divided(pairs, index, recount)
    return pairs


def covering(pairs: PairHistograms, over: CalibrationRange, recount: Recount) -> PairHistograms:
    """Histograms whose range holds a calibration range, which distances of outliers may lie beyond."""

    while (
        pairs.measure == "euclidean"
        and _lowest(pairs, over) < pairs.edges[1]
        and bool(pairs.inside[:, 0].any() or pairs.outside[:, 0].any())
        and _window(pairs, 0) is not None
    ):
        pairs = _divided(pairs, 0, recount)
    return pairs


def _lowest(pairs: PairHistograms, over: CalibrationRange) -> float:
    """The lowest score of a calibration range."""
    if over.bounds == "thresholds":
        return min(score_of(end, pairs.measure) for end in (over.low, over.high))
    if over.bounds == "far":
        return share_crossing(pairs.edges, tails(pairs.outside.sum(axis=0)), over.high)
    return share_crossing(pairs.edges, tails(pairs.inside.sum(axis=0)), 1 - over.low, highest=True)


def counted_at(pairs: PairHistograms, thresholds: Iterable[float], recount: Recount) -> PairHistograms:
    """Histograms with exact counts at thresholds (similarities or distances) of any value."""
    for threshold in thresholds:
        score = score_of(threshold, pairs.measure)
        if not math.isfinite(score):
            raise ValueError(f"threshold: expected a finite number, got {threshold}; correct it")
        if not pairs.exact_at(score):
            found = recount(_cut(score, pairs.measure))
            index = int(np.clip(np.searchsorted(pairs.edges, score, side="right") - 1, 0, len(pairs.edges) - 2))
            pairs = _with_ends(pairs, index, np.array([score]), (found.inside[:, 1:], found.outside[:, 1:]))
    return pairs


def _cut(score: float, measure: Measure) -> _Cut:
    """The bins of the scores below, and of those not below, a score: those from the next float32 on."""
    up = np.float32(score)
    value = float(up if float(up) >= score else np.nextafter(up, np.float32(np.inf)))
    width = 2.0 ** max(math.frexp(value)[1] - 24 if value else -100, -100)
    return _Cut(measure, width, (math.ceil(value / width) - 1) * width, 2)


def _crossed(pairs: PairHistograms, target: Target, classes: NDArray[np.int64] | None) -> int | None:
    """The bin that a target falls into, if it is to be divided further."""
    share, highest, counts = side(pairs, target)
    curve = tails((counts if classes is None else counts[classes]).sum(axis=0))
    edges, kept = safe_edges(curve, share, highest=highest)
    index = int(edges[0]) if highest or not kept[0] else int(edges[0]) - 1
    if curve[0] == 0 or index < 0 or _window(pairs, index) is None:
        return None
    inside = int(curve[index] - curve[index + 1])
    # The lower end of the first bin is not exact: what is below it is counted there too.
    inexact = index == 0 and highest and inside > 0
    return index if inexact or inside > SMALL_BIN * target.share * float(curve[0]) else None


def _window(pairs: PairHistograms, index: int) -> ScoreBins | None:
    """The bins that divide one, with what is below and above them in the outermost; None if it cannot be divided."""
    low, high = (float(end) for end in pairs.edges[index : index + 2])
    euclidean = pairs.measure == "euclidean"
    if index == 0:
        low = WIDER * low if euclidean else low - (high - low)
        if low < -_LARGEST:
            return None
    finest = max(math.frexp(-pairs.bins.low)[1] - RANGE_BITS, math.frexp(max(abs(low), abs(high)))[1] - SCORE_BITS)
    parts = max(_LEAST_PARTS, pairs.bins.count // 4)
    width = 2.0 ** max(math.ceil(math.log2((high - low) / parts)), finest)
    begin, end = math.ceil(low / width), math.floor(high / width)
    if (index and width >= high - low) or end <= begin:
        return None
    return ScoreBins(pairs.measure, width, (begin - 1) * width, end - begin + 2)


def _divided(pairs: PairHistograms, index: int, recount: Recount) -> PairHistograms:
    """Histograms with one bin divided by counting all pairs again."""
    bins = _window(pairs, index)
    assert bins is not None
    found = recount(bins)
    ends = bins.edges[1:-1]
    low, high = pairs.edges[index : index + 2]
    new = ends < high if index == 0 else (ends > low) & (ends < high)
    return _with_ends(
        pairs, index, ends[new], (tails(found.inside)[:, 1:-1][:, new], tails(found.outside)[:, 1:-1][:, new])
    )


def _with_ends(
    pairs: PairHistograms,
    index: int,
    ends: NDArray[np.float64],
    accepted: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> PairHistograms:
    """Histograms with a bin divided at ``ends`` (g,), at which ``accepted`` positive and negative pairs (c, g) pass."""
    counts = []
    for old, passing in zip((pairs.inside, pairs.outside), accepted, strict=True):
        above = old[:, index + 1 :].sum(axis=1)[:, None]
        parts = -np.diff(np.hstack([above + old[:, index : index + 1], passing, above]), axis=1)
        if (parts < 0).any():
            raise ValueError("pair counts: expected the same pairs again, found others; count the same rows")
        counts.append(np.hstack([old[:, :index], parts, old[:, index + 1 :]]))
    edges = np.concatenate([pairs.edges[: index + 1], ends, pairs.edges[index + 1 :]])
    # The ends of the range are nominal; what is beyond is counted in the outermost bins.
    if edges[0] >= edges[1]:
        edges[0] = edges[1] - pairs.bins.width
    if edges[-1] <= edges[-2]:
        edges[-1] = edges[-2] + pairs.bins.width
    return replace(pairs, inside=counts[0], outside=counts[1], divided=edges)
