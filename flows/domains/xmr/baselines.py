"""The ranker beside its baselines, as part of the flow that trains it."""

from collections.abc import Mapping

from flows.domains.xmr.settings import XmrSettings
from schemas.refs import Ref
from tasks.xmr.stages.baselines import compare_rankers, fit_dense_labels, train_towers


def compare(xmr: XmrSettings, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """Makes the baselines that the settings ask for, of the artifacts by role, and compares them with the ranker's release."""
    chosen, taken, found = xmr.baselines, made["interactions"], {}
    found["dense_labels"] = fit_dense_labels(taken, made["features"], params=chosen.svd, rows=xmr.rows)
    if chosen.network:
        found["towers"] = train_towers(taken, label_words=xmr.label_words, params=chosen.towers, rows=xmr.rows)
    networks = [found["towers"]] if chosen.network else []
    found["comparison"] = compare_rankers(
        taken,
        made["ranker"],
        found["dense_labels"],
        *networks,
        label_words=xmr.label_words,
        bm25=chosen.bm25,
        dense=chosen.dense,
        params=chosen.judge,
    )
    return found
