"""Pairs that are taken to be two entities, for training where links name matches alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.aligner import Scorer

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class PairSpace:
    """The pairs that negatives are drawn from.

    left_types, right_types: int (entities,), the type of each entity, numbered alike on both sides. candidates: int64 (c,
    2), the pairs that scoring will see; may be empty. within: both sides are the same entities, and a pair has left < right.
    """

    left_types: NDArray[np.integer]
    right_types: NDArray[np.integer]
    candidates: Pairs
    within: bool = False

    def keys(self, pairs: Pairs) -> NDArray[np.int64]:
        """int64 (m,): a number per pair."""
        ordered = np.sort(pairs, axis=1) if self.within else pairs
        return np.asarray(ordered[:, 0] * np.int64(len(self.right_types)) + ordered[:, 1])


def random_negatives(matches: Pairs, known: Pairs, space: PairSpace, *, each: int, rng: np.random.Generator) -> Pairs:
    """Up to ``each`` pairs per match with either its left or its right entity replaced by one of its type.

    Neither known pairs nor an entity with itself; each pair once, sorted. As many of either side.
    """
    found = []
    for side, types in enumerate((space.left_types, space.right_types)):
        count = each - each // 2 if side else each // 2
        drawn = np.repeat(matches, count, axis=0)
        order = np.argsort(types, kind="stable")
        begins = np.searchsorted(types[order], types[drawn[:, side]], side="left")
        ends = np.searchsorted(types[order], types[drawn[:, side]], side="right")
        drawn[:, side] = order[begins + np.floor(rng.random(len(drawn)) * (ends - begins)).astype(np.int64)]
        found.append(drawn)
    return _unknown(np.concatenate(found), known, space)


def hard_negatives(matches: Pairs, known: Pairs, space: PairSpace, *, each: int, logits: Scorer) -> Pairs:
    """The ``each`` candidates per match, of one of its entities, that have the highest logits; of equal ones the first.

    Neither known pairs nor an entity with itself; each pair once, sorted.
    """
    pairs = _unknown(space.candidates, known, space)
    of_left, of_right = np.isin(pairs[:, 0], matches[:, 0]), np.isin(pairs[:, 1], matches[:, 1])
    pairs, of_left = pairs[of_left | of_right], of_left[of_left | of_right]
    # A candidate of both entities of matches counts for the left one.
    owners = np.where(of_left, pairs[:, 0], len(space.left_types) + pairs[:, 1])
    order = np.lexsort((np.arange(len(pairs)), -logits(pairs), owners))
    places = np.arange(len(order)) - np.searchsorted(owners[order], owners[order])
    return pairs[np.sort(order[places < each])]


def _unknown(pairs: Pairs, known: Pairs, space: PairSpace) -> Pairs:
    if space.within:
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    keys, first = np.unique(space.keys(pairs), return_index=True)
    return pairs[first[~np.isin(keys, space.keys(known))]]
