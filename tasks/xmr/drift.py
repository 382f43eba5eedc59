"""How far a refreshed ranker has gone from the one that was trained, and when it must be trained again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.metrics import hits, precision_at
from tasks.xmr.ranking import NONE, BeamParams, Ranker, Ranking
from tasks.xmr.refresh import Refreshed, Trained, embedded, leaf_centroids
from tasks.xmr.sparse_rows import checked_rows


@dataclass(frozen=True)
class DriftReport:
    """What a refresh did. Shares are of all labels now, except ``removed_share``, of those before.

    centroid_mean, centroid_most: 1 - cosine of a leaf's centre before and now. top_leaf_changed: share of held-out rows
    that another leaf is the best for. precision_before, precision_after: at ``k``, of held-out rows, of the old and the
    refreshed model. largest_leaf: labels of the fullest leaf.
    """

    labels: int
    new_share: float
    removed_share: float
    solved_share: float
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
    centroid_mean: float = 0.1
    leaf_size: int = 0
    top_leaf_changed: float = 0.2
    precision_loss: float = 0.005


def must_retrain(report: DriftReport, limits: DriftLimits = DriftLimits()) -> str:
    """Why a full training is due: every limit that is passed, in one line; empty where a refresh will do."""
    found = []
    for name in ("new_share", "removed_share", "solved_share", "centroid_mean", "top_leaf_changed"):
        value, limit = getattr(report, name), getattr(limits, name)
        if value > limit:
            found.append(f"{name}: expected at most {limit:g}, got {value:.4g}")
    if limits.leaf_size and report.largest_leaf > limits.leaf_size:
        found.append(f"largest_leaf: expected at most {limits.leaf_size} labels, got {report.largest_leaf}")
    loss = report.precision_before - report.precision_after
    if loss > limits.precision_loss:
        found.append(f"precision at {report.k}: expected a loss of at most {limits.precision_loss:g}, got {loss:.4g}")
    return "; ".join(found)


def measure_drift(
    before: Trained,
    after: Refreshed,
    origin: NDArray[np.int64],
    features: sparse.csr_array,
    labels: sparse.csr_array,
    held_out: tuple[sparse.csr_array, sparse.csr_array],
    *,
    beam: BeamParams = BeamParams(),
    k: int = 1,
    threads: int = 1,
) -> DriftReport:
    """The report on a refresh; arguments as refresh_ranker takes them, held_out: features and labels of other rows."""
    tree, old_tree = after.model.tree, before.model.tree
    leaves = tree.width(tree.depth - 2)
    distance = _centroid_distances(before, after, origin, checked_rows(features, "features"), labels, leaves)
    queries, truth = held_out
    known = origin >= 0
    number = np.full(old_tree.labels, NONE, dtype=np.uint32)
    number[origin[known]] = np.flatnonzero(known)
    mine = Ranker(after.model, beam).rank(queries, k, threads=threads)
    theirs = Ranker(before.model, beam).rank(queries, k, threads=threads)
    renamed = np.where(theirs.ids == NONE, NONE, number[np.minimum(theirs.ids, old_tree.labels - 1)])
    return DriftReport(
        labels=tree.labels,
        new_share=float((~known).mean()),
        removed_share=1 - int(known.sum()) / old_tree.labels,
        solved_share=after.share_solved,
        centroid_mean=float(distance.mean()),
        centroid_most=float(distance.max()),
        largest_leaf=int(np.bincount(tree.parents[-1], minlength=leaves).max()),
        top_leaf_changed=_top_leaf_changed(before, after, queries, beam, threads),
        precision_before=precision_at(hits(Ranking(renamed, theirs.scores), truth), k),
        precision_after=precision_at(hits(mine, truth), k),
        k=k,
    )


def _centroid_distances(
    before: Trained,
    after: Refreshed,
    origin: NDArray[np.int64],
    features: sparse.csr_array,
    labels: sparse.csr_array,
    leaves: int,
) -> NDArray[np.float64]:
    """1 - cosine of each leaf's centre before and now; only labels solved again have other features than before."""
    old_leaf = before.model.tree.parents[-1].astype(np.int64)
    then = leaf_centroids(before.label_features, old_leaf, leaves)
    again = np.flatnonzero(after.solved[-1])
    place = np.maximum(origin, 0)
    place[again] = before.label_features.shape[0] + np.arange(len(again))
    both = [before.label_features]
    if len(again):
        both.append(embedded(features, checked_rows(labels, "labels"), again))
    stacked = checked_rows(sparse.vstack(both, format="csr"), "label features")
    leaf_of_row = np.full(stacked.shape[0], -1, dtype=np.int64)
    leaf_of_row[place] = after.model.tree.parents[-1]
    now = leaf_centroids(stacked, leaf_of_row, leaves)
    both_filled = (np.diff(then.indptr) > 0) & (np.diff(now.indptr) > 0)
    cosine = np.asarray((then * now).sum(axis=1)).ravel()
    return np.where(both_filled, np.maximum(1 - cosine, 0.0), 0.0)


def _top_leaf_changed(
    before: Trained, after: Refreshed, queries: sparse.csr_array, beam: BeamParams, threads: int
) -> float:
    upper = after.model.tree.depth - 1
    if upper == 0 or queries.shape[0] == 0 or not any(again.any() for again in after.solved[:-1]):
        return 0.0
    tops = [
        Ranker(model, beam, levels=upper).rank(queries, 1, threads=threads).ids[:, 0]
        for model in (before.model, after.model)
    ]
    return float((tops[0] != tops[1]).mean())
