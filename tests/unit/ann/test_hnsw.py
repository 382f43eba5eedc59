"""HNSW: recall against exact search, one graph however it is built, and inputs at the edge."""

import numpy as np
import pytest

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE, Graph, GraphError, faults
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswIndex, HnswParams, build
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Index, VectorError
from tests.data import data_folder

METRICS = ["l2", "ip", "cosine"]


def clustered(rows: int, dim: int, seed: int) -> np.ndarray:
    """Vectors around 40 centres, of varying norms."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dim))
    points = centres[rng.integers(40, size=rows)] + 0.6 * rng.standard_normal((rows, dim))
    return (points * np.exp(0.3 * rng.standard_normal((rows, 1)))).astype(np.float32)


def same(a: Graph, b: Graph) -> bool:
    arrays = [(a.indptr, b.indptr), (a.indices, b.indices), (a.entry_points, b.entry_points)]
    for x, y in zip(a.upper, b.upper, strict=True):
        arrays += [(x.nodes, y.nodes), (x.indptr, y.indptr), (x.indices, y.indices)]
    return all(np.array_equal(x, y) for x, y in arrays)


# Floors: the lowest of 8 seeds less one point.
@pytest.mark.parametrize(
    ("metric", "floors"),
    [("l2", (0.858, 0.977, 0.988)), ("ip", (0.789, 0.935, 0.983)), ("cosine", (0.765, 0.935, 0.986))],
)
def test_recall_against_exact_search(metric: str, floors: tuple[float, float, float]) -> None:
    vectors, queries = clustered(4000, 48, 1), clustered(200, 48, 2)
    graph, _ = build(vectors, HnswParams(metric=metric))
    assert faults(graph, 16) == []
    indexes: list[Index] = [ExactIndex(vectors, metric), HnswIndex(vectors, graph, metric)]
    exact, *found = [indexes[0].search(queries, 10, ef=10)] + [
        indexes[1].search(queries, 10, ef=ef) for ef in (20, 60, 160)
    ]
    reached = [recall(result, exact) for result in found]
    assert all(value >= floor for value, floor in zip(reached, floors, strict=True)), reached
    work = [result.counters.distances for result in found]
    assert work == sorted(work)
    assert work[-1] < 0.5 * exact.counters.distances


def test_inner_product_finds_the_long_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3000, 24)).astype(np.float32)
    vectors *= rng.lognormal(0, 0.8, (3000, 1)).astype(np.float32)
    queries = rng.standard_normal((100, 24)).astype(np.float32)
    graph, _ = build(vectors, HnswParams(metric="ip"))
    found = HnswIndex(vectors, graph, "ip").search(queries, 10, ef=60)
    exact = ExactIndex(vectors, "ip").search(queries, 10)
    assert recall(found, exact) >= 0.97
    # Distances are 1 - <q, x>: negative for all that is worth finding.
    assert (exact.distances[:, 0] < 0).all()
    products = np.einsum("qd,qkd->qk", queries, vectors[exact.ids])
    np.testing.assert_allclose(exact.distances, 1 - products, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_and_ties_are_those_of_exact_search(metric: str) -> None:
    grid = np.random.default_rng(3).integers(1, 4, (1500, 4)).astype(np.float32)
    graph, _ = build(grid, HnswParams(metric=metric))
    exact = ExactIndex(grid, metric).search(grid[:50], 5)
    # All nodes are candidates: what is left is the order of ties.
    found = HnswIndex(grid, graph, metric).search(grid[:50], 5, ef=1500)
    assert np.array_equal(found.ids, exact.ids)
    assert np.array_equal(found.distances, exact.distances)


def test_graph_is_the_same_for_any_number_of_threads() -> None:
    vectors = clustered(2000, 20, 5)
    params = HnswParams(max_neighbors=8, ef_construction=60, metric="l2", seed=4)
    graph, counters = build(vectors, params)
    for threads in (2, 3):
        other, other_counters = build(vectors, params, threads=threads)
        assert same(graph, other)
        assert counters == other_counters
    assert not same(graph, build(vectors, HnswParams(max_neighbors=8, ef_construction=60, metric="l2", seed=5))[0])


def test_search_is_the_same_for_any_number_of_threads_and_any_batch() -> None:
    vectors, queries = clustered(1500, 20, 5), clustered(64, 20, 6)
    graph, _ = build(vectors, HnswParams())
    index = HnswIndex(vectors, graph, "cosine")
    one, three = (index.search(queries, 10, ef=30, threads=threads) for threads in (1, 3))
    single = [index.search(query[None], 10, ef=30) for query in queries]
    for other in (three.ids, np.vstack([result.ids for result in single])):
        assert np.array_equal(one.ids, other)
    assert one.counters == three.counters
    assert one.counters.distances == sum(result.counters.distances for result in single)


@pytest.mark.parametrize("stops", [[0], [1], [128], [129, 700], [1999], [2000], [300, 301, 1500]])
def test_restored_builder_goes_on_to_the_same_graph(stops: list[int]) -> None:
    vectors = clustered(2000, 20, 5)
    params = HnswParams(max_neighbors=8, ef_construction=60, metric="cosine")
    graph, counters = build(vectors, params)
    builder = HnswBuilder(vectors, params)
    for stop in stops:
        builder.insert_until(stop, threads=2)
        assert stop <= builder.inserted < stop + 128
        builder = HnswBuilder.restore(vectors, params, builder.state())
    with_rest = builder
    with_rest.insert_until(2000)
    assert same(graph, with_rest.graph())
    assert with_rest.counters == counters


def test_damaged_states_and_unfinished_graphs_are_refused() -> None:
    vectors = clustered(600, 8, 5)
    builder = HnswBuilder(vectors, HnswParams())
    builder.insert_until(300)
    with pytest.raises(GraphError, match="expected 600 inserted rows, got 384; insert the rest first"):
        builder.graph()
    state = builder.state()
    wrong = state["indices_0"].copy()
    wrong[7] = 500
    for damage in (
        {"indices_0": wrong},
        {"indptr_0": state["indptr_0"][:-1]},
        {"indices_0": state["indices_0"][:-1]},
        {"progress": np.array([601, 0, 0])},
        {"progress": np.array([384])},
        {"progress": np.array([383, 0, 0])},
        {"indices_1": np.zeros_like(state["indices_1"]) + np.uint32(np.argmin(builder._levels))},
    ):
        with pytest.raises(GraphError, match=r"^state: expected"):
            HnswBuilder.restore(vectors, HnswParams(), state | damage)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_fewer_vectors_than_k_are_padded(metric: str, rows: int) -> None:
    vectors = clustered(rows, 3, 0)
    graph, _ = build(vectors, HnswParams(metric=metric))
    for index in (HnswIndex(vectors, graph, metric), ExactIndex(vectors, metric)):
        found = index.search(vectors[:1], 8, ef=2)
        assert (found.ids[0, rows:] == NONE).all()
        assert np.isinf(found.distances[0, rows:]).all()
        assert sorted(found.ids[0, :rows]) == list(range(rows))


def test_equal_vectors_are_all_reachable_and_found() -> None:
    vectors = np.concatenate([clustered(500, 6, 0), np.full((700, 6), 9, np.float32), clustered(500, 6, 1)])
    graph, _ = build(vectors, HnswParams(metric="l2"))
    assert faults(graph, 16) == []
    index, exact = HnswIndex(vectors, graph, "l2"), ExactIndex(vectors, "l2")
    assert recall(index.search(vectors[::50], 10, ef=40), exact.search(vectors[::50], 10)) >= 0.98
    same_only = np.ones((300, 4), np.float32)
    graph, _ = build(same_only, HnswParams(metric="cosine"))
    assert faults(graph, 16) == []
    assert (HnswIndex(same_only, graph, "cosine").search(same_only[:3], 20, ef=20).distances == 0).all()


def test_clusters_that_come_one_after_the_other_stay_connected() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(100 * i, 1, (200, 8)) for i in range(15)]).astype(np.float32)
    graph, counters = build(vectors, HnswParams(metric="l2", max_neighbors=8))
    assert faults(graph, 8) == []
    exact = ExactIndex(vectors, "l2").search(vectors[::20], 10)
    assert recall(HnswIndex(vectors, graph, "l2").search(vectors[::20], 10, ef=40), exact) >= 0.9
    assert counters.connected < 15


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((0, 3), np.float32), "vectors: expected 1 to .* rows, got 0"),
        (np.zeros((3, 0), np.float32), r"vectors: expected numbers \(n, d\)"),
        (np.zeros(3, np.float32), r"vectors: expected numbers \(n, d\)"),
        (np.array([["a"]]), r"vectors: expected numbers \(n, d\)"),
        (np.array([[1, 2], [np.nan, 1]]), "vectors row 1: expected finite numbers, got NaN or infinity"),
        (np.array([[1, 2], [1, 2], [-np.inf, np.inf]]), "vectors row 2: expected finite numbers"),
        (np.array([[1, 2], [0, 0]]), "vectors row 1: expected a vector of nonzero length for cosine"),
    ],
)
def test_bad_vectors_are_named(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        build(vectors, HnswParams(metric="cosine"))
    with pytest.raises(VectorError, match=message):
        ExactIndex(vectors, "cosine")


def test_bad_queries_are_named() -> None:
    vectors = clustered(20, 4, 0)
    graph, _ = build(vectors, HnswParams())
    for index in (HnswIndex(vectors, graph, "cosine"), ExactIndex(vectors, "cosine")):
        with pytest.raises(VectorError, match="queries: expected 4 columns, got 5"):
            index.search(np.ones((1, 5)), 1, ef=1)
        with pytest.raises(VectorError, match="queries row 2: expected a vector of nonzero length"):
            index.search(np.vstack([np.ones((2, 4)), np.zeros((2, 4))]), 1, ef=1)
        with pytest.raises(VectorError, match="queries row 0: expected finite"):
            index.search(np.full((1, 4), np.inf), 1, ef=1)
        with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
            index.search(vectors, 0, ef=1)
        assert index.search(vectors[:0], 3, ef=1).ids.shape == (0, 3)
    with pytest.raises(VectorError, match="vectors: expected 20 rows, one per node, got 19"):
        HnswIndex(vectors[:-1], graph, "cosine")


@pytest.mark.parametrize("kwargs", [{"max_neighbors": 1}, {"ef_construction": 0}, {"metric": "l1"}, {"seed": -1}])
def test_bad_parameters_are_named(kwargs: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(kwargs))}: expected"):
        HnswParams(**kwargs)


def test_recall_on_images() -> None:
    images = np.load(data_folder("mnist784") / "mnist784.npz")
    vectors, queries = images["train"][:5000].astype(np.float32), images["test"][:200].astype(np.float32)
    graph, _ = build(vectors, HnswParams(metric="l2", ef_construction=100), threads=2)
    exact = ExactIndex(vectors, "l2").search(queries, 10)
    assert recall(HnswIndex(vectors, graph, "l2").search(queries, 10, ef=40), exact) >= 0.98
