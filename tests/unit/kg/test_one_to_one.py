"""Which pairs are accepted: against all matchings of small sets of pairs, in any order."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs, accepted, greedy, heaviest, mutual


def random_pairs(seed: int, *, most: int = 12, entities: int = 6, whole: bool = True) -> ScoredPairs:
    rng = np.random.default_rng(seed)
    keys = rng.choice(entities * entities, min(int(rng.integers(1, most + 1)), entities**2), replace=False)
    # Few distinct scores, so that many pairs are equally good.
    scores = rng.integers(-2, 5, len(keys)).astype(float) if whole else rng.normal(1.0, 2.0, len(keys))
    return ScoredPairs(keys // entities, keys % entities, scores)


def chosen(pairs: ScoredPairs, found: np.ndarray) -> list[tuple[int, int]]:
    return sorted(zip(pairs.left[found].tolist(), pairs.right[found].tolist(), strict=True))


def is_one_to_one(pairs: list[tuple[int, int]]) -> bool:
    return all(len({pair[side] for pair in pairs}) == len(pairs) for side in range(2))


def most_weight(pairs: ScoredPairs) -> float:
    """The largest total score of a one-to-one set of pairs, of all sets."""
    rows = range(len(pairs.scores))
    best = 0.0
    for size in range(1, min(len(rows), 6) + 1):
        for some in combinations(rows, size):
            if is_one_to_one([(int(pairs.left[row]), int(pairs.right[row])) for row in some]):
                best = max(best, sum(float(pairs.scores[row]) for row in some))
    return best


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10**6), method=st.sampled_from(["mutual", "hungarian"]), block=st.sampled_from([1, 10**6]))
def test_an_entity_has_one_partner_and_every_pair_is_over_the_threshold(seed: int, method, block: int) -> None:
    pairs = random_pairs(seed, most=30)
    found = accepted(pairs, 0.0, AssignmentParams(method, block))
    assert is_one_to_one(chosen(pairs, found))
    assert np.all(pairs.scores[found] >= 0)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    method=st.sampled_from(["mutual", "hungarian", "many"]),
    block=st.sampled_from([1, 10**6]),
)
def test_the_order_of_pairs_changes_nothing(seed: int, method, block: int) -> None:
    pairs = random_pairs(seed, most=30)
    order = np.random.default_rng(seed).permutation(len(pairs.scores))
    params = AssignmentParams(method, block)
    turned = pairs.where(order)
    assert chosen(pairs, accepted(pairs, 0.0, params)) == chosen(turned, accepted(turned, 0.0, params))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), whole=st.booleans())
def test_the_total_weight_is_the_largest_there_is(seed: int, whole: bool) -> None:
    pairs = random_pairs(seed, most=9, entities=4, whole=whole)
    found = accepted(pairs, 0.0, AssignmentParams("hungarian"))
    assert pairs.scores[found].sum() == pytest.approx(most_weight(pairs.where(pairs.scores >= 0)))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_weights_do_not_fall_from_mutual_over_greedy_to_hungarian(seed: int) -> None:
    pairs = random_pairs(seed, most=60, entities=12, whole=False)
    mutually, blocked, whole = (
        accepted(pairs, 0.0, params)
        for params in (AssignmentParams("mutual"), AssignmentParams("hungarian", 1), AssignmentParams("hungarian"))
    )
    sums = [pairs.scores[found].sum() for found in (mutually, blocked, whole)]
    assert sums[0] <= sums[1] + 1e-9 <= sums[2] + 2e-9
    # A block that is too large loses no pair that is the best of both entities.
    assert np.all(blocked[mutually])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_best_of_the_entities_that_are_left(seed: int) -> None:
    pairs = random_pairs(seed, most=40, entities=8)
    left, right, expected = set[int](), set[int](), []
    for _, one, other in sorted(zip(-pairs.scores, pairs.left.tolist(), pairs.right.tolist(), strict=True)):
        if one not in left and other not in right:
            left.add(one)
            right.add(other)
            expected.append((one, other))
    assert chosen(pairs, greedy(pairs)) == sorted(expected)


def test_a_long_chain_of_better_pairs_is_followed_to_its_end() -> None:
    """Each pair is a little worse than the next, so that only the last is the best of both of its entities."""
    count = 201
    numbers = np.arange(count)
    pairs = ScoredPairs((numbers + 1) // 2, numbers // 2, 1.0 + numbers / count)
    found = greedy(pairs)
    assert found.tolist() == [(count - 1 - number) % 2 == 0 for number in range(count)]
    assert heaviest(pairs, block=1).tolist() == found.tolist()
    assert mutual(pairs).sum() == 1


def test_the_whole_is_preferred_to_the_single_best() -> None:
    pairs = ScoredPairs(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([3.0, 2.5, 2.8]))
    assert chosen(pairs, accepted(pairs, 0.0, AssignmentParams("hungarian"))) == [(0, 1), (1, 0)]
    assert chosen(pairs, accepted(pairs, 0.0, AssignmentParams("mutual"))) == [(0, 0)]
    # Counted from the threshold: two pairs that are hardly worth accepting are not worth the best one.
    assert chosen(pairs, accepted(pairs, 2.4, AssignmentParams("hungarian"))) == [(0, 0)]
    assert chosen(pairs, accepted(pairs, 2.6, AssignmentParams("many"))) == [(0, 0), (1, 0)]


def test_no_pairs() -> None:
    none = ScoredPairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    for method in ("mutual", "hungarian", "many"):
        assert accepted(none, 0.0, AssignmentParams(method)).shape == (0,)


def test_parameters_that_are_refused() -> None:
    with pytest.raises(ValueError, match="assignment: expected mutual, hungarian or many"):
        AssignmentParams("best")
    with pytest.raises(ValueError, match="a block of at least 1"):
        AssignmentParams(block=0)
