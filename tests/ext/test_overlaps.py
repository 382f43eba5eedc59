"""Overlaps of rows of terms against sets of Python, and what the kernel refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext.overlaps import compare_rows

Row = dict[int, tuple[float, float]]
rows = st.lists(
    st.dictionaries(st.integers(0, 12), st.tuples(st.floats(0, 1, width=32), st.floats(0.25, 9, width=32)), max_size=8),
    min_size=1,
    max_size=4,
)


def arrays(side: list[Row]) -> list[np.ndarray]:
    indptr = np.append(0, np.cumsum([len(row) for row in side])).astype(np.int64)
    terms = [term for row in side for term in sorted(row)]
    values = [row[term] for row in side for term in sorted(row)]
    columns = [np.array([value[place] for value in values], np.float32) for place in range(2)]
    return [indptr, np.array(terms, np.uint32), *columns]


def expected(one: Row, other: Row) -> list[float]:
    common, alone = set(one) & set(other), (set(one) - set(other), set(other) - set(one))
    return [
        sum(float(one[term][0]) * float(other[term][0]) for term in common),
        sum(one[term][1] for term in common),
        sum(value for _, value in one.values()),
        # The rarity of a common term is taken from the left row: rows of one vocabulary agree.
        sum((one if term in one else other)[term][1] for term in other),
        max((one[term][1] for term in common), default=0),
        min(max((side[term][1] for term in some), default=0) for side, some in zip((one, other), alone, strict=True)),
    ]


@settings(max_examples=150, deadline=None)
@given(rows, rows)
def test_figures_are_those_of_sets(left: list[Row], right: list[Row]) -> None:
    # One vocabulary: a term is as rare on both sides.
    right = [{term: (part, 1.0 + term) for term, (part, _) in row.items()} for row in right]
    left = [{term: (part, 1.0 + term) for term, (part, _) in row.items()} for row in left]
    pairs = np.array([(i, j) for i in range(len(left)) for j in range(len(right))], np.uint32)
    found = compare_rows(*arrays(left), *arrays(right), pairs)
    assert found.dtype == np.float32
    if any(left) and any(right):
        wanted = [expected(left[i], right[j]) for i, j in pairs.tolist()]
        assert found == pytest.approx(np.array(wanted), rel=1e-5, abs=1e-6)
    else:
        assert not found.any()
    turned = compare_rows(*arrays(right), *arrays(left), np.ascontiguousarray(pairs[:, ::-1]))
    assert np.array_equal(turned[:, [0, 1, 3, 2, 4, 5]], found)
    for place, pair in enumerate(pairs):
        assert np.array_equal(compare_rows(*arrays(left), *arrays(right), pair[None]), found[place : place + 1])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (8, np.array([[0, 2]], np.uint32), "expected right rows below 2, got 2"),
        (8, np.array([[5, 0]], np.uint32), "expected left rows below 1, got 5"),
        (8, np.zeros((1, 3), np.uint32), "expected \\(m, 2\\), got 3 columns"),
        (0, np.array([0, 3], np.int64), "left rows: expected ranges of 0 to 2"),
        (4, np.array([0, 2, 1], np.int64), "right rows: expected ranges of 0 to 1"),
        (2, np.zeros(1, np.float32), "expected a part and a rarity for each of 2 terms, got 1 and 2"),
    ],
)
def test_what_does_not_fit_is_refused(place: int, value: np.ndarray, message: str) -> None:
    given = [*arrays([{1: (0.5, 1.0), 4: (0.5, 1.0)}]), *arrays([{1: (1.0, 1.0)}, {}]), np.zeros((1, 2), np.uint32)]
    given[place] = value
    with pytest.raises(ValueError, match=message):
        compare_rows(*given)
