"""Changes of judged queries, and of the answers to them, between two indexes. Imports no Prefect."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.flows.ops.compare.changes import FIRST, DataChange, figure_changes, row_changes, tables_of
from fingerpost.schemas import ann
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.judged import Paired, paired
from fingerpost.tasks.ann.judgement import served_of


@dataclass(frozen=True)
class NdcgOfBoth:
    """nDCG@10 of two versions over the queries that both are judged by.

    ids: those queries, which have the same text and judgements in both. old, new: float64 (queries,). others: the number of
    queries that only one of the versions has, or with other judgements.
    """

    ids: list[str]
    old: NDArray[np.float64]
    new: NDArray[np.float64]
    paired: Paired
    others: int

    @property
    def before(self) -> float:
        """The mean of the earlier version."""
        return float(self.old.mean())

    @property
    def after(self) -> float:
        """The mean of the later version."""
        return float(self.new.mean())


def fall_of_ndcg(store: Store, before: Ref, after: Ref) -> NdcgOfBoth | None:
    """The served answers of two judgements compared by query; None where they have no query in common."""
    left, right = (_served(table) for table in tables_of(store, before, after, ann.JUDGEMENT, "queries"))
    shared = sorted(key for key in left.keys() & right.keys() if left[key][0] == right[key][0])
    if not shared:
        return None
    old, new = (np.array([side[key][1] for key in shared], dtype=np.float64) for side in (left, right))
    return NdcgOfBoth(shared, old, new, paired(new, old), len(left.keys() | right.keys()) - len(shared))


def _served(queries: pa.Table) -> dict[str, tuple[str, float]]:
    """What each query is judged by, and its nDCG, by id."""
    if not queries.num_rows:
        return {}
    mine = queries.filter(pc.equal(queries["method"], served_of(queries["method"].unique().to_pylist())))
    columns = (mine[name].to_pylist() for name in ("id", "judged", "ndcg_at_10"))
    return {key: (judged, value) for key, judged, value in zip(*columns, strict=True)}


def judged(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Added, removed and changed queries."""
    return [row_changes(store, before, after, ann.JUDGED, "queries", about="judged queries")]


def judgement(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The changed metrics, and the queries whose answers became better or worse."""
    means, found = figure_changes(store, before, after, ann.JUDGEMENT), fall_of_ndcg(store, before, after)
    if found is None:
        return [means, DataChange("judged answers", note="no query is judged by the same documents in both")]
    moves = found.new - found.old
    figures: dict[str, Any] = {
        "queries judged alike": len(found.ids),
        "judged otherwise, or in one version": found.others,
        "nDCG@10 before": round(found.before, 6),
        "nDCG@10 after": round(found.after, 6),
        "better": int((moves > 0).sum()),
        "worse": int((moves < 0).sum()),
        "probability of such a difference between equal versions": round(found.paired.probability, 6),
    }
    worst = [row for row in np.argsort(moves, kind="stable")[:FIRST] if moves[row] < 0]
    examples = [
        f"{found.ids[row]}: {significant(found.old[row])} → {significant(found.new[row])} ({significant(moves[row], signed=True)})"
        for row in worst
    ]
    return [means, DataChange("judged answers", figures, examples)]
