"""Codes: a function of data, parameters and seed, as small as the data allow."""

import numpy as np
import pytest

from fingerpost.tasks.ann.codes import CodeParams, Codes, fit_codes, lines_of
from fingerpost.tasks.ann.search import Metric, VectorError
from tests.support.vectors import decaying


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("bits", [4, 8])
def test_codes_are_a_function_of_their_input_and_survive_as_arrays(metric: Metric, bits: int) -> None:
    vectors = decaying(800, 150, seed=1)
    codes, again = (fit_codes(vectors, metric, CodeParams(bits=bits), seed=3) for _ in range(2))
    other = fit_codes(vectors, metric, CodeParams(bits=bits), seed=4)
    back = Codes.from_arrays(codes.arrays())
    for name, array in codes.arrays().items():
        assert np.array_equal(array, again.arrays()[name])
        assert np.array_equal(array, back.arrays()[name])
    assert not np.array_equal(codes.matrix, other.matrix)
    assert codes.metric == back.metric == metric
    assert codes.dim == 150


def test_steep_spectra_need_fewer_lines_than_flat_ones() -> None:
    random = np.random.default_rng(2)
    flat = random.standard_normal((3000, 300)).astype(np.float32)
    steep = flat * (1.0 + np.arange(300)) ** -2.0
    assert fit_codes(steep, "l2").row_bytes == 64
    assert fit_codes(flat, "l2").row_bytes == 64 * lines_of(300, 4) == 192
    assert fit_codes(flat, "l2", CodeParams(lines=2)).row_bytes == 128


def test_eight_bits_are_used_where_they_cost_nothing() -> None:
    assert fit_codes(decaying(100, 60, seed=1), "l2", CodeParams(bits=4)).bits == 8
    assert fit_codes(decaying(100, 61, seed=1), "l2", CodeParams(bits=4)).bits == 4


def test_what_is_left_out_counts_in_the_own_term() -> None:
    vectors = decaying(500, 200, seed=5)
    codes = fit_codes(vectors, "l2", CodeParams(lines=1))
    own = np.ascontiguousarray(codes.encode(vectors)[:, -4:]).view(np.float32)[:, 0]
    lengths = ((vectors - codes.centre) ** 2).sum(axis=1)
    assert np.allclose(own, lengths, rtol=0.1)
    assert abs(float((own / lengths).mean()) - 1) < 0.01


def test_equal_rows_have_equal_codes_and_one_row_is_enough() -> None:
    rows = np.ones((7, 3), dtype=np.float32)
    codes = fit_codes(rows, "l2").encode(rows)
    assert (codes == codes[0]).all()
    assert fit_codes(rows[:1], "cosine").encode(rows[:1]).shape == (1, 64)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="bits: expected 4 or 8, got 5"):
        CodeParams(bits=5)  # type: ignore[arg-type]
    for name, value in (("lines", 0), ("enough", 0.0), ("tail", 0.5), ("sample", 1)):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            CodeParams(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(VectorError, match="expected at least one row"):
        fit_codes(np.zeros((0, 3), np.float32), "l2")
    with pytest.raises(VectorError, match="nonzero length"):
        fit_codes(np.zeros((5, 3), np.float32), "cosine")
