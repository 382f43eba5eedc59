"""Recall: ties count, padding does not, a node named twice counts once."""

import numpy as np
import pytest

from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.recall import recall, recall_per_query
from fingerpost.tasks.ann.search import SearchCounters, SearchResult


def result(ids: list[list[int]], distances: list[list[float]]) -> SearchResult:
    return SearchResult(np.array(ids, np.uint32), np.array(distances, np.float32), SearchCounters())


def test_share_of_true_neighbours() -> None:
    exact = result([[1, 2], [3, 4]], [[0, 1], [0, 1]])
    found = result([[1, 9], [4, 3]], [[0, 5], [1, 0]])
    assert recall_per_query(found, exact).tolist() == [0.5, 1.0]
    assert recall(found, exact) == 0.75


def test_equal_distances_count_and_repeats_do_not() -> None:
    exact = result([[1, 2]], [[0, 1]])
    assert recall(result([[1, 7]], [[0, 1]]), exact) == 1.0
    assert recall(result([[1, 1]], [[0, 0]]), exact) == 0.5


def test_padding_is_no_neighbour_and_only_real_ones_are_missed() -> None:
    exact = result([[1, 2, NONE]], [[0, 1, np.inf]])
    assert recall(result([[1, NONE, NONE]], [[0, np.inf, np.inf]]), exact) == 0.5
    assert recall(result([[1, 2, NONE]], [[0, 1, np.inf]]), exact) == 1.0


def test_only_the_first_k_found_count() -> None:
    exact = result([[1]], [[0]])
    assert recall(result([[5, 1]], [[3, 0]]), exact) == 0.0


def test_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="found: expected 1 queries, got 2"):
        recall(result([[1], [2]], [[0], [0]]), result([[1]], [[0]]))
