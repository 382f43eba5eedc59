"""Ids of clusters: kept where the members stay, never from the order of rows, and every change in the history once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.cluster_ids import EVENTS, content_ids, history, kept_clusters, overlaps
from tests.oracles import kept_by_overlap

#: No ids of other clusters.
NONE = np.empty(0, dtype=np.uint64)


def versions(now: list[int], before: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(now, dtype=np.int64), np.array(before, dtype=np.int64), np.arange(len(now))


def events_of(now: list[int], before: list[int], sizes: list[int]) -> list[tuple[str, int, int, int]]:
    found = overlaps(*versions(now, before))
    kept = kept_clusters(found, max(now) + 1)
    log = history(found, kept, np.array(sizes))
    columns = (log.events, log.before, log.now, log.members)
    return [(EVENTS[event], *rest) for event, *rest in zip(*(column.tolist() for column in columns), strict=True)]


def test_the_largest_overlap_keeps_the_id_and_of_equal_ones_that_with_the_first_member() -> None:
    now, before, order = versions([0, 0, 1, 1, 1, 2, 2, 3], [5, 5, 5, 5, 5, 6, 7, -1])
    assert kept_clusters(overlaps(now, before, order), 4).tolist() == [-1, 5, 6, -1]
    assert kept_clusters(overlaps(now, before, order[::-1].copy()), 4).tolist() == [-1, 5, 7, -1]


def test_each_change_is_one_event() -> None:
    assert events_of([0, 0, 1], [0, 0, -1], [2]) == [("new", -1, 1, 0)]
    assert events_of([0, 0], [0, 0], [2, 3]) == [("gone", 1, -1, 3)]
    assert events_of([0, 0, 0], [0, 0, 1], [2, 1]) == [("merged", 1, 0, 1)]
    assert events_of([0, 0, 1], [0, 0, 0], [3]) == [("split", 0, 1, 1)]
    assert events_of([0, 0, 1, 1, 1], [0, 0, 0, 1, 1], [3, 2]) == [("moved", 0, 1, 1)]
    assert events_of([0, 1], [0, 1], [1, 1]) == []


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    count = draw(st.integers(1, 14))
    now = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    before = draw(st.lists(st.integers(-1, 5), min_size=count, max_size=count))
    return np.unique(now, return_inverse=True)[1].tolist(), before


@settings(max_examples=200, deadline=None)
@given(two_versions(), st.randoms(use_true_random=False))
def test_what_is_kept_is_that_of_the_slow_version_in_any_order_of_rows(world, random) -> None:
    now, before = world
    place = list(range(len(now)))
    random.shuffle(place)
    expected = kept_by_overlap(now, before)
    for rows in (list(range(len(now))), place):
        found = overlaps(np.array(now)[rows], np.array(before)[rows], np.array(rows))
        kept = kept_clusters(found, max(now) + 1)
        assert {i: k for i, k in enumerate(kept.tolist()) if k >= 0} == expected


@settings(max_examples=200, deadline=None)
@given(two_versions())
def test_every_member_with_another_id_is_in_one_event_and_untouched_clusters_are_in_none(world) -> None:
    now, before = world
    sizes = [before.count(cluster) for cluster in range(6)]
    found = overlaps(*versions(now, before))
    kept = kept_clusters(found, max(now) + 1)
    log = events_of(now, before, sizes)
    passed = [event for event in log if event[0] in {"merged", "split", "moved"}]
    changed = sum(b >= 0 and kept[n] != b for n, b in zip(now, before, strict=True))
    assert sum(members for *_, members in passed) == changed
    assert len({(b, n) for _, b, n, _ in passed}) == len(passed)
    for cluster in set(now):
        members = {i for i, n in enumerate(now) if n == cluster}
        same = {before[i] for i in members}
        if len(same) == 1 and (b := same.pop()) >= 0 and members == {i for i, x in enumerate(before) if x == b}:
            assert kept[cluster] == b
            assert all(b != event[1] and cluster != event[2] for event in log)
    assert {n for event, _, n, _ in log if event == "new"} == {
        n for n in set(now) if all(b < 0 for m, b in zip(now, before, strict=True) if m == n)
    }


def test_new_ids_come_from_the_first_member_and_are_never_those_of_others() -> None:
    keys, sides, order = ["a", "b", "a"], ["left", "left", "right"], np.arange(3)
    ids = content_ids(keys, sides, order, NONE)
    assert len(set(ids.tolist())) == 3
    turned = content_ids(keys[::-1], sides[::-1], order[::-1].copy(), NONE)
    assert turned.tolist() == ids[::-1].tolist()
    others = content_ids(keys, sides, order, ids[:1])
    assert others[0] not in ids
    assert others[1:].tolist() == ids[1:].tolist()


def test_two_members_with_one_digest_have_two_ids(monkeypatch) -> None:
    from fingerpost.tasks.kg import cluster_ids

    digests = {("a", 0): 7, ("b", 0): 7, ("b", 1): 9, ("b", 2): 4}
    monkeypatch.setattr(cluster_ids, "_digest", lambda side, key, attempt: digests[key, attempt])
    for rows in ([0, 1], [1, 0]):
        keys = [["a", "b"][row] for row in rows]
        ids = content_ids(keys, ["left"] * 2, np.array(rows), np.array([9], dtype=np.uint64))
        assert dict(zip(keys, ids.tolist(), strict=True)) == {"a": 7, "b": 4}
