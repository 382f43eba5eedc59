"""Graphs from anywhere: what is refused, what is found wrong, and that any of them can be searched."""

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import (
    NONE,
    Graph,
    GraphError,
    UpperLevel,
    faults,
    from_adjacency,
    from_table,
    reachable,
)
from fingerpost.tasks.ann.hnsw import HnswIndex
from fingerpost.tasks.ann.recall import recall
from tests.support.graphs import neighbor_graph

U32, I64 = np.uint32, np.int64


def ring(n: int) -> Graph:
    return from_table([[(i + 1) % n, (i - 1) % n] for i in range(n)], [0])


@given(n=st.integers(1, 40), edges=st.integers(0, 80), seed=st.integers(0, 10**6))
def test_reachable_is_what_networkx_reaches(n: int, edges: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = networkx.gnm_random_graph(n, min(edges, n * (n - 1)), seed=seed, directed=True)
    lists = [sorted(table[v]) for v in range(n)]
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    entry = int(rng.integers(n))
    graph = from_adjacency(indptr, np.array([u for one in lists for u in one], dtype=U32), [entry])
    assert set(np.flatnonzero(reachable(graph))) == networkx.descendants(table, entry) | {entry}


def test_tables_lose_padding_and_the_node_itself() -> None:
    graph = from_table(np.array([[0, 1, 2], [1, 0, -1], [NONE, 0, 1]], dtype=np.int64))
    assert graph.indices.tolist() == [1, 2, 0, 0, 1]
    assert graph.indptr.tolist() == [0, 2, 3, 5]
    assert graph.entry_points.tolist() == [0, 1, 2]


def test_default_entry_points_are_evenly_spaced() -> None:
    entries = from_adjacency(np.zeros(1001), []).entry_points
    assert len(entries) == 64
    assert entries[0] == 0
    assert entries[-1] == 999


@pytest.mark.parametrize(
    ("indptr", "indices", "entries", "message"),
    [
        ([0], [], None, "graph: expected 1 to .* nodes, got 0"),
        ([0, 1], [5], None, "level 0 indices: expected rows below 1, got 5"),
        ([0, 1, 1], [0], None, "level 0 indices: expected no node in its own list, got node 0"),
        ([0, 2, 1], [1], None, "level 0 indptr: expected 3 ascending numbers from 0 to 1"),
        ([0, 1, 1], [-1], None, "use from_table for lists with padding"),
        ([0, 1, 2], [1, 0], [2], "entry points: expected rows below 2"),
        ([0, 1, 2], [1, 0], [], "entry points: expected rows below 2, at least one"),
    ],
)
def test_impossible_graphs_are_refused(indptr: list, indices: list, entries: list | None, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        from_adjacency(indptr, indices, entries)


def level(nodes: list[int], indptr: list[int], indices: list[int]) -> UpperLevel:
    return UpperLevel(np.array(nodes, U32), np.array(indptr, I64), np.array(indices, U32))


@pytest.mark.parametrize(
    ("upper", "entries", "message"),
    [
        ((level([1, 0], [0, 0, 0], []),), [0], "level 1 nodes: expected ascending rows"),
        ((level([0, 9], [0, 0, 0], []),), [0], "level 1 nodes: expected ascending rows below 4"),
        ((level([], [0], []),), [0], "level 1 nodes: .* leave empty levels out"),
        ((level([0, 1], [0, 1, 1], [2]),), [0], "level 1 indices: expected nodes of that level"),
        ((level([0, 1], [0, 1, 2], [1, 0]),), [3], "entry points: expected nodes of the top level"),
        (
            (level([0, 1], [0, 0, 0], []), level([2], [0, 0], [])),
            [2],
            "level 2 nodes: expected nodes of the level below",
        ),
        ((UpperLevel(np.array([0]), np.array([0, 0]), np.array([], U32)),), [0], "level 1 nodes: expected contiguous"),
    ],
)
def test_impossible_levels_are_refused(upper: tuple[UpperLevel, ...], entries: list[int], message: str) -> None:
    flat = ring(4)
    with pytest.raises(GraphError, match=message):
        Graph(flat.indptr, flat.indices, upper, np.array(entries, U32))


def test_faults_are_reported() -> None:
    assert faults(ring(10), 1) == []
    assert faults(from_table([[1], [0], [3], [2]], [0])) == ["2 of 4 nodes are not reachable from the entry points"]
    assert faults(from_table([[1, 1], [0, -1]], [0])) == ["level 0: a list names a node twice"]
    assert faults(from_table([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]), 1) == [
        "level 0: a list has 3 nodes, more than 2"
    ]


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_plain_neighbour_graph_can_be_searched(metric: str) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (
        rng.standard_normal((2000, 8)).astype(np.float32),
        rng.standard_normal((100, 8)).astype(np.float32),
    )
    graph = neighbor_graph(vectors, 16, metric)
    found = HnswIndex(vectors, graph, metric).search(queries, 10, ef=80)
    assert recall(found, ExactIndex(vectors, metric).search(queries, 10)) >= 0.98


def test_search_walks_a_ring_and_stops_at_its_end() -> None:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = HnswIndex(vectors, ring(60), "l2").search(vectors[[30]], 3, ef=4)
    assert found.ids[0].tolist() == [30, 29, 31]
    # Nodes without neighbours: only entry points can be found.
    lonely = from_adjacency(np.zeros(61), [], [7])
    found = HnswIndex(vectors, lonely, "l2").search(vectors[[30]], 2, ef=4)
    assert found.ids[0].tolist() == [7, NONE]
    assert found.counters.distances == 1
