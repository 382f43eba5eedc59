"""Counts of followers, and their blend with the ranker, against formulas written out."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.baselines import following, popular, popular_many
from fingerpost.tasks.autocomplete.blend import Blend, BlendParams
from fingerpost.tasks.autocomplete.followers import count_followers, follower_arrays
from fingerpost.tasks.autocomplete.trie import build_trie

KEYS = ["ab", "abc", "b", "ba", "bb", "c"]
N = len(KEYS)
PAIRS = st.lists(
    st.tuples(
        st.integers(-1, N - 1), st.integers(-1, N - 1), st.integers(-1, N - 1), st.sampled_from([0.25, 1.0, 2.0])
    ),
    max_size=30,
)


class World:
    """Counts of pairs (one before, the query before that, next, weight), by dictionaries."""

    def __init__(self, pairs: list[tuple[int, int, int, float]], params: BlendParams = BlendParams()) -> None:
        self.pairs, self.params = pairs, params
        self.popularity = np.array([5, 1, 0, 2, 7, 3], dtype=np.float32)
        columns = [np.array([pair[i] for pair in pairs], dtype=np.int32) for i in range(3)]
        weights = np.array([pair[3] for pair in pairs], dtype=np.float32)
        found = [count_followers(columns[i], columns[2], weights, N) for i in range(2)]
        self.blend = Blend(follower_arrays(KEYS, self.popularity, found), params)
        self.trie = build_trie(KEYS, self.popularity)

    def counts(self, distance: int, row: int) -> Counter[int]:
        found: Counter[int] = Counter()
        for pair in self.pairs:
            if pair[distance] == row and pair[2] >= 0:
                found[pair[2]] += pair[3]  # type: ignore[assignment]
        return found

    def probability(self, previous: list[str], row: int) -> float:
        value = float(self.popularity[row]) / float(self.popularity.sum())
        for distance in range(min(len(previous), self.params.distances) - 1, -1, -1):
            if previous[distance] not in KEYS:
                continue
            counts = self.counts(distance, KEYS.index(previous[distance]))
            if total := sum(counts.values()):
                held = sum(min(count, self.params.discount) for count in counts.values())
                value = (max(counts[row] - self.params.discount, 0) + held * value) / total
        return value


PREVIOUS = st.lists(st.sampled_from([*KEYS, "unknown"]), max_size=3)


@settings(max_examples=100, deadline=None)
@given(pairs=PAIRS, previous=PREVIOUS, distances=st.integers(0, 2))
def test_probabilities_by_counts(pairs: list[tuple[int, int, int, float]], previous: list[str], distances: int) -> None:
    params = BlendParams(ranker=0.0, counts=1.0, copies=(0.0, 0.0), distances=distances)
    world = World(pairs, params)
    rows, nothing = np.arange(N, dtype=np.uint32), np.full(N, -np.inf, dtype=np.float32)
    scores = world.blend.scores(previous, rows, nothing)
    expected = [math.log(world.probability(previous, row) + 1e-9) for row in range(N)]
    if previous and previous[0] in KEYS:
        expected[KEYS.index(previous[0])] -= 9
    assert scores == pytest.approx(expected, abs=1e-4)
    total = sum(world.probability(previous, row) for row in range(N))
    assert total == pytest.approx(1, abs=1e-5)


def test_the_ranker_is_added_and_what_it_did_not_list_counts_as_its_last() -> None:
    world = World([], BlendParams(ranker=2.0, counts=0.0))
    ranker = np.array([-1.0, -3.0, -np.inf], dtype=np.float32)
    rows = np.array([0, 1, 2], dtype=np.uint32)
    assert world.blend.scores([], rows, ranker).tolist() == [-2, -6, -6]
    assert world.blend.scores([], rows, np.full(3, -np.inf, np.float32)).tolist() == [0, 0, 0]


def test_queries_of_the_session_come_back_but_not_at_once() -> None:
    world = World([], BlendParams(counts=0.0, copies=(2.0, 1.5)))
    rows = np.arange(N, dtype=np.uint32)
    scores = world.blend.scores(["ab", "c", "bb"], rows, np.zeros(N, np.float32))
    assert scores.tolist() == [-9, 0, 0, 0, 1.5, 2]


@settings(max_examples=100, deadline=None)
@given(pairs=PAIRS, previous=PREVIOUS, low=st.integers(0, N - 1), size=st.integers(1, N), k=st.integers(1, 8))
def test_candidates_followed(
    pairs: list[tuple[int, int, int, float]], previous: list[str], low: int, size: int, k: int
) -> None:
    world, high = World(pairs), min(low + size, N)
    expected: list[int] = []
    for distance, key in enumerate(previous[:2]):
        if key in KEYS:
            counts = world.counts(distance, KEYS.index(key))
            inside = [row for row in sorted(counts) if low <= row < high]
            expected += sorted(inside, key=lambda row: -counts[row])[:k]
    expected += [KEYS.index(key) for key in previous[1:] if key in KEYS and low <= KEYS.index(key) < high]
    one = (np.array([low], np.uint32), np.array([high], np.uint32))
    found = world.blend.candidates(previous, one, k)
    assert found.tolist() == list(dict.fromkeys(expected))[:k]
    assert found.dtype == np.uint32
    # The same range in two parts.
    middle = (low + high) // 2
    if low < middle < high:
        parts = (np.array([low, middle], np.uint32), np.array([middle, high], np.uint32))
        assert world.blend.candidates(previous, parts, k).tolist() == found.tolist()


def test_nothing_is_followed_outside_the_ranges() -> None:
    world, none = World([(0, 1, 2, 1.0)]), np.empty(0, np.uint32)
    assert world.blend.candidates(["ab", "abc"], (none, none), 5).tolist() == []
    assert world.blend.followers("ab", (none, none))[0].tolist() == []


def test_counts_for_an_explanation() -> None:
    world = World([(0, 1, 2, 1.0), (0, 1, 2, 0.25), (0, -1, 3, 1.0), (1, 1, 4, 1.0)])
    rows = np.array([2, 3, 4], dtype=np.uint32)
    assert world.blend.followed(["ab"], rows).tolist() == [1.25, 1, 0]
    assert world.blend.followed(["c", "ab"], rows).tolist() == [0, 0, 0]
    assert world.blend.followed([], rows).tolist() == world.blend.followed(["unknown"], rows).tolist() == [0, 0, 0]
    assert world.blend.popularity(rows).tolist() == [0, 2, 7]
    assert [world.blend.row_of(key) for key in [*KEYS, "", "abd"]] == [0, 1, 2, 3, 4, 5, -1, -1]


def test_an_empty_completer_has_no_rows() -> None:
    empty = count_followers(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32), 0)
    blend = Blend(follower_arrays([], np.empty(0, np.float32), [empty, empty]))
    none = np.empty(0, np.uint32)
    assert blend.row_of("a") == -1
    assert blend.candidates(["a"], (none, none), 3).tolist() == []
    assert blend.scores(["a"], none, np.empty(0, np.float32)).tolist() == []


def test_pairs_without_weight_or_suggestion_do_not_count() -> None:
    found = count_followers(
        np.array([0, -1, 0, 0], np.int32), np.array([1, 1, -1, 2], np.int32), np.array([1, 1, 1, 0], np.float32), 3
    )
    assert found.start.tolist() == [0, 1, 1, 1]
    assert found.rows.tolist() == [1]
    assert found.counts.tolist() == [1]


def test_most_popular_completions_back_off_to_shorter_prefixes() -> None:
    world = World([])
    assert popular(world.trie, "", 3).tolist() == [4, 0, 5]
    assert popular(world.trie, "ab", 4).tolist() == [0, 1, 4, 5]
    assert popular(world.trie, "abx", 2).tolist() == [0, 1]
    assert [rows.tolist() for rows in popular_many(world.trie, ["b", "x", "b"], 1)] == [[4], [4], [4]]


def test_bigrams_back_off_to_popularity() -> None:
    world = World([(0, -1, 3, 2.0), (0, -1, 2, 1.0), (0, -1, 5, 9.0), (0, -1, 4, 1.0)])
    # By count, then by popularity; then the popular ones that did not follow.
    assert following(world.blend, world.trie, "ab", "b", 10).tolist()[:3] == [3, 4, 2]
    assert following(world.blend, world.trie, "ab", "", 10).tolist() == [5, 3, 4, 2, 0, 1]
    assert following(world.blend, world.trie, "unknown", "b", 2).tolist() == popular(world.trie, "b", 2).tolist()
    assert following(world.blend, world.trie, "ab", "", 2).tolist() == [5, 3]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ranker": -1.0}, "ranker: expected a number of at least 0"),
        ({"counts": math.inf}, "counts: expected a number"),
        ({"discount": 0.0}, "discount: expected above 0"),
        ({"distances": 3}, "distances: expected 0 to 2"),
        ({"copies": (1.0,)}, "copies: expected two numbers"),
        ({"copies": (1.0, math.nan)}, "copies: expected two numbers"),
    ],
)
def test_wrong_parameters(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlendParams(**wrong)  # type: ignore[arg-type]
