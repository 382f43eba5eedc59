"""Assumed pairs: clear matches alone, and others of the entities of matches, never those that matches join."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.labels import LabelParams, assumed_matches, assumed_others


def test_matches_are_similar_and_ahead_of_rivals() -> None:
    pairs = np.array([(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)])
    similarities, leads = np.array([0.9, 0.9, 0.4, np.nan, 0.6]), np.array([0.5, 0.05, 0.4, 0.5, 0.2])
    assert assumed_matches(pairs, similarities, leads, LabelParams()).tolist() == [0, 4]
    assert assumed_matches(pairs, similarities, leads, LabelParams(most=1)).tolist() == [0]
    assert assumed_matches(pairs, similarities, leads, LabelParams(least=0.0, lead=0.0)).tolist() == [0, 1, 2, 4]


def test_others_are_the_most_similar_candidates_of_either_entity() -> None:
    matches = np.array([(0, 0), (5, 5)])
    pairs = np.array([(0, 1), (0, 2), (1, 0), (2, 2), (0, 0), (6, 5)])
    similarities = np.array([0.2, 0.9, 0.5, 1.0, 1.0, np.nan])
    places, owners = assumed_others(matches, pairs, similarities, LabelParams(negatives=2), within=False)
    assert pairs[places].tolist() == [[0, 2], [1, 0], [6, 5]]
    assert owners.tolist() == [0, 0, 1]


def test_within_one_graph_chains_of_matches_are_one_entity() -> None:
    matches = np.array([(0, 1), (1, 2)])
    pairs = np.array([(0, 2), (0, 3), (2, 3), (3, 4)])
    places, _ = assumed_others(matches, pairs, np.ones(4), LabelParams(), within=True)
    assert pairs[places].tolist() == [[0, 3], [2, 3]]
    apart, _ = assumed_others(matches, pairs, np.ones(4), LabelParams(), within=False)
    assert pairs[apart].tolist() == [[0, 2], [0, 3]]


ENDS = st.tuples(st.integers(0, 6), st.integers(0, 6))


@settings(max_examples=150, deadline=None)
@given(st.sets(ENDS, min_size=1, max_size=6), st.sets(ENDS, min_size=1, max_size=25), st.booleans(), st.integers(1, 3))
def test_no_other_pair_contradicts_a_match(
    matches: set[tuple[int, int]], pairs: set[tuple[int, int]], within: bool, most: int
) -> None:
    if within:
        matches = {(i, j) for i, j in matches if i < j} or {(0, 1)}
        pairs = {(i, j) for i, j in pairs if i < j} or {(0, 1)}
    known, asked = np.array(sorted(matches)), np.array(sorted(pairs))
    similarities = np.linspace(0, 1, len(asked))
    places, owners = assumed_others(known, asked, similarities, LabelParams(negatives=most), within=within)
    group = {("l", i): {("l", i)} for i in range(7)} | {("r", i): {("r", i)} for i in range(7)}
    other = "l" if within else "r"
    for left, right in matches:
        joined = group["l", left] | group[other, right]
        for one in joined:
            group[one] = joined
    assert len(set(places.tolist())) == len(places)
    assert np.bincount(owners, minlength=1).max() <= most
    for (left, right), owner in zip(asked[places].tolist(), owners.tolist(), strict=True):
        assert (other, right) not in group["l", left]
        ends = {("l", int(known[owner][0])), (other, int(known[owner][1]))}
        assert {("l", left), (other, right)} & ends
