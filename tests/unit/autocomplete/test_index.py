"""Trees over suggestions: what every one of them must be, and what each method promises."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.autocomplete.index import (
    INDEX_METHODS,
    IndexMethod,
    IndexParams,
    tree_of_partitions,
    tree_of_suggestions,
    trie_partitions,
    upper_partitions,
)
from fingerpost.tasks.autocomplete.must_link import super_points, weighted_halves
from fingerpost.tasks.xmr.clustering import cluster_labels
from fingerpost.tasks.xmr.memory import ProblemShape
from fingerpost.tasks.xmr.training import TrainingParams
from fingerpost.tasks.xmr.tree import LabelTree, TreeError
from tests.support.rankers import train_ranker
from tests.unit.xmr.worlds import topic_problem

#: Few letters, so that many keys begin alike; one of two code points, one beyond the first plane.
KEYS = st.sets(st.text("ab中é\u0301\U0001f600 ", min_size=1, max_size=7), min_size=1, max_size=60).map(sorted)
PARAMS = st.builds(
    IndexParams,
    method=st.sampled_from(INDEX_METHODS),
    depth=st.integers(1, 8),
    max_children=st.integers(2, 5),
    max_leaf_size=st.integers(2, 6),
    branching=st.sampled_from([2, 3, 16]),
)


def features_of(keys: list[str], seed: int = 0) -> sparse.csr_array:
    """Features with something of the key's first characters."""
    rng = np.random.default_rng(seed)
    rows = rng.random((len(keys), 12)).astype(np.float32) * (rng.random((len(keys), 12)) < 0.3)
    for row, key in enumerate(keys):
        rows[row, ord(key[0]) % 12] += 1
    return sparse.csr_array(rows)


def paths(tree: LabelTree) -> list[np.ndarray]:
    """The node of each label on every level, from the top."""
    nodes = [np.arange(tree.labels)]
    for parents in reversed(tree.parents):
        nodes.insert(0, parents[nodes[0]])
    return nodes[1:]


@settings(max_examples=150, deadline=None)
@given(keys=KEYS, params=PARAMS)
def test_a_tree_is_a_tree(keys: list[str], params: IndexParams) -> None:
    tree = tree_of_suggestions(keys, features_of(keys), params)
    assert tree.labels == len(keys)
    ones = sparse.csr_array(np.ones((1, 1)))
    for level in range(tree.depth):
        width = tree.width(level)
        assert len(np.unique(tree.parents[level])) == tree.width(level - 1)  # no node without labels below
        assert width > tree.width(level - 1) or len(keys) == 1  # no level of nothing but chain nodes
        up = sparse.csr_array((np.ones(width), (np.arange(width), tree.parents[level])), (width, tree.width(level - 1)))
        ones = up @ ones
    assert np.array_equal(ones.toarray(), np.ones((len(keys), 1)))
    leaves = np.diff(tree.children(tree.depth - 1).start)
    # Where a node of the trie is not split further, what is below it need not be.
    most = max(params.max_leaf_size, params.max_children if params.method in ("trie", "hybrid") else params.branching)
    assert leaves.max() <= most
    again = tree_of_suggestions(keys, features_of(keys), params)
    assert all(np.array_equal(one, other) for one, other in zip(tree.parents, again.parents, strict=True))


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, depth=st.integers(1, 9))
def test_a_part_of_a_trie_is_the_keys_that_begin_alike(keys: list[str], depth: int) -> None:
    for length, partition in enumerate(trie_partitions(keys, depth), start=1):
        parts = defaultdict(set)
        for key, part in zip(keys, partition.tolist(), strict=True):
            parts[part].add(key[:length])
        assert sorted(parts) == list(range(len(parts)))
        assert all(len(beginnings) == 1 for beginnings in parts.values())
        assert len(parts) == len({key[:length] for key in keys})


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, depth=st.integers(1, 4), method=st.sampled_from(["trie", "hybrid"]), most=st.integers(2, 4))
def test_the_levels_of_a_trie_are_levels_of_the_tree(
    keys: list[str], depth: int, method: IndexMethod, most: int
) -> None:
    params = IndexParams(method, depth, max_children=most, max_leaf_size=most)
    tree = tree_of_suggestions(keys, features_of(keys), params)
    nodes = [tuple(level.tolist()) for level in paths(tree)]
    for partition in trie_partitions(keys, depth):
        assert partition.max() == 0 or tuple(partition.tolist()) in nodes
    for level, children in enumerate(np.bincount(parents).max() for parents in tree.parents):
        assert children <= max(most, 16 if method == "hybrid" else 0), level
    if method == "trie":
        assert all((np.diff(level) >= 0).all() for level in nodes)


def test_a_trie_has_chains_where_keys_end() -> None:
    keys = ["a", "aa", "aab", "b", "bcd"]
    tree = tree_of_suggestions(keys, None, IndexParams("trie", depth=3))
    assert [level.tolist() for level in tree.parents] == [[0, 0], [0, 0, 1, 1], [0, 1, 1, 2, 3]]
    assert [tree.chained(level).tolist() for level in range(3)] == [[False], [False] * 2, [True, False, True, True]]
    assert tree.figures() == {"depth": 3, "widths": [2, 4, 5], "largest_leaf": 2, "chain_nodes": [0, 0, 3]}


def test_a_common_beginning_costs_no_level() -> None:
    tree = tree_of_suggestions(["numpy.ones", "numpy.zeros"], None, IndexParams("trie", depth=16))
    assert [level.tolist() for level in tree.parents] == [[0, 0]]
    assert tree_of_suggestions(["numpy"], None, IndexParams("trie")).parents[0].tolist() == [0]


def test_thousands_of_first_characters_are_reached_by_groups() -> None:
    rng = np.random.default_rng(0)
    keys = sorted({chr(0x4E00 + one) + chr(0x4E00 + other) for one, other in rng.integers(0, 6000, (12_000, 2))})
    tree = tree_of_suggestions(keys, None, IndexParams("trie", depth=2))
    firsts = len({key[0] for key in keys})
    assert 64**2 < firsts < 18**3
    assert [tree.width(level) for level in range(tree.depth)] == [17, 288, firsts, len(keys)]
    sizes = [np.bincount(parents) for parents in tree.parents]
    assert [size.max() for size in sizes[:3]] == [17, 17, 18]
    assert all(size.min() >= 16 for size in sizes[:3])


def test_clusters_are_those_of_the_shared_tree() -> None:
    keys = [f"query {number:03d}" for number in range(300)]
    params = IndexParams("clusters", max_leaf_size=6, branching=4, seed=5)
    tree = tree_of_suggestions(keys, features_of(keys), params)
    shared = cluster_labels(features_of(keys), params.clusters)
    assert tree.depth == shared.depth == 4
    assert all(np.array_equal(one, other) for one, other in zip(tree.parents, shared.parents, strict=True))


def test_below_the_trie_a_hybrid_is_balanced_clusters() -> None:
    keys = sorted(
        f"{first}{number:03d}" for first, count in (("a", 90), ("b", 7), ("c", 300)) for number in range(count)
    )
    params = IndexParams("hybrid", depth=1, max_leaf_size=10, branching=8)
    tree = tree_of_suggestions(keys, features_of(keys), params)
    assert [tree.width(level) for level in range(tree.depth)] == [3, 2 + 1 + 4, 16 + 1 + 32, 397]
    leaves = np.diff(tree.children(tree.depth - 1).start)
    assert sorted(set(leaves[:16].tolist())) == [5, 6]
    assert leaves[16] == 7
    assert sorted(set(leaves[17:].tolist())) == [9, 10]


@settings(max_examples=40, deadline=None)
@given(keys=KEYS, depth=st.integers(1, 3), seed=st.integers(0, 100))
def test_linked_suggestions_are_split_last(keys: list[str], depth: int, seed: int) -> None:
    params = IndexParams("must_link", depth, max_leaf_size=4, branching=2, seed=seed)
    upper = upper_partitions(keys, features_of(keys), params)
    last = upper[-1]
    by_beginning, by_part = defaultdict(set), defaultdict(list)
    for key, part in zip(keys, last.tolist(), strict=True):
        by_beginning[key[:depth]].add(part)
        by_part[part].append(key)
    assert all(len(parts) == 1 for parts in by_beginning.values())
    # A part that is too large for a leaf has nothing that may be torn apart.
    assert all(len(part) <= 4 or len({key[:depth] for key in part}) == 1 for part in by_part.values())
    for above, below in pairwise(upper):
        assert all(len(np.unique(above[below == part])) == 1 for part in range(below.max() + 1))
        assert max(len(np.unique(below[above == part])) for part in range(above.max() + 1)) <= 2


def test_halves_have_equal_weight_and_hold_together() -> None:
    """Six points along two directions; the weights of each direction are equal."""
    rows = np.array([[1, 0.1], [1, 0], [0.9, 0], [0, 1], [0.1, 1], [0, 0.8]])
    weights = np.array([5, 1, 2, 4, 2, 2])
    sums = sparse.csr_array(rows * weights[:, None])
    for seed in range(5):
        halves = weighted_halves(sums, weights, max_iter=20, seed=[seed])
        assert halves.tolist() in ([False] * 3 + [True] * 3, [True] * 3 + [False] * 3)
    heavy = weighted_halves(sums, np.array([1, 1, 1, 1, 1, 100]), max_iter=20, seed=[0])
    assert 0 < heavy.sum() < 6
    assert weighted_halves(sparse.csr_array((2, 3)), np.array([1, 1]), max_iter=5, seed=[0]).sum() == 1


def test_super_points_are_sums() -> None:
    features = features_of(["a", "ab", "b"])
    sums, weights = super_points(features, np.array([0, 0, 1], np.int32))
    np.testing.assert_allclose(
        sums.toarray(), [features[[0]].toarray()[0] + features[[1]].toarray()[0], features[[2]].toarray()[0]]
    )
    assert weights.tolist() == [2, 1]


def test_chain_nodes_are_not_solved_and_the_others_as_ever() -> None:
    """With the true parents as negatives, a node's problem depends on its parent's rows alone."""
    x, y = topic_problem(3)
    keys = sorted(
        f"{'abc'[number % 3]}{'xy'[number % 2]}{number:02d}"[: 2 + number % 3] + f"{number:02d}" for number in range(60)
    )
    chained = tree_of_suggestions(keys, None, IndexParams("trie", depth=5, max_leaf_size=2))
    plain = LabelTree(chained.parents)
    model, whole = (train_ranker(x, y, tree, TrainingParams(negatives="tfn")).model for tree in (chained, plain))
    solved, nodes = 0, 0
    for level in range(chained.depth):
        passed = chained.chained(level)[chained.parents[level]]
        mine, all_of_them = model.weights(level).toarray(), whole.weights(level).toarray()
        assert np.array_equal(mine[:, ~passed], all_of_them[:, ~passed])
        assert np.array_equal(model.bias(level)[~passed], whole.bias(level)[~passed])
        assert not mine[:, passed].any()
        solved, nodes = solved + int((~passed).sum()), nodes + len(passed)
    assert 60 < solved < nodes
    shape = ProblemShape.of(x, y, chained)
    assert shape.labels == 60
    assert [count for count, _ in shape.nodes or ()] == [
        chained.width(level) - int(chained.chained(level).sum()) for level in range(chained.depth - 1)
    ]
    assert len(shape.reach) == 60 - chained.chained(chained.depth - 1).sum()


def test_what_is_no_index_is_refused() -> None:
    keys = ["a", "b"]
    with pytest.raises(TreeError, match="expected distinct ascending keys"):
        trie_partitions(["b", "a"], 1)
    with pytest.raises(TreeError, match="at least one, got none"):
        tree_of_suggestions([], None, IndexParams("trie"))
    for method in ("hybrid", "must_link", "clusters"):
        with pytest.raises(TreeError, match="expected label features, got none"):
            tree_of_suggestions(keys, None, IndexParams(method))
    with pytest.raises(TreeError, match="expected 2 rows, got 3"):
        tree_of_suggestions(keys, features_of(["a", "b", "c"]), IndexParams("hybrid"))
    with pytest.raises(ValueError, match="method: expected one of"):
        IndexParams("forest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_children: expected at least 2"):
        IndexParams(max_children=1)
    with pytest.raises(ValueError, match="max_iter: expected at least 1"):
        IndexParams(max_iter=0)
    assert tree_of_partitions([np.zeros(3, np.int32)]).parents[0].tolist() == [0, 0, 0]
