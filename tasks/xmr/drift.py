"""How far a refreshed ranker has gone from the one that was trained, and when it must be trained again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.metrics import hits
from tasks.xmr.model import RankerModel
from tasks.xmr.ranking import NONE, BeamParams, Ranker, Ranking
from tasks.xmr.tree import LabelTree


@dataclass(frozen=True)
class Change:
    """What is new since the training that a refresh starts from.

    origin int64 (labels,): each label's number then, -1 for a new one; gained bool (labels,): it has rows that it had not;
    fresh bool (q,): of the first q rows, which are queries, those that were not there; solved bool (labels,): labels that
    the refresh solved again.
    """

    origin: NDArray[np.int64]
    gained: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    solved: NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows: how many, labels right among the first ``k`` of each with the old and the refreshed model, and how many
    rows have another best leaf. Blocks of rows add up.
    """

    rows: int = 0
    right_before: int = 0
    right_after: int = 0
    moved: int = 0

    def __add__(self, other: "HeldOut") -> "HeldOut":
        return HeldOut(
            self.rows + other.rows,
            self.right_before + other.right_before,
            self.right_after + other.right_after,
            self.moved + other.moved,
        )


@dataclass(frozen=True)
class DriftReport:
    """What a refresh did. Shares are of all labels now, except ``removed_share``, of those before.

    unsolved_share: labels with new rows that were left as they are. terms_lost: how many fewer terms of the vocabulary a row
    has that is new than one that is not, as a share of the latter's. centroid_mean, centroid_most: 1 - cosine of a leaf's
    centre before and now. top_leaf_changed: share of held-out rows that another leaf is the best for. precision_before,
    precision_after: at ``k``, of held-out rows, of the old and the refreshed model. largest_leaf: labels of the fullest leaf.
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
    """Past any of these a ranker is trained again; leaf_size 0: no limit."""

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
    """Why a full training is due: every limit that is passed, in one line; empty where a refresh will do."""
    found = []
    for name in _SHARES:
        value, limit = getattr(report, name), getattr(limits, name)
        if value > limit:
            found.append(f"{name}: expected at most {limit:g}, got {value:.4g}")
    if limits.leaf_size and report.largest_leaf > limits.leaf_size:
        found.append(f"largest_leaf: expected at most {limits.leaf_size} labels, got {report.largest_leaf}")
    loss = report.precision_before - report.precision_after
    if loss > limits.precision_loss:
        found.append(f"precision at {report.k}: expected a loss of at most {limits.precision_loss:g}, got {loss:.4g}")
    return "; ".join(found)


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
) -> HeldOut:
    """What both models answer to held-out rows (q, d) whose labels are ``truth`` (q, labels now); ``leaves``: their best
    leaves are compared too, which only differ where nodes above the labels were solved.
    """
    if queries.shape[0] == 0:
        return HeldOut()
    number = np.full(before.tree.labels, NONE, dtype=np.uint32)
    number[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    theirs = Ranker(before, beam).rank(queries, k, threads=threads)
    renamed = np.where(theirs.ids == NONE, NONE, number[np.minimum(theirs.ids, before.tree.labels - 1)])
    mine = Ranker(after, beam).rank(queries, k, threads=threads)
    moved, upper = 0, after.tree.depth - 1
    if upper and leaves:
        tops = [
            Ranker(model, beam, levels=upper).rank(queries, 1, threads=threads).ids[:, 0] for model in (before, after)
        ]
        moved = int((tops[0] != tops[1]).sum())
    right_before, right_after = (int(hits(found, truth).sum()) for found in (Ranking(renamed, theirs.scores), mine))
    return HeldOut(queries.shape[0], right_before, right_after, moved)


def measure_drift(
    old_tree: LabelTree,
    tree: LabelTree,
    change: Change,
    centres: tuple[float, float],
    features: sparse.csr_array,
    held: HeldOut,
    *,
    k: int = 1,
) -> DriftReport:
    """The report on a refresh. centres: mean and largest of what drifted_tree gives; features (n, d): of all rows now."""
    known, asked = change.origin >= 0, max(held.rows, 1)
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
        top_leaf_changed=held.moved / asked,
        precision_before=held.right_before / (asked * k),
        precision_after=held.right_after / (asked * k),
        k=k,
    )


def _terms_lost(rows: sparse.csr_array, fresh: NDArray[np.bool_]) -> float:
    if fresh.all() or not fresh.any():
        return 0.0
    terms = np.diff(rows.indptr)[: len(fresh)]
    return max(0.0, 1 - float(terms[fresh].mean()) / max(float(terms[~fresh].mean()), 1e-9))
