"""Metrics of an alignment on links that are held out for the test: of its candidates, of its scores, and of its decisions.

Populations (tasks/kg/judged.py): "given", the labelled pairs as they are, which is what published figures of such data sets
are of; "linked", all candidates of the entities with a known match; "sampled", given matches beside pairs that are assumed to
be wrong, which compares methods where all that is given are matches. Source of the metrics: Zhu et al., CG-MuAlign,
WWW 2020, section 5; F1 at a threshold chosen on validation pairs as in Mudgal et al., DeepMatcher, SIGMOD 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.calibrated_scores import exclusive
from fingerpost.tasks.kg.calibration import Calibration, log_odds_of
from fingerpost.tasks.kg.decisions import average_precision, best_threshold, recall_at_precision
from fingerpost.tasks.kg.judged import Judged, Links, among, given_pairs, linked_pairs
from fingerpost.tasks.kg.matches import ChosenThreshold, accepted_pairs
from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs
from fingerpost.tasks.kg.ranks import rank_figures, ranks_of
from fingerpost.tasks.kg.targets import at_threshold, expected_f1_threshold

#: (method, setting, metric, value)
Row = tuple[str, str, str, float]


@dataclass(frozen=True)
class AlignmentEvaluationParams:
    """How an alignment is measured.

    precision: precision at which recall is measured.
    level: confidence level of intervals.
    """

    precision: float = 0.95
    level: float = 0.95

    def __post_init__(self) -> None:
        if not (0 < self.precision <= 1 and 0 < self.level < 1):
            raise ValueError(
                f"evaluation: expected a precision above 0 to 1 and a level between 0 and 1, got {self.precision} and"
                f" {self.level}; correct them"
            )


@dataclass(frozen=True)
class Tested:
    """What is measured.

    links: of all splits; those that are assumed to be wrong compare scores where no others are. candidates: scored, and proposed without links that are held out. labelled: scores of labelled pairs
    by method. structure: pairs by structure alone, if there are any. types: str (n,), the type of each left entity.
    """

    links: Links
    candidates: ScoredPairs
    labelled: Mapping[str, ScoredPairs]
    structure: ScoredPairs | None
    types: NDArray[np.str_]
    calibration: Calibration
    threshold: ChosenThreshold
    population: str
    assignment: AssignmentParams
    params: AlignmentEvaluationParams = field(default_factory=AlignmentEvaluationParams)

    def rows(self) -> list[Row]:
        """All figures; of blocking alone where no link is held out for the test."""
        rows = self._blocking()
        if self._matches("test").left.size:
            rows += self._scores() + self._decisions() + self._ranks()
        return rows

    def quality(self, rows: Sequence[Row]) -> dict[str, float]:
        """The figures that gates and a report's first lines are of.

        precision, recall and f1 at the chosen threshold: of the pairs as given where it was chosen on such, else of decisions.
        matches_precision, matches_recall and matches_f1: of what is decided, with one partner an entity.
        """
        figures = {(method, setting, metric): value for method, setting, metric, value in rows}
        test = self.links.of("test").without_assumed()
        quality: dict[str, float] = {"tested": len(test.left), "positives": int((test.labels == 1).sum())}
        known = (name for name in ("given", "sampled") if ("scorer", name, "prauc") in figures)
        scored = next(known, "linked")
        decided = ("scorer", "given") if self.population == "given" and scored == "given" else ("matches", "linked")
        told = "given" if ("matches", "given", "f1") in figures else "linked"
        wanted = {
            **{name: ("scorer", scored, name) for name in ("prauc", "recall_at_precision", "f1_best")},
            **{name: (*decided, name) for name in ("precision", "precision_low", "precision_high", "recall", "f1")},
            **{name: ("scorer", "all entities", name) for name in ("hits_at_1", "hits_at_10", "mrr")},
            **{f"matches_{name}": ("matches", told, name) for name in ("precision", "recall", "f1")},
            "blocking_recall": ("blocking", "test", "recall"),
            **{f"baseline_{name}": ("baseline", scored, name) for name in ("prauc", "f1")},
        }
        return quality | {name: round(figures[key], 6) for name, key in wanted.items() if key in figures}

    def _matches(self, split: str) -> Links:
        links = self.links.of(split)
        return links.where(links.labels == 1)

    def _blocking(self) -> list[Row]:
        """Candidates per left entity, and the share of matches among them."""
        count, lefts = len(self.candidates.scores), max(len(self.types), 1)
        rows: list[Row] = [("blocking", "all", "pairs", float(count))]
        rows.append(("blocking", "all", "pairs_per_entity", count / lefts))
        for split in ("training", "validation", "test"):
            matches = self._matches(split)
            for name, chosen in _by_type("", self.types, matches.left):
                if chosen.any():
                    missed = given_pairs(matches.where(chosen), self.candidates).missed
                    rows.append(("blocking", f"{split}{name}", "recall", 1 - missed / int(chosen.sum())))
        return rows

    def _scores(self) -> list[Row]:
        """The methods' scores of labelled pairs, and the scorer's of the candidates of linked entities."""
        rows: list[Row] = []
        for method, scored in self.labelled.items():
            threshold = self._threshold_of(method, scored)
            rows += self._by_type(method, self._labelled("test", scored), threshold)
        linked = linked_pairs(self.links.without_assumed(), "test", self.candidates, exclusive=self._exclusive)
        return rows + self._by_type("scorer", linked, self._threshold_of("scorer", None))

    def _labelled(self, split: str, scored: ScoredPairs) -> Judged:
        """The given pairs of a split; with those assumed to be wrong where it has no others."""
        links = self.links.of(split)
        judged = given_pairs(links.without_assumed(), scored)
        return judged if judged.usable else replace(given_pairs(links, scored), population="sampled")

    @property
    def _exclusive(self) -> bool:
        return exclusive(self.links, self.assignment)

    def _threshold_of(self, method: str, scored: ScoredPairs | None) -> float | None:
        """The score from which a method accepts: that of the decisions, or of the best F1 on validation pairs."""
        if method == "scorer":
            return None
        judged = self._labelled("validation", scored) if scored is not None else None
        return expected_f1_threshold(judged) if judged and judged.usable else None

    def _by_type(self, method: str, judged: Judged, threshold: float | None) -> list[Row]:
        rows: list[Row] = []
        for name, chosen in _by_type(judged.population, self.types, judged.pairs.left):
            some = self._part(judged, chosen, name)
            if some.usable:
                rows += [
                    (method, name, metric, value) for metric, value in self._curve(method, some, threshold).items()
                ]
        return rows

    def _curve(self, method: str, judged: Judged, threshold: float | None) -> dict[str, float]:
        labels, scores = judged.truth.astype(int), judged.pairs.scores
        found = float(judged.truth.sum())
        share = found / (found + judged.missed)
        # The best F1 of the pairs found, with the matches that are missed.
        best = at_threshold(judged, best_threshold(labels, scores), level=self.params.level)
        figures = {
            "pairs": float(len(labels)),
            "matches": found + judged.missed,
            "prauc": share * average_precision(labels, scores),
            "recall_at_precision": share * recall_at_precision(labels, scores, self.params.precision),
            "f1_best": best["f1"],
        }
        if method == "scorer":
            odds = ScoredPairs(judged.pairs.left, judged.pairs.right, self.calibration.log_odds(scores))
            judged = Judged(judged.population, odds, judged.truth, judged.missed, judged.decided)
            threshold = float(log_odds_of(self.threshold.threshold))
        if threshold is not None:
            figures |= at_threshold(judged, threshold, level=self.params.level)
        return figures

    def _decisions(self) -> list[Row]:
        """What is accepted of the candidates, where training links alone are known."""
        known, test = self.links.of("training").known(), self.links.of("test").without_assumed()
        pairs, found = accepted_pairs(known, self.candidates, self.calibration, self.threshold, self.assignment)
        rows: list[Row] = [("matches", "all", "accepted", float(found.sum()))]
        # Only pairs that are accepted have a score here: the others are missed.
        made = pairs.where(found)
        linked = linked_pairs(self.links.without_assumed(), "test", made, exclusive=False)
        given = given_pairs(test, made)
        for population, judged in (("linked", linked), ("given", given)):
            has_wrong = population == "linked" or bool(np.any(test.labels == 0))
            for name, chosen in _by_type(population, self.types, judged.pairs.left):
                some = self._part(judged, chosen, name)
                if has_wrong and len(some.truth) + some.missed:
                    figures = at_threshold(some, -np.inf, level=self.params.level)
                    rows += [("matches", name, metric, value) for metric, value in figures.items()]
        return rows

    def _part(self, judged: Judged, chosen: NDArray[np.bool_], name: str) -> Judged:
        """The pairs of a setting; missed are the test matches of its type that are not among them."""
        missed = judged.missed
        if name != judged.population:
            kind = name.removeprefix(f"{judged.population} ")
            of_type = float((self.types[self._matches("test").left] == kind).sum())
            missed = max(of_type - float(judged.truth[chosen].sum()), 0.0)
        return Judged(
            judged.population, judged.pairs.where(chosen), judged.truth[chosen], missed, judged.decided[chosen]
        )

    def _ranks(self) -> list[Row]:
        """The rank of the match of each left entity of the test among all candidates, and among entities of the test."""
        rows: list[Row] = []
        for method, scored in (("scorer", self.candidates), ("structure", self.structure)):
            if scored is None or not len(scored.scores):
                continue
            for setting, restricted in (("all entities", False), ("test entities", True)):
                matches = self._matches("test")
                ranks = ranks_among(matches, scored, restricted=restricted)
                for name, chosen in _by_type(setting, self.types, matches.left):
                    if chosen.any():
                        rows += [(method, name, metric, value) for metric, value in rank_figures(ranks[chosen]).items()]
        return rows


def ranks_among(matches: Links, scored: ScoredPairs, *, restricted: bool) -> NDArray[np.float64]:
    """float64 (matches,): the rank of each match's right entity among the candidates of its left one.

    restricted: whether only right entities of the matches are candidates, as the published figures of DBP15K have it.
    Infinite for a match that is no candidate.
    """
    left, right, scores = scored.left, scored.right, scored.scores
    if matches.within:
        left, right = np.concatenate([left, right]), np.concatenate([right, left])
        scores = np.concatenate([scores, scores])
    wanted = among(left, matches.left)
    if restricted:
        ends = matches.right if not matches.within else np.concatenate([matches.left, matches.right])
        wanted &= among(right, ends)
    columns = np.unique(np.concatenate([right[wanted], matches.right]))
    lefts = np.unique(matches.left)
    places = np.searchsorted(lefts, left[wanted]), np.searchsorted(columns, right[wanted])
    table = sparse.coo_array((scores[wanted], places), shape=(len(lefts), len(columns))).tocsr()
    return ranks_of(table[np.searchsorted(lefts, matches.left)], np.searchsorted(columns, matches.right))


def _by_type(setting: str, types: NDArray[np.str_], left: NDArray[np.int64]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The setting with all pairs, then with the pairs of each type, where there are several types."""
    of_pair = types[left]
    every = [(setting, np.ones(len(left), dtype=bool))]
    kinds = np.unique(of_pair)
    return every + [(f"{setting} {kind}", of_pair == kind) for kind in kinds if len(kinds) > 1]
