"""What changed between two versions of a graph: all that a score sees, in any order of rows, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.changes import ChangeParams, Changes, CodedGraph, carried_pairs, changes_between
from tests.oracles import said_of

#: Any other neighbour is a change.
ANY = ChangeParams(neighbors=0.0)
#: Entities by key: type, name and attributes; and relations between keys.
World = tuple[dict[int, tuple[int, int, list[tuple[int, int]]]], list[tuple[int, int, int]]]


def graph_of(world: World, rows: list[int] | None = None) -> CodedGraph:
    """The graph of a world, its entities in an order of rows."""
    entities, relations = world
    keys = sorted(entities) if rows is None else [sorted(entities)[row] for row in rows]
    row = {key: place for place, key in enumerate(keys)}
    attributes = [(row[key], *said) for key in keys for said in entities[key][2]]
    return CodedGraph(
        np.array(keys, dtype=np.int64),
        np.array([entities[key][0] for key in keys], dtype=np.int64),
        np.array([entities[key][1] for key in keys], dtype=np.int64),
        np.array(attributes[::-1] if rows else attributes, dtype=np.int64).reshape(-1, 3),
        np.array([(row[h], kind, row[t]) for h, kind, t in relations], dtype=np.int64).reshape(-1, 3),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    keys = draw(st.lists(st.integers(0, 7), unique=True, max_size=7))
    small = st.integers(0, 1)
    pairs = st.lists(st.tuples(small, small), unique=True, max_size=3)
    entities = {key: (draw(small), draw(small), draw(pairs)) for key in keys}
    edges = st.tuples(st.sampled_from(keys), small, st.sampled_from(keys)) if keys else st.nothing()
    return entities, draw(st.lists(edges, unique=True, max_size=6)) if keys else []


@settings(max_examples=300, deadline=None)
@given(worlds(), worlds(), st.randoms(use_true_random=False))
def test_changed_is_what_something_else_is_said_of_in_any_order_of_rows(before, now, random) -> None:
    rows = list(range(len(now[0])))
    random.shuffle(rows)
    found = changes_between(graph_of(before), graph_of(now, rows), ANY)
    keys, then = [sorted(now[0])[row] for row in rows], sorted(before[0])
    for key, origin, changed in zip(keys, found.origin.tolist(), found.changed.tolist(), strict=True):
        assert origin == (then.index(key) if key in then else -1)
        assert changed == (key not in then or said_of(before, key) != said_of(now, key))
    assert [keys[row] if row >= 0 else None for row in found.becomes.tolist()] == [
        key if key in keys else None for key in then
    ]
    assert (found.new, found.gone) == (len(set(keys) - set(then)), len(set(then) - set(keys)))


def test_what_a_score_sees_is_a_change_and_a_neighbours_attribute_is_none() -> None:
    base: World = ({1: (0, 0, [(3, 4)]), 2: (0, 5, []), 3: (0, 6, []), 4: (0, 7, [])}, [(1, 0, 2), (3, 0, 4)])

    def changed(change) -> set[int]:
        world = ({key: (*rest, list(said)) for key, (*rest, said) in base[0].items()}, list(base[1]))
        change(world)
        found = changes_between(graph_of(base), graph_of(world), ANY)
        return {key for key, is_changed in zip(sorted(world[0]), found.changed.tolist(), strict=True) if is_changed}

    assert changed(lambda world: None) == set()
    assert changed(lambda world: world[0][1][2].append((3, 9))) == {1}
    assert changed(lambda world: world[0].update({2: (0, 9, [])})) == {1, 2}  # its name is part of what 1 is
    assert changed(lambda world: world[0].update({2: (1, 5, [])})) == {2}
    assert changed(lambda world: world[1].append((2, 1, 3))) == {2, 3}
    assert changed(lambda world: world[1].__setitem__(0, (2, 0, 1))) == {1, 2}  # the direction counts
    assert changed(lambda world: world[0].update({9: (0, 0, [])})) == {9}


def test_few_other_neighbours_among_many_are_no_change() -> None:
    entities = {key: (0, key, []) for key in range(8)}
    relations = [(0, 0, key) for key in range(1, 7)]

    def changed(now, share: float) -> set[int]:
        found = changes_between(graph_of((entities, relations)), graph_of(now), ChangeParams(neighbors=share))
        return set(np.flatnonzero(found.changed).tolist())

    renamed = {**entities, 1: (0, 99, [])}, relations
    assert changed(renamed, 0.0) == {0, 1}
    assert changed(renamed, 0.1) == {0, 1}
    assert changed(renamed, 1 / 6) == {1}
    more = entities, [*relations, (0, 0, 7)]
    assert changed(more, 1 / 7) == {7}
    assert changed(more, 0.1) == {0, 7}
    assert changed((entities, relations[:4]), 1 / 3) == {5, 6}
    assert changed((entities, relations[:4]), 0.3) == {0, 5, 6}
    with pytest.raises(ValueError, match="share of neighbors"):
        ChangeParams(neighbors=1.5)


def test_the_share_counts_what_is_gone_as_well() -> None:
    found = Changes(np.array([0, 2, -1]), np.array([0, -1, 1, -1]), np.array([False, True, True]))
    assert (found.new, found.gone, found.share) == (1, 2, 1.0)
    assert Changes(np.array([-1]), np.empty(0, np.int64), np.array([True])).share == 1.0


@pytest.mark.parametrize("within", [False, True])
def test_pairs_of_unchanged_entities_are_carried_to_their_rows_now(within: bool) -> None:
    side = Changes(np.array([3, 1, 0, 2]), np.array([2, 1, 3, 0, -1]), np.array([False, True, False, False]))
    left, right = np.array([0, 0, 1, 2, 3]), np.array([2, 3, 2, 4, 0])
    places, ours, theirs = carried_pairs(left, right, (side, side), within=within)
    carried = list(zip(places.tolist(), ours.tolist(), theirs.tolist(), strict=True))
    # 1 is changed and 4 is gone.
    expected = {False: [(4, 0, 2), (1, 2, 0), (0, 2, 3)], True: [(1, 0, 2), (4, 0, 2), (0, 2, 3)]}
    assert carried == expected[within]
