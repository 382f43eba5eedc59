"""How an alignment stands: beside boosting on similarities, and over runs."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.kg.report.measured import METHODS
from fingerpost.flows.domains.kg.report.section import Contents
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import kg


def beside(contents: Contents) -> list[Beside]:
    """The PRAUC of the published scorer beside that of the baseline on the same test pairs."""
    made = contents.alignment
    if made.get("prauc") is None or made.get("baseline_prauc") is None:
        return []
    return [Beside("alignment", "PRAUC", float(made["prauc"]), METHODS["baseline"], float(made["baseline_prauc"]))]


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Matches, what blocking found, and metrics on test pairs."""
    names = {"matches": "matches", "blocking_recall": "blocking: recall", "prauc": "alignment: PRAUC"}
    return metrics_of(record, kg.ALIGNMENT.name, names | {"matches_f1": "matches: F1"})
