"""The FINGER kernels: every SIMD path gives the same bits; bits count what float signs say."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import finger, sources
from fingerpost.tasks.ann.finger_basis import FingerParams
from fingerpost.tasks.ann.finger_search import FingerIndex
from fingerpost.tasks.ann.graph import from_adjacency
from tests.oracles import finger_split
from tests.support.graphs import build_tables, neighbor_graph
from tests.support.vectors import decaying


@pytest.fixture(autouse=True)
def _path() -> Iterator[None]:
    before = finger.active_path()
    yield
    finger.force_path(before)


def test_the_binary_is_that_of_its_sources() -> None:
    assert sources.source_hash("finger") == finger.SOURCE_HASH


def test_paths_are_forced_by_name() -> None:
    assert "portable" in finger.available_paths()
    for path in finger.available_paths():
        finger.force_path(path)
        assert finger.active_path() == path
    with pytest.raises(ValueError, match=r"SIMD path: expected one of .* got 'mmx'"):
        finger.force_path("mmx")


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize(
    ("estimator", "precision", "rank"),
    [("low_rank", "float32", 7), ("low_rank", "int8", 24), ("low_rank", "int8", 1), ("signs", "int8", 70)],
)
def test_every_path_gives_the_same_bits(estimator: str, precision: str, rank: int, metric: str) -> None:
    vectors, queries = decaying(500, 75, seed=1), decaying(40, 75, seed=2)
    queries[0] = vectors[3]
    graph = neighbor_graph(vectors, 19, metric)  # type: ignore[arg-type]
    params = FingerParams(estimator=estimator, precision=precision, rank=rank)  # type: ignore[arg-type]
    results = []
    for path in finger.available_paths():
        finger.force_path(path)
        # The basis is numpy's; what the kernels make of it is compared.
        tables = build_tables(vectors, graph, metric, params=params)  # type: ignore[arg-type]
        index = FingerIndex(vectors, graph, tables, metric)  # type: ignore[arg-type]
        estimates = np.array([index.estimate(queries[i], 11 * i) for i in range(40)])
        found = index.search(queries, 10, ef=25)
        results.append((tables.arrays(), estimates, found))
    assert len(results) == len(finger.available_paths())
    arrays, estimates, found = results[0]
    for other_arrays, other_estimates, other in results[1:]:
        assert all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)
        assert np.array_equal(estimates.view(np.uint32), other_estimates.view(np.uint32))
        assert np.array_equal(found.ids, other.ids)
        assert np.array_equal(found.distances, other.distances)
        assert found.counters == other.counters


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rank=st.sampled_from([1, 3, 16, 63, 64, 65, 128, 130]))
def test_counted_bits_equal_compared_signs(seed: int, rank: int) -> None:
    random = np.random.default_rng(seed)
    dim, degree = 140, 21
    vectors = random.normal(size=(degree + 1, dim)).astype(np.float32)
    query = random.normal(size=dim).astype(np.float32)
    indptr = np.array([0, degree] + [degree] * degree)
    graph = from_adjacency(indptr, np.arange(1, degree + 1), entry_points=[0])
    tables = build_tables(vectors, graph, "l2", params=FingerParams(estimator="signs", rank=rank))
    directions = np.linalg.qr(random.normal(size=(dim, dim)))[0][:rank].astype(np.float32)
    basis = replace(tables.basis, directions=directions, scale=1.0, bias=0.0)
    projections = finger.project(vectors, directions)
    parts = finger.edge_tables(
        vectors, projections, graph.indptr, graph.indices, begin=0, code="signs", tiny_norm2=basis.tiny_norm2
    )
    tables = replace(
        tables, basis=basis, node_projection=projections, edge_residual=parts[2], edge_coefficient=parts[1]
    )
    tables = replace(tables, node_norm2=parts[0], edge_codes=parts[3])
    t_q, q_residual = finger_split(query, vectors[0])
    expected = []
    for d in range(1, degree + 1):
        t_d, d_residual = finger_split(vectors[d], vectors[0])
        # The float path: the share of signs that differ, from the product of +1 and -1.
        product = np.where(directions @ q_residual > 0, 1, -1) @ np.where(directions @ d_residual >= 0, 1, -1)
        cosine = np.cos(np.pi * ((rank - product) / 2) / rank)
        q_norm, d_norm = np.linalg.norm(q_residual), np.linalg.norm(d_residual)
        along = (t_q - t_d) ** 2 * (vectors[0].astype(np.float64) ** 2).sum()
        expected.append(along + q_norm**2 + d_norm**2 - 2 * q_norm * d_norm * cosine)
    for path in finger.available_paths():
        finger.force_path(path)
        estimates = FingerIndex(vectors, graph, tables, "l2").estimate(query, 0)
        assert estimates is not None
        assert (np.abs(estimates - expected) < 1e-3 * np.abs(expected)).mean() > 0.94


@pytest.mark.parametrize("rank", [1, 4, 7])
def test_a_rows_projection_does_not_depend_on_the_others(rank: int) -> None:
    rows, directions = decaying(70, 33, seed=3), decaying(rank, 33, seed=4)
    whole = finger.project(rows, directions, threads=3)
    assert np.allclose(whole, rows @ directions.T, rtol=1e-4, atol=1e-4)
    assert np.array_equal(whole, np.concatenate([finger.project(rows[i : i + 1], directions) for i in range(70)]))
    assert finger.project(rows[:0], directions).shape == (0, rank)
    with pytest.raises(ValueError, match="rows: expected 33 columns, got 32"):
        finger.project(np.ones((2, 32), np.float32), directions)


def test_a_store_refuses_what_it_cannot_use() -> None:
    vectors = decaying(10, 4, seed=5)
    indptr, indices = np.arange(11), ((np.arange(10) + 1) % 10).astype(np.uint32)
    entry = np.array([0], dtype=np.uint32)
    with pytest.raises(ValueError, match="metric: expected one of"):
        finger.Store(vectors, "l1", indptr, indices, [], entry)
    with pytest.raises(ValueError, match="at least one vector, column and entry point"):
        finger.Store(vectors, "l2", indptr, indices, [], entry[:0])
    store = finger.Store(vectors, "l2", indptr, indices, [], entry)
    assert store.table_bytes == 0
    with pytest.raises(ValueError, match="expected tables, got none"):
        store.search(vectors, 1, 1, 1)
    with pytest.raises(ValueError, match="code: expected one of"):
        finger.edge_tables(vectors, vectors, indptr, indices, begin=0, code="int4", tiny_norm2=0)
