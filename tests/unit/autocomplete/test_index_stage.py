"""The stage that builds the tree of suggestions, and the training of rankers on such a tree."""

from pathlib import Path

import numpy as np
import pytest

from fingerpost.schemas import xmr
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.index import INDEX_METHODS, IndexMethod, IndexParams, tree_of_suggestions
from fingerpost.tasks.autocomplete.stages.index import index_suggestions
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.label_ranges import LabelRanges
from fingerpost.tasks.xmr.open import read_model, read_tree
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
from fingerpost.tasks.xmr.stages.training import train_rankers
from fingerpost.tasks.xmr.training import TrainingParams
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.rankers import train_ranker
from tests.support.suggestion_artifacts import label_features_of, suggestions_of, training_of, tree_artifact, words
from tests.unit.autocomplete.test_index import features_of
from tests.unit.xmr.worlds import topic_problem
from tests.worlds import DAY

KEYS = words(240)
BLOCKS = BlockParams(labels=40, rows=150)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(Store(str(tmp_path / "store")).prepare(), "log", DAY, SerialExecutor())


@pytest.mark.parametrize("method", INDEX_METHODS)
def test_the_tree_is_the_same_in_shards(env: Environment, method: IndexMethod) -> None:
    params = IndexParams(method, depth=3, max_leaf_size=6, branching=4)
    features = features_of(KEYS)
    ref = index_suggestions.execute(
        env, suggestions_of(env.store, KEYS), label_features_of(env.store, features), params=params, blocks=BLOCKS
    )
    artifact = env.store.open(ref, xmr.TREE)
    stored, tree = read_tree(artifact), tree_of_suggestions(KEYS, features, params)
    assert stored.chains
    assert all(np.array_equal(one, other) for one, other in zip(stored.parents, tree.parents, strict=True))
    assert {name: artifact.quality[name] for name in tree.figures()} == tree.figures()
    assert artifact.quality["memory"]["stated_mb"] >= 8
    shards = len(artifact.entries("subtrees"))
    assert shards == {"trie": 0, "hybrid": 4, "must_link": 4, "clusters": 1}[method]


def test_a_tree_beyond_the_memory_is_refused(env: Environment) -> None:
    blocks = BlockParams(memory_mb=1)
    inputs = suggestions_of(env.store, KEYS), label_features_of(env.store, features_of(KEYS))
    with pytest.raises(FingerpostError, match=r"at most 1\.0 MiB, got 8\..*for the tree of suggestions.*keys 0\.0"):
        index_suggestions.execute(env, *inputs, params=IndexParams("hybrid"), blocks=blocks)


def test_rankers_are_trained_on_tries(env: Environment) -> None:
    """Level by level, in blocks, with predicted parents as negatives: as in one process; and searched within ranges."""
    x, y = topic_problem(5, labels=240)
    tree = tree_of_suggestions(KEYS, None, IndexParams("trie", depth=8, max_leaf_size=8))
    interactions, features = training_of(env.store, x, y)
    params = TrainingParams(negatives="tfn+man")
    ref = train_rankers.execute(
        env,
        interactions,
        features,
        tree_artifact(env.store, tree),
        params=params,
        rows=RowParams(label_rows=False),
        blocks=BLOCKS,
    )
    artifact = env.store.open(ref, xmr.MODEL)
    model, whole = read_model(artifact, tree), train_ranker(x, y, tree, params).model
    for level in range(tree.depth):
        assert abs(model.weights(level) - whole.weights(level)).max() == 0
        assert np.array_equal(model.bias(level), whole.bias(level))
    chained = [int(tree.chained(level).sum()) for level in range(tree.depth)]
    assert [figures["labels"] for figures in artifact.quality["levels"]] == [
        tree.width(level) - count for level, count in enumerate(chained)
    ]
    assert sum(chained) > 100
    assert max(len(blocks) for blocks in model.levels) > 2

    bounds = np.searchsorted(KEYS, ["ab", "ac"]).astype(np.uint32)
    one, other = (np.full(x.shape[0], bound, np.uint32) for bound in bounds)
    found = Ranker(model, BeamParams(beam=10), ranges=True).rank(x, 5, ranges=LabelRanges.single(one, other))
    assert all(KEYS[label].startswith("ab") for label in np.unique(found.ids))


def test_a_level_of_chain_nodes_is_not_trained(env: Environment) -> None:
    x, y = topic_problem(5, labels=60)
    parents = np.repeat(np.arange(6, dtype=np.int32), 10)
    tree = LabelTree((np.zeros(6, np.int32), np.arange(6, dtype=np.int32), parents), chains=True)
    interactions, features = training_of(env.store, x, y)
    params = TrainingParams(negatives="man")
    ref = train_rankers.execute(
        env,
        interactions,
        features,
        tree_artifact(env.store, tree),
        params=params,
        rows=RowParams(label_rows=False),
        blocks=BLOCKS,
    )
    model = read_model(env.store.open(ref, xmr.MODEL), tree)
    assert [len(blocks) for blocks in model.levels] == [1, 0, 2]
    plain = train_ranker(x, y, LabelTree((np.zeros(6, np.int32), parents)), params).model
    assert abs(model.weights(2) - plain.weights(1)).max() == 0
    matched = {entry.shard for entry in env.store.open(ref, xmr.MODEL).entries("matches")}
    assert len(matched) == 3  # blocks of rows, for the last level only
    found, expected = (Ranker(one, BeamParams(beam=3)).rank(x, 5) for one in (model, plain))
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)
