"""The gates that a ranker must pass before it becomes live. Imports no Prefect."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.xmr.settings import RankerGates
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def ranker_gates(manifest: Manifest, settings: RankerGates) -> list[Gate]:
    """The gates of a ranker, on queries held out for testing.

    It must rank better than the most frequent labels do, or as well if these are always right. Without such queries a
    minimum of recall is missed.
    """
    quality = manifest.quality
    gates = [
        Gate("ranker_labels", float(quality["labels"]), float(settings.labels)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
        Gate("ranker_tested", float(quality["tested"]), float(settings.tested)),
    ]
    sample = manifest.run["collection"] == SAMPLE
    minimum = settings.sample_recall_at_10 if sample else settings.recall_at_10
    if quality["tested"] or minimum:
        gates.append(Gate("ranker_recall_at_10", float(quality.get("recall_at_10", 0.0)), minimum))
    if quality["tested"] and settings.over_frequent > -1:
        gates += _over_frequent(quality, settings.over_frequent)
    return gates


def _over_frequent(quality: Mapping[str, Any], least: float) -> list[Gate]:
    """The lead over the most frequent labels, where both were measured, at 10 labels or the most that were ranked."""
    for k in (10, 5, 3, 1):
        ours, frequent = quality.get(f"ndcg_at_{k}"), quality.get(f"frequent_ndcg_at_{k}")
        if ours is not None and frequent is not None:
            lead = float(ours) - float(frequent)
            return [Gate(f"ranker_ndcg_at_{k}_over_frequent", round(lead, 6), min(least, round(1 - frequent, 6)))]
    return []


def unmeasured(manifest: Manifest) -> str:
    """That a ranker's quality was not measured, and what to do; empty where it was."""
    if manifest.quality["tested"]:
        return ""
    return (
        "The ranker's quality is not measured: no query is held out for testing; raise xmr.interactions.test_share or"
        " give more queries, or set xmr.gates.tested to keep such a ranker from becoming live"
    )
