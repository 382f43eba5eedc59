"""Pairs assumed to be the same or not, where links are missing: from candidates, their similarity and their rivals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import components

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class LabelParams:
    """Which pairs are assumed.

    negatives: maximum number of candidates, per match of an entity with a known match, that are taken for different;
        0 for none.
    least: similarity from which a pair is assumed to be the same, if it leads by ``lead`` too.
    lead: how much more similar than the best other candidate of either entity a pair has to be that is assumed to be
        the same.
    most: maximum number of assumed matches, the clearest ones.
    """

    negatives: int = 10
    least: float = 0.5
    lead: float = 0.1
    most: int = 20_000


def assumed_matches(
    pairs: Pairs, similarities: NDArray[np.floating], leads: NDArray[np.floating], params: LabelParams
) -> NDArray[np.int64]:
    """The places of candidates (m, 2) that are assumed to be the same, ascending.

    similarities: (m,), NaN for unknown. leads: (m,) over the best other candidate of either entity, the lesser one.
    """
    clear = np.flatnonzero((similarities >= params.least) & (leads >= params.lead))
    order = np.lexsort((pairs[clear, 1], pairs[clear, 0], -leads[clear]))
    return np.sort(clear[order[: params.most]])


def assumed_others(
    matches: Pairs, pairs: Pairs, similarities: NDArray[np.floating], params: LabelParams, *, within: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of candidates assumed to be two entities, and the place of the match that each is of.

    Candidates of an entity of a match that no chain of matches joins; the most similar of each match.
    """
    left, right = (max(int(some[:, side].max(initial=-1)) for some in (matches, pairs)) + 1 for side in range(2))
    shift = 0 if within else left
    groups = _groups(matches, shift, max(left, right) if within else left + right)
    apart = groups[pairs[:, 0]] != groups[pairs[:, 1] + shift]
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for side in range(2):
        for end in range(2) if within else (side,):
            first = np.full(max(left, right), -1, dtype=np.int64)
            first[matches[::-1, end]] = np.arange(len(matches))[::-1]
            owner = first[pairs[:, side]]
            places = np.flatnonzero(apart & (owner >= 0))
            found.append((places, owner[places]))
    places, owners = (np.concatenate([part[which] for part in found]) for which in range(2))
    places, first = np.unique(places, return_index=True)
    owners = owners[first]
    order = np.lexsort((places, -np.nan_to_num(similarities[places], nan=-1.0), owners))
    starts = np.searchsorted(owners[order], owners[order])
    kept = np.sort(order[np.arange(len(order)) - starts < params.negatives])
    return places[kept], owners[kept]


def _groups(matches: Pairs, shift: int, entities: int) -> NDArray[np.int64]:
    """A number per entity, the same for those that matches join."""
    return components(matches + np.array([0, shift]), entities)
