"""Tables of nearest neighbours: the row itself is left out, also among equal vectors."""

import numpy as np
import pytest

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.neighbors import neighbor_table
from fingerpost.tasks.ann.recall import recall


def test_ranges_join_to_the_whole_table_without_the_rows_themselves() -> None:
    vectors = np.random.default_rng(0).standard_normal((400, 5)).astype(np.float32)
    index = ExactIndex(vectors, "l2")
    whole = neighbor_table(index, 0, 400, 6, ef=6)
    parts = [neighbor_table(index, lo, min(400, lo + 150), 6, ef=6) for lo in (0, 150, 300)]
    assert np.array_equal(whole.ids, np.vstack([part.ids for part in parts]))
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.array_equal(whole.ids, np.argsort(distances, axis=1)[:, :6])


def test_approximate_table_has_the_recall_of_the_search() -> None:
    vectors = np.random.default_rng(1).standard_normal((2000, 16)).astype(np.float32)
    graph, _ = build(vectors, HnswParams())
    found = neighbor_table(HnswIndex(vectors, graph, "cosine"), 500, 700, 10, ef=80, threads=2)
    exact = neighbor_table(ExactIndex(vectors, "cosine"), 500, 700, 10, ef=1)
    assert recall(found, exact) >= 0.98


def test_equal_vectors_do_not_name_themselves() -> None:
    table = neighbor_table(ExactIndex(np.ones((9, 2)), "l2"), 0, 9, 3, ef=1)
    assert table.ids.shape == (9, 3)
    assert not (table.ids == np.arange(9)[:, None]).any()
    # By inner product a row need not be among its own nearest.
    vectors = np.array([[1.0], [10.0], [20.0], [30.0]])
    assert neighbor_table(ExactIndex(vectors, "ip"), 0, 4, 2, ef=1).ids.tolist() == [[3, 2], [3, 2], [3, 1], [2, 1]]


def test_short_tables_are_padded_and_bad_ranges_refused() -> None:
    index = ExactIndex(np.eye(3), "l2")
    table = neighbor_table(index, 0, 3, 4, ef=1)
    assert table.ids.tolist() == [[1, 2, NONE, NONE], [0, 2, NONE, NONE], [0, 1, NONE, NONE]]
    with pytest.raises(ValueError, match="rows: expected a range within 0 to 3, got 2 to 5"):
        neighbor_table(index, 2, 5, 1, ef=1)
