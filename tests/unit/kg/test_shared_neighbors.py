"""Partners by shared neighbours: against sums over sets, and the pairs that count as shared."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.search import Nearest
from fingerpost.tasks.kg.shared_neighbors import SharedNeighbors, mutual_nearest

NODES = 14


def linked(seed: int, nodes: int) -> sparse.csr_array:
    dense = np.random.default_rng(seed).random((nodes, nodes)) < 0.2
    return sparse.csr_array((dense | dense.T).astype(np.float64))


def slow_scores(
    own: NDArray[np.float64], other: NDArray[np.float64], anchors: list[tuple[int, int]], most: int
) -> dict[tuple[int, int], float]:
    """The score of every pair with a shared neighbour, by the definition."""
    weights = {}
    for one, two in anchors:
        sizes = int(own[:, one].sum()), int(other[:, two].sum())
        if min(sizes) > 0 and max(sizes) <= most:
            weights[one, two] = math.log((2 + len(own) + len(other)) / (1 + sum(sizes)))
    found = {}
    for left in range(len(own)):
        for right in range(len(other)):
            mine = {pair for pair in weights if own[left, pair[0]]}
            theirs = {pair for pair in weights if other[right, pair[1]]}
            if mine & theirs:
                total = math.sqrt(sum(weights[p] for p in mine) * sum(weights[p] for p in theirs))
                found[left, right] = sum(weights[p] for p in mine & theirs) / total
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    keep=st.integers(1, 6),
    most=st.integers(1, 8),
    within=st.booleans(),
    part=st.tuples(st.integers(0, NODES), st.integers(0, NODES)),
)
def test_partners_are_those_of_most_weight(
    seed: int, keep: int, most: int, within: bool, part: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    own, other = linked(seed, NODES), linked(seed if within else seed + 1, NODES)
    anchors = np.stack([np.arange(NODES), np.arange(NODES) if within else rng.permutation(NODES)], axis=1)
    kinds = rng.integers(-1, 2, NODES), rng.integers(-1, 2, NODES)
    types = (kinds[0], kinds[0] if within else kinds[1])
    begin, end = min(part), max(part)
    found = SharedNeighbors(own, other, anchors, most_neighbors=most).nearest(
        begin, end, types, most=keep, within=within
    )
    scores = slow_scores(own.toarray(), other.toarray(), [tuple(row) for row in anchors.tolist()], most)
    assert len(found.indptr) == end - begin + 1
    for entity in range(begin, end):
        allowed = {
            right: score
            for (left, right), score in scores.items()
            if left == entity and types[0][left] == types[1][right] >= 0 and not (within and right == entity)
        }
        rows = slice(found.indptr[entity - begin], found.indptr[entity - begin + 1])
        values = [allowed[row] for row in found.rows[rows].tolist()]
        assert np.allclose(values, sorted(allowed.values(), reverse=True)[:keep])
        assert np.allclose(found.similarities[rows], values)


def nearest_of(lists: list[list[tuple[int, float]]]) -> Nearest:
    flat = [pair for one in lists for pair in one]
    indptr = np.cumsum([0, *(len(one) for one in lists)]).astype(np.int64)
    return Nearest(
        indptr, np.array([row for row, _ in flat], np.uint32), np.array([score for _, score in flat], np.float32)
    )


def test_mutual_nearest_are_near_enough_and_each_the_others_first() -> None:
    left = nearest_of([[(1, 0.9), (0, 0.8)], [(0, 0.85)], [], [(2, 0.5)]])
    right = nearest_of([[(1, 0.85), (0, 0.8)], [(0, 0.9)], [(3, 0.5)]])
    assert mutual_nearest(left, right, least=0.8).tolist() == [[0, 1], [1, 0]]
    assert mutual_nearest(left, right, least=0.4).tolist() == [[0, 1], [1, 0], [3, 2]]
    assert mutual_nearest(nearest_of([[]]), nearest_of([]), least=0.0).shape == (0, 2)
