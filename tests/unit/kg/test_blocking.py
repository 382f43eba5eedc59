"""Candidates from several proposals: each pair once, of one type, capped, the same for any order and any shards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.blocking import (
    LINKS,
    NEIGHBORS,
    RULES,
    STRUCTURE,
    VECTORS,
    BlockingParams,
    Candidates,
    Proposals,
    found_positives,
    proposed_equal,
    proposed_nearest,
    proposed_scored,
    recalls,
    union,
)
from tests.unit.kg.test_search import some_vectors
from tests.unit.kg.test_shared_neighbors import nearest_of

SIZES = (9, 7)


def some_proposals(seed: int, sizes: tuple[int, int]) -> list[Proposals]:
    rng = np.random.default_rng(seed)
    parts = []
    for source in (VECTORS, VECTORS, NEIGHBORS, RULES, LINKS, STRUCTURE):
        count = int(rng.integers(0, 25))
        left, right = (rng.integers(0, size, count).astype(np.uint32) for size in sizes)
        parts.append(Proposals(left, right, rng.integers(0, 5, count), source))
    return parts


def world(seed: int, *, within: bool = False) -> tuple[list[Proposals], tuple, tuple]:
    rng = np.random.default_rng(seed)
    sizes = (SIZES[0], SIZES[0]) if within else SIZES
    types, vectors = rng.integers(-1, 2, sizes[0]), some_vectors(sizes[0], seed)
    if within:
        return some_proposals(seed, sizes), (types, types), (vectors, vectors)
    return (
        some_proposals(seed, sizes),
        (types, rng.integers(-1, 2, sizes[1])),
        (vectors, some_vectors(sizes[1], seed + 1)),
    )


def pairs_of(found: Candidates) -> list[tuple[int, int, float, int]]:
    columns = (found.left, found.right, found.similarity, found.sources)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def slow_union(
    proposals: list[Proposals], types: tuple, vectors: tuple, cap: int, *, within: bool
) -> list[tuple[int, int, int]]:
    """left, right and sources by the definition, pair by pair."""
    ranks, bits = dict[tuple[int, int], float](), dict[tuple[int, int], int]()
    for one in proposals:
        for pair in zip(one.left.tolist(), one.right.tolist(), one.ranks.tolist(), strict=True):
            left, right, rank = pair
            if types[0][left] != types[1][right] or types[0][left] < 0 or (within and left >= right):
                continue
            rank = {RULES: -1, LINKS: np.inf}.get(one.source, rank)
            ranks[left, right] = min(rank, ranks.get((left, right), np.inf))
            bits[left, right] = bits.get((left, right), 0) | one.source
    chosen = []
    for left in range(len(types[0])):
        mine = [pair for pair in ranks if pair[0] == left]
        cosine = {pair: float(vectors[0][left] @ vectors[1][pair[1]]) for pair in mine}
        mine.sort(key=lambda pair: (ranks[pair], -round(cosine[pair], 5), pair[1]))
        for pair in mine[cap:]:
            if bits[pair] & LINKS:
                bits[pair] = LINKS
        mine.sort(key=lambda pair: not bits[pair] & LINKS)
        chosen += [(*pair, bits[pair]) for pair in mine[:cap]]
    return sorted(chosen)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), cap=st.integers(1, 6), within=st.booleans())
def test_the_union_is_the_best_of_each_left_entity(seed: int, cap: int, within: bool) -> None:
    proposals, types, vectors = world(seed, within=within)
    found = union(proposals, types, vectors, BlockingParams(candidates=cap), within=within)
    assert [(left, right, bits) for left, right, _, bits in pairs_of(found)] == slow_union(
        proposals, types, vectors, cap, within=within
    )
    assert np.bincount(found.left, minlength=1).max(initial=0) <= cap
    assert len({(left, right) for left, right, *_ in pairs_of(found)}) == len(found.left)
    for left, right, similarity, _ in pairs_of(found):
        assert types[0][left] == types[1][right] >= 0
        assert not within or left < right
        assert similarity == pytest.approx(float(vectors[0][left] @ vectors[1][right]), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.integers(0, SIZES[0]))
def test_shards_and_the_order_of_proposals_change_nothing(seed: int, split: int) -> None:
    proposals, types, vectors = world(seed)
    params = BlockingParams(candidates=3)
    whole = union(proposals, types, vectors, params)
    parts = [
        union(
            [one.of(begin, end) for one in reversed(proposals)],
            types,
            (vectors[0][begin:end], vectors[1]),
            params,
            begin=begin,
        )
        for begin, end in ((0, split), (split, SIZES[0]))
    ]
    assert pairs_of(whole) == [pair for part in parts for pair in pairs_of(part)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_sides_are_alike_where_nothing_is_cut_off(seed: int) -> None:
    proposals, types, vectors = world(seed)
    params = BlockingParams(candidates=100)
    turned = [Proposals(one.right, one.left, one.ranks, one.source) for one in proposals]
    found = pairs_of(union(proposals, types, vectors, params))
    mirrored = pairs_of(union(turned, types[::-1], vectors[::-1], params))
    assert sorted((right, left, *rest) for left, right, *rest in mirrored) == found


def test_no_proposals_are_no_candidates() -> None:
    empty = Proposals(np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.int64), VECTORS)
    vectors = some_vectors(3, 0), some_vectors(3, 1)
    found = union([empty], (np.zeros(3, int), np.zeros(3, int)), vectors, BlockingParams())
    assert [column.dtype.name for column in vars(found).values()] == ["uint32", "uint32", "float32", "uint8"]
    assert len(found.left) == 0


def test_a_search_proposes_from_both_sides() -> None:
    nearest = nearest_of([[(4, 0.9), (2, 0.8)], [], [(1, 0.7)]])
    own = proposed_nearest(nearest, VECTORS, begin=10)
    assert [own.left.tolist(), own.right.tolist(), own.ranks.tolist()] == [[10, 10, 12], [4, 2, 1], [0, 1, 0]]
    turned = proposed_nearest(nearest, VECTORS, turned=True)
    assert [turned.left.tolist(), turned.right.tolist(), turned.ranks.tolist()] == [[4, 2, 1], [0, 0, 2], [0, 1, 0]]
    assert turned.of(2, 5).left.tolist() == [4, 2]


def test_scored_pairs_are_ranked_by_their_better_side() -> None:
    left, right, scores = np.array([0, 0, 1, 1]), np.array([5, 6, 5, 7]), np.array([0.9, 0.2, 0.5, 0.6])
    found = proposed_scored(left, right, scores, STRUCTURE)
    assert found.ranks.tolist() == [0, 0, 1, 0]


@settings(max_examples=100, deadline=None)
@given(
    left=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["", "a", "A ", " b", "b", "c  c", "C c"])), max_size=15
    ),
    right=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "a", "B", "c c", "d"])), max_size=15),
    most=st.integers(1, 4),
)
def test_equal_values_propose_pairs_unless_many_have_them(
    left: list[tuple[int, str]], right: list[tuple[int, str]], most: int
) -> None:
    sides = [(np.array([row for row, _ in side], np.int64), [text for _, text in side]) for side in (left, right)]
    found = proposed_equal(sides[0], sides[1], most=most)
    plain = [{(row, " ".join(text.casefold().split())) for row, text in side} for side in (left, right)]
    expected = {
        (one, other)
        for one, text in plain[0]
        for other, same in plain[1]
        if text == same != "" and max(sum(value == text for _, value in side) for side in plain) <= most
    }
    assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected


def test_known_pairs_count_as_found_without_their_link_alone() -> None:
    found = Candidates(
        np.array([0, 0, 1], np.uint32), np.array([1, 2, 3], np.uint32), np.zeros(3, np.float32), np.array([9, 8, 1])
    )
    positives = np.array([[0, 1], [0, 2], [1, 3], [1, 0]])
    assert found_positives(found, positives, rights=4).tolist() == [True, False, True, False]
    assert recalls({"b": (1, 4), "a": (1, 1), "none": (0, 0)}) == {"a": 1.0, "b": 0.25}


def test_parameters_out_of_range_are_refused() -> None:
    for options in ({"candidates": 0}, {"most_equal": 0}, {"shared": -1}, {"most_neighbors": 0}):
        with pytest.raises(ValueError, match="blocking: expected candidates"):
            BlockingParams(**options)
