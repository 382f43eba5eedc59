"""The curves of an alignment's plots, computed from stored scores: precision and recall, calibration, and all candidates."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.flows.domains.kg.report.measured import METHODS
from fingerpost.schemas import kg
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.open import read_calibration

#: Points of a curve, parts of the range of probabilities, and bars of the histogram.
_POINTS, _PARTS, _BARS = 200, 10, 40


@dataclass(frozen=True)
class Curve:
    """Precision over recall of a method's scores of test pairs."""

    method: str
    recall: list[float]
    precision: list[float]

    @property
    def name(self) -> str:
        """The display name of the method."""
        return METHODS.get(self.method, self.method)


@dataclass(frozen=True)
class Reliability:
    """Test pairs by their probability: mean probability, share of matches, and number of pairs of each part of its range."""

    predicted: list[float]
    found: list[float]
    pairs: list[int]


@dataclass(frozen=True)
class Histogram:
    """Candidates by probability: the edges of the bars, all candidates and those that are matches, and the threshold."""

    edges: list[float]
    candidates: list[int]
    matches: list[int]
    threshold: float


@dataclass(frozen=True)
class Tested:
    """The curves of the test pairs; empty where there are none of both labels."""

    curves: list[Curve] = field(default_factory=list)
    reliability: Reliability | None = None


def read_tested(store: Store, labelled: Ref, links: Ref, calibration: Ref) -> Tested:
    """The curves of the scores of test pairs by method."""
    rows = store.open(links, kg.LINKS).read("links")
    rows = rows.filter(pc.equal(rows["split"], "test"))
    scores = store.open(labelled, kg.LABELLED).read("scores")
    place = pc.index_in(_keys(scores), value_set=_keys(rows).combine_chunks())
    known = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
    scores = scores.take(pa.array(known))
    labels = rows["label"].to_numpy()[place.take(pa.array(known)).to_numpy()]
    methods, values = np.array(scores["method"].to_pylist(), dtype=object), scores["score"].to_numpy()
    curves, reliability = [], None
    for method in [name for name in METHODS if name in set(methods.tolist())]:
        mine = methods == method
        if not {0, 1} <= set(labels[mine].tolist()):
            continue
        curves.append(precision_recall(method, labels[mine], values[mine]))
        if method == "scorer":
            probabilities = read_calibration(store, calibration)[0].probabilities(values[mine])
            reliability = reliability_of(labels[mine], probabilities)
    return Tested(curves, reliability)


def _keys(pairs: pa.Table) -> pa.ChunkedArray:
    """A number per pair of rows."""
    left = pc.multiply(pc.cast(pairs["left"], pa.int64()), pa.scalar(2**32, pa.int64()))
    return pc.add(left, pc.cast(pairs["right"], pa.int64()))


def precision_recall(method: str, labels: NDArray[np.integer], scores: NDArray[np.floating]) -> Curve:
    """Precision and recall at the distinct scores, some of them where there are many; the last has all matches."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    matches = np.cumsum(labels[order] == 1)[last]
    precision, recall = matches / (np.flatnonzero(last) + 1), matches / matches[-1]
    kept = np.unique(np.linspace(0, len(recall) - 1, min(_POINTS, len(recall))).round().astype(np.int64))
    return Curve(method, recall[kept].tolist(), precision[kept].tolist())


def reliability_of(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Reliability:
    """Pairs by equal parts of the range of probabilities; parts without pairs are left out."""
    part = np.minimum((probabilities * _PARTS).astype(np.int64), _PARTS - 1)
    sizes = np.bincount(part, minlength=_PARTS)
    some = sizes > 0
    sums = [
        np.bincount(part, weights=values, minlength=_PARTS)[some] / sizes[some]
        for values in (probabilities, labels == 1)
    ]
    return Reliability(sums[0].tolist(), sums[1].tolist(), sizes[some].tolist())


def read_histogram(store: Store, scores: Ref, matches: Ref, calibration: Ref) -> Histogram:
    """Candidates by calibrated probability, shard by shard."""
    calibrated, threshold = read_calibration(store, calibration)
    accepted = _keys(store.open(matches, kg.MATCHES).read("matches")).combine_chunks()
    edges = np.linspace(0.0, 1.0, _BARS + 1)
    counts = np.zeros((2, _BARS), np.int64)
    for rows in _shards(store, scores):
        probabilities = calibrated.probabilities(rows["score"].to_numpy())
        part = np.minimum((probabilities * _BARS).astype(np.int64), _BARS - 1)
        is_match = pc.is_in(_keys(rows), value_set=accepted).to_numpy()
        counts[0] += np.bincount(part, minlength=_BARS)
        counts[1] += np.bincount(part[is_match], minlength=_BARS)
    return Histogram(edges.tolist(), counts[0].tolist(), counts[1].tolist(), threshold)


def _shards(store: Store, scores: Ref) -> Iterable[pa.Table]:
    artifact = store.open(scores, kg.SCORES)
    return (artifact.read("scores", shard=entry.shard) for entry in artifact.entries("scores"))
