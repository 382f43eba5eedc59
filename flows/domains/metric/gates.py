"""The gates that a threshold must pass before it becomes live. Imports no Prefect."""

from fingerpost.flows.domains.metric.settings import ThresholdGates
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def threshold_gates(manifest: Manifest, settings: ThresholdGates) -> list[Gate]:
    """The gates of a threshold, on the classes that it was not chosen on.

    A target that no threshold keeps is missed, whatever the limits. The rate is compared with the target; a target of 0
    with what n pairs without a wrong one can show, 3 / n (rule of three, at 95 %). The other rate, its cost, is limited
    too: a threshold that hardly any pair passes is of no use.
    """
    quality = manifest.quality
    gates = [
        Gate("threshold_classes", float(quality["test_classes"]), float(settings.classes)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    if "kept" in quality:
        gates.append(Gate("threshold_keeps_target", float(quality["kept"]), 1.0))
    shown = 3 / quality["target_pairs"] if quality.get("target_pairs") else 0.0
    target = float(quality["share"]) or shown
    if settings.rate and target:
        ratio = float(quality[f"test_{quality['rate']}"]) / target
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
