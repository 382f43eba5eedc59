"""The answers of a ranker to real queries, for ``replay``. Imports no Prefect."""

from collections.abc import Collection, Sequence

from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.xmr.open import LiveRanker

#: The number of queries that are ranked together.
_TOGETHER = 4096


class RankerAnswers:
    """Texts answered with the ids of labels."""

    def __init__(self, ranker: LiveRanker) -> None:
        self._ranker = ranker

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The ids of the k best labels of each text."""
        parts = (list(texts[start : start + _TOGETHER]) for start in range(0, len(texts), _TOGETHER))
        return [[label.id for label in found] for part in parts for found in self._ranker.rank_many(part, k)]

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that are those of labels."""
        return set(ids) & set(self._ranker.labels[0])


def answerer(store: Store, ref: Ref) -> RankerAnswers:
    """The answers of a published ranker."""
    return RankerAnswers(LiveRanker(store, ref))
