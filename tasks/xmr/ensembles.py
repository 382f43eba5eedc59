"""Ensembles of rankers over different trees, and the combination of their rankings (as in PECOS, JMLR 23(98), 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.weighed_rows import SparseRows
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Matcher, Ranking

if TYPE_CHECKING:  # ranking makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse

    from fingerpost.tasks.xmr.clustering import ClusterParams

#: What is averaged over models: scores; 1 / rank; sigmoids of scores; the softmax over a model's list.
Combination = Literal["average", "rank", "sigmoid", "softmax"]
COMBINATIONS: tuple[Combination, ...] = ("average", "rank", "sigmoid", "softmax")


@dataclass(frozen=True)
class EnsembleParams:
    """One ranker for each combination of clustering seed, leaf size and branching.

    An empty tuple stands for the value of the main clustering. Up to ``flat_labels`` labels have no tree to vary.

    seeds: seeds of the clustering, one ranker for each; empty takes that of xmr.clusters.
    leaf_sizes: maximum leaf sizes, one ranker for each; empty takes that of xmr.clusters.
    branchings: maximum numbers of children, one ranker for each; empty takes that of xmr.clusters.
    combination: what is averaged over rankers: average (scores), rank (1 / rank), sigmoid (sigmoids of scores) or
        softmax (over a ranker's list).
    """

    seeds: tuple[int, ...] = ()
    leaf_sizes: tuple[int, ...] = ()
    branchings: tuple[int, ...] = ()
    combination: Combination = "average"

    def __post_init__(self) -> None:
        if self.combination not in COMBINATIONS:
            raise ValueError(
                f"combination: expected one of {COMBINATIONS}, got {self.combination!r}; choose one of them"
            )
        for name in ("seeds", "leaf_sizes", "branchings"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: expected different numbers, got {values}; remove duplicates")

    def clusterings(self, clusters: "ClusterParams") -> list["ClusterParams"]:
        """Clustering parameters of each member, in order."""
        values = (
            self.seeds or (clusters.seed,),
            self.leaf_sizes or (clusters.max_leaf_size,),
            self.branchings or (clusters.branching,),
        )
        return [replace(clusters, seed=s, max_leaf_size=size, branching=b) for s, size, b in product(*values)]

    def check(self, beam: BeamParams) -> None:
        """Raises ValueError for scores that this combination cannot average."""
        if self.combination == "average" and not beam.transform()[2]:
            raise ValueError(
                f"combination: expected rank, sigmoid or softmax for scores below 0 ({beam.post_processor}), got"
                " average; choose one of them"
            )


@dataclass(frozen=True)
class Ensemble:
    """Rankers that answer together, with their lists combined; itself a Matcher.

    Each member is queried for ``depth`` labels, or for k if that is more: the combined rank of a label depends on the
    other lists.
    """

    members: Sequence[Matcher]
    method: Combination = "average"
    depth: int = 0

    @property
    def labels(self) -> int:
        """Labels that can be ranked."""
        return self.members[0].labels

    def rank(self, queries: "sparse.csr_array | SparseRows", k: int = 10, *, threads: int = 1) -> Ranking:
        """The k best labels of the combined lists for each query of CSR (q, features)."""
        depth = max(k, self.depth)
        return combine([member.rank(queries, depth, threads=threads) for member in self.members], k, self.method)


def _votes(ranking: Ranking, method: Combination) -> NDArray[np.float64]:
    """Contribution of a model to each of its labels, float64 (q, k); 0 for padding."""
    real = ranking.ids != NONE
    scores = np.where(real, ranking.scores, 0.0).astype(np.float64)
    if method == "rank":
        votes = np.broadcast_to(1 / np.arange(1, scores.shape[1] + 1), scores.shape)
    elif method == "sigmoid":
        votes = 1 / (1 + np.exp(-scores))
    elif method == "softmax":
        top = np.where(real, scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
        raised = np.exp(np.where(real, scores - np.where(np.isfinite(top), top, 0), -np.inf))
        votes = raised / np.maximum(raised.sum(axis=1, keepdims=True), 1e-300)
    else:
        votes = scores
    return np.where(real, votes, 0.0)


def combine(rankings: Sequence[Ranking], k: int, method: Combination = "average") -> Ranking:
    """The k best labels by the mean over models, where a label that a model does not list counts 0; ties by label.

    Listed labels must score above 0, so that models with log- or noop scores need "rank", "sigmoid" or "softmax".
    Raises ValueError for an unknown method and for rankings of different queries.
    """
    if method not in COMBINATIONS:
        raise ValueError(f"combination: expected one of {COMBINATIONS}, got {method!r}; choose one of them")
    if not rankings or any(len(ranking.ids) != len(rankings[0].ids) for ranking in rankings):
        raise ValueError("rankings: expected at least one, all of the same queries; rank the same rows")
    ids = np.concatenate([ranking.ids for ranking in rankings], axis=1).astype(np.int64)
    votes = np.concatenate([_votes(ranking, method) for ranking in rankings], axis=1)
    order = np.argsort(ids, axis=1, kind="stable")
    ids, votes = np.take_along_axis(ids, order, 1), np.take_along_axis(votes, order, 1)
    total = votes.copy()
    # A label occurs at most once per model; after sorting, the first of its occurrences gets the sum, in model order.
    for step in range(1, len(rankings)):
        same = ids[:, :-step] == ids[:, step:]
        total[:, :-step] += np.where(same, votes[:, step:], 0)
    repeated = np.zeros(ids.shape, dtype=bool)
    repeated[:, 1:] = ids[:, 1:] == ids[:, :-1]
    total = np.where(repeated | (ids == NONE), -np.inf, total / len(rankings))
    best = np.argsort(-total, axis=1, kind="stable")[:, :k]
    chosen, scores = np.take_along_axis(ids, best, 1), np.take_along_axis(total, best, 1)
    padding = np.isneginf(scores)
    missing = max(0, k - chosen.shape[1])
    chosen = np.pad(np.where(padding, NONE, chosen), ((0, 0), (0, missing)), constant_values=NONE)
    scores = np.pad(np.where(padding, 0.0, scores), ((0, 0), (0, missing)))
    return Ranking(chosen.astype(np.uint32), scores.astype(np.float32))
