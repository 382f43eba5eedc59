"""The answers of a threshold: the rows that pass with a row, among those that it was tuned on. Imports no Prefect."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import metric as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.metric.open import LiveThreshold, read_groups, read_names
from fingerpost.tasks.metric.scores import score_of, threshold_of

#: The number of rows that are compared at once.
_BLOCK = 65_536


class PassingRows:
    """Ids answered with the ids of rows that pass the threshold with them, nearest first, ties in the order of rows.

    Rows are compared with the threshold of the query row's group where that group has its own.
    """

    def __init__(self, store: Store, ref: Ref) -> None:
        self.ref = ref
        self.live = LiveThreshold(store, ref, str(store.manifest(ref).run.get("collection", "")))
        self.made = self.live.threshold
        self.ids, self.classes, vectors = self.live.embeddings()
        self.vectors: NDArray[np.float32] = vectors
        self.row_of = {key: row for row, key in enumerate(self.ids)}

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The ids of the k nearest rows that pass with each id; none for an unknown id."""
        return [[key for key, _ in self.passing(text)[:k]] for text in texts]

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that are those of rows."""
        return set(ids) & self.row_of.keys()

    def passing(self, key: str) -> list[tuple[str, float]]:
        """The rows that pass with a row, and their similarities or distances, nearest first."""
        if key not in self.row_of:
            return []
        scores = self.scores(key)
        near = np.flatnonzero(scores >= score_of(self.threshold_for(key), self.made.measure))
        order = near[np.argsort(-scores[near], kind="stable")]
        measure = self.made.measure
        return [(self.ids[row], threshold_of(float(scores[row]), measure)) for row in order if row != self.row_of[key]]

    def threshold_for(self, key: str) -> float:
        """The threshold of a row: that of its group, or the one for all."""
        return self.made.of(self._groups.get(self.classes[self.row_of[key]], ""))

    def scores(self, key: str) -> NDArray[np.float64]:
        """The scores of a row with all rows, float64 (n,), higher is closer; -inf for a zero vector."""
        cosine = self.made.measure == "cosine"
        own = self.vectors[self.row_of[key]].astype(np.float64)
        found = np.empty(len(self.ids))
        for start in range(0, len(self.ids), _BLOCK):
            rows = self.vectors[start : start + _BLOCK].astype(np.float64)
            part = slice(start, start + len(rows))
            if cosine:
                lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(own)
                found[part] = np.where(lengths > 0, rows @ own / np.where(lengths > 0, lengths, 1.0), -np.inf)
            else:
                found[part] = -np.linalg.norm(rows - own, axis=1)
        return found

    @cached_property
    def _groups(self) -> dict[str, str]:
        """The group of each class that belongs to one."""
        found: dict[str, str] = {}
        for role in ("validation_rows", "test_rows"):
            artifact = self.live.store.open(self.live.members[role], contracts.ROWS)
            if (groups := read_groups(artifact)) is not None:
                found |= dict(zip(read_names(artifact).tolist(), groups.tolist(), strict=True))
        return found


def answerer(store: Store, ref: Ref) -> PassingRows:
    """The answers of a published threshold."""
    return PassingRows(store, ref)
