"""What a report shows of a refresh of the live ranker: how much was solved again, how far it has drifted, within which limits."""

from dataclasses import dataclass
from typing import Any

from schemas.refs import Ref
from schemas.store import Store

#: Figures of the drift in the order of the table, as readers call them, each with its limit's name.
FIGURES = (
    ("solved_share", "labels solved again"),
    ("new_share", "labels that are new"),
    ("removed_share", "labels that are gone, of those before"),
    ("unsolved_share", "labels with new queries left as they were"),
    ("terms_lost", "fewer known terms in a new query"),
    ("centroid_mean", "drift of the leaves' centres (1 - cosine)"),
    ("top_leaf_changed", "held-out queries led to another leaf"),
)
_FULLY = "trained fully: "


@dataclass(frozen=True)
class Refresh:
    """Rows of (figure, share, limit), precision of the base and of the refreshed ranker at ``k`` with the most it may lose,
    and why the ranker was trained fully in the same run, if it was.
    """

    base: str
    rows: list[tuple[str, float, float]]
    k: int
    before: float
    after: float
    loss: float
    past: str


def read_refresh(store: Store, record: dict[str, Any]) -> list[Refresh]:
    """The refreshes of a run, one for each ranker of an ensemble."""
    return [_read(store, stage) for stage in record["stages"] if stage["stage"] == "refresh_rankers"]


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
    """Why a run that was to refresh trained fully, as its stages were told; empty where it did not."""
    reasons = (stage["reason"].partition(_FULLY)[2] for stage in record["stages"])
    return next(filter(None, reasons), "")
