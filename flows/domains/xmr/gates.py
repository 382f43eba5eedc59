"""The gates that a ranker must pass before it becomes live. Imports no Prefect."""

from fingerpost.flows.domains.xmr.settings import RankerGates
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def ranker_gates(manifest: Manifest, settings: RankerGates) -> list[Gate]:
    """The gates of a ranker; without queries held out for testing, there is no gate on recall."""
    quality = manifest.quality
    gates = [
        Gate("ranker_labels", float(quality["labels"]), float(settings.labels)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    sample = manifest.run["collection"] == SAMPLE
    minimum = settings.sample_recall_at_10 if sample else settings.recall_at_10
    if quality["tested"]:
        gates.append(Gate("ranker_recall_at_10", float(quality.get("recall_at_10", 0.0)), minimum))
    return gates
