"""Changes of interactions, predictions for held-out queries, and metrics between two rankers. Imports no Prefect."""

import numpy as np

from fingerpost.flows.ops.compare.causes import lineage
from fingerpost.flows.ops.compare.changes import (
    FIRST,
    DataChange,
    figure_changes,
    kept_entries,
    row_changes,
    rows_in,
    share,
)
from fingerpost.schemas import xmr
from fingerpost.schemas.matrices import fixed_matrix
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.xmr.ranking import NONE


def interactions(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Queries and labels that were added, removed or changed."""
    return [row_changes(store, before, after, xmr.INTERACTIONS, table) for table in ("queries", "labels")]


def evaluation(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of the rankings, in total and by label frequency."""
    return [figure_changes(store, before, after, xmr.EVALUATION)]


def comparison(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of the ranker and of its baselines."""
    return [figure_changes(store, before, after, xmr.COMPARISON)]


def sweep(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics at each threshold and beam."""
    return [figure_changes(store, before, after, xmr.SWEEP)]


def predictions(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The fraction of predicted labels kept over queries held out in both versions, and those that changed most."""
    behind = [store.open(lineage(store, ref)[xmr.INTERACTIONS.name][0], xmr.INTERACTIONS) for ref in (before, after)]
    tables = [store.open(ref, xmr.PREDICTIONS).read("ranking") for ref in (before, after)]
    queries = [
        side.read("queries").take(table["query"]).select(["id", "text"])
        for side, table in zip(behind, tables, strict=True)
    ]
    earlier_rows = rows_in(*queries)
    common = np.flatnonzero(earlier_rows >= 0)
    if not len(common):
        return [DataChange("predicted labels", {"queries in both": 0}, note="no held-out query is in both")]
    labels = [side.read("labels") for side in behind]
    # Labels of the later version as rows of the earlier one; new labels get row numbers beyond those.
    same = rows_in(*labels)
    names = np.where(same >= 0, same, labels[0].num_rows + np.arange(labels[1].num_rows))
    ranked = [fixed_matrix(table["labels"]) for table in tables]
    k = min(ranked[0].shape[1], ranked[1].shape[1])
    old = np.where(ranked[0] == NONE, -1, ranked[0].astype(np.int64))[earlier_rows[common], :k]
    later = ranked[1].astype(np.int64)[common, :k]
    new = np.where(later == NONE, -2, names[np.minimum(later, labels[1].num_rows - 1)])
    kept = kept_entries(old, new).sum(axis=1)
    sizes = np.maximum((old >= 0).sum(axis=1), (new >= 0).sum(axis=1))
    overlap = np.where(sizes > 0, kept / np.maximum(sizes, 1), 1.0)
    first = (old[:, 0] != new[:, 0]) & (sizes > 0)
    figures = {
        "k": k,
        "queries in both": len(common),
        "with another first label": int(first.sum()),
        "share with another first label": share(int(first.sum()), len(common)),
        "mean overlap": round(float(overlap.mean()), 6),
    }
    worst = np.lexsort((common, overlap))[:FIRST]
    texts = queries[1]["text"].take(common[worst]).to_pylist()
    examples = [
        f"most changed: {text!r}, {int(kept[row])} of {int(sizes[row])} labels stayed"
        for text, row in zip(texts, worst, strict=True)
        if overlap[row] < 1
    ]
    return [DataChange("predicted labels", figures, examples)]
