"""The distance kernels: one result, to the bit, on every SIMD path."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fingerpost.ext import hnsw
from tests.oracles import lanes16

FLOATS = st.floats(-1e6, 1e6, width=32)


@pytest.fixture(autouse=True)
def restored_path() -> Iterator[None]:
    before = hnsw.active_path()
    yield
    hnsw.force_path(before)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    dim = draw(st.integers(1, 100))
    vector = hnp.arrays(np.float32, dim, elements=FLOATS)
    return draw(vector), draw(vector)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@given(pair=pairs(), offset=st.integers(0, 3))
def test_all_paths_give_the_bits_of_the_definition(
    metric: str, pair: tuple[np.ndarray, np.ndarray], offset: int
) -> None:
    # Shifted by some floats, because rows of a matrix are not aligned to a vector register.
    a, b = (np.concatenate([np.zeros(offset, np.float32), vector])[offset:] for vector in pair)
    expected = lanes16(*pair, metric=metric).tobytes()
    for path in hnsw.available_paths():
        hnsw.force_path(path)
        for four in (False, True):
            value = np.float32(hnsw.pair_distance(a, b, metric, four=four))
            assert value.tobytes() == expected, (path, four)


@pytest.mark.parametrize("dim", [1, 15, 16, 17, 128, 784])
def test_kernels_are_near_the_true_value(dim: int) -> None:
    a, b = np.random.default_rng(dim).standard_normal((2, dim)).astype(np.float32)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    assert hnsw.pair_distance(a, b, "l2") == pytest.approx(((wide_a - wide_b) ** 2).sum(), rel=1e-5)
    assert hnsw.pair_distance(a, b, "ip") == pytest.approx(wide_a @ wide_b, rel=1e-5, abs=1e-5 * dim)


def test_portable_path_is_always_there_and_unknown_ones_are_refused() -> None:
    assert hnsw.available_paths()[0] == "portable"
    assert hnsw.active_path() == hnsw.available_paths()[-1]
    with pytest.raises(ValueError, match=r"SIMD path: expected one of .*portable.*, got 'sse9'"):
        hnsw.force_path("sse9")


def test_vectors_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected equal lengths, got 2 and 3"):
        hnsw.pair_distance(np.zeros(2, np.float32), np.zeros(3, np.float32), "l2")
