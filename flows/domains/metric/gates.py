"""The gates that a threshold must pass before it becomes live. Imports no Prefect."""

from fingerpost.flows.domains.metric.settings import ThresholdGates
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def threshold_gates(manifest: Manifest, settings: ThresholdGates) -> list[Gate]:
    """The gates of a threshold, on the classes that it was not chosen on; a target of 0 has no multiple.

    The other rate, its cost, is limited too: a threshold that hardly any pair passes is of no use.
    """
    quality = manifest.quality
    gates = [
        Gate("threshold_classes", float(quality["test_classes"]), float(settings.classes)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    if settings.rate and quality["share"]:
        ratio = float(quality[f"test_{quality['rate']}"]) / float(quality["share"])
        gates.append(Gate("threshold_rate_over_target", ratio, settings.rate, "at_most"))
    cost, maximum = ("frr", settings.frr) if quality["rate"] == "far" else ("far", settings.far)
    if maximum < 1:
        gates.append(Gate(f"threshold_{cost}", float(quality[f"test_{cost}"]), maximum, "at_most"))
    if settings.recall_at_1:
        recall = float(quality.get("recall_at_1", 0.0))
        gates.append(Gate("threshold_recall_at_1", recall, settings.recall_at_1))
    return gates


def on_missed(collection: str, settings: ThresholdGates) -> str:
    """The consequence of a missed gate for the run: "fail" or "note"."""
    return settings.sample_missed if collection == SAMPLE else settings.missed
