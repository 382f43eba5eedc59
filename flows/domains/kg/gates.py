"""The gates that an alignment must pass before it becomes live. Imports no Prefect."""

from fingerpost.flows.domains.kg.settings import AlignmentGates
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def alignment_gates(manifest: Manifest, settings: AlignmentGates) -> list[Gate]:
    """The gates of an alignment: matches, what blocking found, and PRAUC and precision on test pairs where there are any."""
    quality = manifest.quality
    gates = [
        Gate("alignment_matches", float(quality["matches"]), float(settings.matches)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
        Gate("alignment_tested", float(quality["tested"]), float(settings.tested)),
    ]
    if "blocking_recall" in quality:
        gates.append(Gate("alignment_blocking_recall", float(quality["blocking_recall"]), settings.blocking_recall))
    if quality["tested"] or settings.prauc:
        gates.append(Gate("alignment_prauc", float(quality.get("prauc", 0.0)), settings.prauc))
    if "precision" in quality and settings.precision:
        gates.append(Gate("alignment_precision", float(quality["precision"]), settings.precision))
    if "prauc" in quality and "baseline_prauc" in quality and settings.over_baseline > -1:
        lead = float(quality["prauc"]) - float(quality["baseline_prauc"])
        least = min(settings.over_baseline, round(1 - float(quality["baseline_prauc"]), 6))
        gates.append(Gate("alignment_prauc_over_baseline", round(lead, 6), least))
    return gates


def unmeasured(manifest: Manifest) -> str:
    """That an alignment's quality was not measured, and what to do; empty where it was."""
    quality = manifest.quality
    if quality["tested"] and ("prauc" in quality or "precision" in quality):
        return ""
    if quality["positives"]:
        return (
            "The alignment's quality is not measured: no known pair is of the split test; give more pairs, or set"
            " kg.gates.tested to keep such an alignment from becoming live"
        )
    return (
        f"The alignment's quality is not measured: no {'matches' if quality['links'] else 'pairs'} are known, so that"
        " matches were assumed from the most similar pairs, and probabilities and threshold are estimates; label some of"
        " the pairs that `fingerpost review` lists and name the file in kg.reviewed"
    )
