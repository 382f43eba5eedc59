"""Training of levels: against LIBLINEAR on the right rows, negatives, blocks, costs, pruning, warm starts."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from sklearn.svm import LinearSVC

from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.model import ModelError, RankerModel, prune, split_chunks
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows
from fingerpost.tasks.xmr.training import (
    LevelProblem,
    LevelTrainer,
    Negatives,
    SolverParams,
    TrainingParams,
    active_rows,
    train_levels,
)
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.rankers import train_ranker
from tests.unit.xmr.worlds import topic_problem

EXACT = SolverParams(
    cost_positive=1.0, cost_negative=1.0, eps=1e-6, max_iter=5000, threshold=0.0, frequency_discount=0.0
)


@pytest.fixture(scope="module")
def world() -> tuple[sparse.csr_array, sparse.csr_array, LabelTree]:
    x, y = topic_problem(0)
    return x, y, cluster_labels(embed_labels(x, y), ClusterParams(branching=2, max_leaf_size=10, flat_labels=0))


def test_every_level_equals_liblinear_on_the_rows_of_its_parents(world) -> None:
    x, y, tree = world
    model = train_ranker(x, y, tree, TrainingParams(solver=EXACT, negatives="tfn")).model
    targets = [None, *tree.targets(y)]
    for level in range(tree.depth):
        weights, bias = model.weights(level).toarray(), model.bias(level)
        for node in range(0, tree.width(level), 7):
            parent = tree.parents[level][node]
            seen = np.arange(400) if level == 0 else targets[level][:, [parent]].toarray().ravel() > 0
            labels = targets[level + 1][:, [node]].toarray().ravel()[seen]
            if labels.min() == labels.max():
                continue
            small = sparse.csr_matrix(x[seen].toarray())  # scikit-learn refuses int64 pointers
            exact = LinearSVC(loss="squared_hinge", dual=True, tol=1e-8, max_iter=100_000).fit(small, labels > 0)
            np.testing.assert_allclose(weights[:, node], exact.coef_[0], atol=1e-4)
            np.testing.assert_allclose(bias[node], exact.intercept_, atol=1e-4)


def test_blocks_make_the_model_of_the_whole(world) -> None:
    x, y, tree = world
    whole = train_ranker(x, y, tree, TrainingParams(negatives="tfn", normalise=False))
    targets = tree.targets(y)
    levels = []
    for level in range(tree.depth):
        problem = LevelProblem(tree, level, targets[level], active_rows(targets[level - 1] if level else None, "tfn"))
        trainer = LevelTrainer(x, problem, SolverParams())
        width = tree.width(level - 1)
        cuts = sorted({0, width // 3, width})
        blocks = [trainer.solve_block(range(a, b), threads=2)[0] for a, b in pairwise(cuts)]
        levels.append(tuple(blocks[::-1]))
    parts = RankerModel(x.shape[1], tree, tuple(levels))
    for level in range(tree.depth):
        assert (whole.model.weights(level) != parts.weights(level)).nnz == 0
        assert np.array_equal(whole.model.bias(level), parts.bias(level))
    one, other = Ranker(whole.model).rank(x, 5), Ranker(parts).rank(x, 5)
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.scores, other.scores)


def test_learns_the_topics(world) -> None:
    x, y, tree = world
    found = Ranker(train_ranker(x, y, tree).model).rank(x, 1)
    assert np.mean([y[row, int(label)] > 0 for row, label in enumerate(found.ids[:, 0])]) > 0.9


def test_frequent_labels_are_lowered_and_nothing_above_them(world) -> None:
    x, y, tree = world
    plain, lowered = (train_ranker(x, y, tree, TrainingParams(replace(EXACT, frequency_discount=d))) for d in (0, 0.03))
    counts = np.bincount(y.indices, minlength=tree.labels)
    for level in range(tree.depth):
        assert (plain.model.weights(level) != lowered.model.weights(level)).nnz == 0
        expected = -0.03 * np.log(counts) if level == tree.depth - 1 else 0
        np.testing.assert_allclose(lowered.model.bias(level) - plain.model.bias(level), expected, atol=1e-6)
    with pytest.raises(ValueError, match="frequency_discount: expected at least 0, got -1"):
        SolverParams(frequency_discount=-1)


def test_a_child_solved_alone_is_lowered_as_among_all(world) -> None:
    x, y, tree = world
    level = tree.depth - 1
    problem = LevelProblem(tree, level, tree.targets(y)[level], None)
    trainer = LevelTrainer(x, problem, replace(SolverParams(), frequency_discount=0.1))
    whole, only = trainer.solve(0)[0], np.array([1, 3])
    assert np.array_equal(trainer.solve(0, only=only)[0][4], whole[4][only])


def test_negatives_decide_the_rows(world) -> None:
    x, y, tree = world
    targets, level = tree.targets(y), tree.depth - 1
    above = targets[level - 1]
    rng = np.random.default_rng(0)
    guess = checked_rows(sparse.csr_array(rng.random(above.shape) < 0.3), "guess")

    def rows(negatives, **options) -> list[set[int]]:
        active = active_rows(above, negatives, **options)
        trainer = LevelTrainer(x, LevelProblem(tree, level, targets[level], active), SolverParams())
        return [set(trainer.rows_of(parent).tolist()) for parent in range(tree.width(level - 1))]

    true = [set(np.flatnonzero(column).tolist()) for column in above.toarray().T]
    guessed = [set(np.flatnonzero(column).tolist()) for column in guess.toarray().T]
    both = [a | b for a, b in zip(true, guessed, strict=True)]
    assert rows("tfn") == true
    assert rows("man", predicted=guess) == both  # positives are always seen
    assert rows("tfn+man", predicted=guess) == both
    assert rows("user", user_parents=guess) == both
    assert rows("user") == true
    with pytest.raises(MatrixError, match="man negatives: expected a matrix"):
        active_rows(above, "man")
    assert active_rows(None, "man") is None


def test_matcher_aware_negatives_see_more(world) -> None:
    x, y, tree = world
    few = train_ranker(x, y, tree, TrainingParams(negatives="tfn"))
    for negatives in ("man", "tfn+man"):
        more = train_ranker(x, y, tree, TrainingParams(negatives=negatives, beam=BeamParams(beam=3)))
        assert more.counters[0] == few.counters[0]
        assert more.counters[-1].pairs > few.counters[-1].pairs


def test_relevance_is_a_cost_of_positives(world) -> None:
    x, y, tree = world
    levels = tree.targets(y)
    doubled = [checked_rows(level * 2, "relevance") for level in levels]
    one = train_ranker(x, y, tree, TrainingParams(solver=EXACT, negatives="tfn"), relevance=doubled).model
    other = train_ranker(
        x, y, tree, TrainingParams(negatives="tfn", solver=SolverParams(**{**vars(EXACT), "cost_positive": 2.0}))
    ).model
    for level in range(tree.depth):
        np.testing.assert_allclose(one.weights(level).toarray(), other.weights(level).toarray(), atol=1e-5)


def test_pruning_afterwards_is_pruning_while_training(world) -> None:
    x, y, tree = world
    full = train_ranker(x, y, tree, TrainingParams(negatives="tfn", solver=SolverParams(threshold=0.0))).model
    sizes = []
    for threshold in (0.1, 0.3, 0.6):
        cut = prune(full, threshold=threshold)
        direct = train_ranker(
            x, y, tree, TrainingParams(negatives="tfn", solver=SolverParams(threshold=threshold))
        ).model
        for level in range(tree.depth):
            assert (cut.weights(level) != direct.weights(level)).nnz == 0
            assert np.array_equal(cut.bias(level), direct.bias(level))
        sizes.append(cut.nonzeros)
    assert full.nonzeros > sizes[0] > sizes[1] > sizes[2]
    few = prune(full, max_nonzeros=4)
    direct = train_ranker(
        x, y, tree, TrainingParams(negatives="tfn", solver=SolverParams(threshold=0.0, max_nonzeros=4))
    ).model
    for level in range(tree.depth):
        assert (few.weights(level) != direct.weights(level)).nnz == 0
        assert np.diff(few.weights(level).indptr).max() <= 4
    assert np.array_equal(Ranker(few).rank(x, 3).ids, Ranker(direct).rank(x, 3).ids)


@pytest.mark.parametrize("discount", [0.0, 0.2])
def test_warm_start_from_the_model_itself_takes_fewer_passes(world, discount) -> None:
    x, y, tree = world
    solver = replace(EXACT, frequency_discount=discount)
    cold = train_ranker(x, y, tree, TrainingParams(solver=solver, negatives="tfn"))
    warm = train_ranker(x, y, tree, TrainingParams(solver=solver, negatives="tfn"), warm=cold.model)
    for level in range(tree.depth):
        np.testing.assert_allclose(warm.model.weights(level).toarray(), cold.model.weights(level).toarray(), atol=1e-4)
        assert warm.counters[level].passes < 0.7 * cold.counters[level].passes


def test_one_cluster_for_all_is_one_versus_rest() -> None:
    x, y = topic_problem(3, labels=20)
    tree = LabelTree((np.zeros(20, np.int32),))
    trained = train_ranker(x, y, tree)
    assert trained.counters[0].pairs == 400 * 20
    found = Ranker(trained.model, BeamParams(post_processor="noop")).rank(x, 20)
    plain = x.toarray() @ trained.model.weights(0).toarray() + trained.model.bias(0)
    np.testing.assert_allclose(found.scores, -np.sort(-plain, axis=1), atol=1e-5)


def test_rows_and_queries_are_scaled_alike(world) -> None:
    x, y, tree = world
    rng = np.random.default_rng(1)
    longer = checked_rows(sparse.diags_array(2.0 ** rng.integers(-2, 5, 400)) @ x, "features")
    plain, scaled = train_ranker(x, y, tree).model, train_ranker(longer, y, tree).model
    for level in range(tree.depth):
        assert (plain.weights(level) != scaled.weights(level)).nnz == 0
    found = Ranker(scaled).rank(longer, 5)
    assert np.array_equal(found.ids, Ranker(plain).rank(x, 5).ids)
    one = Ranker(scaled).rank(longer[[7]], 5)
    assert np.array_equal(one.scores[0], found.scores[7])
    raw = train_ranker(longer, y, tree, TrainingParams(negatives="tfn", normalise=False)).model
    assert (raw.weights(0) != scaled.weights(0)).nnz > 0


def test_models_are_checked(world) -> None:
    x, y, tree = world
    model = train_ranker(x, y, tree).model
    with pytest.raises(ModelError, match="model level 0: expected weights of"):
        RankerModel(model.features, tree, ((), *model.levels[1:]))
    parent, chunk, ids = next(split_chunks(model.levels[1][0]))
    assert parent == 0
    assert len(chunk[4]) == len(ids)
    with pytest.raises(MatrixError, match="targets: expected 400 rows, got 399"):
        train_ranker(x, y[:399], tree)
    with pytest.raises(ValueError, match="eps: expected more than 0"):
        SolverParams(eps=0.0)
    with pytest.raises(ValueError, match="post_processor: expected"):
        BeamParams(post_processor="l7-hinge")


@pytest.mark.parametrize(
    ("negatives", "solved", "predicted"),
    [("tfn", {0, 1, 2}, []), ("man", {0, 1, 2}, [1, 2]), ("tfn+man", {0, 2}, [2]), ("user", {0, 1, 2}, [])],
)
def test_parents_are_predicted_by_all_levels_above_where_a_node_is_solved(
    negatives: Negatives, solved: set[int], predicted: list[int]
) -> None:
    seen: list[int] = []

    def predict(above: Sequence[str]) -> int:
        assert list(above) == ["first", "second", "third"][: len(above)]
        seen.append(len(above))
        return len(above)

    def solve(level: int, parents: int | None) -> str:
        assert parents == (level if level in predicted else None)
        return ["first", "second", "third"][level]

    levels = train_levels(3, negatives, predict=predict, solve=solve, solves=lambda level: level in solved)
    assert levels == ["first", "second", "third"]
    assert seen == predicted
