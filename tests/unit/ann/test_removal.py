"""Graphs without some nodes: each list against a slow oracle, and recall against a build without them."""

import numpy as np
import pytest

from fingerpost.ext import removal
from fingerpost.tasks.ann.graph import Graph, GraphError, reachable
from fingerpost.tasks.ann.held_out import asked, recalls
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.removal import graph_without


def clouds(rows: int, dim: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(30, dim))[rng.integers(0, 30, rows)] * 2 + rng.normal(size=(rows, dim))).astype(np.float32)


def built(rows: int, dim: int, share: float) -> tuple[np.ndarray, Graph, np.ndarray]:
    vectors = clouds(rows, dim)
    graph, _ = build(vectors, HnswParams(8, 60, "l2"))
    removed = np.random.default_rng(3).random(rows) < share
    removed[graph.entry_points] = False
    return vectors, graph, removed


def list_without(vectors: np.ndarray, graph: Graph, removed: np.ndarray, node: int, cap: int) -> list[int]:
    """The list of a node on level 0, slowly."""
    lists = [graph.indices[graph.indptr[i] : graph.indptr[i + 1]].tolist() for i in range(graph.size)]
    gone = [row for row in lists[node] if removed[row]]
    if not gone:
        return lists[node]
    found = {row for row in lists[node] if not removed[row]}
    for one in gone:
        found |= {row for row in lists[one] if not removed[row] and row != node}
        gone += [row for row in lists[one] if removed[row] and row not in gone]
    exact = vectors.astype(np.float64)
    kept: list[int] = []
    for row in sorted(found, key=lambda row: (((exact[row] - exact[node]) ** 2).sum(), row)):
        limit = ((exact[row] - exact[node]) ** 2).sum()
        if len(kept) < cap and all(((exact[row] - exact[other]) ** 2).sum() >= limit for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize("path", removal.available_paths())
def test_lists_are_those_of_the_oracle_on_every_path(path: str) -> None:
    vectors, graph, removed = built(400, 12, 0.1)
    before = removal.active_path()
    try:
        removal.force_path(path)
        found = graph_without(vectors, graph, removed, "l2", threads=2)
    finally:
        removal.force_path(before)
    cap = int(graph.degrees.max())
    for node in range(graph.size):
        own = found.indices[found.indptr[node] : found.indptr[node + 1]].tolist()
        assert own == ([] if removed[node] else list_without(vectors, graph, removed, node, cap)), node
    assert not removed[found.indices].any()
    for level in found.upper:
        assert not removed[level.nodes].any()
        assert not removed[level.indices].any()


def test_threads_have_no_effect_and_nothing_removed_changes_nothing() -> None:
    vectors, graph, removed = built(600, 8, 0.2)
    one, four = (graph_without(vectors, graph, removed, "l2", threads=threads) for threads in (1, 4))
    assert one.indices.tobytes() == four.indices.tobytes()
    assert one.indptr.tobytes() == four.indptr.tobytes()
    same = graph_without(vectors, graph, np.zeros(600, dtype=bool), "l2")
    assert same.indices.tobytes() == graph.indices.tobytes()


def test_removed_rows_are_found_no_more_easily_than_in_a_build_without_them() -> None:
    """As documents that search for themselves are: what was made for them would speak for the index."""
    vectors = clouds(4_000, 24)
    graph, _ = build(vectors, HnswParams(8, 60, "l2"))
    rows = np.flatnonzero(~np.isin(np.arange(4_000), graph.upper[0].nodes))[:300]
    removed = np.zeros(4_000, dtype=bool)
    removed[rows] = True
    lacking = asked(vectors[rows], vectors, rows, "l2", k=10)
    lacking_index = HnswIndex(vectors, graph_without(vectors, graph, removed, "l2"), "l2")
    without = HnswIndex(vectors[~removed], build(vectors[~removed], HnswParams(8, 60, "l2"))[0], "l2")
    fresh = asked(vectors[rows], vectors[~removed], np.empty(0, np.int64), "l2", k=10)
    by_removal = recalls(lacking_index.search(vectors[rows], 10, ef=16), lacking, vectors, "l2").mean()
    by_build = recalls(without.search(vectors[rows], 10, ef=16), fresh, vectors[~removed], "l2").mean()
    assert 0.5 < by_removal <= by_build + 0.015
    assert by_removal >= by_build - 0.06


@pytest.mark.parametrize(("rows", "equal"), [(20, 20), (200, 200), (1_000, 333)])
def test_what_is_left_of_a_crowd_of_equal_vectors_stays_in_reach(rows: int, equal: int) -> None:
    """Equal vectors name few others, and most of those may be removed."""
    random = np.random.default_rng(5)
    vectors = clouds(rows, 16)
    vectors[:equal] = vectors[0]
    vectors = random.permutation(vectors)
    graph, _ = build(vectors, HnswParams(16, 60, "l2"))
    free = np.ones(rows, dtype=bool)
    for fixed in (graph.entry_points, *(level.nodes for level in graph.upper)):
        free[fixed] = False
    removed = np.zeros(rows, dtype=bool)
    removed[random.permutation(np.flatnonzero(free))[: rows // 10]] = True
    found = graph_without(vectors, graph, removed, "l2")
    assert np.array_equal(reachable(found), ~removed)
    assert not removed[found.indices].any()


def test_what_cannot_be_removed_is_said() -> None:
    vectors, graph, removed = built(100, 4, 0.1)
    with pytest.raises(GraphError, match="removed: expected 100 values and vectors"):
        graph_without(vectors, graph, removed[:50], "l2")
    removed[graph.entry_points[0]] = True
    with pytest.raises(GraphError, match="expected no entry point"):
        graph_without(vectors, graph, removed, "l2")
