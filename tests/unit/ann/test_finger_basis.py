"""FINGER's directions, their statistics and the correction."""

import numpy as np
import pytest

from fingerpost.tasks.ann.finger_basis import FingerBasis, FingerParams, fit_basis
from fingerpost.tasks.ann.finger_cosines import estimated_cosines
from fingerpost.tasks.ann.graph import Graph, from_adjacency
from fingerpost.tasks.ann.search import VectorError
from tests.oracles import finger_split
from tests.support.graphs import neighbor_graph
from tests.support.vectors import decaying


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, Graph]:
    vectors = decaying(1500, 48, seed=1)
    return vectors, neighbor_graph(vectors, 12, "l2")


def test_correlation_grows_with_the_rank(world: tuple[np.ndarray, Graph]) -> None:
    basis = fit_basis(*world, params=FingerParams(candidate_ranks=(4, 8, 16, 32, 48), correlation_threshold=2))
    correlations = [row.correlation for row in basis.statistics]
    assert correlations == sorted(correlations)
    assert correlations[0] < 0.7
    assert correlations[-1] > 1 - 1e-9
    errors = [row.error_matched for row in basis.statistics]
    assert errors == sorted(errors, reverse=True)


def test_floats_say_more_than_bits(world: tuple[np.ndarray, Graph]) -> None:
    bits = fit_basis(*world, params=FingerParams(estimator="signs", rank=16)).chosen.correlation
    floats = fit_basis(*world, params=FingerParams(rank=16)).chosen.correlation
    assert 0.3 < bits < floats


def test_fitted_directions_beat_random_ones(world: tuple[np.ndarray, Graph]) -> None:
    vectors, graph = world
    random = np.random.default_rng(0).normal(size=(8, 48))
    one, two = [], []
    for node in range(len(vectors)):
        first, second = graph.indices[graph.indptr[node] : graph.indptr[node] + 2]
        one.append(finger_split(vectors[first], vectors[node])[1])
        two.append(finger_split(vectors[second], vectors[node])[1])
    true = np.sum(np.multiply(one, two), axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1))
    guess = estimated_cosines(one @ random.T, two @ random.T, ranks=(8,), estimator="low_rank")[:, 0]
    fitted = fit_basis(vectors, graph, params=FingerParams(rank=8)).chosen.correlation
    assert fitted > np.corrcoef(true, guess)[0, 1] + 0.1


@pytest.mark.parametrize("estimator", ["low_rank", "signs"])
def test_matching_gives_the_true_mean_and_deviation(world: tuple[np.ndarray, Graph], estimator: str) -> None:
    basis = fit_basis(*world, params=FingerParams(estimator=estimator, rank=16, error_term=0))  # type: ignore[arg-type]
    row = basis.chosen
    assert basis.scale * row.mean_estimated + basis.bias == pytest.approx(row.mean_true, abs=1e-12)
    assert basis.scale * row.deviation_estimated == pytest.approx(row.deviation_true, abs=1e-12)
    assert row.deviation_estimated > row.deviation_true


def test_the_error_term_adds_the_mean_absolute_error(world: tuple[np.ndarray, Graph]) -> None:
    without, once, twice = (fit_basis(*world, params=FingerParams(rank=8, error_term=e)) for e in (0, 1, 2))
    assert once.bias - without.bias == pytest.approx(once.chosen.error_matched)
    assert twice.bias - without.bias == pytest.approx(2 * once.chosen.error_matched)
    plain = fit_basis(*world, params=FingerParams(rank=8, matching=False, error_term=0))
    assert (plain.scale, plain.bias) == (1, 0)


def test_directions_are_the_singular_vectors_of_residuals() -> None:
    vectors = decaying(300, 10, seed=3)
    # One neighbour named twice, so that no chance is left in which residual is taken.
    nearest = neighbor_graph(vectors, 1, "l2").indices
    graph = from_adjacency(np.arange(301) * 2, np.repeat(nearest, 2))
    basis = fit_basis(vectors, graph, params=FingerParams(rank=10))
    residuals = [finger_split(vectors[nearest[node]], vectors[node])[1] for node in range(300)]
    best = np.linalg.svd(np.array(residuals))[2]
    assert np.allclose(np.abs((best * basis.directions).sum(axis=1)), 1, atol=1e-6)
    assert np.allclose(basis.directions @ basis.directions.T, np.eye(10), atol=1e-6)
    largest = np.abs(basis.directions).argmax(axis=1)
    assert (basis.directions[np.arange(10), largest] > 0).all()


def test_the_smallest_rank_that_reaches_the_threshold_is_taken(world: tuple[np.ndarray, Graph]) -> None:
    every = fit_basis(*world, params=FingerParams(candidate_ranks=(4, 8, 16, 32), correlation_threshold=2))
    assert every.rank == 32, "where none reaches the threshold the best is taken"
    wanted = every.statistics[1].correlation
    chosen = fit_basis(*world, params=FingerParams(candidate_ranks=(4, 8, 16, 32), correlation_threshold=wanted))
    assert chosen.rank == 8
    assert chosen.statistics == every.statistics
    assert np.array_equal(chosen.directions, every.directions[:8])


def test_ranks_above_the_dimension_become_the_dimension() -> None:
    vectors = decaying(200, 6, seed=0)
    basis = fit_basis(vectors, neighbor_graph(vectors, 4, "l2"), params=FingerParams(correlation_threshold=2))
    assert basis.rank == 6
    assert [row.rank for row in basis.statistics] == [6]
    assert basis.scale == pytest.approx(1)
    assert basis.bias == pytest.approx(0, abs=1e-6)


def test_a_basis_is_a_function_of_its_seed(world: tuple[np.ndarray, Graph]) -> None:
    one, same, other = (fit_basis(*world, params=FingerParams(rank=8, sample=500, seed=s)) for s in (0, 0, 1))
    assert np.array_equal(one.directions, same.directions)
    assert one.statistics == same.statistics
    assert one.chosen.pairs == 500
    assert not np.array_equal(one.directions, other.directions)


def test_a_graph_without_pairs_screens_out_only_what_is_surely_far() -> None:
    vectors = decaying(5, 4, seed=0)
    graph = from_adjacency(np.array([0, 1, 2, 2, 2, 2]), np.array([1, 0]))
    basis = fit_basis(vectors, graph, params=FingerParams(rank=2))
    assert (basis.scale, basis.bias) == (0, 1)
    assert np.array_equal(basis.directions, np.eye(2, 4))


def test_nodes_without_a_direction_give_no_pairs() -> None:
    vectors = decaying(100, 8, seed=0)
    vectors[:40] = 0
    graph = neighbor_graph(vectors, 6, "l2")
    basis = fit_basis(vectors, graph, params=FingerParams(rank=4))
    assert basis.chosen.pairs <= 60
    assert np.isfinite(basis.directions).all()
    assert np.isfinite([basis.scale, basis.bias]).all()


@pytest.mark.parametrize("estimator", ["low_rank", "signs"])
def test_arrays_round_trip(world: tuple[np.ndarray, Graph], estimator: str) -> None:
    basis = fit_basis(*world, params=FingerParams(estimator=estimator, sample=300))  # type: ignore[arg-type]
    again = FingerBasis.from_arrays(basis.arrays())
    assert again.statistics == basis.statistics
    assert (again.code, again.scale, again.bias, again.tiny_norm2) == (
        basis.code,
        basis.scale,
        basis.bias,
        basis.tiny_norm2,
    )
    assert np.array_equal(again.directions, basis.directions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "cosine"}, "expected 'low_rank' or 'signs', got 'cosine'"),
        ({"precision": "int4"}, "expected 'float32' or 'int8', got 'int4'"),
        ({"rank": 0}, "expected ascending positive numbers"),
        ({"candidate_ranks": (16, 8)}, "expected ascending positive numbers"),
        ({"candidate_ranks": ()}, "expected ascending positive numbers"),
        ({"sample": 0}, "expected at least 1 node, got 0"),
        ({"error_term": -1.0}, "expected a number of at least 0, got -1.0"),
        ({"error_term": float("nan")}, "expected a number of at least 0, got nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FingerParams(**settings)


def test_vectors_that_do_not_fit_are_refused(world: tuple[np.ndarray, Graph]) -> None:
    vectors, graph = world
    with pytest.raises(VectorError, match="expected 1500 rows, one per node, got 1499"):
        fit_basis(vectors[:-1], graph)
    broken = vectors.copy()
    broken[7, 3] = np.nan
    with pytest.raises(VectorError, match="row 7: expected finite numbers"):
        fit_basis(broken, graph)
