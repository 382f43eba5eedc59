"""Comparison of the ranker with its baselines, as part of the flow that trains it."""

from collections.abc import Mapping

from fingerpost.flows.domains.xmr.settings import XmrSettings
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.xmr.stages.baselines import compare_rankers, fit_dense_labels, train_towers


def compare(xmr: XmrSettings, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """Trains the baselines of the settings on the artifacts by role, and compares them with the ranker's release."""
    chosen, interactions, results = xmr.baselines, artifacts["interactions"], {}
    results["dense_labels"] = fit_dense_labels(interactions, artifacts["features"], params=chosen.svd, rows=xmr.rows)
    if chosen.network:
        results["towers"] = train_towers(interactions, label_words=xmr.label_words, params=chosen.towers, rows=xmr.rows)
    networks = [results["towers"]] if chosen.network else []
    results["comparison"] = compare_rankers(
        interactions,
        artifacts["ranker"],
        results["dense_labels"],
        *networks,
        label_words=xmr.label_words,
        bm25=chosen.bm25,
        dense=chosen.dense,
        params=chosen.judge,
    )
    return results
