"""Known-item retrieval for the report, read from its evaluation."""

from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains.ann.report.judged import METHODS
from fingerpost.schemas import ann
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_SETTINGS = {
    "whole": "Whole texts",
    "without_sentence": "The query sentence removed from its document",
}


@dataclass(frozen=True)
class MethodRow:
    """One method in a known-item table; ``among`` is the fraction of documents found at all, to the depth that counts."""

    method: str
    mrr: float
    recall: float
    among: float | None
    milliseconds: float | None


@dataclass(frozen=True)
class KnownItemTable:
    """One known-item table; ``depth`` is the maximum rank that counts, ``over_bm25`` the MRR of served answers divided by
    that of plain BM25.
    """

    title: str
    queries: int
    depth: int
    rows: list[MethodRow]
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

    @property
    def found(self) -> list[tuple[str, list[tuple[str, float]]]]:
        """The (method, MRR) of each table, with the table's title."""
        return [(table.title, [(row.method, row.mrr) for row in table.rows]) for table in self.tables]


def read_retrieval(store: Store, stage: dict[str, Any]) -> Retrieval:
    """The known-item metrics and sample answers of a stage's artifact."""
    artifact = store.open(Ref.parse(stage["ref"]), ann.RETRIEVAL)
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in artifact.read("figures").to_pylist():
        values.setdefault(row["setting"], {}).setdefault(row["method"], {})[row["metric"]] = row["value"]
    times = stage["measured"].get("milliseconds_per_query", {})
    tables = [
        _setting_table(title, found, times if setting == "whole" else {})
        for setting, title in _SETTINGS.items()
        if (found := values.get(setting))
    ]
    samples: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(artifact.read("samples").to_pylist(), key=lambda row: row["rank"]):
        samples.setdefault(row["query"], []).append((row["title"], row["id"]))
    return Retrieval(tables, samples)


def _setting_table(title: str, values: dict[str, dict[str, float]], times: dict[str, float]) -> KnownItemTable:
    """A table of the metrics of each method."""
    metrics = next(iter(values.values()))
    depths = (int(name.removeprefix("recall_at_")) for name in metrics if name.startswith("recall_at_"))
    depth = max(depths, default=10)
    rows = [
        MethodRow(name, found["mrr"], found["recall_at_10"], found.get(f"recall_at_{depth}"), times.get(method))
        for method, name in METHODS.items()
        if (found := values.get(method))
    ]
    served, rival = values.get("fused", values.get("lexical", {})), values.get("bm25", {})
    ratio = served["mrr"] / rival["mrr"] if served and rival.get("mrr") else None
    return KnownItemTable(title, int(metrics.get("queries", 0)), depth, rows, ratio)
