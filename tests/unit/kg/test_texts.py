"""Texts of entities and of what is around them, and the types that are paired."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.texts import entity_texts, neighbor_texts
from fingerpost.tasks.kg.types import aligned_types, type_numbers
from tests.unit.kg.test_neighborhoods import random_graph


def test_a_text_has_the_name_and_each_value_once() -> None:
    owners = np.array([0, 0, 0, 2, 2], np.uint32)
    values = ["red", "kettle", "red", "", "12"]
    assert entity_texts(["kettle", "", "knife"], owners, values) == ["kettle red", "", "knife 12"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), most=st.integers(0, 6), begin=st.integers(0, 80), size=st.integers(0, 80))
def test_neighbours_of_rare_relations_and_few_neighbours_come_first(
    seed: int, most: int, begin: int, size: int
) -> None:
    graph, end = random_graph(seed), min(begin + size, 80)
    begin = min(begin, end)
    names = [f"n{node % 60}" if node % 7 else "" for node in range(80)]
    found = neighbor_texts(graph, names, begin, end, most=most)
    assert len(found) == end - begin
    for node in range(begin, end):
        kinds, neighbors = graph.neighbors_of(node)
        sharing = {kind: int((kinds == kind).sum()) for kind in kinds.tolist()}
        order = sorted(
            (sharing[kind], int(graph.degrees[other]), other)
            for kind, other in zip(kinds.tolist(), neighbors.tolist(), strict=True)
        )
        expected = list(dict.fromkeys(names[other] for _, _, other in order if names[other]))[:most]
        assert found[node - begin].split() == expected


def test_types_are_those_chosen_or_known_or_common() -> None:
    left, right = ["a", "a", "b", "c"], ["a", "b", "b", "d"]
    none = np.zeros((0, 2), np.int64)
    assert aligned_types(left, right, none) == ["a", "b"]
    assert aligned_types(left, right, np.array([[2, 1]])) == ["b"]
    assert aligned_types(left, right, np.array([[2, 1]]), chosen=["a"]) == ["a"]
    # A pair of two types says nothing.
    assert aligned_types(left, right, np.array([[0, 1]])) == ["a", "b"]
    assert type_numbers(left, ["a", "b"]).tolist() == [0, 0, 1, -1]


def test_types_that_a_side_lacks_are_refused() -> None:
    none = np.zeros((0, 2), np.int64)
    with pytest.raises(ValueError, match=r"types: expected some that both graphs have \(a\), got c, z"):
        aligned_types(["a", "c"], ["a", "d"], none, chosen=["z", "c"])
    with pytest.raises(ValueError, match="types: expected at least one that both graphs have, got c and d"):
        aligned_types(["c"], ["d"], none)
