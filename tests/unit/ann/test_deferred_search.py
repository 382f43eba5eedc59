"""Search with deferred distances: the oracle's, near plain search, and cheaper than it."""

import numpy as np
import pytest

from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import edge_blocks, entry_nodes
from fingerpost.tasks.ann.edge_codes import EdgeCodeParams, fit_edge_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.finger_tables import compared_rows
from fingerpost.tasks.ann.graph import Graph, from_adjacency
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Metric, VectorError
from tests.support.graphs import neighbor_graph
from tests.support.vectors import decaying

METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


def opened(vectors: np.ndarray, graph: Graph, metric: Metric, params: EdgeCodeParams | None = None) -> DeferredIndex:
    coder = fit_edge_codes(compared_rows(vectors, graph, metric), graph, metric, params=params)
    return DeferredIndex(vectors, graph, edge_blocks(vectors, graph, metric, coder), metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["hnsw", "neighbours"])
def test_recall_is_that_of_plain_search_at_fewer_distances(kind: str, metric: Metric) -> None:
    vectors, queries = decaying(2000, 48, seed=4), decaying(80, 48, seed=5)
    graph = neighbor_graph(vectors, 20, metric)
    if kind == "hnsw":
        graph = build(vectors, HnswParams(max_neighbors=12, ef_construction=80, metric=metric, seed=3))[0]
    exact = ExactIndex(vectors, metric).search(queries, 10)
    plain = HnswIndex(vectors, graph, metric).search(queries, 10, ef=60)
    found = opened(vectors, graph, metric).search(queries, 10, ef=60)
    assert recall(found, exact) >= recall(plain, exact) - 0.02
    assert found.counters.distances < 0.5 * plain.counters.distances
    assert found.counters.estimates > found.counters.expansions > 0


def test_distances_are_exact_and_do_not_depend_on_threads() -> None:
    vectors, queries = decaying(1500, 32, seed=1), decaying(50, 32, seed=2)
    graph = build(vectors, HnswParams(max_neighbors=10, ef_construction=60, metric="l2"))[0]
    index = opened(vectors, graph, "l2")
    one, three = index.search(queries, 10, ef=30), index.search(queries, 10, ef=30, threads=3)
    assert np.array_equal(one.ids, three.ids)
    assert np.array_equal(one.distances, three.distances)
    assert one.counters == three.counters
    expected = ((vectors[one.ids] - queries[:, None]) ** 2).sum(axis=2)
    assert np.allclose(one.distances, expected, rtol=1e-5)
    assert (np.diff(one.distances, axis=1) >= 0).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_search_is_the_oracles(bits: int) -> None:
    # Whole numbers: distances are exact, so that float64 here and float32 there order them alike.
    vectors = np.round(decaying(400, 20, seed=8) * 8).astype(np.float32)
    queries = np.round(decaying(20, 20, seed=9) * 8).astype(np.float32)
    graph = build(vectors, HnswParams(max_neighbors=8, ef_construction=60, metric="l2"))[0]
    index = opened(vectors, graph, "l2", EdgeCodeParams(rank=16, bits=bits))
    for query in queries:
        found, distances = oracle(index, query, ef=16)
        result = index.search(query[None], 16, ef=16)
        assert result.ids[0].tolist() == [node for _, node in found]
        assert result.counters.distances == distances


def oracle(index: DeferredIndex, query: np.ndarray, *, ef: int) -> tuple[list[tuple[float, int]], int]:
    """The search on lists: (distance or estimate, node), with sets for what is exact, expanded and seen."""
    ids, values = index.estimate(query, None)
    frontier = sorted(zip(values.tolist(), ids.tolist(), strict=True))[:4]
    seen, exact, expanded, computed = {node for _, node in frontier}, set(), set(), 0
    while True:
        open_ones = [entry for entry in frontier if entry[1] not in expanded]
        if not open_ones:
            return frontier, computed
        node = open_ones[0][1]
        if node not in exact:
            together = [entry for entry in open_ones if entry[1] not in exact][:4]
            for entry in together:
                frontier.remove(entry)
                frontier.append((float(((index.vectors[entry[1]] - query) ** 2).sum()), entry[1]))
                exact.add(entry[1])
            computed += len(together)
            frontier.sort()
            continue
        expanded.add(node)
        for near, value in zip(*(array.tolist() for array in index.estimate(query, node)), strict=True):
            full = len(frontier) >= ef
            if near in seen or (full and value >= frontier[-1][0]):
                continue
            seen.add(near)
            frontier = sorted([*(frontier[:-1] if full else frontier), (value, near)])


def test_equal_vectors_zeros_and_a_large_k() -> None:
    vectors = decaying(300, 24, seed=6)
    vectors[50:90] = vectors[50]
    vectors[100] = 0
    graph = build(vectors, HnswParams(max_neighbors=8, ef_construction=60, metric="l2"))[0]
    index = opened(vectors, graph, "l2")
    found = index.search(vectors[[50, 100]], 400, ef=10)
    assert set(range(50, 90)) <= set(found.ids[0, :60].tolist())
    assert found.ids[1, 0] == 100
    assert sorted(found.ids[0, :300].tolist()) == list(range(300))
    assert (found.ids[:, 300:] == 0xFFFFFFFF).all()
    assert np.isinf(found.distances[:, 300:]).all()


def test_lists_of_very_different_lengths_take_blocks_of_their_own() -> None:
    vectors = decaying(400, 20, seed=6)
    around = neighbor_graph(vectors, 5, "l2")
    lists = [part.tolist() for part in np.split(around.indices, around.indptr[1:-1])]
    lists[7] = [node for node in range(400) if node != 7]
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in lists])])
    graph = from_adjacency(indptr, np.concatenate(lists), entry_points=[7])
    coder = fit_edge_codes(vectors, graph, "l2", params=EdgeCodeParams(rank=20, bits=4))
    blocks = edge_blocks(vectors, graph, "l2", coder)
    assert blocks.stride == 0
    index = DeferredIndex(vectors, graph, blocks, "l2")
    exact = ExactIndex(vectors, "l2").search(vectors[:30], 5)
    assert recall(index.search(vectors[:30], 5, ef=40), exact) > 0.95


def test_entries_are_a_level_or_spread_and_hold_the_entry_points() -> None:
    vectors = decaying(3000, 8, seed=0)
    graph = build(vectors, HnswParams(max_neighbors=4, ef_construction=20, metric="l2"))[0]
    entries = entry_nodes(graph)
    assert set(graph.upper[0].nodes) >= set(entries) or len(graph.upper[0].nodes) > 1024
    assert set(graph.entry_points) <= set(entries)
    flat = from_adjacency(graph.indptr, graph.indices, entry_points=[5])
    assert len(entry_nodes(flat)) in (1024, 1025)
    assert 5 in entry_nodes(flat)


@pytest.mark.parametrize(
    "settings", [{"rank": 0}, {"bits": 3}, {"margin": -1.0}, {"margin": float("nan")}, {"nodes": 0}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        EdgeCodeParams(**settings)


def test_the_choice_has_the_least_work_and_follows_its_seed() -> None:
    vectors = decaying(1500, 64, seed=0)
    graph = neighbor_graph(vectors, 12, "l2")
    coder = fit_edge_codes(vectors, graph, "l2")
    chosen = next(cost for cost in coder.tried if (cost.rank, cost.bits) == (coder.rank, coder.bits))
    assert chosen.work == min(cost.work for cost in coder.tried)
    assert np.array_equal(coder.directions, fit_edge_codes(vectors, graph, "l2").directions)
    assert np.allclose(coder.directions @ coder.directions.T, np.eye(coder.rank), atol=1e-5)
    errors = {(cost.rank, cost.bits): cost.error for cost in coder.tried}
    for rank in {cost.rank for cost in coder.tried}:
        assert errors[rank, 4] < errors[rank, 2] < errors[rank, 1]


def test_vectors_that_do_not_fit_are_refused() -> None:
    vectors = decaying(100, 16, seed=0)
    graph = neighbor_graph(vectors, 6, "cosine")
    index = opened(vectors, graph, "cosine")
    with pytest.raises(VectorError, match="nonzero length"):
        index.search(np.zeros((1, 16), dtype=np.float32), 3, ef=5)
    with pytest.raises(VectorError, match="expected 16 columns"):
        index.search(np.zeros((1, 15), dtype=np.float32), 3, ef=5)
