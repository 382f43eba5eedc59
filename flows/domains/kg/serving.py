"""Answers of a served alignment."""

from dataclasses import asdict
from typing import Any

from fingerpost.flows.domains.kg.endpoints import Entity
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.open import LiveAlignment


def opened(store: Store, ref: Ref) -> LiveAlignment:
    """An alignment release with its graphs and matches."""
    alignment = LiveAlignment(store, ref)
    for key in alignment.graphs["left"].ids([0]):
        alignment.matches_of(key)
    return alignment


def match(alignment: LiveAlignment, question: Entity) -> dict[str, Any]:
    """The matches of an entity."""
    return {"matches": [asdict(found) for found in alignment.matches_of(question.id, side=question.side)]}
