"""A refresh of the live ranker for the report: the fraction that was re-solved, its drift, and the limits."""

from dataclasses import dataclass
from typing import Any

from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Metrics of the drift in the order of the table: display name and the name of its limit.
FIGURES = (
    ("solved_share", "labels re-solved"),
    ("new_share", "labels that are new"),
    ("removed_share", "labels removed, of those before"),
    ("unsolved_share", "labels with new queries that were not re-solved"),
    ("terms_lost", "fewer known terms in a new query"),
    ("centroid_mean", "drift of the leaves' centres (1 - cosine)"),
    ("top_leaf_changed", "held-out queries routed to another leaf"),
)
_FULLY = "trained fully: "


@dataclass(frozen=True)
class Refresh:
    """Rows of (metric, fraction, limit), and precision at ``k`` of the base and of the refreshed ranker.

    ``loss`` is the maximum fall of precision; ``past`` says why the ranker was then trained fully, if it was.
    """

    base: str
    rows: list[tuple[str, float, float]]
    k: int
    before: float
    after: float
    loss: float
    past: str


def read_refresh(store: Store, record: dict[str, Any]) -> list[Refresh]:
    """The refreshes of a run that were measured, one per ranker of an ensemble."""
    measured = (stage for stage in record["stages"] if not stage.get("part", "").startswith("final"))
    return [_read(store, stage) for stage in measured if stage["stage"] == "refresh_rankers"]


def _read(store: Store, stage: dict[str, Any]) -> Refresh:
    drift, limits = stage["quality"]["drift"], store.manifest(Ref.parse(stage["ref"])).identity["parameters"]["limits"]
    return Refresh(
        base=stage["inputs"]["old_model"],
        rows=[(name, drift[key], limits[key]) for key, name in FIGURES],
        k=drift["k"],
        before=drift["precision_before"],
        after=drift["precision_after"],
        loss=limits["precision_loss"],
        past=stage["quality"]["must_retrain"],
    )


def read_trained_fully(record: dict[str, Any]) -> str:
    """Why a run that was to refresh trained fully, by the reasons of its stages; empty where it did not."""
    reasons = (stage["reason"].partition(_FULLY)[2] for stage in record["stages"])
    return next(filter(None, reasons), "")
