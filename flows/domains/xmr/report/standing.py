"""How a ranker stands: beside the most frequent labels and BM25, and over runs."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.xmr.report.ranking import METHODS
from fingerpost.flows.domains.xmr.report.section import Contents
from fingerpost.flows.report import formats
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import xmr

#: Baselines that learn nothing from which labels belong to which queries.
_SIMPLE = ("frequent", "bm25")
_METRICS = ("ndcg_at_10", "recall_at_10", "precision_at_1")


def beside(contents: Contents) -> list[Beside]:
    """The ranker beside each simple baseline on the same queries, by the first metric that both have."""
    systems = {system.method: system.metrics for system in contents.ranked.systems} if contents.ranked else {}
    ours, found = systems.get("ranker", {}), []
    for method in _SIMPLE:
        theirs = systems.get(method, {})
        shared = [name for name in _METRICS if name in ours and name in theirs]
        for name in shared[:1]:
            found.append(Beside("ranker", formats.metric(name), ours[name], METHODS[method], theirs[name]))
    return found


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Queries and labels, and the ranker's metrics on held-out queries."""
    counts = {"queries": "queries", "labels": "labels"}
    metrics = {name: f"ranker: {formats.metric(name)}" for name in _METRICS[:2]}
    return [*metrics_of(record, xmr.INTERACTIONS.name, counts), *metrics_of(record, xmr.RANKER.name, metrics)]
