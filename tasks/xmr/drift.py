"""Drift of a refreshed ranker from the last full training, and limits that require training again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.metrics import hits
from fingerpost.tasks.xmr.model import RankerModel
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Ranker, Ranking
from fingerpost.tasks.xmr.tree import LabelTree


@dataclass(frozen=True)
class Change:
    """Changes since the training that a refresh starts from.

    origin: int64 (labels,), the label's former number, -1 for a new label.
    gained: bool (labels,), labels with new rows.
    fresh: bool (q,), new ones among the first q rows, which are the queries.
    solved: bool (labels,), labels that the refresh solved again.
    """

    origin: NDArray[np.int64]
    gained: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    solved: NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOutComparison:
    """Comparison of the old and the refreshed model on held-out queries; results of blocks of queries can be added.

    rows: number of queries.
    right_before, right_after: true labels among the first k, of the old and the refreshed model.
    moved: number of queries whose best leaf differs.
    """

    rows: int = 0
    right_before: int = 0
    right_after: int = 0
    moved: int = 0

    def __add__(self, other: "HeldOutComparison") -> "HeldOutComparison":
        return HeldOutComparison(
            self.rows + other.rows,
            self.right_before + other.right_before,
            self.right_after + other.right_after,
            self.moved + other.moved,
        )


@dataclass(frozen=True)
class DriftReport:
    """Drift measures of a refresh. Shares are fractions of all labels now, ``removed_share`` of the labels before.

    labels: number of labels now.
    unsolved_share: labels with new rows that were not solved again.
    terms_lost: relative decrease of the mean number of vocabulary terms from known to new queries.
    centroid_mean, centroid_most: mean and maximum of 1 - cosine of a leaf's centroid before and now.
    largest_leaf: number of labels of the largest leaf.
    top_leaf_changed: fraction of held-out queries whose best leaf differs.
    precision_before, precision_after: precision at ``k`` on held-out queries, of the old and the refreshed model.
    """

    labels: int
    new_share: float
    removed_share: float
    solved_share: float
    unsolved_share: float
    terms_lost: float
    centroid_mean: float
    centroid_most: float
    largest_leaf: int
    top_leaf_changed: float
    precision_before: float
    precision_after: float
    k: int = 1


@dataclass(frozen=True)
class DriftLimits:
    """Maximum drift; beyond any of these limits a full training is required. leaf_size 0: no limit.

    new_share: maximum number of new labels, as a fraction of all labels now.
    removed_share: maximum number of removed labels, as a fraction of the labels before.
    solved_share: maximum number of labels that were solved again, as a fraction of all.
    unsolved_share: maximum number of labels with new rows that were not solved again, as a fraction of all.
    terms_lost: maximum relative decrease of the mean number of vocabulary terms from known to new queries.
    centroid_mean: maximum mean over leaves of 1 - cosine of a leaf's centroid before and now.
    leaf_size: maximum number of labels of a leaf; 0 for no limit.
    top_leaf_changed: maximum fraction of held-out queries whose best leaf differs.
    precision_loss: maximum fall of precision@1 on held-out queries.
    """

    new_share: float = 0.1
    removed_share: float = 0.2
    solved_share: float = 0.5
    unsolved_share: float = 0.3
    terms_lost: float = 0.25
    centroid_mean: float = 0.1
    leaf_size: int = 0
    top_leaf_changed: float = 0.2
    precision_loss: float = 0.005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ValueError(f"{name}: expected at least 0, got {value}; raise it")


_SHARES = (
    "new_share",
    "removed_share",
    "solved_share",
    "unsolved_share",
    "terms_lost",
    "centroid_mean",
    "top_leaf_changed",
)


def must_retrain(report: DriftReport, limits: DriftLimits = DriftLimits()) -> str:
    """Every exceeded limit, in one line: the reasons for a full training; empty where the refresh suffices."""
    exceeded = []
    for name in _SHARES:
        value, limit = getattr(report, name), getattr(limits, name)
        if value > limit:
            exceeded.append(f"{name}: expected at most {limit:g}, got {value:.4g}")
    if limits.leaf_size and report.largest_leaf > limits.leaf_size:
        exceeded.append(f"largest_leaf: expected at most {limits.leaf_size} labels, got {report.largest_leaf}")
    loss = report.precision_before - report.precision_after
    if loss > limits.precision_loss:
        exceeded.append(
            f"precision at {report.k}: expected a loss of at most {limits.precision_loss:g}, got {loss:.4g}"
        )
    return "; ".join(exceeded)


def compare_models(
    before: RankerModel,
    after: RankerModel,
    origin: NDArray[np.int64],
    queries: sparse.csr_array,
    truth: sparse.csr_array,
    *,
    beam: BeamParams = BeamParams(),
    k: int = 1,
    leaves: bool = True,
    threads: int = 1,
) -> HeldOutComparison:
    """Compares the rankings of both models on held-out queries.

    origin: int64 (labels now,), the label's number in ``before``, -1 for a new label.
    queries: CSR (q, d).
    truth: CSR (q, labels now).
    leaves: also compare the best leaves, which can only differ where nodes above the labels were solved.
    """
    if queries.shape[0] == 0:
        return HeldOutComparison()
    number = np.full(before.tree.labels, NONE, dtype=np.uint32)
    number[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    old_ranking = Ranker(before, beam).rank(queries, k, threads=threads)
    renamed = np.where(old_ranking.ids == NONE, NONE, number[np.minimum(old_ranking.ids, before.tree.labels - 1)])
    new_ranking = Ranker(after, beam).rank(queries, k, threads=threads)
    moved, upper = 0, after.tree.depth - 1
    if upper and leaves:
        tops = [
            Ranker(model, beam, levels=upper).rank(queries, 1, threads=threads).ids[:, 0] for model in (before, after)
        ]
        moved = int((tops[0] != tops[1]).sum())
    right_before, right_after = (
        int(hits(ranking, truth).sum()) for ranking in (Ranking(renamed, old_ranking.scores), new_ranking)
    )
    return HeldOutComparison(queries.shape[0], right_before, right_after, moved)


def measure_drift(
    old_tree: LabelTree,
    tree: LabelTree,
    change: Change,
    centres: tuple[float, float],
    features: sparse.csr_array,
    comparison: HeldOutComparison,
    *,
    k: int = 1,
) -> DriftReport:
    """The drift report of a refresh.

    centres: mean and maximum of the centroid drift of drifted_tree.
    features: CSR (n, d), all rows now, queries first.
    """
    known, queries = change.origin >= 0, max(comparison.rows, 1)
    return DriftReport(
        labels=tree.labels,
        new_share=float((~known).mean()),
        removed_share=1 - int(known.sum()) / old_tree.labels,
        solved_share=float(change.solved.mean()),
        unsolved_share=float((change.gained & ~change.solved).mean()),
        terms_lost=_terms_lost(features, change.fresh),
        centroid_mean=centres[0],
        centroid_most=centres[1],
        largest_leaf=int(np.bincount(tree.parents[-1], minlength=tree.width(tree.depth - 2)).max()),
        top_leaf_changed=comparison.moved / queries,
        precision_before=comparison.right_before / (queries * k),
        precision_after=comparison.right_after / (queries * k),
        k=k,
    )


def _terms_lost(rows: sparse.csr_array, fresh: NDArray[np.bool_]) -> float:
    if fresh.all() or not fresh.any():
        return 0.0
    terms = np.diff(rows.indptr)[: len(fresh)]
    return max(0.0, 1 - float(terms[fresh].mean()) / max(float(terms[~fresh].mean()), 1e-9))
