"""Rivals against all candidates one by one, and parts merged against all at once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.rivals import BestTwo, merged

PAIRS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 4)),
    st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0, float("nan")])] * 2),
    min_size=1,
    max_size=14,
)
Some = dict[tuple[int, int], tuple[float, float]]


def best_two(some: Some) -> BestTwo:
    pairs, values = np.array(list(some)), np.array(list(some.values()), np.float32)
    return BestTwo.of(pairs[:, 0], pairs[:, 1], values)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_gaps_are_to_the_best_other_partner(some: Some) -> None:
    asked = {(i, j): some.get((i, j), (0.75, 0.75)) for i in range(5) for j in range(5)}
    pairs, values = np.array(list(asked)), np.array(list(asked.values()), np.float32)
    found = best_two(some).gaps(pairs[:, 0], pairs[:, 1], values)
    for (one, other), mine, gaps in zip(asked, asked.values(), found.tolist(), strict=True):
        for text in range(2):
            rivals = [v[text] for (i, j), v in some.items() if i == one and j != other and v[text] == v[text]]
            wanted = mine[text] - max([0.0, *rivals])
            assert gaps[text] == wanted or (np.isnan(wanted) and np.isnan(gaps[text]))


@settings(max_examples=200, deadline=None)
@given(PAIRS, st.lists(st.integers(0, 2), min_size=14, max_size=14), st.permutations(range(3)))
def test_parts_merge_to_the_whole(some: Some, numbers: list[int], order: list[int]) -> None:
    parts = [
        {pair: some[pair] for pair, part in zip(some, numbers, strict=False) if part == number} for number in order
    ]
    whole, joined = best_two(some), merged([best_two(part) for part in parts if part])
    for name in ("entities", "partners", "best", "second"):
        assert np.array_equal(getattr(whole, name), getattr(joined, name)), name


def test_entities_without_candidates_have_no_rivals() -> None:
    nothing = BestTwo.of(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 1), np.float32))
    values = np.array([[0.5], [np.nan]], np.float32)
    assert np.array_equal(nothing.gaps(np.array([1, 2]), np.array([1, 2]), values), values, equal_nan=True)
