"""Crowds of near vectors: a search and a build that meet one go on as if it were not there."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from fingerpost.ext import packed
from fingerpost.tasks.ann.codes import CodeParams, fit_codes
from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import edge_blocks
from fingerpost.tasks.ann.edge_codes import fit_edge_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.finger_basis import FingerParams
from fingerpost.tasks.ann.finger_search import FingerIndex
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.growth import changed_graph
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswIndex, HnswParams, build
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import Index
from tests.support.graphs import build_tables

PARAMS = HnswParams(max_neighbors=12, ef_construction=100, metric="l2", seed=2)
ROWS, DIM, WIDTH = 2000, 56, 60

Searched = Callable[[np.ndarray, Graph], Index]


def coded(bits: int) -> Searched:
    def wrap(rows: np.ndarray, graph: Graph) -> Index:
        return PackedIndex.pack(rows, graph, "l2", codes=fit_codes(rows, "l2", CodeParams(bits=8 if bits == 8 else 4)))

    return wrap


def deferred(rows: np.ndarray, graph: Graph) -> Index:
    return DeferredIndex(rows, graph, edge_blocks(rows, graph, "l2", fit_edge_codes(rows, graph, "l2")), "l2")


SEARCHES: dict[str, Searched] = {
    "plain": lambda rows, graph: HnswIndex(rows, graph, "l2"),
    "packed": lambda rows, graph: PackedIndex.pack(rows, graph, "l2"),
    "4 bits": coded(4),
    "8 bits": coded(8),
    "deferred": deferred,
    "finger": lambda rows, graph: FingerIndex(
        rows, graph, build_tables(rows, graph, "l2", params=FingerParams(estimator="low_rank")), "l2"
    ),
}


def drawn(count: int, seed: int) -> np.ndarray:
    """Rows that lie in 20 of 56 directions, so that neighbours are much nearer than others."""
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((DIM, 20)))[0].T
    return np.random.default_rng(seed).standard_normal((count, 20)) @ directions


@cache
def crowded(size: int, apart: float) -> tuple[np.ndarray, np.ndarray, Graph]:
    """Rows, of which a third are in clusters of ``size`` rows, which those are, and their graph."""
    random = np.random.default_rng(7)
    others = drawn(ROWS, 1)
    centres = np.repeat(others[: ROWS // 2 // size], size, axis=0)
    rows = np.concatenate([others, centres + apart * random.standard_normal(centres.shape)]).astype(np.float32)
    order = random.permutation(len(rows))
    return rows[order], order >= ROWS, build(rows[order], PARAMS)[0]


def recall_of_others(index: Index, rows: np.ndarray, crowd: np.ndarray, ef: int = WIDTH) -> float:
    """The fraction found of those of the ten nearest that are in no crowd."""
    queries = drawn(300, 2).astype(np.float32)
    exact, found = ExactIndex(rows, "l2").search(queries, 10), index.search(queries, 10, ef=ef)
    pairs = zip(exact.ids, found.ids, strict=True)
    hits = [np.isin(its[~crowd[its]], mine) for its, mine in pairs]
    return float(np.concatenate(hits).mean())


@pytest.mark.parametrize("kind", SEARCHES)
@pytest.mark.parametrize(("size", "apart"), [(40, 1e-3), (200, 1e-3), (200, 0.0)])
def test_a_crowd_hides_no_others(kind: str, size: int, apart: float) -> None:
    rows, crowd, graph = crowded(size, apart)
    assert recall_of_others(SEARCHES[kind](rows, graph), rows, crowd) >= 0.985


@pytest.mark.parametrize(("size", "apart"), [(40, 1e-3), (200, 1e-3)])
def test_nor_does_what_a_compaction_leaves_of_it(size: int, apart: float) -> None:
    rows, crowd, graph = crowded(size, apart)
    left = np.flatnonzero(np.random.default_rng(3).random(len(rows)) < 0.7)
    changed, _ = changed_graph(rows[left], graph, left, PARAMS)
    assert recall_of_others(HnswIndex(rows[left], changed, "l2"), rows[left], crowd[left]) >= 0.985


@pytest.mark.parametrize("kind", ["plain", "4 bits", "8 bits"])
@pytest.mark.parametrize(("apart", "floor"), [(0.0, 0.99), (1e-3, 0.95)])
def test_a_crowd_at_the_mean_is_not_the_only_way_to_the_others(kind: str, apart: float, floor: float) -> None:
    # In so many dimensions all are nearer to the mean than to each other.
    random = np.random.default_rng(16)
    rows = random.standard_normal((2000, 70)).astype(np.float32)
    # Zeros of both signs are equal.
    rows[:300] = apart * random.standard_normal((300, 70))
    graph = build(rows, HnswParams(metric="l2", seed=2))[0]
    assert graph.degrees[300:].mean() > 10
    others = np.arange(300, 2000, 8)
    found = SEARCHES[kind](rows, graph).search(rows[others], 1, ef=100)
    assert (found.ids[:, 0] == others).mean() >= floor


def test_the_nearest_of_a_crowd_are_found() -> None:
    rows, crowd, graph = crowded(200, 1e-3)
    centre = rows[np.flatnonzero(crowd)[0]]
    mates = np.flatnonzero(((rows - centre) ** 2).sum(axis=1) < 1)
    queries = rows[mates[:40]]
    exact = ExactIndex(rows, "l2").search(queries, 10)
    for kind in ("plain", "4 bits", "deferred"):
        found = SEARCHES[kind](rows, graph).search(queries, 10, ef=WIDTH)
        assert np.isin(found.ids, mates).all()
        if kind != "4 bits":  # which tell nothing so near to each other apart
            assert (found.ids[:, 0] == exact.ids[:, 0]).mean() >= 0.9
    everything = SEARCHES["plain"](rows, graph).search(queries[:1], len(rows), ef=10)
    assert sorted(everything.ids[0].tolist()) == list(range(len(rows)))


def test_rows_at_equal_distances_are_no_wider_searched_than_twice() -> None:
    """Rows of zeros and ones: many distances are equal, though no rows are near to each other."""
    rows = (np.random.default_rng(5).random((2000, 48)) < 0.5).astype(np.float32)
    graph = build(rows, PARAMS)[0]
    for ef in (20, 100):
        counters = HnswIndex(rows, graph, "l2").search(rows[:100], 5, ef=ef).counters
        assert counters.expansions / 100 < 2.5 * ef


def test_crowds_are_the_same_for_any_number_of_threads_and_on_every_path() -> None:
    rows, _, graph = crowded(200, 1e-3)
    for threads in (2, 4):
        other = build(rows, PARAMS, threads=threads)[0]
        assert np.array_equal(other.indices, graph.indices)
        assert np.array_equal(other.indptr, graph.indptr)
    index, queries = SEARCHES["4 bits"](rows, graph), drawn(40, 2).astype(np.float32)
    before, answers = packed.active_path(), []
    try:
        for path in packed.available_paths():
            packed.force_path(path)
            answers.append(index.search(queries, 10, ef=WIDTH))
    finally:
        packed.force_path(before)
    assert all(np.array_equal(answers[0].ids, other.ids) for other in answers)
    assert all(answers[0].counters == other.counters for other in answers)
    plain, exact = (SEARCHES[kind](rows, graph).search(queries, 10, ef=WIDTH) for kind in ("plain", "packed"))
    assert np.array_equal(plain.ids, exact.ids)
    assert plain.counters == exact.counters


def test_a_build_goes_on_from_its_state_as_if_it_had_not_stopped() -> None:
    rows, _, graph = crowded(200, 1e-3)
    first = HnswBuilder(rows, PARAMS)
    first.insert_until(1280)
    again = HnswBuilder.restore(rows, PARAMS, first.state())
    again.insert_until(again.size)
    assert np.array_equal(again.graph().indices, graph.indices)
