"""Codes and searches of packed indexes against slow oracles, the same on every SIMD path."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import packed
from fingerpost.tasks.ann.codes import CodeParams, Codes, fit_codes
from fingerpost.tasks.ann.graph import Graph, from_adjacency
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import Metric
from tests.support.vectors import decaying


@pytest.fixture(autouse=True)
def path_as_before() -> Iterator[None]:
    before = packed.active_path()
    yield
    packed.force_path(before)


def unpacked(codes: np.ndarray, bits: int) -> np.ndarray:
    """The integers of codes by position, int64 (m, positions)."""
    if bits == 8:
        return codes.astype(np.int64)
    lines = codes.reshape(len(codes), -1, 64).astype(np.int64)
    return np.concatenate([lines & 15, lines >> 4], axis=2).reshape(len(codes), -1)


def own_terms(codes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(codes[:, -4:]).view(np.float32)[:, 0]


def in_order(rows: np.ndarray, codes: Codes, shift: np.ndarray) -> np.ndarray:
    """Rows mapped to positions, float32, summed column by column."""
    sums = np.zeros((len(rows), codes.matrix.shape[1]), dtype=np.float32)
    for column in range(rows.shape[1]):
        used = rows[:, column] != 0
        sums[used] += rows[used, column : column + 1] * codes.matrix[column]
    return sums + shift


def expected_estimates(query: np.ndarray, stored: np.ndarray, codes: Codes) -> np.ndarray:
    weights = in_order(query[None], codes, codes.query_shift)[0] * codes.step
    unit = np.abs(weights).max() / np.float32(127)
    if not unit > 0:
        return own_terms(stored)
    integers = np.rint(weights * (np.float32(1) / unit)).astype(np.int64)
    products = (unpacked(stored, codes.bits) * integers).sum(axis=1).astype(np.float32)
    factor = np.float32(-1 if codes.metric == "ip" else -2)
    return own_terms(stored) + products * (factor * unit)


@settings(max_examples=30, deadline=None)
@given(
    dim=st.integers(1, 200),
    rows=st.integers(1, 40),
    bits=st.sampled_from((4, 8)),
    lines=st.sampled_from((None, 1, 2, 3, 5)),
    metric=st.sampled_from(("l2", "ip")),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from((1e-3, 1.0, 300.0)),
    zeros=st.booleans(),
)
def test_codes_and_estimates_are_those_of_the_oracle(
    dim: int, rows: int, bits: int, lines: int | None, metric: Metric, seed: int, scale: float, zeros: bool
) -> None:
    random = np.random.default_rng(seed)
    vectors = (random.standard_normal((rows, dim)) * scale).astype(np.float32)
    if zeros:
        vectors[random.random(vectors.shape) < 0.7] = 0
    codes = fit_codes(vectors, metric, CodeParams(bits=bits, lines=lines))
    query = vectors[0] + np.float32(0.1 * scale) * random.standard_normal(dim).astype(np.float32)
    mapped = in_order(vectors, codes, codes.shift)
    steps = np.where(codes.step > 0, codes.step, np.float32(1))
    integers = np.rint(np.clip((mapped - codes.low) / steps, 0, 2**codes.bits - 1)).astype(np.int64)
    integers[:, codes.step == 0] = 0
    for path in packed.available_paths():
        packed.force_path(path)
        stored = codes.encode(vectors)
        held = unpacked(stored, codes.bits)
        used = codes.step > 0
        assert np.array_equal(held[:, used], integers[:, used])
        kept = codes.low.astype(np.float64) + codes.step.astype(np.float64) * integers
        rest = ((vectors.astype(np.float64) - codes.centre) ** 2).sum(axis=1) - (mapped.astype(np.float64) ** 2).sum(1)
        own = (kept**2).sum(axis=1) + np.maximum(rest, 0) if metric == "l2" else np.zeros(rows)
        assert np.allclose(own_terms(stored), own, rtol=1e-6, atol=1e-6 * scale**2)
        found = packed.estimates(
            query,
            stored,
            codes.matrix,
            codes.query_shift,
            codes.low,
            codes.step,
            bits=codes.bits,
            l2=metric != "ip",
        )
        assert np.array_equal(found, expected_estimates(query, stored, codes))


def walk(graph: Graph, scores: np.ndarray, *, ef: int, delayed: bool) -> list[int]:
    """Best-first search from the nearest entry point by (score, node); the nodes of the pool, nearest first."""
    lists = [graph.indices[graph.indptr[v] : graph.indptr[v + 1]].tolist() for v in range(graph.size)]
    start = min((float(scores[v]), int(v)) for v in graph.entry_points)
    pool, seen, expanded, waiting = [start], {start[1]}, set(), []
    while True:
        node = next((v for _, v in pool if v not in expanded), None)
        fresh = []
        if node is not None:
            expanded.add(node)
            fresh = [v for v in lists[node] if v not in seen]
            seen.update(fresh)
        arrived, waiting = (waiting, fresh) if delayed else (fresh, [])
        if node is None and not arrived:
            return [v for _, v in pool]
        # One after the other: a node that a later one pushes out has been in the pool for nothing.
        pool = sorted(pool + [(float(scores[v]), v) for v in arrived])[:ef]


@pytest.mark.parametrize("path", packed.available_paths())
@pytest.mark.parametrize("ef", [1, 7, 8, 9, 40])
def test_a_search_by_codes_is_the_delayed_walk_over_estimates(path: str, ef: int) -> None:
    packed.force_path(path)
    vectors, queries = decaying(500, 24, seed=3), decaying(40, 24, seed=4)
    random = np.random.default_rng(5)
    degrees = random.integers(0, 14, size=500)
    lists = [random.choice(np.delete(np.arange(500), v), degrees[v], replace=False) for v in range(500)]
    graph = from_adjacency(np.concatenate([[0], np.cumsum(degrees)]), np.concatenate(lists))
    codes = fit_codes(vectors, "l2", CodeParams(bits=4, lines=1))
    index = PackedIndex.pack(vectors, graph, "l2", codes=codes)
    exact = PackedIndex.pack(vectors, graph, "l2")
    stored = codes.encode(vectors)
    for query in queries:
        scores = expected_estimates(query, stored, codes)
        walked = walk(graph, scores, ef=ef, delayed=True)
        found = index.search(query[None], ef, ef=ef, rerank=ef)
        assert sorted(found.ids[0][: len(walked)].tolist()) == sorted(walked)
        distances = np.array([np.float32(((query - row) ** 2).sum()) for row in vectors])
        near = exact.search(query[None], ef, ef=ef)
        walked = walk(graph, distances, ef=ef, delayed=False)
        assert near.ids[0][: len(walked)].tolist() == walked


def test_estimates_end_where_numbers_end() -> None:
    vectors = np.full((9, 5), 3e38, dtype=np.float32)
    vectors[1] = -3e38
    codes = fit_codes(np.eye(5, dtype=np.float32), "l2")
    graph = from_adjacency(np.arange(10) * 8, np.concatenate([np.delete(np.arange(9), v) for v in range(9)]))
    found = PackedIndex.pack(vectors, graph, "l2", codes=codes).search(vectors, 3, ef=9)
    assert found.ids.shape == (9, 3)


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        packed.force_path("sse9")
