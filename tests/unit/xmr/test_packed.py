"""A ranker as arrays by place, and the checks of what its kernel follows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fingerpost.tasks.xmr.label_blocks import block_arrays, tree_arrays
from fingerpost.tasks.xmr.model import ChunkBlock, ModelError, join_chunks
from fingerpost.tasks.xmr.packed import check_chunks, named_arrays, packed_model, placed_arrays
from fingerpost.tasks.xmr.ranking import Ranker
from fingerpost.tasks.xmr.tree import LabelTree

TREE = LabelTree((np.array([0, 0], np.int32), np.array([0, 0, 1], np.int32)))


def chunk(features: list[int], children: int) -> Any:
    """A weight for every feature and child."""
    start = np.arange(len(features) + 1) * children
    columns = np.tile(np.arange(children), len(features)).astype(np.uint8)
    values = np.linspace(0.1, 1.0, len(columns)).astype(np.float32)
    return np.array(features, np.uint32), start.astype(np.uint32), columns, values, np.zeros(children, np.float32)


TOP = join_chunks(np.array([0], np.uint32), [chunk([0, 2], 2)], [np.array([0, 1], np.uint32)])
BELOW = join_chunks(
    np.array([0, 1], np.uint32),
    [chunk([1, 3], 2), chunk([0], 1)],
    [np.array([0, 1], np.uint32), np.array([2], np.uint32)],
)


def test_arrays_have_names_that_tell_their_places() -> None:
    places = {(0, 3): {"values": np.arange(2)}, (0, 12): {"values": np.arange(3)}, (1,): {"level_00": np.arange(1)}}
    named = named_arrays(places)
    assert sorted(named) == ["00000/00003/values", "00000/00012/values", "00001/level_00"]
    found = placed_arrays(named)
    assert list(found) == [(0, 3), (0, 12), (1,)]
    assert found[(0, 12)]["values"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        placed_arrays({"weights/values": np.arange(1)})


def test_a_model_of_arrays_ranks() -> None:
    weights = {(0, 0): block_arrays(TOP, 0), (0, 1): block_arrays(BELOW, 1)}
    model = packed_model(tree_arrays(TREE), weights, features=4, normalised=False)
    ids, _ = Ranker(model).rank_row(np.array([0, 3], np.int32), np.ones(2, np.float32), 3)
    assert sorted(ids.tolist()) == [0, 1, 2]
    with pytest.raises(ModelError, match="expected a level below 2, got 2"):
        packed_model(tree_arrays(TREE), {(0, 0): block_arrays(TOP, 2)}, features=4, normalised=False)
    with pytest.raises(KeyError):
        packed_model(tree_arrays(TREE), {(0, 0): {"level": np.array(0)}}, features=4, normalised=False)


def changed(name: str, place: int, value: int) -> ChunkBlock:
    """The lower block with another number in an array."""
    array = getattr(BELOW, name).copy()
    array[place] = value
    return replace(BELOW, **{name: array})


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("features", 1, 4),  # beyond the features
        ("features", 1, 1),  # twice
        ("columns", 1, 2),  # beyond the children of its chunk
        ("columns", 4, 1),
        ("start", 1, 9),  # beyond the entries of its chunk
        ("start", 0, 1),
        ("start", 2, 3),
        ("ids", 0, 3),  # beyond the nodes of the level
        ("parents", 1, 2),
        ("feature_start", 1, 5),  # beyond the next
        ("entry_start", 1, 6),
        ("child_start", 0, 1),
    ],
)
def test_numbers_that_lead_outside_are_refused(name: str, place: int, value: int) -> None:
    check_chunks(BELOW, features=4, nodes=3, parents=2)
    with pytest.raises(ModelError, match="expected"):
        check_chunks(changed(name, place, value), features=4, nodes=3, parents=2)


def test_a_block_without_entries_is_one() -> None:
    empty = join_chunks(np.array([0], np.uint32), [chunk([], 2)], [np.array([0, 1], np.uint32)])
    check_chunks(empty, features=4, nodes=2, parents=1)
