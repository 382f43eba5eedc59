"""The gates that a completer must pass before it becomes live. Imports no Prefect."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.autocomplete.settings import CompleterGates
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def completer_gates(manifest: Manifest, settings: CompleterGates) -> list[Gate]:
    """The gates of a completer: no suggestion of too few users, and no worse than popularity on held-out sessions.

    A completer without suggestions has no fewest users of a suggestion; the minimum of suggestions is what it misses.
    """
    quality = manifest.quality
    gates = [
        Gate("completer_suggestions", float(quality["suggestions"]), float(settings.suggestions)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
        Gate("completer_tested", float(quality["tested"]), float(settings.tested)),
    ]
    if quality["suggestions"]:
        gates.insert(1, Gate("completer_least_users", float(quality["least_users"]), float(settings.users)))
    if quality["tested"] and settings.over_popularity > -1:
        gates.append(_over_popularity(quality, settings.over_popularity))
    if settings.mrr:
        gates.append(Gate("completer_mrr", float(quality.get("mrr", 0.0)), settings.mrr))
    return gates


def _over_popularity(quality: Mapping[str, Any], least: float) -> Gate:
    """The lead in MRR over the most popular completions of a prefix; 1 is the highest MRR there is."""
    lead = float(quality["mrr"]) - float(quality["popularity_mrr"])
    return Gate("completer_mrr_over_popularity", round(lead, 6), min(least, round(1 - quality["popularity_mrr"], 6)))


def unmeasured(manifest: Manifest) -> str:
    """That a completer's quality was not measured, and what to do; empty where it was."""
    if manifest.quality["tested"]:
        return ""
    return (
        "The completer's quality is not measured: no session that is held out for testing has a query with one before"
        " it; raise autocomplete.sessions.test_share or give more sessions, or set autocomplete.gates.tested to keep"
        " such a completer from becoming live"
    )
