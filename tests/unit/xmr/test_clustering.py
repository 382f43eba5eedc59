"""Label trees: shapes, balance, subtrees, and what they group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.xmr.clustering import (
    CLUSTERINGS,
    ClusterParams,
    balanced_assignment,
    cluster_labels,
    split_subtree,
    tree_of_leaves,
)
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree, TreeError, merged_tree
from tests.unit.xmr.worlds import topic_problem


@pytest.mark.parametrize(
    ("labels", "branching", "widths"),
    [
        (3956, 2, [2, 4, 8, 16, 32, 64, 3956]),
        (3956, 8, [8, 64, 3956]),
        (3956, 16, [4, 64, 3956]),
        (3956, 32, [2, 64, 3956]),
        (60, 16, [60]),
        (101, 16, [2, 101]),
    ],
)
def test_shapes_are_those_of_pecos(labels: int, branching: int, widths: list[int]) -> None:
    features = checked_rows(sparse.random_array((labels, 40), density=0.1, rng=np.random.default_rng(0)), "features")
    tree = cluster_labels(features, ClusterParams(branching=branching, flat_labels=0))
    assert [len(parents) for parents in tree.parents] == widths


@settings(max_examples=30, deadline=None)
@given(
    labels=st.integers(2, 150),
    branching=st.integers(2, 5),
    leaf=st.integers(3, 40),
    seed=st.integers(0, 2**64 - 1),
    method=st.sampled_from(CLUSTERINGS),
)
def test_every_label_is_in_one_leaf_and_leaves_are_balanced(labels, branching, leaf, seed, method) -> None:
    rng = np.random.default_rng(labels)
    features = checked_rows(sparse.random_array((labels, 20), density=0.2, rng=rng), "features")
    params = ClusterParams(method, branching, leaf, flat_labels=0, max_iter=4, seed=seed)
    try:
        tree = cluster_labels(features, params)
    except TreeError as error:
        assert "raise max_leaf_size" in str(error)  # noqa: PT017
        return
    assert tree.labels == labels
    sizes = np.diff(tree.children(tree.depth - 1).start)
    assert sizes.max() <= leaf
    if method != "kmeans":
        assert sizes.max() - sizes.min() <= 1
    path = sparse.csr_array(np.ones((1, labels), np.float32))
    for level in range(tree.depth - 2, -1, -1):
        path = tree.lift(path, level)
        assert path.nnz == tree.width(level)  # no node without labels below
    again = cluster_labels(features, params)
    assert all(np.array_equal(a, b) for a, b in zip(tree.parents, again.parents, strict=True))


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_subtrees_computed_apart_make_the_same_tree(method) -> None:
    x, y = topic_problem(1, labels=90)
    features = embed_labels(x, y)
    params = ClusterParams(method, branching=3, max_leaf_size=8, flat_labels=0, seed=4)
    whole = cluster_labels(features, params)
    base, depth = (3 if method == "kmeans" else 2), params.splits(90)
    top, sizes = split_subtree(features, np.arange(90, dtype=np.uint32), params, depth=1)
    parts = [
        split_subtree(features, members, params, depth=depth - 1, level=1, position=place)
        for place, members in enumerate(np.split(top, np.cumsum(sizes)[:-1]))
    ]
    assert len(parts) == base
    joined = tree_of_leaves(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), params)
    assert all(np.array_equal(a, b) for a, b in zip(whole.parents, joined.parents, strict=True))


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_labels_of_a_topic_stay_together(method) -> None:
    x, y = topic_problem(2, rows=1500, labels=80, features=300)
    tree = cluster_labels(
        embed_labels(x, y), ClusterParams(method, branching=2, max_leaf_size=10, flat_labels=0, seed=1)
    )
    topic = np.arange(80) % 8
    same_leaf = tree.parents[-1][:, None] == tree.parents[-1][None]
    same_topic = topic[:, None] == topic[None]
    others = ~np.eye(80, dtype=bool)
    together = (same_leaf & same_topic & others).sum() / (same_leaf & others).sum()
    assert together > 2 * same_topic[others].mean()


@given(seed=st.integers(0, 1000), rows=st.integers(1, 30), parts=st.integers(1, 5))
def test_balanced_assignment_fills_parts_to_their_room(seed: int, rows: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    room = np.full(parts, rows // parts)
    room[: rows % parts] += 1
    sides = balanced_assignment(rng.integers(0, 3, (rows, parts)).astype(np.float32), room)
    assert np.array_equal(np.bincount(sides, minlength=parts), room)


def test_few_labels_get_no_tree() -> None:
    x, y = topic_problem(3)
    features = embed_labels(x, y)
    assert cluster_labels(features).depth == 1
    assert cluster_labels(features, ClusterParams(max_leaf_size=20, flat_labels=60)).depth == 1
    assert cluster_labels(features, ClusterParams(max_leaf_size=20, flat_labels=59)).depth == 2


def test_trees_are_checked() -> None:
    with pytest.raises(TreeError, match="at least one level"):
        LabelTree(())
    with pytest.raises(TreeError, match="tree level 1: expected parents of 0 to 1"):
        LabelTree((np.zeros(2, np.int32), np.array([0, 2], np.int32)))
    tree = merged_tree(np.array([1, 0, 3, 2, 1], np.int32), 4, 2)
    assert [level.tolist() for level in tree.parents] == [[0, 0], [0, 0, 1, 1], [1, 0, 3, 2, 1]]
    assert tree.children(2).of(1).tolist() == [0, 4]
    targets = tree.targets(sparse.csr_array(np.array([[1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], np.float32)))
    assert targets[1].toarray().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]
    assert targets[0].toarray().tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "x"}, "method: expected one of"),
        ({"branching": 1}, "branching: expected at least 2"),
        ({"seed": -1}, "seed:"),
    ],
)
def test_settings_are_checked(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterParams(**options)
