"""How documents stand over runs."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import corpus


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Documents, and the quarantined fraction of their rows."""
    names = {"documents": "documents", "quarantine_share": "quarantined fraction"}
    return metrics_of(record, corpus.DOCUMENTS.name, names)
