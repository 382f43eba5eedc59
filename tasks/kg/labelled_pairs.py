"""Labelled pairs of entities, what of them trains, and folds that share no match's entities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import components

Pairs = NDArray[np.int64]
#: The fraction of training entities that decide when to stop where no pairs are given for that.
_HELD = 0.2


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs int64 (m, 2) with labels (m,) 0 or 1, and which of them, bool (m,), train and which decide when to stop."""

    pairs: Pairs
    labels: NDArray[np.integer]
    training: NDArray[np.bool_]
    validation: NDArray[np.bool_]

    @staticmethod
    def of(pairs: Pairs, labels: NDArray[np.integer], splits: Sequence[str], *, seed: int) -> "LabelledPairs":
        """By the names of the splits; without a match for validation, a part of the training pairs becomes that.

        At least one match trains and one decides when to stop, the same if there is but one. ValueError without any.
        """
        names = np.asarray(splits, dtype=str)
        training, validation = names == "training", names == "validation"
        found = LabelledPairs(pairs, np.asarray(labels), training, validation)
        if not np.any(found.labels[validation] == 1):
            held = found._held(seed)
            found = replace(found, training=training & ~held, validation=validation | (training & held))
            if not np.any(found.labels[found.training] == 1):
                found = replace(found, training=training)
        if not np.any(found.labels[found.training] == 1):
            raise ValueError("links: expected matches to train on, got none; give more links with label 1")
        return found

    def _held(self, seed: int) -> NDArray[np.bool_]:
        """bool (m,): pairs of groups that are drawn to decide when to stop; at least one match's, and not all of them."""
        groups = self.groups()
        drawn = np.random.default_rng([seed, 6]).random(int(groups.max(initial=0)) + 1)
        held, matched = drawn < _HELD, np.unique(groups[self.training & (self.labels == 1)])
        matched = matched[np.argsort(drawn[matched], kind="stable")]
        held[matched[:1]] = True
        held[matched[max(len(matched) - 1, 1) :]] = False
        return held[groups]

    def groups(self) -> NDArray[np.int64]:
        """int64 (m,): a number per pair, the same for pairs whose left entities are one by matches."""
        matches = self.pairs[self.labels == 1]
        left, right = (int(self.pairs[:, side].max(initial=-1)) + 1 for side in (0, 1))
        # As if both sides were apart; within one graph only fewer pairs hang together.
        return components(matches + np.array([0, left]), left + right)[self.pairs[:, 0]]

    def without_fold(self, fold: int, folds: int, *, seed: int) -> tuple["LabelledPairs", NDArray[np.bool_]]:
        """The pairs without the training pairs of one fold, and which these are."""
        groups = self.groups()
        of_group = np.random.default_rng([seed, 5]).permutation(int(groups.max(initial=0)) + 1) % folds
        held = self.training & (of_group[groups] == fold)
        return replace(self, training=self.training & ~held), held
