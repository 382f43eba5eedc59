"""The answers of an alignment to ids of entities, for ``replay``. Imports no Prefect.

A query of the file is the id of an entity of the left graph (or of the only one), answered with its match and then the
entities that it was compared with, the most probable first. Judged ids are ids of the right graph: a judged pair is a
query with its right entity.
"""

from collections.abc import Collection, Sequence

from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.open import LiveAlignment


class AlignmentAnswers:
    """Ids of left entities answered with ids of right ones."""

    def __init__(self, alignment: LiveAlignment) -> None:
        self._alignment = alignment

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The k first other entities of each; none for an unknown id."""
        rows = self._alignment.graphs["left"].rows_of(texts).tolist()
        found = (self._alignment.others_at("left", row) if row >= 0 else [] for row in rows)
        return [[other.id for other in others[:k]] for others in found]

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that are of entities of the right graph."""
        keys = sorted(ids)
        rows = self._alignment.graphs["right"].rows_of(keys).tolist()
        return {key for key, row in zip(keys, rows, strict=True) if row >= 0}


def answerer(store: Store, ref: Ref) -> AlignmentAnswers:
    """The answers of a published alignment."""
    return AlignmentAnswers(LiveAlignment(store, ref))
