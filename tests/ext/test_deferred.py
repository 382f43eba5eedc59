"""Coded residuals: integer products and estimates are the same on every path, and what formulas in float64 give."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import deferred
from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import EdgeBlocks, edge_blocks
from fingerpost.tasks.ann.edge_codes import EdgeCodeParams, EdgeCoder, fit_edge_codes
from fingerpost.tasks.ann.finger_tables import compared_rows
from fingerpost.tasks.ann.search import Metric
from tests.support.graphs import neighbor_graph
from tests.support.vectors import decaying

METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


@pytest.fixture(autouse=True)
def path() -> Iterator[None]:
    """The path in use is put back."""
    before = deferred.active_path()
    yield
    deferred.force_path(before)


def world(metric: Metric, *, rank: int, bits: int, seed: int) -> tuple[DeferredIndex, np.ndarray, EdgeCoder]:
    vectors = decaying(150, 40, seed=seed)
    graph = neighbor_graph(vectors, 19, metric)
    rows = compared_rows(vectors, graph, metric)
    coder = fit_edge_codes(rows, graph, metric, params=EdgeCodeParams(rank=rank, bits=bits, seed=seed))
    return DeferredIndex(vectors, graph, edge_blocks(vectors, graph, metric, coder), metric), rows, coder


@settings(max_examples=25, deadline=None)
@given(
    metric=st.sampled_from(METRICS), rank=st.integers(1, 40), bits=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99)
)
def test_estimates_are_the_formula_on_every_path(metric: Metric, rank: int, bits: int, seed: int) -> None:
    index, rows, coder = world(metric, rank=rank, bits=bits, seed=seed)
    query = decaying(1, 40, seed=seed + 1)[0]
    found = []
    for name in deferred.available_paths():
        deferred.force_path(name)
        fresh = DeferredIndex(
            index.vectors, index.graph, edge_blocks(index.vectors, index.graph, metric, coder), metric
        )
        found.append([fresh.estimate(query, node) for node in (None, 0, 77)])
    for other in found[1:]:
        for (ids, values), (ids_0, values_0) in zip(other, found[0], strict=True):
            assert np.array_equal(ids, ids_0)
            assert np.array_equal(values, values_0)
    compared = query / np.linalg.norm(query) if metric == "cosine" else query
    for node, (ids, values) in zip((None, 0, 77), found[0], strict=True):
        expected = [estimate(compared, None if node is None else rows[node], rows[d], coder, metric) for d in ids]
        assert np.allclose(values, expected, rtol=2e-3, atol=2e-3 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("metric", METRICS)
def test_a_query_is_answered_alike_alone_among_others_and_on_every_path(metric: Metric) -> None:
    index, *_ = world(metric, rank=24, bits=2, seed=3)
    # More than one block of queries that are projected together, some of them mostly zeros.
    queries = decaying(37, 40, seed=4)
    queries[::3, 2:] = 0
    found = []
    for name in deferred.available_paths():
        deferred.force_path(name)
        fresh = DeferredIndex(
            index.vectors, index.graph, edge_blocks(index.vectors, index.graph, metric, index.coder), metric
        )
        found.append(fresh.search(queries, 5, ef=12))
        alone = [fresh.search(query[None], 5, ef=12) for query in queries]
        assert np.array_equal(np.concatenate([each.ids for each in alone]), found[-1].ids)
        assert np.array_equal(np.concatenate([each.distances for each in alone]), found[-1].distances)
        assert sum(each.counters.distances for each in alone) == found[-1].counters.distances
    for other in found[1:]:
        assert np.array_equal(other.ids, found[0].ids)
        assert other.counters == found[0].counters


def estimate(query: np.ndarray, centre: np.ndarray | None, row: np.ndarray, coder: EdgeCoder, metric: str) -> float:
    """One estimate in float64, step by step; the query's projection is rounded to 127 steps as in the search."""
    q, d = query.astype(np.float64), row.astype(np.float64)
    c = np.zeros_like(q) if centre is None else centre.astype(np.float64)
    along = 0.0 if centre is None else float(d @ c / (c @ c))
    rest = d - along * c
    directions = coder.directions.astype(np.float64)
    projected = directions @ rest
    coded, noise = deferred.decoded(projected[None].astype(np.float32), bits=coder.bits)
    left = np.sqrt(max(float(rest @ rest - projected @ projected), 0.0))
    margin = coder.left_margin * left + coder.noise_margin * float(noise[0]) / np.sqrt(coder.rank)
    turned = directions @ q
    unit = np.abs(turned).max() / 127
    rounded = np.round(turned / unit) * unit
    share = 0.0 if centre is None else float(q @ c)
    residual = np.sqrt(max(float(q @ q) - (0.0 if centre is None else share**2 / float(c @ c)), 0.0))
    shift = 0.0 if centre is None else float(coded[0] @ (directions @ c)) / float(c @ c)
    product = share * (along - shift) + float(coded[0] @ rounded) + margin * residual
    return float(q @ q + d @ d - 2 * product) if metric == "l2" else 1 - product


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_codes_are_unbiased_along_what_they_code(bits: int) -> None:
    projections = np.random.default_rng(bits).normal(size=(50, 37)).astype(np.float32)
    coded, noise = deferred.decoded(projections, bits=bits)
    squares = (projections.astype(np.float64) ** 2).sum(axis=1)
    assert np.allclose((coded * projections).sum(axis=1), squares, rtol=1e-4)
    assert np.allclose(noise, np.linalg.norm(coded - projections, axis=1), rtol=1e-2)
    assert len({len(np.unique(row)) <= 2**bits for row in coded}) == 1
    zero, nothing = deferred.decoded(np.zeros((1, 8), dtype=np.float32), bits=bits)
    assert not zero.any()
    assert not nothing.any()


def test_blocks_of_ranges_are_those_of_all_nodes_for_any_threads() -> None:
    index, _, coder = world("l2", rank=16, bits=2, seed=3)
    whole = edge_blocks(index.vectors, index.graph, "l2", coder)
    again = edge_blocks(index.vectors, index.graph, "l2", coder, threads=3)
    assert np.array_equal(whole.lines, again.lines)
    returned = EdgeBlocks.from_arrays(whole.arrays())
    assert np.array_equal(returned.entries, whole.entries)
    assert returned.stride == whole.stride > 0
    assert np.array_equal(returned.coder.directions, coder.directions)
    assert returned.coder.tried == coder.tried


def test_blocks_that_do_not_fit_are_refused() -> None:
    index, rows, coder = world("l2", rank=16, bits=2, seed=3)
    whole = edge_blocks(index.vectors, index.graph, "l2", coder)
    with pytest.raises(ValueError, match="make them for this graph"):
        deferred.Store(
            rows, "l2", coder.directions, whole.lines[:-1], whole.first, whole.entries, stride=whole.stride, bits=2
        )
    with pytest.raises(ValueError, match="1, 2 or 4 bits"):
        deferred.block_lines([3], rank=4, bits=3, metric="l2")
    with pytest.raises(ValueError, match="choose one that this CPU has"):
        deferred.force_path("sse2")
