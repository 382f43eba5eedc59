"""The three parts of a ranker that can be replaced: indexing, matching, ranking; and the pipeline that joins any of
them.

What an implementation must do is in tests/unit/xmr/conformance.py: give yours to those checks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fingerpost.tasks.xmr.calibration import Calibrator, fit_isotonic, fit_platt
from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.ensembles import Combination, Ensemble
from fingerpost.tasks.xmr.label_features import EmbeddingParams, embed_labels
from fingerpost.tasks.xmr.metrics import hits
from fingerpost.tasks.xmr.model import RankerModel
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Matcher, Ranker, Ranking
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.training import TrainingParams
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.rankers import train_ranker


class LabelIndexer(Protocol):
    """Indexing: a tree over labels.

    index: label features CSR float32 (labels, m), one row a label -> a tree with exactly these labels, every one under
    one leaf; the same tree for the same features.
    """

    def index(self, label_features: sparse.csr_array) -> LabelTree: ...


class LeafMatcher(Protocol):
    """Matching: which leaves of the tree are worth ranking.

    match: queries CSR float32 (q, d) -> leaves uint32 (q, beam) in [0, leaves), distinct in a row, best first, with
    scores float32 that do not rise; padded with NONE and 0. A query's do not depend on its companions.
    """

    @property
    def leaves(self) -> int: ...

    def match(self, queries: sparse.csr_array, beam: int, *, threads: int = 1) -> Ranking: ...


class Scorer(Protocol):
    """Ranking: scores of the labels of given leaves.

    score: queries CSR float32 (q, d) and leaves uint32 (q, beam), padded with NONE -> the k best labels among those
    leaves: ids uint32 (q, k), scores float32 (q, k) not below 0, best first, ties by label; padded with NONE and 0.
    """

    @property
    def labels(self) -> int: ...

    def score(self, queries: sparse.csr_array, matched: Ranking, k: int, *, threads: int = 1) -> Ranking: ...


class RankerTrainer(Protocol):
    """Training of matching and ranking: features CSR float32 (n, d), labels CSR (n, labels), the tree -> a matcher of
    text to labels, deterministic for the same arguments.
    """

    def train(
        self, features: sparse.csr_array, labels: sparse.csr_array, tree: LabelTree, *, threads: int = 1
    ) -> Matcher: ...


@dataclass(frozen=True)
class ClusterIndexer:
    """The built-in indexing: balanced hierarchical clustering."""

    params: ClusterParams = field(default_factory=ClusterParams)

    def index(self, label_features: sparse.csr_array) -> LabelTree:
        """The tree of cluster_labels."""
        return cluster_labels(label_features, self.params)


@dataclass(frozen=True)
class TreeMatcher:
    """The built-in matching: beam search down the levels above the labels."""

    model: RankerModel
    params: BeamParams = field(default_factory=BeamParams)

    @property
    def leaves(self) -> int:
        """Leaf clusters, at least one."""
        return self.model.tree.width(self.model.tree.depth - 2)

    def match(self, queries: sparse.csr_array, beam: int, *, threads: int = 1) -> Ranking:
        """The ``beam`` best leaves."""
        if self.model.tree.depth == 1:
            count = queries.shape[0]
            ids = np.full((count, beam), NONE, dtype=np.uint32)
            scores = np.zeros((count, beam), dtype=np.float32)
            ids[:, 0], scores[:, 0] = 0, 1
            return Ranking(ids, scores)
        wider = replace(self.params, beam=max(beam, self.params.beam))
        return Ranker(self.model, wider, levels=self.model.tree.depth - 1).rank(queries, beam, threads=threads)


@dataclass(frozen=True)
class LinearScorer:
    """The built-in ranking: the labels' linear rankers, their transformed values times the scores of their leaves."""

    model: RankerModel
    params: BeamParams = field(default_factory=BeamParams)

    @property
    def labels(self) -> int:
        """Labels that can be ranked."""
        return self.model.tree.labels

    def score(self, queries: sparse.csr_array, matched: Ranking, k: int, *, threads: int = 1) -> Ranking:
        """Labels of the matched leaves by their ranker; exact, but slower than the beam search that does both."""
        # With every leaf in the beam and values left as they are, this is the plain product.
        wide = BeamParams(self.model.tree.width(self.model.tree.depth - 2), post_processor="noop")
        plain = Ranker(self.model, wide)
        every = plain.rank(queries, self.labels, threads=threads)
        values = np.zeros((queries.shape[0], self.labels), dtype=np.float64)
        real = every.ids != NONE
        values[np.nonzero(real)[0], every.ids[real]] = every.scores[real]
        return best_of_leaves(transformed(values, self.params), matched, self.model.tree, k)


def transformed(values: NDArray[np.float64], params: BeamParams) -> NDArray[np.float64]:
    """Hinge or sigmoid of plain values, as the beam search multiplies them."""
    kind, power, product = params.transform()
    if kind == "noop" or not product:
        raise ValueError(f"post_processor: expected one whose scores are multiplied, got {params.post_processor!r}")
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-values))
    return np.exp(-(np.maximum(0, 1 - values) ** power))


def best_of_leaves(values: NDArray[np.float64], matched: Ranking, tree: LabelTree, k: int) -> Ranking:
    """The k best labels of the matched leaves by label values (q, labels) times leaf scores, ties by label."""
    leaves = tree.width(tree.depth - 2)
    weight = np.zeros((len(matched.ids), leaves), dtype=np.float64)
    seen = np.zeros((len(matched.ids), leaves), dtype=bool)
    real = matched.ids != NONE
    rows = np.nonzero(real)[0]
    weight[rows, matched.ids[real]] = matched.scores[real]
    seen[rows, matched.ids[real]] = True
    of_label = tree.parents[-1]
    scores = np.where(seen[:, of_label], values * weight[:, of_label], -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    ids = np.where(np.isfinite(best), order, NONE).astype(np.uint32)
    missing = ((0, 0), (0, max(0, k - ids.shape[1])))
    return Ranking(
        np.pad(ids, missing, constant_values=NONE),
        np.pad(np.where(np.isfinite(best), best, 0).astype(np.float32), missing),
    )


@dataclass(frozen=True)
class TwoStepRanker:
    """Any matcher of leaves followed by any scorer: a Matcher of labels like the built-in beam search."""

    matcher: LeafMatcher
    scorer: Scorer
    beam: int = 10

    @property
    def labels(self) -> int:
        """Labels that can be ranked."""
        return self.scorer.labels

    def rank(self, queries: sparse.csr_array, k: int = 10, *, threads: int = 1) -> Ranking:
        """The k best labels of the best leaves."""
        matched = self.matcher.match(queries, self.beam, threads=threads)
        return self.scorer.score(queries, matched, k, threads=threads)


@dataclass(frozen=True)
class LinearTrainer:
    """The built-in training: linear rankers on every level, ranked by beam search."""

    params: TrainingParams = field(default_factory=TrainingParams)
    beam: BeamParams = field(default_factory=BeamParams)

    def train(
        self, features: sparse.csr_array, labels: sparse.csr_array, tree: LabelTree, *, threads: int = 1
    ) -> Ranker:
        """The ranker of train_ranker's model."""
        return Ranker(train_ranker(features, labels, tree, self.params, threads=threads).model, self.beam)


def train_pipeline(
    features: sparse.csr_array,
    labels: sparse.csr_array,
    *,
    indexer: LabelIndexer | None = None,
    trainer: RankerTrainer | None = None,
    embedding: EmbeddingParams = EmbeddingParams(),
    threads: int = 1,
) -> Matcher:
    """Label features, tree, rankers: the whole way with any part replaced."""
    tree = (indexer or ClusterIndexer()).index(embed_labels(features, labels, embedding))
    return (trainer or LinearTrainer()).train(features, labels, tree, threads=threads)


def train_ensemble(
    features: sparse.csr_array,
    labels: sparse.csr_array,
    indexers: Sequence[LabelIndexer],
    *,
    trainer: RankerTrainer | None = None,
    method: Combination = "average",
    embedding: EmbeddingParams = EmbeddingParams(),
    threads: int = 1,
) -> Ensemble:
    """A ranker for each indexer (seeds, tree shapes, other indexing), their label features computed once."""
    if not indexers:
        raise ValueError("ensemble: expected at least one indexer, got none; give one a member")
    found, make = embed_labels(features, labels, embedding), trainer or LinearTrainer()
    trees = [indexer.index(found) for indexer in indexers]
    return Ensemble([make.train(features, labels, tree, threads=threads) for tree in trees], method)


def seeded(seeds: Sequence[int], params: ClusterParams = ClusterParams()) -> list[LabelIndexer]:
    """The built-in indexing once a seed."""
    return [ClusterIndexer(replace(params, seed=seed)) for seed in seeds]


@dataclass(frozen=True)
class CalibratedRanker:
    """A ranker whose scores are chances; order and ids are those of the ranker."""

    ranker: Matcher
    calibrator: Calibrator

    @property
    def labels(self) -> int:
        """Labels that can be ranked."""
        return self.ranker.labels

    def rank(self, queries: sparse.csr_array, k: int = 10, *, threads: int = 1) -> Ranking:
        """The ranker's labels with chances for scores, 0 where a list is short."""
        found = self.ranker.rank(queries, k, threads=threads)
        chances = np.where(found.ids == NONE, 0, self.calibrator.probabilities(found.scores)).astype(np.float32)
        return Ranking(found.ids, chances, found.counters)


#: Ways to fit chances.
FITS: dict[str, Callable[[ArrayLike, ArrayLike], Calibrator]] = {"platt": fit_platt, "isotonic": fit_isotonic}


def calibrate(
    ranker: Matcher,
    features: sparse.csr_array,
    labels: sparse.csr_array,
    *,
    method: str = "isotonic",
    k: int = 10,
    threads: int = 1,
) -> CalibratedRanker:
    """The ranker, or ensemble, with scores made chances on held-out rows (n, d) and their labels (n, labels)."""
    if method not in FITS:
        raise ValueError(f"calibration: expected one of {tuple(FITS)}, got {method!r}; choose one of them")
    found = ranker.rank(features, k, threads=threads)
    right, real = hits(found, checked_rows(labels, "labels")), found.ids != NONE
    return CalibratedRanker(ranker, FITS[method](found.scores[real], right[real]))
