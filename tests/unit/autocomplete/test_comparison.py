"""The completer's comparison: filters after a search, and neighbours of the queries before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.autocomplete.comparison import ContextNeighbors, NeighborParams, filled_up, first_in_range
from fingerpost.tasks.corpus.svd import SvdParams
from fingerpost.tasks.xmr.ranking import NONE


@given(
    st.lists(st.lists(st.integers(0, 9) | st.just(NONE), min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(1, 6),
)
def test_the_first_ids_in_the_range_of_each_row(ids: list[list[int]], low: int, high: int, k: int) -> None:
    bounds = (np.full(len(ids), bound, dtype=np.uint32) for bound in (low, high))
    found = first_in_range(np.array(ids, dtype=np.uint32), *bounds, k)
    for row, listed in zip(ids, found.tolist(), strict=True):
        expected = [label for label in row if low <= label < high][:k]
        assert listed == expected + [NONE] * (k - len(expected))


def neighbors(contexts: np.ndarray, following: list[int], neighbors: int = 2) -> ContextNeighbors:
    """Neighbours among a few contexts, compared by all of their dimensions."""
    params = NeighborParams(neighbors=neighbors, svd=SvdParams(rank=contexts.shape[1], whitening=0.0))
    weights = np.ones(len(contexts), dtype=np.float32)
    return ContextNeighbors(
        sparse.csr_array(contexts.astype(np.float32)), np.array(following, dtype=np.int32), weights, params
    )


def test_nearest_contexts_vote_for_what_followed_them() -> None:
    contexts = np.array([[1.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]])
    found = neighbors(contexts, [4, 2, 7, 7, 1])
    asked = sparse.csr_array(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32))
    low, high = np.array([0, 0, 0], np.uint32), np.array([9, 9, 7], np.uint32)
    assert [rows.tolist() for rows in found.complete(asked, low, high, 3)] == [[4, 2], [7], []]


def test_contexts_without_features_and_pairs_without_a_suggestion_do_not_count() -> None:
    contexts = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    found = neighbors(contexts, [-1, 3, 5, 6], neighbors=4)
    asked = sparse.csr_array(np.array([[1.0, 0.0], [0.0, 0.0]], dtype=np.float32))
    low, high = np.zeros(2, np.uint32), np.full(2, 9, np.uint32)
    assert [rows.tolist() for rows in found.complete(asked, low, high, 3)] == [[3], []]
    nothing = neighbors(contexts, [-1] * 4)
    assert [rows.tolist() for rows in nothing.complete(asked, low, high, 3)] == [[], []]


def test_a_baseline_is_filled_up_with_others() -> None:
    rows, further = np.array([3, 1], np.uint32), np.array([1, 2, 3, 4], np.uint32)
    assert filled_up(rows, further, 3).tolist() == [3, 1, 2]
    assert filled_up(rows, further, 1).tolist() == [3]
