"""Indexing, matching and ranking replaced: built-in and other implementations pass the same checks; so do ensembles."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans

from fingerpost.tasks.xmr.calibration import calibration_error
from fingerpost.tasks.xmr.clustering import ClusterParams, merged_tree
from fingerpost.tasks.xmr.ensembles import COMBINATIONS, combine
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.metrics import hits
from fingerpost.tasks.xmr.ranking import NONE, Ranker, Ranking
from fingerpost.tasks.xmr.sparse_rows import checked_rows, normalised_rows
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.ranker_parts import (
    ClusterIndexer,
    LinearScorer,
    LinearTrainer,
    TreeMatcher,
    TwoStepRanker,
    best_of_leaves,
    calibrate,
    seeded,
    train_ensemble,
    train_pipeline,
)
from tests.support.rankers import train_ranker
from tests.unit.xmr.conformance import check_indexer, check_matcher, check_ranker, check_scorer, check_trainer
from tests.unit.xmr.worlds import leaf_centroids, topic_problem

SMALL = ClusterParams(branching=2, max_leaf_size=10, flat_labels=0)


class AlphabeticalIndexer:
    """Leaves of ten labels each in the order of their numbers."""

    def index(self, label_features: sparse.csr_array) -> LabelTree:
        leaf = np.arange(label_features.shape[0], dtype=np.int32) // 10
        return merged_tree(leaf, int(leaf[-1]) + 1, 4)


class KMeansIndexer:
    """Leaves by scikit-learn's k-means, of any size."""

    def index(self, label_features: sparse.csr_array) -> LabelTree:
        parts = KMeans(6, n_init=1, random_state=0).fit_predict(label_features.toarray())
        leaf = np.unique(parts, return_inverse=True)[1].astype(np.int32)
        return merged_tree(leaf, int(leaf.max()) + 1, 4)


@dataclass
class CentroidMatcher:
    """Brute force over leaf centroids."""

    centroids: sparse.csr_array

    @property
    def leaves(self) -> int:
        return self.centroids.shape[0]

    def match(self, queries: sparse.csr_array, beam: int, *, threads: int = 1) -> Ranking:
        scores = 1 + (normalised_rows(queries) @ self.centroids.T).toarray()
        whole = Ranking(np.zeros((len(scores), 1), np.uint32), np.ones((len(scores), 1), np.float32))
        one = LabelTree((np.zeros(self.leaves, np.int32),))
        return best_of_leaves(scores, whole, one, beam)


@dataclass
class CentroidScorer:
    """One plus the cosine of query and label centroid."""

    features: sparse.csr_array
    tree: LabelTree

    @property
    def labels(self) -> int:
        return self.features.shape[0]

    def score(self, queries: sparse.csr_array, matched: Ranking, k: int, *, threads: int = 1) -> Ranking:
        values = 1 + (normalised_rows(queries) @ self.features.T).toarray()
        return best_of_leaves(values, matched, self.tree, k)


@dataclass
class CentroidTrainer:
    """Nothing but centroids, of leaves and of labels."""

    beam: int = 4

    def train(self, features, labels, tree: LabelTree, *, threads: int = 1) -> TwoStepRanker:
        found = embed_labels(features, labels)
        leaves = leaf_centroids(found, tree.parents[-1].astype(np.int64), tree.width(tree.depth - 2))
        return TwoStepRanker(CentroidMatcher(leaves), CentroidScorer(found, tree), self.beam)


class World:
    def __init__(self) -> None:
        self.x, self.y = topic_problem(4)
        self.features = embed_labels(self.x, self.y)
        self.tree = ClusterIndexer(SMALL).index(self.features)
        self.model = train_ranker(self.x, self.y, self.tree).model
        self.leaves = leaf_centroids(
            self.features, self.tree.parents[-1].astype(np.int64), self.tree.width(self.tree.depth - 2)
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World()


INDEXERS = [ClusterIndexer(SMALL), AlphabeticalIndexer(), KMeansIndexer()]


@pytest.mark.parametrize("indexer", INDEXERS, ids=lambda indexer: type(indexer).__name__)
def test_indexing_conforms_and_the_pipeline_runs_with_it(world, indexer) -> None:
    check_indexer(indexer, world.features)
    check_ranker(train_pipeline(world.x, world.y, indexer=indexer), world.x, world.y, least=0.85)


@pytest.mark.parametrize("kind", ["tree", "centroids"])
def test_matching_conforms_and_the_pipeline_runs_with_it(world, kind) -> None:
    matcher = TreeMatcher(world.model) if kind == "tree" else CentroidMatcher(world.leaves)
    check_matcher(matcher, world.x)
    check_ranker(TwoStepRanker(matcher, LinearScorer(world.model), 6), world.x, world.y, least=0.8)


@pytest.mark.parametrize("kind", ["linear", "centroids"])
def test_ranking_conforms_and_the_pipeline_runs_with_it(world, kind) -> None:
    scorer = LinearScorer(world.model) if kind == "linear" else CentroidScorer(world.features, world.tree)
    check_scorer(scorer, world.tree, world.x)
    check_ranker(TwoStepRanker(TreeMatcher(world.model), scorer, 6), world.x, world.y, least=0.5)


@pytest.mark.parametrize("trainer", [LinearTrainer(), CentroidTrainer()], ids=lambda trainer: type(trainer).__name__)
def test_training_conforms_and_the_pipeline_runs_with_it(world, trainer) -> None:
    check_trainer(trainer, world.x, world.y, world.tree, least=0.5)
    ranker = train_pipeline(world.x, world.y, indexer=ClusterIndexer(SMALL), trainer=trainer)
    assert np.array_equal(ranker.rank(world.x, 3).ids, trainer.train(world.x, world.y, world.tree).rank(world.x, 3).ids)


@pytest.mark.parametrize("flat", [False, True])
def test_two_steps_are_the_beam_search(world, flat) -> None:
    model = train_ranker(world.x, world.y, LabelTree((np.zeros(60, np.int32),))).model if flat else world.model
    found = TwoStepRanker(TreeMatcher(model), LinearScorer(model), 10).rank(world.x, 5)
    expected = Ranker(model).rank(world.x, 5)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-7)
    assert (found.ids == expected.ids).mean() > 0.99  # ties by rounding aside


@pytest.mark.parametrize("method", COMBINATIONS)
def test_an_ensemble_is_its_members_combined(world, method) -> None:
    indexers = [*seeded((0, 1), SMALL), KMeansIndexer()]
    ensemble = train_ensemble(world.x, world.y, indexers, method=method)
    check_ranker(ensemble, world.x, world.y, least=0.85)
    alone = [train_pipeline(world.x, world.y, indexer=indexer).rank(world.x, 4) for indexer in indexers]
    found = ensemble.rank(world.x, 4)
    expected = combine(alone, 4, method)
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)
    with pytest.raises(ValueError, match="ensemble: expected at least one indexer"):
        train_ensemble(world.x, world.y, [])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibrated_scores_are_chances(method) -> None:
    x, y = topic_problem(6, rows=900)
    parts = [(checked_rows(x[a:b], "x"), checked_rows(y[a:b], "y")) for a, b in ((0, 400), (400, 650), (650, 900))]
    # Platt's sigmoid fits the scores of these weights best: smaller costs leave an error of 0.115.
    solver = SolverParams(cost_positive=1.0, cost_negative=1.0, threshold=0.1, frequency_discount=0.0)
    ensemble = train_ensemble(*parts[0], seeded((0, 1), SMALL), trainer=LinearTrainer(TrainingParams(solver=solver)))
    calibrated = calibrate(ensemble, *parts[1], method=method, k=5)
    x, y = parts[2]
    plain, chances = ensemble.rank(x, 5), calibrated.rank(x, 5)
    assert np.array_equal(plain.ids, chances.ids)
    assert (np.diff(chances.scores, axis=1) <= 0).all()
    real, right = plain.ids != NONE, hits(plain, y)
    error = calibration_error(chances.scores[real], right[real])
    assert error < (0.1 if method == "platt" else 0.06)
    assert error < calibration_error(plain.scores[real], right[real])
    with pytest.raises(ValueError, match="calibration: expected one of"):
        calibrate(ensemble, x, y, method="beta")
