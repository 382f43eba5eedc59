"""The answers of an index to real queries, for ``replay``. Imports no Prefect."""

from collections.abc import Collection, Sequence

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex


class IndexAnswers:
    """Texts answered with the ids of documents."""

    def __init__(self, index: LiveIndex) -> None:
        self._index = index

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The ids of the first k documents of each text."""
        return [[answer.id for answer in self._index.query(text, k=k).answers] for text in texts]

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that are those of documents."""
        return set(ids) & set(self._index.documents["id"].to_pylist())


def answerer(store: Store, ref: Ref) -> IndexAnswers:
    """The answers of an index made from texts; FingerpostError for one made from vectors."""
    index = LiveIndex(store, ref)
    if not index.has_texts:
        raise FingerpostError(
            f"replay: expected an index made from texts, got {ref}, made from vectors; leave replay.queries empty"
        )
    return IndexAnswers(index)
