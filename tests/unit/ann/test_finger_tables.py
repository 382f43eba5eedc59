"""FINGER's tables: the geometry, the oracle, ranges, layout."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import finger
from fingerpost.tasks.ann.finger_basis import FingerParams, fit_basis
from fingerpost.tasks.ann.finger_search import FingerIndex
from fingerpost.tasks.ann.finger_tables import FingerTables, compared_rows, join_ranges, project_rows, range_tables
from fingerpost.tasks.ann.graph import Graph, from_adjacency
from fingerpost.tasks.ann.search import VectorError
from tests.oracles import finger_split
from tests.support.graphs import build_tables, neighbor_graph
from tests.support.vectors import decaying

CODES = [
    FingerParams(rank=12, precision="float32"),
    FingerParams(rank=12, precision="int8"),
    FingerParams(estimator="signs", rank=12),
]


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, Graph]:
    vectors = decaying(400, 24, seed=2)
    return vectors, neighbor_graph(vectors, 10, "l2")


def equal(one: FingerTables, two: FingerTables) -> bool:
    """Whether two tables are the same, bit for bit."""
    left, right = one.arrays(), two.arrays()
    return all(np.array_equal(left[name], right[name]) and left[name].dtype == right[name].dtype for name in left)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["any", "parallel", "tiny", "centre"]))
def test_the_distance_splits_along_any_centre(seed: int, kind: str) -> None:
    c, q, d = np.random.default_rng(seed).normal(size=(3, 20))
    if kind == "parallel":
        d = -1.5 * c
    if kind == "centre":
        d = c.copy()
    if kind == "tiny":
        c *= 1e-6
    t_q, q_residual = finger_split(q, c)
    t_d, d_residual = finger_split(d, c)
    inner = q_residual @ d_residual
    norms = q_residual @ q_residual + d_residual @ d_residual
    assert (t_q - t_d) ** 2 * (c @ c) + norms - 2 * inner == pytest.approx((q - d) @ (q - d), rel=1e-5, abs=1e-5)
    assert t_q * t_d * (c @ c) + inner == pytest.approx(q @ d, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("params", CODES, ids=lambda params: f"{params.estimator}-{params.precision}")
def test_tables_equal_the_oracle(world: tuple[np.ndarray, Graph], params: FingerParams) -> None:
    vectors, graph = world
    tables = build_tables(vectors, graph, "l2", params=params)
    directions = tables.basis.directions.astype(np.float64)
    assert np.allclose(tables.node_projection, vectors @ directions.T, atol=1e-4)
    for node in range(0, 400, 37):
        assert tables.node_norm2[node] == pytest.approx(vectors[node] @ vectors[node], rel=1e-5)
        for edge in range(graph.indptr[node], graph.indptr[node + 1]):
            t_d, residual = finger_split(vectors[graph.indices[edge]], vectors[node])
            assert tables.edge_coefficient[edge] == pytest.approx(t_d, abs=1e-5)
            assert tables.edge_residual[edge] == pytest.approx(np.linalg.norm(residual), rel=1e-4)
            code = directions @ residual
            if params.estimator == "signs":
                found = np.unpackbits(tables.edge_codes[edge].view(np.uint8), bitorder="little")
                clear = np.abs(code) > 1e-5
                assert (found[:12][clear] == (code >= 0)[clear]).all()
                assert not found[12:].any()
            else:
                unit = 127.0 if params.precision == "int8" else 1.0
                tolerance = 0.51 / 127 if params.precision == "int8" else 1e-4
                assert np.allclose(tables.edge_codes[edge] / unit, code / np.linalg.norm(code), atol=tolerance)


def test_parts_join_to_the_whole(world: tuple[np.ndarray, Graph]) -> None:
    vectors, graph = world
    for params in CODES:
        whole = build_tables(vectors, graph, "l2", params=params, threads=2)
        basis = fit_basis(vectors, graph, params=params)
        cuts = [0, 0, 1, 17, 200, 399, 400]
        projections = np.concatenate([project_rows(vectors[lo:hi], basis) for lo, hi in itertools.pairwise(cuts)])
        parts = [
            range_tables(
                vectors,
                projections,
                graph.indptr[lo : hi + 1],
                graph.indices[graph.indptr[lo] : graph.indptr[hi]],
                basis=basis,
                begin=lo,
            )
            for lo, hi in itertools.pairwise(cuts)
        ]
        assert equal(join_ranges(parts), whole)


def test_parts_of_two_bases_do_not_join(world: tuple[np.ndarray, Graph]) -> None:
    one, two = (build_tables(*world, "l2", params=FingerParams(rank=4, seed=seed)) for seed in (0, 1))
    with pytest.raises(ValueError, match=r"parts\[1\]: expected the basis of parts\[0\], got another"):
        join_ranges([one, two])
    with pytest.raises(ValueError, match="at least one range, got none"):
        join_ranges([])


@pytest.mark.parametrize("params", CODES, ids=lambda params: f"{params.estimator}-{params.precision}")
def test_arrays_round_trip(world: tuple[np.ndarray, Graph], params: FingerParams) -> None:
    tables = build_tables(*world, "l2", params=params)
    assert equal(FingerTables.from_arrays(tables.arrays()), tables)


def test_nodes_of_tiny_norm_and_of_degree_zero() -> None:
    vectors = decaying(50, 8, seed=0)
    vectors[3] = 0
    vectors[4] *= 1e-6
    indptr = np.arange(0, 51 * 2, 2)
    indptr[6:] -= 2
    indices = np.array([[(i + 1) % 50, (i + 2) % 50] for i in range(50) if i != 5]).ravel()
    graph = from_adjacency(indptr, indices)
    assert graph.degrees[5] == 0
    for params in (FingerParams(rank=8), FingerParams(estimator="signs", rank=8)):
        tables = build_tables(vectors, graph, "l2", params=params)
        assert (tables.node_norm2 == 0).nonzero()[0].tolist() == [3, 4]
        assert np.isfinite(tables.edge_coefficient).all()
        assert len(tables.edge_codes) == len(indices)


def test_the_size_of_a_node_in_memory() -> None:
    vectors = decaying(120, 40, seed=0)
    degree = 35
    indices = (np.arange(120)[:, None] + 1 + np.arange(degree)) % 120
    graph = from_adjacency(np.arange(121) * degree, indices.ravel())
    for params, code_bytes in (
        (FingerParams(rank=20, precision="float32"), 4 * 20),
        (FingerParams(rank=20, precision="int8"), 20),
        (FingerParams(estimator="signs", rank=20), 8),
    ):
        tables = build_tables(vectors, graph, "l2", params=params)
        index = FingerIndex(vectors, graph, tables, "l2")
        # Head: a cache line and P c padded to 16 floats. Each 16 neighbours: id, coefficient, residual norm, code.
        expected = 64 + 4 * 32 + 3 * 16 * (3 * 4 + code_bytes)
        assert index.table_bytes == 120 * expected


def test_compared_rows_are_of_unit_length_for_cosine(world: tuple[np.ndarray, Graph]) -> None:
    vectors, graph = world
    assert np.allclose(np.linalg.norm(compared_rows(vectors, graph, "cosine"), axis=1), 1, atol=1e-6)
    assert compared_rows(vectors, graph, "ip") is vectors
    broken = vectors.copy()
    broken[9] = 0
    with pytest.raises(VectorError, match="row 9: expected a vector of nonzero length for cosine"):
        build_tables(broken, graph, "cosine")
    with pytest.raises(ValueError, match="metric: expected one of"):
        build_tables(vectors, graph, "hamming")  # type: ignore[arg-type]


def test_ranges_that_do_not_fit_are_refused(world: tuple[np.ndarray, Graph]) -> None:
    vectors, graph = world
    basis = fit_basis(vectors, graph, params=FingerParams(rank=4))
    projections = finger.project(vectors, basis.directions)
    with pytest.raises(ValueError, match="projections: expected 400 rows, got 10"):
        range_tables(vectors, projections[:10], graph.indptr, graph.indices, basis=basis, begin=0)
    with pytest.raises(ValueError, match="cut the range's own part"):
        range_tables(vectors, projections, graph.indptr[:11], graph.indices, basis=basis, begin=0)
    with pytest.raises(ValueError, match="cut the range's own part"):
        range_tables(vectors, projections, graph.indptr, graph.indices, basis=basis, begin=1)
    with pytest.raises(ValueError, match="ids below 400, got 400"):
        range_tables(vectors, projections, np.array([0, 1]), np.array([400], np.uint32), basis=basis, begin=0)
