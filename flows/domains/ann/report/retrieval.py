"""Known-item retrieval for the report, read from its evaluation."""

from dataclasses import dataclass
from typing import Any

from fingerpost.schemas import ann
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_METHODS = {"dense": "dense vectors", "reranked": "dense, re-ranked", "bm25": "BM25"}
_SETTINGS = {
    "whole": "Whole texts",
    "without_sentence": "The query sentence removed from its document",
}


@dataclass(frozen=True)
class MethodRow:
    """One method in a known-item table."""

    method: str
    mrr: float
    recall: float
    candidates: int
    milliseconds: float | None


@dataclass(frozen=True)
class KnownItemTable:
    """One known-item table.

    ``candidate_recall`` is the fraction of questions whose document is among the candidates, ``over_bm25`` the MRR of
    re-ranked answers divided by that of BM25.
    """

    title: str
    queries: int
    rows: list[MethodRow]
    candidate_recall: float | None
    over_bm25: float | None

    @property
    def timed(self) -> bool:
        """Whether the times were measured."""
        return any(row.milliseconds is not None for row in self.rows)


@dataclass(frozen=True)
class Retrieval:
    """The known-item tables, and sample questions with the (title, id) of their answers."""

    tables: list[KnownItemTable]
    samples: dict[str, list[tuple[str, str]]]


def read_retrieval(store: Store, stage: dict[str, Any]) -> Retrieval:
    """The known-item metrics and sample answers of a stage's artifact."""
    artifact = store.open(Ref.parse(stage["ref"]), ann.RETRIEVAL)
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in artifact.read("figures").to_pylist():
        values.setdefault((row["setting"], row["method"]), {})[row["metric"]] = row["value"]
    times = stage["measured"].get("milliseconds_per_query", {})
    tables = []
    for setting, title in _SETTINGS.items():
        rows = [
            MethodRow(
                name,
                metrics["mrr"],
                metrics["recall_at_10"],
                int(metrics["candidates"]),
                times.get(method) if setting == "whole" else None,
            )
            for method, name in _METHODS.items()
            if (metrics := values.get((setting, method)))
        ]
        dense, ours, theirs = (values.get((setting, method), {}) for method in _METHODS)
        ratio = ours["mrr"] / theirs["mrr"] if ours and theirs.get("mrr") else None
        if rows:
            queries, among = int(dense.get("queries", 0)), dense.get("recall_of_candidates")
            tables.append(KnownItemTable(title, queries, rows, among, ratio))
    samples: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(artifact.read("samples").to_pylist(), key=lambda row: row["rank"]):
        samples.setdefault(row["query"], []).append((row["title"], row["id"]))
    return Retrieval(tables, samples)
