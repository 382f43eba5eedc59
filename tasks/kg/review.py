"""The pairs whose review by a person helps most: where a decision may be wrong, and of many kinds.

Doubt has a cause (see `CAUSES`). The queue takes the most doubtful pairs of each cause and type in turn, few of one entity,
so that not all are of one ambiguous name. (Uncertainty with diversity: Settles, Active Learning Literature Survey, 2009.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.calibration import probabilities_of
from fingerpost.tasks.kg.lookups import looked_up, pair_keys
from fingerpost.tasks.kg.one_to_one import ScoredPairs

#: Why a pair is doubtful: its probability is near the threshold; it is over the threshold, but an entity of it is matched to
#: another; the structure of the graphs says otherwise; names are equal and it is no match; nothing of its range of scores
#: is labelled.
CAUSES = ("threshold", "rival", "structure", "name", "unlabelled")
#: Parts of the range of scores, of each of which some pairs are to be labelled where nothing is.
_RANGES = 10
#: Pairs of each cause and type that are looked at, as a multiple of those queued.
_DEEPEST = 100


@dataclass(frozen=True)
class ReviewParams:
    """Which pairs are queued.

    pairs: maximum number of pairs to review.
    per_entity: maximum number of these pairs of one entity.
    margin: log odds around the threshold that are doubtful.
    structure: probability by structure that contradicts a decision.
    longest: maximum number of characters of a text that is shown.
    """

    pairs: int = 200
    per_entity: int = 2
    margin: float = 3.0
    structure: float = 0.8
    longest: int = 300

    def __post_init__(self) -> None:
        if min(self.pairs, self.per_entity, self.longest) < 1 or self.margin <= 0 or not 0 < self.structure < 1:
            raise ValueError(
                "review: expected pairs, per_entity and longest of at least 1, a margin above 0 and a structure between 0"
                f" and 1, got {self.pairs}, {self.per_entity}, {self.longest}, {self.margin} and {self.structure};"
                " correct them"
            )


@dataclass(frozen=True)
class Doubts:
    """Doubtful pairs, of each cause in turn, the most doubtful of it first.

    left, right: int64 (m,). log_odds: float64 (m,). accepted: bool (m,). causes: int64 (m,), places among `CAUSES`.
    detail: float64 (m,), the probability that speaks against the decision: that of the match it excludes, or that by
    structure; NaN for other causes.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    log_odds: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    causes: NDArray[np.int64]
    detail: NDArray[np.float64]


def doubts(
    pairs: ScoredPairs,
    accepted: NDArray[np.bool_],
    threshold: float,
    structure: ScoredPairs | None,
    names: tuple[Sequence[str], Sequence[str]],
    types: NDArray[np.integer],
    params: ReviewParams,
    *,
    unlabelled: bool,
) -> Doubts:
    """The queue of the candidates that are not labelled, with calibrated log odds and whether they are accepted.

    structure: pairs with probabilities, if there are any. names: of the entities of both sides, empty for none. types: numbers
    of the types of the left entities. unlabelled: whether there are no labels, so that pairs of all scores are asked for.
    """
    found = [
        _near(pairs, accepted, threshold, params),
        _excluded(pairs, accepted, threshold),
        _against_structure(pairs, accepted, structure, params),
        _equal_names(pairs, accepted, names),
        _of_all_scores(pairs, params) if unlabelled else _Found.none(),
    ]
    rows = np.concatenate([some.rows for some in found])
    causes = np.repeat(np.arange(len(CAUSES)), [len(some.rows) for some in found])
    doubt = np.concatenate([some.doubt for some in found])
    detail = np.concatenate([some.detail for some in found])
    groups = causes * (int(types.max(initial=0)) + 1) + types[pairs.left[rows]]
    chosen = _in_turn(pairs.where(rows), doubt, groups, params)
    rows = rows[chosen]
    return Doubts(
        pairs.left[rows], pairs.right[rows], pairs.scores[rows], accepted[rows], causes[chosen], detail[chosen]
    )


@dataclass(frozen=True)
class _Found:
    """Rows of the candidates with their doubt, 0 to 1, and a probability that explains it."""

    rows: NDArray[np.int64]
    doubt: NDArray[np.float64]
    detail: NDArray[np.float64]

    @classmethod
    def none(cls) -> "_Found":
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


def _near(pairs: ScoredPairs, accepted: NDArray[np.bool_], threshold: float, params: ReviewParams) -> _Found:
    """Pairs about the threshold, but for those of an entity with a match that is far better."""
    away = np.abs(pairs.scores - threshold)
    rows = np.flatnonzero(away <= params.margin)
    best = [_most(side, pairs.scores, accepted)[side[rows]] for side in (pairs.left, pairs.right)]
    rows = rows[accepted[rows] | (np.maximum(*best) - pairs.scores[rows] < params.margin)]
    return _Found(rows, np.exp(-away[rows]), np.full(len(rows), np.nan))


def _excluded(pairs: ScoredPairs, accepted: NDArray[np.bool_], threshold: float) -> _Found:
    """Pairs over the threshold that are no match since an entity has another: the closer to that one, the more doubtful."""
    best = [_most(side, pairs.scores, accepted) for side in (pairs.left, pairs.right)]
    rows = np.flatnonzero(~accepted & (pairs.scores >= threshold))
    other = np.maximum(best[0][pairs.left[rows]], best[1][pairs.right[rows]])
    rows, other = rows[np.isfinite(other)], other[np.isfinite(other)]
    return _Found(rows, 1 / (1 + np.exp(np.abs(other - pairs.scores[rows]))) * 2, probabilities_of(other))


def _most(entities: NDArray[np.int64], scores: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    most = np.full(int(entities.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(most, entities[chosen], scores[chosen])
    return most


def _against_structure(
    pairs: ScoredPairs, accepted: NDArray[np.bool_], structure: ScoredPairs | None, params: ReviewParams
) -> _Found:
    """Pairs that the structure is sure of and that are no match, and matches of whose entities it is sure otherwise."""
    if structure is None or not len(structure.scores):
        return _Found.none()
    keys, known = pair_keys(pairs.left, pairs.right), pair_keys(structure.left, structure.right)
    order = np.argsort(known)
    place, there = looked_up(known[order], keys)
    own = np.where(there, structure.scores[order][place], 0.0)
    surest = [_most(side, structure.scores, np.ones(len(known), bool)) for side in (structure.left, structure.right)]
    other = np.maximum(_at(surest[0], pairs.left), _at(surest[1], pairs.right))
    missing = ~accepted & (own >= params.structure)
    wrong = accepted & (other >= params.structure) & (own <= 1 - params.structure)
    rows = np.flatnonzero(missing | wrong)
    detail = np.where(missing[rows], own[rows], other[rows])
    return _Found(rows, detail * 0.9, detail)


def _at(values: NDArray[np.float64], entities: NDArray[np.int64]) -> NDArray[np.float64]:
    inside = entities < len(values)
    return np.where(inside, values[np.where(inside, entities, 0)], 0.0)


def _equal_names(pairs: ScoredPairs, accepted: NDArray[np.bool_], names: tuple[Sequence[str], Sequence[str]]) -> _Found:
    """Pairs of equal names, of which each entity has no match: the rarer the name, the more doubtful."""
    numbers: dict[str, int] = {}
    left, right = (
        np.array([numbers.setdefault(" ".join(name.casefold().split()), len(numbers)) for name in side], dtype=np.int64)
        for side in names
    )
    empty = numbers.get("", -1)
    shared = np.bincount(np.concatenate([left, right]), minlength=len(numbers))
    matched = [np.isin(side, side[accepted]) for side in (pairs.left, pairs.right)]
    same = (left[pairs.left] == right[pairs.right]) & (left[pairs.left] != empty)
    rows = np.flatnonzero(same & ~accepted & ~matched[0] & ~matched[1])
    return _Found(rows, 1 / np.maximum(shared[left[pairs.left[rows]]] - 1, 1), np.full(len(rows), np.nan))


def _of_all_scores(pairs: ScoredPairs, params: ReviewParams) -> _Found:
    """The same number of pairs of each part of the range of scores, evenly by their order."""
    if not len(pairs.scores):
        return _Found.none()
    edges = np.linspace(pairs.scores.min(), pairs.scores.max(), _RANGES + 1)
    part = np.clip(np.searchsorted(edges, pairs.scores, side="right") - 1, 0, _RANGES - 1)
    each = -(-params.pairs // _RANGES)
    rows, doubt = [], []
    for number in range(_RANGES):
        inside = np.flatnonzero(part == number)
        inside = inside[np.lexsort((pairs.right[inside], pairs.left[inside]))]
        if len(inside):
            rows.append(inside[np.unique(np.linspace(0, len(inside) - 1, each).round().astype(int))])
            # The first of every part, then the second of every part.
            doubt.append(0.5 / np.arange(1, len(rows[-1]) + 1))
    found = np.concatenate(rows)
    return _Found(found, np.concatenate(doubt), np.full(len(found), np.nan))


def _in_turn(
    pairs: ScoredPairs, doubt: NDArray[np.float64], groups: NDArray[np.int64], params: ReviewParams
) -> NDArray[np.int64]:
    """The rows chosen, in the order of the queue: of each group in turn the most doubtful that is left.

    So the first ones are of all causes as well: who labels only ten finds matches and others among them.
    """
    order = np.lexsort((pairs.right, pairs.left, -doubt, groups))
    place = np.arange(len(order)) - np.searchsorted(groups[order], groups[order])
    # The first of each group, then the second, and so on; entities with many doubtful pairs do not fill the queue.
    order, place = order[place < _DEEPEST * params.pairs], place[place < _DEEPEST * params.pairs]
    turns = order[np.lexsort((groups[order], -doubt[order], place))]
    taken: dict[tuple[int, int], int] = {}
    queued, seen = [], set[tuple[int, int]]()
    for row in turns.tolist():
        pair = int(pairs.left[row]), int(pairs.right[row])
        ends = (0, pair[0]), (1, pair[1])
        if pair in seen or any(taken.get(end, 0) >= params.per_entity for end in ends):
            continue
        seen.add(pair)
        queued.append(row)
        taken |= {end: taken.get(end, 0) + 1 for end in ends}
        if len(queued) == params.pairs:
            break
    return np.array(queued, dtype=np.int64)
