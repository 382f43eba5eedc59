"""What every indexing, matching, ranking and training must do, whoever wrote it."""

import numpy as np
from scipy import sparse

from fingerpost.tasks.xmr.metrics import hits, precision_at
from fingerpost.tasks.xmr.ranking import NONE, Matcher, Ranking
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.ranker_parts import LabelIndexer, LeafMatcher, RankerTrainer, Scorer


def check_ranking(found: Ranking, queries: int, k: int, ids: int) -> None:
    """Shapes, dtypes, order, no id twice, padding last."""
    assert found.ids.shape == found.scores.shape == (queries, k)
    assert found.ids.dtype == np.uint32
    assert found.scores.dtype == np.float32
    real = found.ids != NONE
    assert (found.ids[real] < ids).all()
    assert (found.scores[~real] == 0).all()
    assert (real[:, :-1] >= real[:, 1:]).all()
    for row, some in zip(found.ids, real, strict=True):
        assert len(np.unique(row[some])) == some.sum()
    assert ((np.diff(found.scores, axis=1) <= 0) | ~real[:, 1:]).all()


def check_indexer(indexer: LabelIndexer, label_features: sparse.csr_array) -> None:
    """Every label once, nothing under nothing, the same tree twice."""
    tree, again = indexer.index(label_features), indexer.index(label_features)
    assert isinstance(tree, LabelTree)
    assert tree.labels == label_features.shape[0]
    for level in range(tree.depth):
        assert np.array_equal(tree.parents[level], again.parents[level])
        assert len(np.unique(tree.parents[level])) == tree.width(level - 1)


def check_matcher(matcher: LeafMatcher, queries: sparse.csr_array) -> None:
    """Lists of leaves, the same for a query alone, and all leaves where the beam is that wide."""
    for beam in (1, 3, matcher.leaves + 2):
        found = matcher.match(queries, beam)
        check_ranking(found, queries.shape[0], beam, matcher.leaves)
        alone = matcher.match(queries[[2]], beam)
        assert np.array_equal(alone.ids[0], found.ids[2])
        np.testing.assert_allclose(alone.scores[0], found.scores[2], rtol=1e-6)
    assert ((found.ids != NONE).sum(axis=1) == matcher.leaves).all()


def check_scorer(scorer: Scorer, tree: LabelTree, queries: sparse.csr_array) -> None:
    """Only labels of the given leaves, as many as there are, scores not below 0 that do not depend on other leaves."""
    count = queries.shape[0]
    leaves = tree.width(tree.depth - 2)
    one = Ranking(np.full((count, 1), leaves - 1, np.uint32), np.ones((count, 1), np.float32))
    size = int((tree.parents[-1] == leaves - 1).sum())
    found = scorer.score(queries, one, size + 2)
    check_ranking(found, count, size + 2, scorer.labels)
    real = found.ids != NONE
    assert (real.sum(axis=1) == size).all()
    assert (tree.parents[-1][found.ids[real]] == leaves - 1).all()
    assert (found.scores[real] >= 0).all()
    both = Ranking(np.tile(np.array([0, leaves - 1], np.uint32), (count, 1)), np.ones((count, 2), np.float32))
    more = scorer.score(queries, both, scorer.labels)
    of = dict(zip(more.ids[0].tolist(), more.scores[0].tolist(), strict=True))
    for label, score in zip(found.ids[0][real[0]].tolist(), found.scores[0][real[0]].tolist(), strict=True):
        assert abs(of[label] - score) <= 1e-6 * max(1.0, score)
    none = scorer.score(queries, Ranking(np.full((count, 1), NONE, np.uint32), np.zeros((count, 1), np.float32)), 2)
    assert (none.ids == NONE).all()


def check_ranker(ranker: Matcher, queries: sparse.csr_array, truth: sparse.csr_array, *, least: float) -> None:
    """Lists of labels, the same for a query alone, and right often enough."""
    found = ranker.rank(queries, 5)
    assert ranker.labels == truth.shape[1]
    check_ranking(found, queries.shape[0], 5, ranker.labels)
    alone = ranker.rank(queries[[1]], 5)
    assert np.array_equal(alone.ids[0], found.ids[1])
    assert precision_at(hits(found, truth), 1) >= least


def check_trainer(
    trainer: RankerTrainer, x: sparse.csr_array, y: sparse.csr_array, tree: LabelTree, *, least: float
) -> None:
    """A ranker that learnt something, the same one twice."""
    one, other = trainer.train(x, y, tree), trainer.train(x, y, tree)
    check_ranker(one, x, y, least=least)
    assert np.array_equal(one.rank(x, 5).ids, other.rank(x, 5).ids)
    assert np.array_equal(one.rank(x, 5).scores, other.rank(x, 5).scores)
