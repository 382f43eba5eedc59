"""Which scored pairs are accepted: those over a threshold, and of these at most one of each entity where it is asked for.

With probabilities of pairs that exclude each other, the most probable set of matches is the one whose odds have the largest
product: a matching of maximum weight, the weights being log odds. These are counted from those of the threshold, so that a
pair is worth accepting exactly if it is over it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import components

#: Rounds of mutually best pairs, after which the pairs that are left are gone through one by one.
_ROUNDS = 30

Method = Literal["mutual", "hungarian", "many"]


@dataclass(frozen=True)
class AssignmentParams:
    """Which pairs over the threshold are accepted.

    method: mutual: those that are the best of both entities; hungarian: at most one of each entity, of largest total
    weight; many: all of them, so that an entity may have several partners. Within one table it is many in any case.
    block: most left times right entities of a group of pairs that hang together, for the largest total weight to be looked
    for; in larger ones the best pair is accepted, then the best of the entities that are left, and so on.
    """

    method: Method = "hungarian"
    block: int = 4_000_000

    def __post_init__(self) -> None:
        if self.method not in ("mutual", "hungarian", "many") or self.block < 1:
            raise ValueError(
                f"assignment: expected mutual, hungarian or many and a block of at least 1, got {self.method!r} and"
                f" {self.block}; correct them"
            )


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of entities with a score each.

    left, right: int64 (m,), each pair once. scores: float64 (m,).
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    scores: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "ScoredPairs":
        """Some of the pairs, chosen by a mask or by their rows."""
        return ScoredPairs(self.left[chosen], self.right[chosen], self.scores[chosen])


def accepted(pairs: ScoredPairs, threshold: float, params: AssignmentParams) -> NDArray[np.bool_]:
    """bool (m,): the pairs accepted; their order and that of equal ones changes nothing.

    Of equal scores the pair of the smaller left, then right, entity is the better one. Scores are log odds.
    """
    over = pairs.scores >= threshold
    if params.method == "many":
        return over
    if params.method == "mutual":
        return over & mutual(pairs)
    found = np.zeros(len(over), dtype=bool)
    rows = np.flatnonzero(over)
    rows = rows[np.lexsort((pairs.right[rows], pairs.left[rows]))]
    chosen = pairs.where(rows)
    # A pair at the threshold itself is worth as little as possible, but not nothing.
    weights = chosen.scores - threshold + 1e-9
    found[rows] = heaviest(ScoredPairs(chosen.left, chosen.right, weights), block=params.block)
    return found


def mutual(pairs: ScoredPairs) -> NDArray[np.bool_]:
    """bool (m,): the pairs that are the best of their left and of their right entity."""
    return _best_of(pairs.left, pairs.right, pairs.scores) & _best_of(pairs.right, pairs.left, pairs.scores)


def _best_of(entities: NDArray[np.int64], others: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool (m,): the pair with the highest score of its entity, of equal ones that of the smallest other one."""
    count = int(entities.max(initial=-1)) + 1
    most = np.full(count, -np.inf)
    np.maximum.at(most, entities, scores)
    is_best = scores == most[entities]
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, entities[is_best], others[is_best])
    return is_best & (others == first[entities])


def heaviest(pairs: ScoredPairs, *, block: int) -> NDArray[np.bool_]:
    """bool (m,): pairs of largest total weight, at most one of each entity; weights above 0.

    pairs: sorted by left and right. Groups of pairs that hang together are matched one by one, those of more than
    ``block`` left times right entities by `greedy`.
    """
    found = np.zeros(len(pairs.scores), dtype=bool)
    if not len(found):
        return found
    left, right = (np.unique(side, return_inverse=True)[1] for side in (pairs.left, pairs.right))
    lefts, rights = int(left.max()) + 1, int(right.max()) + 1
    group = components(np.stack([left, lefts + right], axis=1), lefts + rights)
    count = int(group.max()) + 1
    sides = np.bincount(group[:lefts], minlength=count), np.bincount(group[lefts:], minlength=count)
    # Around one entity there is nothing to weigh up: the best pair is the heaviest matching.
    single = (np.minimum(*sides) == 1)[group[left]]
    found[single] = greedy(pairs.where(single))
    rest = np.flatnonzero(~single)
    rest = rest[np.argsort(group[left[rest]], kind="stable")]
    for rows in np.split(rest, np.flatnonzero(np.diff(group[left[rest]])) + 1 if len(rest) else []):
        if len(rows):
            some = pairs.where(rows)
            at = group[left[rows[0]]]
            found[rows] = _exact(some) if sides[0][at] * sides[1][at] <= block else greedy(some)
    return found


def _exact(pairs: ScoredPairs) -> NDArray[np.bool_]:
    """bool (m,): the heaviest matching of a group, by the Hungarian method on the table of all weights."""
    # Loading it takes a part of a program's start, and every flow loads this module.
    from scipy.optimize import linear_sum_assignment

    left, right = (np.unique(side, return_inverse=True)[1] for side in (pairs.left, pairs.right))
    weights = np.zeros((int(left.max()) + 1, int(right.max()) + 1))
    weights[left, right] = pairs.scores
    partner = np.full(weights.shape[0], -1)
    rows, columns = linear_sum_assignment(weights, maximize=True)
    partner[rows] = columns
    # A table entry without a pair has weight 0, and is no match.
    return np.asarray(partner[left] == right)


def greedy(pairs: ScoredPairs) -> NDArray[np.bool_]:
    """bool (m,): the best pair, then the best of the entities that are left, and so on."""
    # All mutually best pairs at once are those that this takes before any other of their entities.
    found, open_rows = np.zeros(len(pairs.scores), dtype=bool), np.arange(len(pairs.scores))
    for _ in range(_ROUNDS):
        rest = pairs.where(open_rows)
        best = mutual(rest)
        found[open_rows[best]] = True
        taken = np.isin(rest.left, rest.left[best]) | np.isin(rest.right, rest.right[best])
        open_rows = open_rows[~taken]
        if not len(open_rows):
            return found
    rest = pairs.where(open_rows)
    lefts, rights = set[int](), set[int]()
    for row in np.lexsort((rest.right, rest.left, -rest.scores)).tolist():
        one, other = int(rest.left[row]), int(rest.right[row])
        if one not in lefts and other not in rights:
            found[open_rows[row]] = True
            lefts.add(one)
            rights.add(other)
    return found
