"""How a completer stands: beside the most popular completions, and over runs."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.autocomplete.report.completions import METHODS
from fingerpost.flows.domains.autocomplete.report.section import Contents
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import autocomplete


def beside(contents: Contents) -> list[Beside]:
    """The completer beside the most popular completions of a prefix, and those after the query before."""
    systems = contents.completed.systems if contents.completed else []
    values = {system.method: system.metrics["mrr"] for system in systems if "mrr" in system.metrics}
    made = contents.completer
    if made.get("tested") and {"mrr", "popularity_mrr"} <= set(made):
        values = {"completer": float(made["mrr"]), "popularity": float(made["popularity_mrr"]), **values}
    if "completer" not in values:
        return []
    simple = [method for method in ("popularity", "bigram") if method in values]
    return [Beside("completer", "MRR", values["completer"], METHODS[one], values[one]) for one in simple]


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Events, suggestions, and the completer's MRR on held-out sessions."""
    return [
        *metrics_of(record, autocomplete.EVENTS.name, {"events": "events"}),
        *metrics_of(record, autocomplete.COMPLETER.name, {"suggestions": "suggestions", "mrr": "completer: MRR"}),
    ]
