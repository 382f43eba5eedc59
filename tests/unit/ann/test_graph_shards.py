"""Sharded builds: federated search, graphs merged into one, and what neither depends on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.federated import FederatedIndex
from fingerpost.tasks.ann.graph import NONE, Graph, GraphError, faults
from fingerpost.tasks.ann.graph_merge import merge_graphs
from fingerpost.tasks.ann.graph_shards import ShardingParams, build_shard, shard_bounds
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import VectorError
from tests.unit.ann.test_hnsw import clustered, same


def shard_graphs(vectors: np.ndarray, params: HnswParams, shards: int) -> tuple[list[tuple[int, int]], list[Graph]]:
    bounds = shard_bounds(len(vectors), shards)
    return bounds, [build_shard(vectors[start:stop], params, start=start) for start, stop in bounds]


@given(rows=st.integers(1, 10_000), shards=st.integers(1, 300))
def test_bounds_cover_all_rows(rows: int, shards: int) -> None:
    bounds = shard_bounds(rows, shards)
    assert 1 <= len(bounds) <= shards
    assert [stop for _, stop in bounds] == [start for start, _ in bounds[1:]] + [rows]
    assert all(start < stop for start, stop in bounds)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_recall_of_eight_shards(metric: str) -> None:
    vectors, queries = clustered(4000, 24, 1), clustered(200, 24, 2)
    params = HnswParams(metric=metric, ef_construction=100)
    bounds, graphs = shard_graphs(vectors, params, 8)
    federated = FederatedIndex(
        [HnswIndex(vectors[a:b], graph, metric) for (a, b), graph in zip(bounds, graphs, strict=True)]
    )
    merged, _ = merge_graphs(vectors, graphs, params)
    assert faults(merged, 16) == []
    indexes = [HnswIndex(vectors, build(vectors, params)[0], metric), federated, HnswIndex(vectors, merged, metric)]
    exact = ExactIndex(vectors, metric).search(queries, 10)
    for ef in (20, 60):
        single, across, joined = (recall(index.search(queries, 10, ef=ef), exact) for index in indexes)
        assert across >= single
        assert joined >= single - 0.01


# Clusters that lie in one shard each: what merging must connect.
def test_shards_of_different_kinds_of_rows_become_one_graph() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(100 * i, 1, (250, 8)) for i in range(6)]).astype(np.float32)
    params = HnswParams(metric="l2", max_neighbors=8, ef_construction=60)
    merged, _ = merge_graphs(vectors, shard_graphs(vectors, params, 6)[1], params)
    assert faults(merged, 8) == []
    exact = ExactIndex(vectors, "l2").search(vectors[::15], 10)
    assert recall(HnswIndex(vectors, merged, "l2").search(vectors[::15], 10, ef=40), exact) >= 0.9


def test_equal_rows_over_all_shards_are_found() -> None:
    rng = np.random.default_rng(1)
    others = rng.standard_normal((1000, 16))
    vectors = np.concatenate([others, np.full((500, 16), 0.1)])[rng.permutation(1500)].astype(np.float32)
    params = HnswParams(metric="l2", ef_construction=100)
    merged, _ = merge_graphs(vectors, shard_graphs(vectors, params, 4)[1], params)
    assert faults(merged, 16) == []
    queries = others[::10].astype(np.float32)
    exact = ExactIndex(vectors, "l2").search(queries, 10)
    assert recall(HnswIndex(vectors, merged, "l2").search(queries, 10, ef=100), exact) >= 0.97


@given(
    rows=st.integers(1, 400),
    dim=st.sampled_from([3, 16, 50]),
    shards=st.integers(1, 9),
    neighbors=st.integers(2, 6),
    metric=st.sampled_from(["l2", "ip", "cosine"]),
    seed=st.integers(0, 2**16),
)
def test_merged_graphs_are_sound_and_do_not_depend_on_threads(
    rows: int, dim: int, shards: int, neighbors: int, metric: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: many equal rows and equal distances.
    vectors = rng.integers(1, 4, (rows, dim)).astype(np.float32)
    params = HnswParams(metric=metric, max_neighbors=neighbors, ef_construction=20, seed=seed)
    graphs = shard_graphs(vectors, params, shards)[1]
    merged, _ = merge_graphs(vectors, graphs, params, ef=12)
    assert faults(merged, neighbors) == []
    assert same(merged, merge_graphs(vectors, graphs, params, ef=12, threads=3)[0])
    # The levels are those of a single build.
    single, _ = build(vectors, params)
    assert [level.nodes.tolist() for level in merged.upper] == [level.nodes.tolist() for level in single.upper]
    assert merged.entry_points == single.entry_points
    if shards == 1:
        assert same(merged, single)


def test_every_path_merges_to_the_same_graph() -> None:
    vectors = clustered(900, 60, 2)
    params = HnswParams(metric="cosine", max_neighbors=6, ef_construction=30)
    graphs = shard_graphs(vectors, params, 3)[1]
    merged, _ = merge_graphs(vectors, graphs, params)
    active = kernel.active_path()
    try:
        for path in kernel.available_paths():
            kernel.force_path(path)
            assert same(merged, merge_graphs(vectors, graphs, params)[0])
    finally:
        kernel.force_path(active)


def test_federated_answers_are_those_of_exact_search_over_all() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.integers(0, 3, (60, 4)).astype(np.float32)
    parts = [ExactIndex(vectors[a:b], "l2") for a, b in ((0, 2), (2, 40), (40, 60))]
    found = FederatedIndex(parts).search(vectors[:20], 25, ef=1)
    exact = ExactIndex(vectors, "l2").search(vectors[:20], 25)
    assert np.array_equal(found.ids, exact.ids)
    assert np.array_equal(found.distances, exact.distances)
    assert np.array_equal(FederatedIndex(parts).vectors, vectors)
    few = FederatedIndex(parts[:1]).search(vectors[:1], 5, ef=1)
    assert few.ids.shape == (1, 5)
    assert (few.ids[0, 2:] == NONE).all()
    assert np.isinf(few.distances[0, 2:]).all()
    with pytest.raises(ValueError, match=r"indexes: expected at least one, of one metric, got \['ip', 'l2'\]"):
        FederatedIndex([parts[0], ExactIndex(vectors, "ip")])
    with pytest.raises(ValueError, match="indexes: expected at least one"):
        FederatedIndex([])


def test_graphs_that_do_not_fit_are_refused() -> None:
    vectors = clustered(300, 8, 0)
    params = HnswParams(metric="l2", max_neighbors=4, ef_construction=30)
    graphs = shard_graphs(vectors, params, 3)[1]
    with pytest.raises(GraphError, match="graphs: expected 300 nodes in all, got 200"):
        merge_graphs(vectors, graphs[:2], params)
    with pytest.raises(GraphError, match="graph from row 0, level 0: expected lists of at most 4 nodes"):
        merge_graphs(vectors, graphs, HnswParams(metric="l2", max_neighbors=2))
    zeros = vectors.copy()
    zeros[211] = 0
    with pytest.raises(VectorError, match="vectors row 211: expected a vector of nonzero length"):
        merge_graphs(zeros, graphs, HnswParams(metric="cosine", max_neighbors=4))
    for wrong in ({"shards": 0}, {"shards": 70_000}, {"merge_ef": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            ShardingParams(**wrong)
    with pytest.raises(ValueError, match="rows: expected 1 to"):
        shard_bounds(0, 3)
