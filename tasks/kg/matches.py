"""The matches of an alignment: what is known, and what is accepted of all other candidates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.calibrated_scores import exclusive
from fingerpost.tasks.kg.calibration import Calibration, log_odds_of, probabilities_of
from fingerpost.tasks.kg.judged import Links, open_pairs
from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs, accepted
from fingerpost.tasks.kg.targets import AlignmentTarget


@dataclass(frozen=True)
class ChosenThreshold:
    """The threshold that decides, a probability, and the target that it was chosen for."""

    threshold: float
    target: AlignmentTarget


@dataclass(frozen=True)
class Decision:
    """The matches, sorted by left and right.

    left, right: int64 (m,). probabilities: float64 (m,), 1 for known ones. known: number of these. expected_precision: mean
    probability of the others, 1 without any.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    known: int
    expected_precision: float


def accepted_pairs(
    links: Links,
    candidates: ScoredPairs,
    calibration: Calibration,
    chosen: ChosenThreshold,
    params: AssignmentParams,
) -> tuple[ScoredPairs, NDArray[np.bool_]]:
    """The candidates that the links leave to be decided, with calibrated log odds, and which of them are accepted.

    Within one table all over the threshold are, whatever the method. A number of matches asked for is not exceeded: of
    equal ones the pairs of the smaller left, then right, entities are accepted.
    """
    is_exclusive = exclusive(links, params)
    opened = candidates.where(open_pairs(links, candidates, exclusive=is_exclusive))
    pairs = ScoredPairs(opened.left, opened.right, calibration.log_odds(opened.scores))
    method = params if is_exclusive else AssignmentParams("many", params.block)
    found = accepted(pairs, float(log_odds_of(chosen.threshold)), method)
    if chosen.target.name == "accepted":
        rows = np.flatnonzero(found)
        some = pairs.where(rows)
        order = np.lexsort((some.right, some.left, -some.scores))
        found[rows[order[int(chosen.target.value) :]]] = False
    return pairs, found


def decide(
    links: Links,
    candidates: ScoredPairs,
    calibration: Calibration,
    chosen: ChosenThreshold,
    params: AssignmentParams,
) -> Decision:
    """The known matches and the accepted candidates; links of label 0 are never matches."""
    pairs, found = accepted_pairs(links, candidates, calibration, chosen, params)
    new, matches = pairs.where(found), links.where(links.labels == 1)
    probabilities = probabilities_of(new.scores)
    left, right = (
        np.concatenate([getattr(part, name) for part in (matches, new)]).astype(np.int64) for name in ("left", "right")
    )
    values = np.concatenate([np.ones(len(matches.left)), probabilities])
    order = np.lexsort((right, left))
    expected = float(probabilities.mean()) if len(probabilities) else 1.0
    return Decision(left[order], right[order], values[order], len(matches.left), expected)
