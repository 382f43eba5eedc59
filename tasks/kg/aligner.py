"""CG-MuAlign without torch: whether pairs of entities are the same, by their neighbourhoods (Zhu et al., WWW 2020).

Two layers. The inner one takes the mean of a node's neighbours; in the outer one the neighbours of both entities of a pair
are weighed by each other (cross-graph attention) and by their relation (self-attention). Deviations from the release: what a
relation's matrix has in common with the others is trained once, so that a type without labels can be aligned; attention
vectors per relation, as in the paper; a pair without neighbours is defined.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.row_products import row_products
from fingerpost.tasks.kg.aligner_graphs import NONE, AlignerGraph
from fingerpost.tasks.kg.aligner_hops import Hop, hop

Attention = Literal["none", "cross", "self", "both"]
Weights = Mapping[str, NDArray[np.generic]]
Floats = NDArray[np.float32]

#: Pairs, and nodes of the inner layer, at a time.
_PAIRS, _NODES = 1024, 4096
#: Slope of the activation of self-attention below 0.
SLOPE = np.float32(0.2)


@dataclass(frozen=True)
class Attended:
    """Weights of the neighbours of both entities of a pair: nodes int64 (n,), matrices int32 (n,), weights float64 (n,)."""

    nodes: NDArray[np.int64]
    matrices: NDArray[np.int32]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class _Outer:
    """The outer layer of entities before a pair is known; neighbours (n, slots, hidden) with zeros where there is none."""

    own: Floats
    neighbors: Floats
    known: NDArray[np.bool_]
    importance: Floats


class Aligner:
    """A trained aligner over two graphs, which are the same where one table is aligned with itself.

    weights: see `fingerpost.tasks.kg.aligner_net`. A pair's logit does not depend, to the bit, on the other pairs.
    """

    def __init__(self, weights: Weights, left: AlignerGraph, right: AlignerGraph) -> None:
        self.weights, self.left, self.right = weights, left, right
        self._cross, self._importance, self._distance = (bool(value) for value in weights["switches"])

    def logits(self, pairs: NDArray[np.integer], features: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """float64 (m,): log odds of each pair (m, 2), entities of the left and the right graph, before calibration.

        features: float (m, f), NaN for unknown: those of the training, if it had any; else ValueError.
        """
        pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
        expected = len(self._array("head.features")) // 2
        if (0 if features is None else features.shape[1]) != expected:
            raise ValueError(
                f"features: expected {expected} per pair, got {0 if features is None else features.shape[1]}; give those"
                " that the aligner was trained with"
            )
        out = np.zeros(len(pairs), np.float64)
        for rows, left, right in self._chunks(pairs):
            out[rows] = self._scores(left, right, self._attention(left, right))
        if features is not None and expected:
            out += self._beside(np.asarray(features, np.float64))
        return out

    def explain(self, left: int, right: int) -> tuple[Attended, Attended]:
        """The neighbours of both entities with their weights, which sum to one; the heaviest first."""
        pairs = np.array([[left, right]], np.int64)
        (_, *outer), *_ = self._chunks(pairs)
        found = []
        for graph, entity, weights in zip((self.left, self.right), pairs[0], self._attention(*outer), strict=True):
            kept = graph.neighbors[entity] != NONE
            order = np.argsort(-weights[0][kept], kind="stable")
            found.append(
                Attended(
                    graph.neighbors[entity][kept][order].astype(np.int64),
                    graph.matrices[entity][kept][order],
                    weights[0][kept][order].astype(np.float64),
                )
            )
        return found[0], found[1]

    def _array(self, name: str) -> Floats:
        return self.weights[name]  # type: ignore[return-value]

    def _chunks(self, pairs: NDArray[np.int64]) -> Iterator[tuple[slice, _Outer, _Outer]]:
        """The outer layers of the pairs, some at a time; the inner one is computed once for each node."""
        inner = [self._inner(graph, pairs[:, side]) for side, graph in enumerate((self.left, self.right))]
        for begin in range(0, len(pairs), _PAIRS):
            rows = slice(begin, min(begin + _PAIRS, len(pairs)))
            sides = []
            for side, graph in enumerate((self.left, self.right)):
                entities, places = np.unique(pairs[rows, side], return_inverse=True)
                outer = self._outer(hop(graph, entities), *inner[side])
                sides.append(_Outer(*(getattr(outer, name)[places] for name in _Outer.__dataclass_fields__)))
            yield rows, sides[0], sides[1]

    def _inner(self, graph: AlignerGraph, entities: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """The nodes that some entities and their neighbours are, ascending, and their inner embeddings."""
        nodes = hop(graph, np.unique(entities)).before
        found = []
        for begin in range(0, len(nodes), _NODES):
            step = hop(graph, nodes[begin : begin + _NODES])
            own, rows = self._through("inner", step, graph.rows(step.before))
            found.append(np.maximum(np.concatenate([own, step.means @ rows], axis=1), np.float32(0)))
        return nodes, np.concatenate(found) if found else np.zeros(
            (0, 2 * len(self._array("inner.self_bias"))), np.float32
        )

    def _outer(self, step: Hop, nodes: NDArray[np.int64], embeddings: Floats) -> _Outer:
        own, rows = self._through("outer", step, embeddings[np.searchsorted(nodes, step.before)])
        known = step.slots != NONE
        neighbors = np.concatenate([rows, np.zeros((1, own.shape[1]), np.float32)])[step.slots]
        importance = np.zeros(known.shape, np.float32)
        if self._importance:
            vectors, half = self._array("attention"), own.shape[1]
            raw = _dots(neighbors, vectors[step.matrices, :half]) + _dots(own[:, None], vectors[step.matrices, half:])
            raw = raw + self._array("priority")[step.matrices]
            importance = np.where(raw < 0, SLOPE * raw, raw) - step.crowds
        return _Outer(own, neighbors, known, importance)

    def _through(self, layer: str, step: Hop, vectors: Floats) -> tuple[Floats, Floats]:
        """Rows (n, hidden) of the nodes themselves, and (p, hidden) of their neighbours."""
        # Not by BLAS, with which a row's last bits may depend on its place: findings/openblas_rows_by_position.sh.
        own = row_products(vectors[step.own], self._array(f"{layer}.self"), self._array(f"{layer}.self_bias"))
        matrices, biases = self._array(f"{layer}.matrices"), self._array(f"{layer}.biases")
        rows = np.empty((len(step.rows), own.shape[1]), np.float32)
        for matrix, begin, end in step.groups:
            rows[begin:end] = row_products(vectors[step.rows[begin:end]], matrices[matrix], biases[matrix])
        return own, rows

    def _attention(self, left: _Outer, right: _Outer) -> tuple[Floats, Floats]:
        """Weights (n, slots) of the neighbours of both sides; zeros without any."""
        sides = [left.importance, right.importance]
        if self._cross:
            near = -self._array("sharpness") * _distances(left, right)
            for side, (axis, other) in enumerate(((2, right), (1, left))):
                any_other = np.any(other.known, axis=1, keepdims=True)
                sides[side] = sides[side] + np.where(any_other, _log_sums(near, other.known, axis), np.float32(0))
        return _softmax(sides[0], left.known), _softmax(sides[1], right.known)

    def _scores(self, left: _Outer, right: _Outer, attention: tuple[Floats, Floats]) -> NDArray[np.float64]:
        both = []
        for side, weights in zip((left, right), attention, strict=True):
            mixed = (weights[:, :, None] * side.neighbors).sum(axis=1)
            both.append(np.maximum(np.concatenate([side.own, mixed], axis=1), np.float32(0)).astype(np.float64))
        if self._distance:
            return np.asarray(-np.sqrt(np.square(both[0] - both[1]).sum(axis=1)))
        head = self._array("head.weights").astype(np.float64)
        return np.asarray((both[0] * both[1] * head).sum(axis=1) + float(self._array("head.bias")[0]))

    def _beside(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """What similarities of attributes add; an unknown one adds a constant of its own."""
        middle, spread = self._array("features.middle"), self._array("features.spread")
        return np.asarray((features_row(features, middle, spread) * self._array("head.features")).sum(axis=1))


def features_row(
    features: NDArray[np.floating], middle: NDArray[np.floating], spread: NDArray[np.floating]
) -> NDArray[np.float64]:
    """float64 (m, 2 f): standardised features, 0 where unknown, and whether each is unknown."""
    unknown = np.isnan(features)
    return np.concatenate([np.where(unknown, 0.0, (features - middle) / spread), unknown], axis=1)


def _dots(one: Floats, other: Floats) -> Floats:
    """Products over the last axis, summed in an order that depends on its length alone."""
    return np.asarray((one * other).sum(axis=-1))


def _distances(left: _Outer, right: _Outer) -> Floats:
    """float32 (n, slots, slots): the distance of every neighbour of one side from every one of the other."""
    products = np.matmul(left.neighbors, right.neighbors.transpose(0, 2, 1))
    squares = [_dots(side.neighbors, side.neighbors) for side in (left, right)]
    return np.asarray(
        np.sqrt(np.maximum(squares[0][:, :, None] + squares[1][:, None] - 2 * products, np.float32(1e-6)))
    )


def _log_sums(values: Floats, known: NDArray[np.bool_], axis: int) -> Floats:
    """Logarithms of the sums of exp(values) over the known ones along an axis; no meaning where none is."""
    kept = np.where(known[:, None, :] if axis == 2 else known[:, :, None], values, np.float32(-np.inf))
    most = kept.max(axis=axis, keepdims=True)
    most = np.where(np.isfinite(most), most, np.float32(0))
    sums = np.exp(kept - most).sum(axis=axis)
    return np.asarray(np.log(np.maximum(sums, np.float32(1e-30))) + most.squeeze(axis))


def _softmax(values: Floats, known: NDArray[np.bool_]) -> Floats:
    kept = np.where(known, values, np.float32(-np.inf))
    most = kept.max(axis=1, keepdims=True)
    weights = np.exp(kept - np.where(np.isfinite(most), most, np.float32(0)))
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-30)))


Scorer = Callable[[NDArray[np.integer]], NDArray[np.float64]]
