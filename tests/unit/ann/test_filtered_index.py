"""Filtered and range searches against a sort of all distances, for every way of searching."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fingerpost.ext import filtered as kernel
from fingerpost.tasks.ann import filtered_index
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.filter_methods import COMPARED_SHARE, PRODUCT, chosen_methods
from fingerpost.tasks.ann.filtered_index import FilteredIndex
from fingerpost.tasks.ann.graph import NONE, from_table
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.search import Metric, SearchResult, VectorError

ROWS, COLUMNS, QUERIES, K = 4000, 16, 40, 10
METHODS = (kernel.COMPARE, kernel.CROSS, kernel.SCAN, PRODUCT)
METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


@pytest.fixture(scope="module", params=METRICS)
def world(request: pytest.FixtureRequest) -> tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]:
    metric: Metric = request.param
    random = np.random.default_rng(3)
    centres = random.standard_normal((20, COLUMNS))
    points = centres[random.integers(0, 20, ROWS + QUERIES)] + 0.6 * random.standard_normal((ROWS + QUERIES, COLUMNS))
    if metric == "ip":
        # Not all of one length, but without the few long ones that would be near to everything.
        points *= random.uniform(0.9, 1.1, (len(points), 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    vectors, queries = points[:ROWS].astype(np.float32), points[ROWS:].astype(np.float32)
    graph, _ = build(vectors, HnswParams(metric=metric, ef_construction=100))
    return FilteredIndex(vectors, graph, metric), HnswIndex(vectors, graph, metric), queries


def forced(monkeypatch: pytest.MonkeyPatch, method: int) -> None:
    monkeypatch.setattr(
        filtered_index, "chosen_methods", lambda passing, shared, **_: np.full(len(passing), method, np.uint8)
    )


def exact(index: FilteredIndex, queries: NDArray[np.float32], masks: NDArray[np.bool_], k: int) -> SearchResult:
    """The k nearest rows of each query's mask by comparison with all."""
    found = ExactIndex(index.vectors, index.metric).search(queries, len(index.vectors))
    ids = np.full((len(queries), k), NONE, np.uint32)
    distances = np.full((len(queries), k), np.inf, np.float32)
    for number, mask in enumerate(masks):
        inside = mask[found.ids[number]]
        some = min(k, int(inside.sum()))
        ids[number, :some] = found.ids[number][inside][:k]
        distances[number, :some] = found.distances[number][inside][:k]
    return SearchResult(ids, distances, found.counters)


def random_masks(share: float, seed: int, rows: int = ROWS) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((QUERIES, rows)) < share


def clustered_masks(index: FilteredIndex, queries: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """The rows nearest to another query than each one's own: what passes lies in one region, often a far one."""
    found = ExactIndex(index.vectors, "l2").search(queries, int(share * ROWS))
    masks = np.zeros((len(queries), ROWS), dtype=bool)
    for number in range(len(queries)):
        masks[number, found.ids[(number + 7) % len(queries)]] = True
    return masks


def share_found(found: SearchResult, wanted: SearchResult) -> float:
    total = int((wanted.ids != NONE).sum())
    hits = sum(
        len(set(a[a != NONE].tolist()) & set(b[b != NONE].tolist())) for a, b in zip(found.ids, wanted.ids, strict=True)
    )
    return hits / total


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.6, 0.3, 0.05, 0.004])
def test_every_way_finds_the_nearest_that_pass(
    world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]],
    method: int,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, _, queries = world
    forced(monkeypatch, method)
    for masks in (random_masks(share, 1), clustered_masks(index, queries, share)):
        found, wanted = index.search(queries, K, ef=60, keep=masks), exact(index, queries, masks, K)
        rows = np.minimum(found.ids, ROWS - 1)
        assert (masks[np.arange(QUERIES)[:, None], rows] | (found.ids == NONE)).all()
        assert (np.diff(np.where(np.isinf(found.distances), 1e30, found.distances), axis=1) >= 0).all()
        assert ((found.ids == NONE).sum(axis=1) == (wanted.ids == NONE).sum(axis=1)).all()
        if method in (kernel.SCAN, PRODUCT):
            assert (found.ids == wanted.ids).all()
            assert found.distances.tobytes() == wanted.distances.tobytes()
        else:
            assert share_found(found, wanted) >= 0.95


def test_without_a_filter_it_is_the_plain_search(
    world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]],
) -> None:
    index, plain, queries = world
    found, expected = index.search(queries, K, ef=30), plain.search(queries, K, ef=30)
    assert (found.ids == expected.ids).all()
    assert found.distances.tobytes() == expected.distances.tobytes()
    mask = np.ones((QUERIES, ROWS), dtype=bool)
    everything = index.search(queries, K, ef=30, keep=mask[0])
    assert share_found(everything, exact(index, queries, mask, K)) >= 0.98


def test_each_query_has_its_own_filter(world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]) -> None:
    index, _, queries = world
    shares = np.array([0.0, 0.0005, 0.02, 0.5, 1.0])[np.arange(QUERIES) % 5]
    masks = np.random.default_rng(0).random((QUERIES, ROWS)) < shares[:, None]
    found = index.search(queries, K, ef=80, keep=masks, threads=3)
    assert (found.ids == index.search(queries, K, ef=80, keep=masks).ids).all()
    assert share_found(found, exact(index, queries, masks, K)) >= 0.98
    for number in range(QUERIES):
        alone = index.search(queries[number : number + 1], K, ef=80, keep=masks[number])
        assert (alone.ids[0] == found.ids[number]).all(), "a query's answer does not depend on the batch"
    lists = index.search(queries, K, ef=80, keep=[np.flatnonzero(mask) for mask in masks])
    assert (lists.ids == found.ids).all()


def test_more_than_pass_is_all_that_pass(world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]) -> None:
    index, _, queries = world
    masks = random_masks(0.003, 5)
    found = index.search(queries, 200, ef=10, keep=masks)
    for number, mask in enumerate(masks):
        assert set(found.ids[number][found.ids[number] != NONE].tolist()) == set(np.flatnonzero(mask).tolist())
    some = random_masks(0.5, 6)
    assert ((index.search(queries, ROWS, ef=10, keep=some).ids != NONE).sum(axis=1) == some.sum(axis=1)).all()
    assert (index.search(queries, 3, ef=10, keep=np.zeros(ROWS, dtype=bool)).ids == NONE).all()


@pytest.mark.parametrize("method", [kernel.COMPARE, kernel.CROSS])
def test_what_the_graph_does_not_reach_is_found(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two islands without a bridge: rows of the second are reached by comparing all that pass."""
    vectors = np.arange(200, dtype=np.float32)[:, None]
    table = np.array([[(row + 1) % 100 + row // 100 * 100, (row - 1) % 100 + row // 100 * 100] for row in range(200)])
    index = FilteredIndex(vectors, from_table(table, entry_points=np.array([0], np.uint32)), "l2")
    forced(monkeypatch, method)
    found = index.search(np.array([[150.2]], np.float32), 3, ef=5, keep=np.arange(200) >= 120)
    assert found.ids.tolist() == [[150, 151, 149]]


@pytest.mark.parametrize("method", METHODS)
def test_crowds_of_equal_rows_end(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the rows at one point: ties are by row, and a search does not look at all of them."""
    random = np.random.default_rng(1)
    vectors = random.standard_normal((3000, 8)).astype(np.float32)
    vectors[random.permutation(3000)[:1000]] = 0.5
    graph, _ = build(vectors, HnswParams(metric="l2"))
    index = FilteredIndex(vectors, graph, "l2")
    forced(monkeypatch, method)
    keep = np.arange(3000) % 2 == 0
    found = index.search(np.full((1, 8), 0.5, np.float32), 20, ef=50, keep=keep)
    equal = np.flatnonzero(keep & (vectors == 0.5).all(axis=1))
    assert (found.distances == 0).all()
    assert np.isin(found.ids[0], equal).all()
    if method == kernel.COMPARE:
        assert found.counters.distances < 2500
    queries = random.standard_normal((60, 8)).astype(np.float32)
    masks = np.tile(keep, (60, 1))
    wanted = ExactIndex(vectors[keep], "l2").search(queries, 10)
    got = index.search(queries, 10, ef=100, keep=masks)
    limits = wanted.distances[:, -1:]
    assert ((got.distances <= limits).sum() / got.distances.size) >= 0.98


def test_rows_within_a_radius(world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]) -> None:
    index, _, queries = world
    distances = ExactIndex(index.vectors, index.metric).search(queries[:8], ROWS).distances
    found = wanted = 0
    for share in (None, 0.5, 0.05):
        mask = np.ones(ROWS, dtype=bool) if share is None else np.random.default_rng(4).random(ROWS) < share
        for count in (1, 40, 700):
            radius = float(np.median(distances[:, count]))
            got = index.within(queries[:8], radius, most=ROWS, ef=40, keep=None if share is None else mask)
            want = exact(index, queries[:8], np.tile(mask, (8, 1)), ROWS)
            inside = np.where(want.distances <= radius, want.ids, NONE)
            assert (got.distances[got.ids != NONE] <= radius).all()
            assert np.isin(got.ids, np.append(np.flatnonzero(mask), NONE)).all()
            for mine, its in zip(got.ids, inside, strict=True):
                mine, its = mine[mine != NONE], its[its != NONE]
                assert set(mine.tolist()) <= set(its.tolist())
                found, wanted = found + len(mine), wanted + len(its)
    assert found >= 0.99 * wanted
    nearest = index.within(queries[:8], float(np.median(distances[:, 700])), most=25, ef=40)
    assert nearest.ids.shape == (8, 25)
    assert share_found(nearest, exact(index, queries[:8], np.ones((8, ROWS), dtype=bool), 25)) >= 0.95
    assert (index.within(queries[:2], -5.0, most=5).ids == NONE).all()
    assert index.within(queries[:2], 1e9, most=ROWS + 5, ef=10).ids.shape == (2, ROWS + 5)


def test_a_small_radius_costs_little(world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]) -> None:
    index, _, queries = world
    distances = ExactIndex(index.vectors, index.metric).search(queries, 4).distances
    radius = float(distances[:, 3].min())
    narrow = index.within(queries, radius, most=2000, ef=20)
    wide = index.search(queries, 2000, ef=2000)
    assert narrow.counters.distances * 3 < wide.counters.distances


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 5),
    st.floats(0, 1),
    st.sampled_from(METRICS),
    st.integers(0, 2**32 - 1),
    st.sampled_from(METHODS),
)
def test_small_indexes_answer_exactly(rows: int, k: int, share: float, metric: Metric, seed: int, method: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.integers(1, 4, (rows, 3)).astype(np.float32)
    graph, _ = build(vectors, HnswParams(metric=metric, max_neighbors=4, ef_construction=80))
    index = FilteredIndex(vectors, graph, metric)
    masks = random.random((3, rows)) < share
    queries = random.integers(1, 4, (3, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        forced(patch, method)
        found = index.search(queries, k, ef=80, keep=masks)
    wanted = exact(index, queries, masks, k)
    assert (found.ids == wanted.ids).all()
    assert found.distances.tobytes() == wanted.distances.tobytes()


@pytest.mark.parametrize("path", ["portable", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_bits(
    path: str, world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]
) -> None:
    index, _, queries = world
    if path not in kernel.available_paths():
        pytest.skip(f"this CPU has no {path}")
    masks = np.vstack([random_masks(0.5, 1)[: QUERIES // 2], random_masks(0.05, 1)[QUERIES // 2 :]])
    expected, before = index.search(queries, K, ef=30, keep=masks), kernel.active_path()
    kernel.force_path(path)
    try:
        found = index.search(queries, K, ef=30, keep=masks, threads=2)
    finally:
        kernel.force_path(before)
    assert (found.ids == expected.ids).all()
    assert found.distances.tobytes() == expected.distances.tobytes()


def test_a_way_is_chosen_by_what_passes() -> None:
    size, one = 1_000_000, np.ones(1, np.int64)

    def way(passing: int, shared: int = 1, ef: int = 40) -> int:
        chosen = chosen_methods(np.array([passing]), one * shared, size=size, columns=128, ef=ef)
        return int(chosen[0])

    assert way(int(size * COMPARED_SHARE)) == kernel.COMPARE
    assert way(size // 10) == kernel.CROSS
    assert way(1000) == kernel.SCAN
    assert way(1000, shared=500) == PRODUCT
    assert way(0, shared=500) == kernel.SCAN
    assert way(size // 2, ef=size) in (kernel.SCAN, PRODUCT)


def test_zeros_have_no_direction_under_cosine() -> None:
    vectors = np.eye(4, dtype=np.float32)
    graph, _ = build(vectors, HnswParams(metric="cosine"))
    index = FilteredIndex(vectors, graph, "cosine")
    for keep in (None, np.array([True, False, True, True])):
        with pytest.raises(VectorError, match="queries row 1: expected a vector of nonzero length"):
            index.search(np.array([[1, 0, 0, 0], [0, 0, 0, 0]], np.float32), 2, ef=4, keep=keep)
    # The row is that of the batch, whatever the order in which sets are searched.
    queries = np.zeros((5, 4), np.float32)
    queries[[0, 1, 2, 4], 0] = 1
    with pytest.raises(VectorError, match="queries row 3: expected a vector of nonzero length"):
        index.search(queries, 2, ef=4, keep=[[0, 1], [2], [0, 1], [2], [0, 1]])
    with pytest.raises(VectorError, match="vectors row 2"):
        FilteredIndex(np.diag([1.0, 1, 0, 1]).astype(np.float32), graph, "cosine")
    # Inner product compares rows of zeros like all others.
    zeros = FilteredIndex(np.diag([1.0, 1, 0, 1]).astype(np.float32), graph, "ip")
    assert zeros.search(np.array([[-1, -1, 0, -1]], np.float32), 1, ef=4, keep=np.ones(4, bool)).ids.tolist() == [[2]]


def test_what_does_not_fit_is_refused(world: tuple[FilteredIndex, HnswIndex, NDArray[np.float32]]) -> None:
    index, _, queries = world
    with pytest.raises(ValueError, match="radius: expected a number, got nan"):
        index.within(queries, float("nan"), most=3)
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        index.within(queries, 1.0, most=0)
    with pytest.raises(VectorError, match="expected 16 columns, got 3"):
        index.search(queries[:, :3], 3, ef=5)
    with pytest.raises(VectorError, match="expected 4000 rows, one per node, got 10"):
        FilteredIndex(index.vectors[:10], index.graph, "l2")
