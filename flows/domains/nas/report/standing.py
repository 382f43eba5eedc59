"""How a network stands: beside the reference, and over runs."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.nas.report.section import Contents
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import nas


def beside(contents: Contents) -> list[Beside]:
    """The accuracy of the chosen network beside that of the reference, where it is no faster for it."""
    made, change = contents.network, contents.latency_change
    if made.get("accuracy") is None or made.get("reference_accuracy") is None or change is None or change < 0:
        return []
    metric, ours, theirs = contents.accuracy_name, float(made["accuracy"]), float(made["reference_accuracy"])
    return [Beside("network", f"{metric} on test images", ours, "the reference, which is no slower", theirs)]


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Accuracy on test images, and latency."""
    names = {"accuracy": "network: accuracy", "latency_ms": "network: latency, ms"}
    return metrics_of(record, nas.NETWORK.name, names)
