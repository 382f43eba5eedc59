"""Packed indexes with filters against a sort of all distances, with and without codes, for every way of searching."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.ext import filtered as kernel
from fingerpost.tasks.ann import packed
from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.filter_methods import PRODUCT, packed_methods
from fingerpost.tasks.ann.filtered_index import FilteredIndex
from fingerpost.tasks.ann.graph import NONE, Graph
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import Metric, SearchResult

ROWS, COLUMNS, QUERIES, K = 3000, 24, 40, 10
METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")
World = tuple[NDArray[np.float32], NDArray[np.float32], Graph, Metric]


@pytest.fixture(scope="module", params=METRICS)
def world(request: pytest.FixtureRequest) -> World:
    return _world(request.param)


@cache
def _world(metric: Metric) -> World:
    random = np.random.default_rng(3)
    centres = random.standard_normal((20, COLUMNS))
    points = centres[random.integers(0, 20, ROWS + QUERIES)] + 0.6 * random.standard_normal((ROWS + QUERIES, COLUMNS))
    if metric == "ip":
        points *= random.uniform(0.9, 1.1, (len(points), 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    vectors, queries = points[:ROWS].astype(np.float32), points[ROWS:].astype(np.float32)
    return vectors, queries, build(vectors, HnswParams(metric=metric, ef_construction=100))[0], metric


@cache
def _in_order(metric: Metric) -> NDArray[np.uint32]:
    """All rows in the order of their distances from each query."""
    vectors, queries, _, _ = _world(metric)
    return ExactIndex(vectors, metric).search(queries, ROWS).ids


def made(world: World, *, coded: bool, reordered: bool = False) -> PackedIndex:
    vectors, _, graph, metric = world
    codes = fit_codes(vectors, metric) if coded else None
    return PackedIndex.pack(vectors, graph, metric, codes=codes, reordered=reordered)


def exact(world: World, masks: NDArray[np.bool_], k: int) -> NDArray[np.uint32]:
    queries, found = world[1], _in_order(world[3])
    ids = np.full((len(queries), k), NONE, np.uint32)
    for number, mask in enumerate(masks):
        inside = found[number][mask[found[number]]][:k]
        ids[number, : len(inside)] = inside
    return ids


def share_found(found: SearchResult, wanted: NDArray[np.uint32]) -> float:
    pairs = zip(found.ids, wanted, strict=True)
    hits = sum(len(set(mine[mine != NONE].tolist()) & set(its[its != NONE].tolist())) for mine, its in pairs)
    return hits / int((wanted != NONE).sum())


def masks_of(world: World, share: float, kind: str) -> NDArray[np.bool_]:
    """Rows at random, or those around another query."""
    vectors, queries, _, _ = world
    if kind == "random":
        return np.random.default_rng(1).random((QUERIES, ROWS)) < share
    near = ExactIndex(vectors, "l2").search(queries, int(share * ROWS)).ids
    masks = np.zeros((QUERIES, ROWS), dtype=bool)
    for number in range(QUERIES):
        masks[number, near[(number + 7) % QUERIES]] = True
    return masks


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("method", [kernel.COMPARE, kernel.CROSS, kernel.SCAN, PRODUCT])
@pytest.mark.parametrize("kind", ["random", "regions"])
def test_every_way_finds_the_nearest_that_pass(
    world: World, coded: bool, method: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, queries = made(world, coded=coded, reordered=True), world[1]
    monkeypatch.setattr(packed, "packed_methods", lambda passing, queries, **_: np.full(len(passing), method, np.uint8))
    for share in (0.5, 0.1, 0.01):
        masks = masks_of(world, share, kind)
        found, wanted = index.search(queries, K, ef=80, keep=masks), exact(world, masks, K)
        assert (masks[np.arange(QUERIES)[:, None], np.minimum(found.ids, ROWS - 1)] | (found.ids == NONE)).all()
        assert ((found.ids == NONE) == (wanted == NONE)).all()
        if method == PRODUCT or (method == kernel.SCAN and (not coded or share < 0.05)):
            assert (found.ids == wanted).all()
        else:
            assert share_found(found, wanted) >= 0.95


def test_without_codes_it_is_the_search_of_floats(world: World) -> None:
    vectors, queries, graph, metric = world
    masks = np.vstack([masks_of(world, share, "random")[:10] for share in (0.6, 0.3, 0.1, 0.01)])
    floats, index = FilteredIndex(vectors, graph, metric), made(world, coded=False)
    found, expected = index.search(queries, K, ef=60, keep=masks), floats.search(queries, K, ef=60, keep=masks)
    assert (found.ids == expected.ids).mean() >= 0.97, "but for the cost of a way, and where a search begins"
    wanted = exact(world, masks, K)
    assert share_found(found, wanted) >= share_found(expected, wanted) - 0.01


def test_batches_and_threads_change_nothing(world: World) -> None:
    index, queries = made(world, coded=True), world[1]
    masks = np.vstack([masks_of(world, share, "random")[:10] for share in (0.6, 0.3, 0.1, 0.01)])
    one = index.search(queries, K, ef=60, keep=masks)
    three = index.search(queries, K, ef=60, keep=masks, threads=3)
    assert (one.ids == three.ids).all()
    assert one.distances.tobytes() == three.distances.tobytes()
    for number in (0, 13, 39):
        alone = index.search(queries[number : number + 1], K, ef=60, keep=masks[number])
        assert (alone.ids[0] == one.ids[number]).all()


def test_more_than_pass_is_all_that_pass(world: World) -> None:
    queries = world[1]
    for coded in (False, True):
        index = made(world, coded=coded)
        masks = masks_of(world, 0.02, "random")
        found = index.search(queries, 300, ef=10, keep=masks)
        for number, mask in enumerate(masks):
            assert set(found.ids[number][found.ids[number] != NONE].tolist()) == set(np.flatnonzero(mask).tolist())
        assert (index.search(queries, 3, ef=10, keep=np.zeros(ROWS, dtype=bool)).ids == NONE).all()


def test_a_way_is_chosen_by_what_passes() -> None:
    passing = np.array([0, 300, 20_000, 100_000, 500_000])
    scan, cross, compare = kernel.SCAN, kernel.CROSS, kernel.COMPARE
    one, many = np.ones(5, np.int64), np.full(5, 500)
    floats = packed_methods(passing, one, size=1_000_000, columns=128, ef=40)
    assert floats.tolist() == [scan, scan, cross, cross, compare]
    codes = packed_methods(passing, one, size=1_000_000, columns=128, ef=40, lines=1, exact_rows=512)
    assert codes.tolist() == [scan, scan, scan, cross, compare]
    shared = packed_methods(passing, many, size=1_000_000, columns=128, ef=40, lines=1, exact_rows=512)
    assert shared.tolist() == [scan, PRODUCT, scan, cross, compare]
