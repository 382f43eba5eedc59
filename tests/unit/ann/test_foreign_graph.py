"""Search over a graph that another library built (faiss; see tests/golden/make_faiss_graph.py)."""

from pathlib import Path

import numpy as np
import pytest

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.finger_basis import FingerParams
from fingerpost.tasks.ann.finger_search import FingerIndex
from fingerpost.tasks.ann.graph import Graph, from_adjacency
from fingerpost.tasks.ann.hnsw import HnswIndex
from fingerpost.tasks.ann.recall import recall
from tests.golden.make_faiss_graph import points
from tests.support.graphs import build_tables

FILE = Path(__file__).resolve().parents[2] / "golden" / "faiss_graph.npz"
#: Measured 1.0 over twenty seeds of queries at ef 60, less a margin.
FLOOR = 0.97


@pytest.fixture(scope="module")
def graph() -> Graph:
    with np.load(FILE) as stored:
        return from_adjacency(stored["indptr"], stored["indices"])


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return points(100, seed=11)


def test_plain_search_finds_the_neighbours(graph: Graph, queries: np.ndarray) -> None:
    exact = ExactIndex(points(), "l2").search(queries, 10)
    found = recall(HnswIndex(points(), graph, "l2").search(queries, 10, ef=60), exact)
    assert found >= FLOOR, f"recall@10 {found} below {FLOOR}"


@pytest.mark.parametrize("estimator", ["low_rank", "signs"])
def test_finger_finds_them_with_fewer_distances(graph: Graph, queries: np.ndarray, estimator: str) -> None:
    exact = ExactIndex(points(), "l2").search(queries, 10)
    plain = HnswIndex(points(), graph, "l2").search(queries, 10, ef=60)
    tables = build_tables(points(), graph, "l2", params=FingerParams(estimator=estimator, rank=8))
    screened = FingerIndex(points(), graph, tables, "l2").search(queries, 10, ef=60)
    assert recall(screened, exact) >= recall(plain, exact) - 0.03
    assert screened.counters.distances < plain.counters.distances
    assert screened.counters.estimates > 0
