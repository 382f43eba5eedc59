"""Clusters of matches: what chains and wrong matches do, and that neither the order of rows nor other entities matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.clusters import (
    NEVER,
    ClusterParams,
    ComparedPairs,
    members_to_split,
    split_components,
)
from fingerpost.tasks.kg.lookups import components
from tests.oracles import average_linkage

THRESHOLD = 0.5


def clusters_of(
    count: int,
    scored: dict[tuple[int, int], float],
    order: np.ndarray | None = None,
    params: ClusterParams = ClusterParams(),
) -> np.ndarray:
    """The cluster of each entity by pairs and their probabilities; those of at least the threshold are matches."""
    pairs = np.array(sorted(scored), dtype=np.int64).reshape(-1, 2)
    values = np.array([scored[tuple(pair)] for pair in pairs.tolist()], dtype=np.float64)
    component = components(pairs[values >= THRESHOLD], count)
    inside = members_to_split(component)[pairs[:, 0]] & (component[pairs[:, 0]] == component[pairs[:, 1]])
    order = np.arange(count) if order is None else order
    found = ComparedPairs(pairs[inside], values[inside])
    return split_components(component, found, order, threshold=THRESHOLD, params=params)


def groups(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def test_pairs_are_clusters_of_two_and_all_others_are_their_own() -> None:
    found = clusters_of(6, {(0, 3): 0.51, (1, 4): 0.99, (2, 4): 0.2})
    assert groups(found) == {frozenset({0, 3}), frozenset({1, 4}), frozenset({2}), frozenset({5})}


def test_one_wrong_match_does_not_join_two_groups() -> None:
    two = {(i, j): 0.95 for group in ((0, 1, 2), (3, 4, 5)) for i in group for j in group if i < j}
    assert groups(clusters_of(6, {**two, (2, 3): 0.6, (1, 4): 0.01, (0, 5): 0.01})) == {
        frozenset({0, 1, 2}),
        frozenset({3, 4, 5}),
    }


def test_two_matches_are_enough_for_three_unless_the_third_pair_was_clearly_refused() -> None:
    chain = {(0, 1): 0.97, (1, 2): 0.95}
    assert len(groups(clusters_of(3, chain))) == 1
    assert len(groups(clusters_of(3, {**chain, (0, 2): 0.2}))) == 1
    assert groups(clusters_of(3, {**chain, (0, 2): 0.01})) == {frozenset({0, 1}), frozenset({2})}


def test_what_is_known_to_be_two_entities_never_comes_into_one_group() -> None:
    same = {(i, j): 0.99 for i in range(12) for j in range(i + 1, 12)}
    found = clusters_of(12, {**same, (3, 8): NEVER})
    assert found[3] != found[8]
    assert len(groups(found)) == 2


def test_a_long_chain_breaks_and_a_large_group_of_which_few_pairs_are_compared_does_not() -> None:
    chain = {(i, i + 1): 0.9 for i in range(199)}
    assert max(map(len, groups(clusters_of(200, chain)))) < 20
    rng = np.random.default_rng(0)
    partners = {(i, int(j)) for i in range(300) for j in rng.choice(300, 20, replace=False)}
    large = {(min(pair), max(pair)): 0.95 for pair in partners if pair[0] != pair[1]}
    assert len(groups(clusters_of(300, large))) == 1


def test_a_large_group_of_equals_takes_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from fingerpost.tasks.kg import clusters

    rounds = []
    mutual = clusters._mutual
    monkeypatch.setattr(clusters, "_mutual", lambda *given: rounds.append(1) or mutual(*given))
    equals = {(i, j): 0.9 for i in range(200) for j in range(i + 1, 200)}
    assert len(groups(clusters_of(200, equals))) == 1
    assert len(rounds) < 40


@st.composite
def scored_pairs(draw: st.DrawFn) -> tuple[int, dict[tuple[int, int], float]]:
    """Few entities, and different probabilities of some of their pairs."""
    count = draw(st.integers(2, 9))
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=len(pairs)))
    values = draw(st.lists(st.integers(1, 9999), unique=True, min_size=len(chosen), max_size=len(chosen)))
    return count, {pair: value / 10_000 for pair, value in zip(chosen, values, strict=True)}


@settings(max_examples=150, deadline=None)
@given(scored_pairs(), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.5, 1.0]))
def test_clusters_are_those_of_joining_the_best_two_at_a_time(world, unscored: float, linkage: float) -> None:
    count, scored = world
    params = ClusterParams(linkage=linkage, unscored=unscored)
    found = groups(clusters_of(count, scored, params=params))
    within = groups(components(np.array([pair for pair, p in scored.items() if p >= THRESHOLD]).reshape(-1, 2), count))
    expected = {
        cluster
        for component in within
        for cluster in (
            average_linkage(component, scored, THRESHOLD * linkage, unscored) if len(component) > 2 else {component}
        )
    }
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(scored_pairs(), st.randoms(use_true_random=False), st.booleans())
def test_neither_the_order_of_rows_nor_other_entities_matter(world, random, equal: bool) -> None:
    count, scored = world
    scored = {pair: 0.75 if equal and p >= THRESHOLD else p for pair, p in scored.items()}
    place = list(range(count + 3))
    random.shuffle(place)
    moved = {(min(place[i], place[j]), max(place[i], place[j])): p for (i, j), p in scored.items()}
    moved[(place[count], place[count + 1])] = moved[(place[count + 1], place[count + 2])] = 0.9
    moved = {(min(pair), max(pair)): p for pair, p in moved.items()}
    order = np.empty(count + 3, dtype=np.int64)
    # The others' keys lie between those that were there: places by key move apart.
    keys = [3 * i for i in range(count)] + [1, 4, 7]
    order[place] = np.argsort(np.argsort(keys))
    before = groups(clusters_of(count, scored))
    after = {
        frozenset(place.index(member) for member in group) for group in groups(clusters_of(count + 3, moved, order))
    }
    assert {group for group in after if max(group) < count} == before


def test_params_out_of_range_are_refused() -> None:
    for wrong in ({"linkage": 0.0}, {"linkage": 1.5}, {"unscored": -0.1}, {"unscored": 2.0}):
        with pytest.raises(ValueError, match="clusters: expected a linkage"):
            ClusterParams(**wrong)
