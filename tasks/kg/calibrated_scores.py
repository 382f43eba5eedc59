"""The calibration of an alignment: probabilities of its candidates, and the thresholds of several targets.

What a target promises holds for the judged pairs (tasks/kg/judged.py). F1 and FAR are those of the labelled pairs as given,
where there are some of both labels: they are a sample that somebody drew, and other pairs may be easier or harder. A precision
is that of decisions about entities with a known match, where matches exclude each other, since the labelled pairs have
fewer wrong ones among them than the candidates; of entities without a match there is no sample, and the mean probability of
what is accepted is the only estimate. Probabilities are those of pairs that are the best of both of their entities, where
matches exclude each other: those that may be accepted.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.calibration import Calibration, fitted, probabilities_of, shifted, uncalibrated
from fingerpost.tasks.kg.judged import Judged, Links, SameEntities, given_pairs, linked_pairs, open_pairs
from fingerpost.tasks.kg.lookups import pair_keys
from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs, mutual
from fingerpost.tasks.kg.targets import (
    AlignmentTarget,
    AlignmentThreshold,
    IntervalParams,
    accepted_threshold,
    chosen_threshold,
    far_threshold,
)

#: The targets that are reported beside the one asked for.
REPORTED = (
    AlignmentTarget(),
    *(AlignmentTarget("precision", value) for value in (0.9, 0.95, 0.99)),
    *(AlignmentTarget("far", value) for value in (0.01, 0.001)),
)


@dataclass(frozen=True)
class CalibrationParams:
    """How probabilities and thresholds are chosen.

    target: what the threshold of decisions is to keep.
    population: which pairs probabilities hold for: given, the labelled ones as they are; linked, decisions about
        entities with a known match; auto: those that the target is about.
    intervals: of the thresholds.
    """

    target: AlignmentTarget = field(default_factory=AlignmentTarget)
    population: Literal["auto", "given", "linked"] = "auto"
    intervals: IntervalParams = field(default_factory=IntervalParams)

    def __post_init__(self) -> None:
        if self.population not in ("auto", "given", "linked"):
            raise ValueError(
                f"population: expected auto, given or linked, got {self.population!r}; choose one of these"
            )


@dataclass(frozen=True)
class CalibratedAlignment:
    """A calibration and thresholds, the one that decides first; judged: the pairs that each population has.

    estimated: whether no match that a person knows went into them.
    """

    calibration: Calibration
    thresholds: list[AlignmentThreshold]
    judged: int
    matches: int
    estimated: bool


def exclusive(links: Links, assignment: AssignmentParams) -> bool:
    """Whether an entity has one match at most."""
    return assignment.method != "many" and not links.within


def calibrate(
    links: Links,
    candidates: ScoredPairs,
    labelled: ScoredPairs,
    params: CalibrationParams,
    assignment: AssignmentParams,
) -> CalibratedAlignment:
    """The calibration of scores on validation links, and thresholds; an estimate where none is known.

    candidates: scored pairs, proposed without looking at links that are held out. labelled: scores of links. ValueError
    where the target cannot be kept by any threshold that the pairs can tell.
    """
    one_to_one = exclusive(links, assignment)
    # Assumed matches are the clear ones: a curve of them would refuse all others.
    every = links.known()
    links = every.of("training", "validation")
    given = given_pairs(links.of("validation"), labelled)
    linked = linked_pairs(links, "validation", candidates, exclusive=one_to_one)
    sample = _union(given, linked) if one_to_one or not given.usable else given
    calibration, decisions = uncalibrated(), linked.decisions()
    if sample.usable:
        calibration = fitted(sample.pairs.scores, sample.truth, sample.pairs.left)
        # The best pair of both entities is likelier right than another one of its score.
        if one_to_one and len(decisions.truth):
            calibration = shifted(calibration, decisions.pairs.scores, decisions.truth)
    # What decisions have to choose from: they know all links of whatever split.
    opened = candidates.where(open_pairs(every, candidates, exclusive=one_to_one))
    best = mutual(opened) if one_to_one else np.ones(len(opened.scores), dtype=bool)
    decided = _log_odds(opened.where(best), calibration)
    populations = {"given": _calibrated(given, calibration), "linked": _calibrated(linked, calibration)}
    # Where no entity with a known match has a candidate there is no decision to judge.
    unjudged = [name for name in populations if not sample.usable or (name == "linked" and not len(decisions.truth))]
    populations |= dict.fromkeys(unjudged, _estimate(decided))
    thresholds = _Thresholds(links, populations, decided.scores, one_to_one, params)
    reported = [thresholds.of(params.target)]
    reported += [found for target in REPORTED if target != params.target for found in thresholds.known(target)]
    return CalibratedAlignment(
        calibration,
        reported,
        len(sample.truth) if sample.usable else 0,
        int(sample.truth.sum() + sample.missed) if sample.usable else 0,
        not sample.usable,
    )


def _union(given: Judged, linked: Judged) -> Judged:
    """The given pairs and those of the linked ones that are not among them."""
    one, other = (pair_keys(judged.pairs.left, judged.pairs.right) for judged in (given, linked))
    more = ~np.isin(other, one)
    some = linked.pairs.where(more)
    pairs = ScoredPairs(
        *(np.concatenate([getattr(part, name) for part in (given.pairs, some)]) for name in ("left", "right", "scores"))
    )
    truth = np.concatenate([given.truth, linked.truth[more]])
    return Judged("linked", pairs, truth, given.missed, np.ones(len(truth), dtype=bool))


def _log_odds(pairs: ScoredPairs, calibration: Calibration) -> ScoredPairs:
    return ScoredPairs(pairs.left, pairs.right, calibration.log_odds(pairs.scores))


def _calibrated(judged: Judged, calibration: Calibration) -> Judged:
    pairs = _log_odds(judged.pairs, calibration)
    return Judged(judged.population, pairs, judged.truth, judged.missed, judged.decided)


def _estimate(decided: ScoredPairs) -> Judged:
    """Decisions whose truth is their probability."""
    truth = probabilities_of(decided.scores)
    return Judged("estimated", decided, truth, 0.0, np.ones(len(truth), dtype=bool))


@dataclass(frozen=True)
class _Thresholds:
    """Thresholds of targets, on the population that each is for.

    decided: log odds of the candidates that may be accepted.
    """

    links: Links
    populations: dict[str, Judged]
    decided: NDArray[np.float64]
    one_to_one: bool
    params: CalibrationParams

    def known(self, target: AlignmentTarget) -> list[AlignmentThreshold]:
        """The threshold of a target, or none where the pairs do not tell it."""
        try:
            return [self.of(target)]
        except ValueError:
            return []

    def of(self, target: AlignmentTarget) -> AlignmentThreshold:
        """The threshold of a target; ValueError where the pairs do not tell it."""
        judged = self._judged(target)
        if target.name == "accepted":
            return accepted_threshold(judged, target, self.decided)
        if target.name == "far" and judged.population != "estimated":
            return far_threshold(judged, SameEntities(self.links), target, self.params.intervals)
        return chosen_threshold(judged, target, self.params.intervals)

    def _judged(self, target: AlignmentTarget) -> Judged:
        given, linked = self.populations["given"], self.populations["linked"]
        asked = self.params.population
        if asked == "auto":
            counted = self.one_to_one and target.name in ("precision", "accepted")
            asked = "given" if given.usable and not counted else "linked"
        if asked == "given":
            return given
        # A rate of wrong pairs is one of all of them, whichever are decided.
        return linked if target.name == "far" else linked.decisions()
