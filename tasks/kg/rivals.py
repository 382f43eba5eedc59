"""Rivals of a pair: the best other partner of either entity among the candidates, text by text.

A pair that is far more similar than any other of its entities is a match more often than one of many alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: In place of a partner where there is none.
NO_PARTNER = np.uint32(2**32 - 1)


@dataclass(frozen=True)
class BestTwo:
    """For entities of one side the best partner and its similarity, and the best similarity of another, by text.

    entities: uint32 (e,), ascending. partners: uint32 (e, texts); 2**32 - 1 where no partner has the text. best, second:
    float32 (e, texts), 0 where there is none.
    """

    entities: NDArray[np.uint32]
    partners: NDArray[np.uint32]
    best: NDArray[np.float32]
    second: NDArray[np.float32]

    @staticmethod
    def of(
        entities: NDArray[np.integer], partners: NDArray[np.integer], similarities: NDArray[np.float32]
    ) -> "BestTwo":
        """From pairs, each once, in any order; similarities (m, texts), NaN for unknown. Of equal ones the smaller partner."""
        order = np.lexsort((partners, entities))
        ours, others = np.asarray(entities)[order].astype(np.uint32), np.asarray(partners)[order].astype(np.uint32)
        values = np.nan_to_num(similarities[order], nan=-1.0)
        starts = np.flatnonzero(np.diff(ours.astype(np.int64), prepend=-1))
        sizes = np.diff(np.append(starts, len(ours)))
        found = BestTwo.none(ours[starts], values.shape[1])
        for text in range(values.shape[1]):
            _fill(found, text, values[:, text], others, starts, sizes)
        return found

    @staticmethod
    def none(entities: NDArray[np.uint32], texts: int) -> "BestTwo":
        """Without any partner."""
        shape = len(entities), texts
        zeros = np.zeros(shape, np.float32)
        return BestTwo(entities, np.full(shape, NO_PARTNER), zeros, zeros.copy())

    def gaps(
        self, entities: NDArray[np.integer], partners: NDArray[np.integer], similarities: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Similarities (m, texts) of pairs less that of the best other partner of their entities; 0 for no other."""
        place = np.searchsorted(self.entities, entities)
        place = np.minimum(place, max(len(self.entities) - 1, 0))
        if len(self.entities) == 0:
            return similarities.copy()
        met = (self.entities[place] == entities)[:, None]
        own = self.partners[place] == np.asarray(partners)[:, None]
        rival = np.where(own, self.second[place], self.best[place])
        return np.asarray(similarities - np.where(met, rival, np.float32(0)), dtype=np.float32)


def merged(parts: Sequence[BestTwo]) -> BestTwo:
    """The best two of several parts, whose pairs differ."""
    if len(parts) == 1:
        return parts[0]
    entities = np.unique(np.concatenate([part.entities for part in parts]))
    found = BestTwo.none(entities, parts[0].best.shape[1])
    for part in parts:
        rows = np.searchsorted(entities, part.entities)
        best, second, partners = found.best[rows], found.second[rows], found.partners[rows]
        # Of equal ones the smaller partner, whatever the order of the parts.
        better = (part.best > best) | ((part.best == best) & (part.partners < partners))
        found.second[rows] = np.maximum(np.where(better, best, part.best), np.maximum(second, part.second))
        found.best[rows] = np.where(better, part.best, best)
        found.partners[rows] = np.where(better, part.partners, partners)
    return found


def _fill(
    found: BestTwo,
    text: int,
    values: NDArray[np.float32],
    others: NDArray[np.uint32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> None:
    """The best two of each run of pairs by one text."""
    if not len(starts):
        return
    best = np.maximum.reduceat(values, starts)
    # The first of the run's largest: the smaller partner, as they ascend.
    first = np.full(len(values), len(values))
    at = np.flatnonzero(values == np.repeat(best, sizes))
    first[at] = at
    which = np.minimum.reduceat(first, starts)
    rest = values.copy()
    rest[which] = -1.0
    known = best >= 0
    found.partners[:, text] = np.where(known, others[which], NO_PARTNER)
    found.best[:, text] = np.maximum(best, 0)
    found.second[:, text] = np.maximum(np.maximum.reduceat(rest, starts), 0)
