"""Graphs that are changed beside graphs that are built of the rows that are left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fingerpost.ext import growth as kernel
from fingerpost.tasks.ann.compaction import GuardParams, guard_recall, guarded_graph, repaired_graph
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import Graph, GraphError, faults, from_table
from fingerpost.tasks.ann.growth import changed_graph, graph_levels, without_rows
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Metric, VectorError

ROWS, COLUMNS = 3000, 12
METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


def points(count: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((15, COLUMNS))
    rows = centres[random.integers(0, 15, count)] + 0.7 * random.standard_normal((count, COLUMNS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", params=METRICS)
def built(request: pytest.FixtureRequest) -> tuple[NDArray[np.float32], Graph, HnswParams]:
    params = HnswParams(metric=request.param, ef_construction=100, seed=5)
    vectors = points(ROWS, 0)
    return vectors, build(vectors, params)[0], params


def equal(left: Graph, right: Graph) -> bool:
    pairs = [(left.indptr, right.indptr), (left.indices, right.indices), (left.entry_points, right.entry_points)]
    for mine, its in zip(left.upper, right.upper, strict=True):
        pairs += [(mine.nodes, its.nodes), (mine.indptr, its.indptr), (mine.indices, its.indices)]
    return all(np.array_equal(mine, its) for mine, its in pairs)


def measured(vectors: NDArray[np.float32], graph: Graph, metric: Metric, ef: int = 20) -> float:
    queries = points(300, 77)
    exact = ExactIndex(vectors, metric).search(queries, 10)
    return recall(HnswIndex(vectors, graph, metric).search(queries, 10, ef=ef), exact)


def clustered(vectors: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """The rows nearest to a few others: regions of which nothing is left."""
    distances = ExactIndex(vectors, "l2").search(vectors[[0, 500, 900]], len(vectors))
    removed = np.zeros(len(vectors), dtype=bool)
    removed[distances.ids[:, : count // 3].ravel()] = True
    return removed


@pytest.mark.parametrize("size", [1, 128, 1280, 2944])
def test_added_rows_are_found_as_in_a_build(built: tuple[NDArray[np.float32], Graph, HnswParams], size: int) -> None:
    vectors, graph, params = built
    first, _ = build(vectors[:size], params)
    origin = np.where(np.arange(ROWS) < size, np.arange(ROWS), -1)
    grown, counters = changed_graph(vectors, first, origin, params)
    assert (counters.kept, counters.removed, counters.added) == (size, 0, ROWS - size)
    assert faults(grown, params.max_neighbors) == []
    assert measured(vectors, grown, params.metric) >= measured(vectors, graph, params.metric) - 0.005


@pytest.mark.parametrize("size", [1280, 2944])
def test_rows_added_in_their_order_make_the_graph_of_a_build(
    built: tuple[NDArray[np.float32], Graph, HnswParams], size: int
) -> None:
    """Where batches begin where those of a build do, lists and distances are restored to the bit."""
    vectors, graph, params = built
    first, _ = build(vectors[:size], params)
    levels = graph_levels(graph)
    builder = kernel.Builder(vectors, params.metric, params.max_neighbors, params.ef_construction, levels)
    builder.restore_level(0, np.arange(size, dtype=np.uint32), first.indptr, first.indices)
    for number, level in enumerate(first.upper, start=1):
        builder.restore_level(number, level.nodes, level.indptr, level.indices, threads=2)
    builder.restore_end(size)
    builder.insert_until(ROWS, 1)
    builder.connect()
    for number in range(len(graph.upper) + 1):
        nodes = np.flatnonzero(levels >= number).astype(np.uint32)
        level = graph.upper[number - 1] if number else graph
        for mine, its in zip(builder.level_links(number, nodes), (level.indptr, level.indices), strict=True):
            assert np.array_equal(mine, its)


@pytest.mark.parametrize("kind", ["random", "clustered"])
def test_what_is_left_is_found_as_in_a_build(built: tuple[NDArray[np.float32], Graph, HnswParams], kind: str) -> None:
    vectors, graph, params = built
    removed = np.random.default_rng(1).random(ROWS) < 0.3 if kind == "random" else clustered(vectors, 900)
    rows = np.flatnonzero(~removed)
    left, counters = changed_graph(vectors[rows], graph, rows, params)
    assert (counters.kept, counters.removed, counters.added) == (len(rows), ROWS - len(rows), 0)
    assert counters.repaired > 0
    assert faults(left, params.max_neighbors) == []
    fresh, _ = build(vectors[rows], params)
    assert measured(vectors[rows], left, params.metric) >= measured(vectors[rows], fresh, params.metric) - 0.005


def test_rows_come_and_go_and_change_places(built: tuple[NDArray[np.float32], Graph, HnswParams]) -> None:
    """Six days, of each of which a tenth of the rows is new and others are in another order."""
    vectors, graph, params = built
    random = np.random.default_rng(2)
    for day in range(6):
        kept = random.permutation(ROWS)[: ROWS * 9 // 10]
        today = np.concatenate([vectors[kept], points(ROWS - len(kept), 100 + day)])
        order = random.permutation(len(today))
        origin = np.concatenate([kept, np.full(ROWS - len(kept), -1)])[order].astype(np.int64)
        before = graph_levels(graph)
        vectors = today[order]
        graph, _ = changed_graph(vectors, graph, origin, params)
        assert faults(graph, params.max_neighbors) == []
        same = origin >= 0
        assert (graph_levels(graph)[same] == before[origin[same]]).all()
    fresh, _ = build(vectors, params)
    assert measured(vectors, graph, params.metric) >= measured(vectors, fresh, params.metric) - 0.01


def test_any_number_of_threads_gives_one_graph(built: tuple[NDArray[np.float32], Graph, HnswParams]) -> None:
    vectors, graph, params = built
    removed = np.random.default_rng(3).random(ROWS) < 0.4
    kept = np.flatnonzero(~removed)
    today = np.concatenate([vectors[kept], points(300, 8)])
    origin = np.concatenate([kept, np.full(300, -1)]).astype(np.int64)
    one, _ = changed_graph(today, graph, origin, params)
    three, _ = changed_graph(today, graph, origin, params, threads=3)
    assert equal(one, three)


@pytest.mark.parametrize("path", ["portable", "avx2", "avx512"])
def test_every_instruction_set_gives_one_graph(path: str, built: tuple[NDArray[np.float32], Graph, HnswParams]) -> None:
    if path not in kernel.available_paths():
        pytest.skip(f"this CPU has no {path}")
    vectors, graph, params = built
    rows = np.arange(0, ROWS, 2)
    expected, before = changed_graph(vectors[rows], graph, rows, params)[0], kernel.active_path()
    kernel.force_path(path)
    try:
        found = changed_graph(vectors[rows], graph, rows, params)[0]
    finally:
        kernel.force_path(before)
    assert equal(found, expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 80), st.integers(0, 40), st.floats(0, 0.97), st.sampled_from(METRICS), st.integers(0, 2**32 - 1))
def test_small_graphs_stay_sound(before: int, added: int, share: float, metric: Metric, seed: int) -> None:
    random = np.random.default_rng(seed)
    params = HnswParams(metric=metric, max_neighbors=3, ef_construction=60)
    old = random.integers(1, 4, (before, 3)).astype(np.float32)
    graph, _ = build(old, params)
    kept = np.flatnonzero(random.random(before) >= share)
    kept = kept if len(kept) else np.array([0])
    today = np.concatenate([old[kept], random.integers(1, 4, (added, 3)).astype(np.float32)])
    order = random.permutation(len(today))
    origin = np.concatenate([kept, np.full(added, -1)])[order].astype(np.int64)
    changed, counters = changed_graph(today[order], graph, origin, params)
    assert faults(changed, params.max_neighbors) == []
    assert (counters.kept, counters.removed, counters.added) == (len(kept), before - len(kept), added)
    exact = ExactIndex(today[order], metric).search(today, 3)
    # From the entry point all rows are reached; from where the upper levels lead, not always.
    level = Graph(changed.indptr, changed.indices, (), changed.entry_points)
    found = HnswIndex(today[order], level, metric).search(today, 3, ef=len(today))
    assert (found.ids == exact.ids).all()


def test_crowds_of_equal_rows_do_not_hide_the_others() -> None:
    """A third of the rows at one point, of which half are removed; the others are found."""
    random = np.random.default_rng(4)
    vectors = points(3000, 6)
    vectors[random.permutation(3000)[:1000]] = vectors[0]
    params = HnswParams(metric="l2")
    graph, _ = build(vectors, params)
    rows = np.flatnonzero(random.random(3000) < 0.5)
    left, _ = changed_graph(vectors[rows], graph, rows, params)
    assert faults(left, params.max_neighbors) == []
    assert measured(vectors[rows], left, "l2", ef=100) >= 0.99


def test_removed_rows_keep_their_numbers_and_nobody_meets_them(
    built: tuple[NDArray[np.float32], Graph, HnswParams],
) -> None:
    vectors, graph, params = built
    removed = np.random.default_rng(5).random(ROWS) < 0.1
    left = repaired_graph(vectors, graph, removed, params.metric)
    assert left.size == ROWS
    assert not removed[left.indices].any()
    assert (left.degrees[removed] == 0).all()
    assert not removed[left.entry_points].any()
    found = HnswIndex(vectors, left, params.metric).search(vectors[:200], 10, ef=60)
    assert not removed[found.ids].any()
    rows = np.flatnonzero(~removed)
    compact, _ = changed_graph(vectors[rows], graph, rows, params)
    same = without_rows(vectors, graph, removed, params)
    assert (rows[compact.indices] == same.indices).all(), "compaction but for the numbers"
    ring = from_table(np.array([[(row + 1) % 20, (row + 2) % 20] for row in range(20)]))
    mended = repaired_graph(vectors[:20], ring, np.arange(20) % 3 == 0, "l2")
    assert set(HnswIndex(vectors[:20], mended, "l2").search(vectors[:1], 13, ef=20).ids[0].tolist()) == {
        row for row in range(20) if row % 3
    }


def test_a_graph_of_low_recall_is_built_again(built: tuple[NDArray[np.float32], Graph, HnswParams]) -> None:
    vectors, graph, params = built
    guard = GuardParams(queries=150, ef=15)
    rows = np.arange(0, ROWS, 2)
    base = guard_recall(vectors, graph, params.metric, guard)
    changed = guarded_graph(vectors[rows], graph, rows, params, base=base, guard=guard)
    assert changed.reason == ""
    assert changed.counters is not None
    assert changed.base == base
    worse = Graph(*_thinned(graph), (), graph.entry_points)
    again = guarded_graph(vectors[rows], worse, rows, params, base=base, guard=guard)
    assert again.counters is None
    assert "more than 0.01 below" in again.reason
    assert equal(again.graph, build(vectors[rows], params)[0])
    assert again.base == again.recall


def _thinned(graph: Graph) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Level 0 with three neighbours a node."""
    degrees = np.minimum(graph.degrees, 3)
    chosen = np.concatenate(
        [graph.indices[begin : begin + some] for begin, some in zip(graph.indptr, degrees, strict=False)]
    )
    return np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64), chosen


def test_what_does_not_fit_is_refused(built: tuple[NDArray[np.float32], Graph, HnswParams]) -> None:
    vectors, graph, params = built
    nobody = np.full(ROWS, -1, np.int64)
    with pytest.raises(GraphError, match="origin: expected different nodes below 3000 for some rows, got 0 rows"):
        changed_graph(vectors, graph, nobody, params)
    twice = np.zeros(ROWS, np.int64)
    with pytest.raises(GraphError, match="origin: expected different nodes"):
        changed_graph(vectors, graph, twice, params)
    with pytest.raises(GraphError, match=r"origin: expected int64 \(3000,\), got float64"):
        changed_graph(vectors, graph, nobody.astype(float), params)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="lists of at most 8 nodes"):
        changed_graph(vectors, graph, np.arange(ROWS), HnswParams(metric=params.metric, max_neighbors=4))
    with pytest.raises(GraphError, match="removed: expected bool"):
        repaired_graph(vectors, graph, np.ones(ROWS, dtype=bool), params.metric)
    if params.metric == "cosine":
        zero = vectors.copy()
        zero[7] = 0
        with pytest.raises(VectorError, match="vectors row 7"):
            changed_graph(zero, graph, np.arange(ROWS), params)
