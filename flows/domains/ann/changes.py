"""Changes of neighbours, metrics and sample answers between two indexes. Imports no Prefect."""

import numpy as np
import pyarrow as pa

from fingerpost.flows.domains.corpus.changes import documents_behind, setting_changes
from fingerpost.flows.ops.compare.changes import (
    FIRST,
    DataChange,
    figure_changes,
    kept_entries,
    rows_in,
    share,
    tables_of,
)
from fingerpost.schemas import ann
from fingerpost.schemas.matrices import fixed_matrix
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_NONE = 0xFFFFFFFF


def evaluation(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of recall and work."""
    return [figure_changes(store, before, after, ann.EVALUATION)]


def speeds(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of the ways to search."""
    return [figure_changes(store, before, after, ann.SPEEDS, last="deviation")]


def certificate(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """What an index is certified to deliver, where it is something else."""
    return [setting_changes(store, before, after, ann.CERTIFICATE, "values of the certificate")]


def tuning(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Parameters of answering that were chosen otherwise, and metrics of those tried."""
    chosen = setting_changes(store, before, after, ann.TUNING, "parameters of answers")
    return [chosen, figure_changes(store, before, after, ann.TUNING)]


def retrieval(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of known-item retrieval, and the sample queries with different answers."""
    left, right = (_samples(table) for table in tables_of(store, before, after, ann.RETRIEVAL, "samples"))
    both = sorted(left.keys() & right.keys())
    changed = [query for query in both if left[query] != right[query]]
    samples = DataChange(
        "sample queries",
        {"in both": len(both), "answered otherwise": len(changed)},
        [f"{query!r}: first {left[query][0]} → {right[query][0]}" for query in changed[:FIRST]],
    )
    return [figure_changes(store, before, after, ann.RETRIEVAL), samples]


def _samples(table: pa.Table) -> dict[str, list[str]]:
    """The ids of the answers of each sample query, best first."""
    answers: dict[str, list[str]] = {}
    for row in sorted(table.to_pylist(), key=lambda row: (row["query"], row["rank"])):
        answers.setdefault(row["query"], []).append(row["id"])
    return answers


def neighbors(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The fraction of neighbours kept over documents in both versions, and the documents that changed most."""
    left, right = (documents_behind(store, ref) for ref in (before, after))
    tables = [fixed_matrix(table["neighbors"]) for table in tables_of(store, before, after, ann.NEIGHBORS, "neighbors")]
    k = min(tables[0].shape[1], tables[1].shape[1])
    earlier_rows = rows_in(left, right)
    common = np.flatnonzero(earlier_rows >= 0)
    if not len(common):
        return [DataChange("neighbours", {"documents in both": 0}, note="no document is in both")]
    # Neighbours of the later version as rows of the earlier one; new documents get row numbers beyond those.
    names = np.where(earlier_rows >= 0, earlier_rows, left.num_rows + np.arange(right.num_rows))
    old = np.where(tables[0] == _NONE, -1, tables[0].astype(np.int64))[earlier_rows[common], :k]
    later = tables[1].astype(np.int64)[common, :k]
    new = np.where(later == _NONE, -2, names[np.minimum(later, right.num_rows - 1)])
    stays = kept_entries(old, new)
    kept, lost = stays.sum(axis=1), old[~stays & (old >= 0)]
    gone = np.isin(np.arange(left.num_rows), earlier_rows, invert=True)
    sizes = np.maximum((old >= 0).sum(axis=1), (new >= 0).sum(axis=1))
    overlap = np.where(sizes > 0, kept / np.maximum(sizes, 1), 1.0)
    changed = overlap < 1
    worst = np.lexsort((common, overlap))[:FIRST]
    ids, titles = right["id"].take(common[worst]).to_pylist(), right["title"].take(common[worst]).to_pylist()
    figures = {
        "k": k,
        "documents in both": len(common),
        "lists that changed": int(changed.sum()),
        "share of lists that changed": share(int(changed.sum()), len(common)),
        "mean overlap": round(float(overlap.mean()), 6),
        "neighbours lost": len(lost),
        "of these, documents that are gone": int(gone[lost].sum()),
        "neighbours that are new documents": int((new >= left.num_rows).sum()),
    }
    examples = [
        f"most changed: {key}{f' ({title})' if title and title != key else ''}, {int(kept[row])} of {int(sizes[row])}"
        " neighbours stayed"
        for key, title, row in zip(ids, titles, worst, strict=True)
        if changed[row]
    ]
    return [DataChange("neighbours", figures, examples)]
