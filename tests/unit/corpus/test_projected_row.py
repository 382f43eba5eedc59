"""The vector of one sparse row: the bits of the projection of many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.corpus.projected_row import project_row
from fingerpost.tasks.corpus.svd import project


@given(seed=st.integers(0, 1000), entries=st.integers(0, 12), width=st.sampled_from([1, 3, 16, 33]))
def test_a_row_has_the_bits_of_a_projected_matrix(seed: int, entries: int, width: int) -> None:
    random = np.random.default_rng(seed)
    components = random.standard_normal((20, width)).astype(np.float32)
    places = np.sort(random.choice(20, entries, replace=False)).astype(np.int64)
    values = random.random(entries).astype(np.float32)
    row = sparse.csr_array((values, places.astype(np.int32), np.array([0, entries])), shape=(1, 20))
    assert project_row(places, values, components).tobytes() == project(row, components)[0].tobytes()


def test_a_row_without_entries_is_zeros() -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    assert project_row(*nothing, np.ones((3, 4), np.float32)).tolist() == [0.0] * 4
