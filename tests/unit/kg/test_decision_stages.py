"""The stages from scores to matches, on candidates whose truth is known."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.schemas import kg
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.calibrated_scores import CalibrationParams
from fingerpost.tasks.kg.one_to_one import AssignmentParams
from fingerpost.tasks.kg.stages.decisions import calibrate_alignment, decide_matches
from fingerpost.tasks.kg.targets import AlignmentTarget, IntervalParams
from tests.support.alignments_scored import Scored, graph, labelled, links, random_scores
from tests.unit.autocomplete.logs import world

ENTITIES = 300
SPLITS = ("training", "validation", "test")


class World:
    """Two graphs whose entities have the same numbers, or one."""

    def __init__(self, folder: Path, *, seed: int = 0, within: bool = False, negatives: int = 0) -> None:
        self.env: Environment = world(folder)
        names = [(f"k{number:04d}", "thing", f"name {number}") for number in range(ENTITIES)]
        self.left = graph(self.env, names)
        self.right = self.left if within else graph(self.env, [(f"r{key}", kind, name) for key, kind, name in names])
        self.scores = random_scores(seed, ENTITIES)
        if within:
            # A pair of neighbours, one of two such, is one entity; a pair is written once.
            self.scores = {
                (min(a, b), max(a, b)): value
                for (a, b), value in {(a, b ^ 1 if a == b else b): v for (a, b), v in self.scores.items()}.items()
                if a != b
            }
        self.truth = {pair for pair in self.scores if (pair[0] ^ 1 == pair[1] if within else pair[0] == pair[1])}
        self.links = [(a, b, 1, SPLITS[a // 2 % 3], "given") for a, b in sorted(self.truth) if a % 10 < 6]
        if negatives:
            wrong = sorted(set(self.scores) - self.truth)[::negatives]
            self.links += [(a, b, 0, SPLITS[a // 2 % 3], "given") for a, b in wrong]

    def calibrate(
        self,
        *,
        links_ref: Ref | None = None,
        assignment: str = "hungarian",
        labelled_scores: Mapping[tuple[int, int], float] | None = None,
        **params: Any,
    ) -> Ref:
        self.link_ref = links_ref or links(self.env, self.links)
        known = labelled_scores or {(a, b): self.scores[a, b] for a, b, *_ in self.links if (a, b) in self.scores}
        self.candidates, self.score_ref = Scored(self.scores).write(self.env)
        self.labelled = labelled(self.env, {"scorer": known, "baseline": dict.fromkeys(known, 0.0)})
        self.calibration = calibrate_alignment.execute(
            self.env,
            self.left,
            self.right,
            self.candidates,
            self.score_ref,
            self.labelled,
            self.link_ref,
            params=CalibrationParams(intervals=IntervalParams(resamples=10), **params),
            assignment=AssignmentParams(assignment),
        )
        return self.calibration

    def decide(self, assignment: str = "hungarian") -> dict[tuple[int, int], float]:
        self.matches = decide_matches.execute(
            self.env,
            self.left,
            self.right,
            self.candidates,
            self.score_ref,
            self.link_ref,
            self.calibration,
            params=AssignmentParams(assignment),
        )
        rows = self.env.store.open(self.matches, kg.MATCHES).read("matches").to_pylist()
        return {(row["left"], row["right"]): row["probability"] for row in rows}

    def quality(self, ref: Ref) -> Mapping[str, Any]:
        return self.env.store.manifest(ref).quality

    def thresholds(self) -> list[dict[str, Any]]:
        return self.env.store.open(self.calibration, kg.CALIBRATION).read("thresholds").to_pylist()


@pytest.mark.parametrize("negatives", [0, 3])
@pytest.mark.parametrize("assignment", ["mutual", "hungarian"])
def test_matches_are_one_to_one_and_as_precise_as_expected(tmp_path: Path, negatives: int, assignment: str) -> None:
    made = World(tmp_path, negatives=negatives)
    quality = made.quality(made.calibrate(assignment=assignment))
    assert not quality["estimated"]
    assert quality["kept"]
    assert quality["population"] == ("given" if negatives else "linked")
    assert quality["matches"] == sum(row[2] == 1 and row[3] == "validation" for row in made.links)
    found = made.decide(assignment)
    known = {(a, b) for a, b, label, *_ in made.links if label}
    assert {pair for pair, value in found.items() if value == 1} >= known
    assert all(len({pair[side] for pair in found}) == len(found) for side in range(2))
    new = set(found) - known
    precision = len(new & made.truth) / len(new)
    assert precision > 0.9
    assert made.quality(made.matches)["expected_precision"] == pytest.approx(precision, abs=0.06)
    assert not any((a, b) in found for a, b, label, *_ in made.links if not label)


def test_every_target_is_kept_on_the_pairs_that_it_was_chosen_on(tmp_path: Path) -> None:
    made = World(tmp_path, negatives=3)
    made.calibrate(target=AlignmentTarget("precision", 0.97))
    rows = made.thresholds()
    assert (rows[0]["target"], rows[0]["value"], rows[0]["chosen"]) == ("precision", 0.97, True)
    assert [row["chosen"] for row in rows].count(True) == 1
    assert {(row["target"], row["value"]) for row in rows[1:]} >= {("f1", 0.0), ("precision", 0.95), ("far", 0.01)}
    precise = sorted((row for row in rows if row["target"] == "precision"), key=lambda row: row["value"])
    assert all(row["kept"] and row["precision"] >= row["value"] for row in precise)
    assert all(one["threshold"] <= other["threshold"] for one, other in itertools.pairwise(precise))
    for row in rows:
        assert 0 <= row["low"] <= row["threshold"] <= row["high"] <= 1
        assert row["precision_low"] <= row["precision"] <= row["precision_high"]
    made.decide()
    assert made.quality(made.matches)["threshold"] == pytest.approx(rows[0]["threshold"], abs=1e-6)


@pytest.mark.parametrize("assignment", ["mutual", "hungarian", "many"])
@pytest.mark.parametrize("asked", [1, 50])
def test_no_more_pairs_are_accepted_than_asked_for(tmp_path: Path, assignment: str, asked: int) -> None:
    made = World(tmp_path)
    made.calibrate(assignment=assignment, target=AlignmentTarget("accepted", asked))
    known = sum(label for _, _, label, *_ in made.links)
    assert len(made.decide(assignment)) - known == asked


def test_of_equal_pairs_as_many_are_accepted_as_asked_for(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.scores = {pair: 3.0 if pair in made.truth else -3.0 for pair in made.scores}
    made.calibrate(target=AlignmentTarget("accepted", 25))
    known = {(a, b) for a, b, label, *_ in made.links if label}
    assert sorted(set(made.decide()) - known) == sorted(made.truth - known)[:25]


def test_entities_may_have_several_partners(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.calibrate(assignment="many", target=AlignmentTarget("precision", 0.5))
    found = made.decide("many")
    assert len({one for one, _ in found}) < len(found)


def test_within_one_table_pairs_over_the_threshold_are_matches(tmp_path: Path) -> None:
    made = World(tmp_path, within=True, negatives=1)
    made.calibrate(target=AlignmentTarget("precision", 0.9))
    found = made.decide()
    (threshold,) = (row["threshold"] for row in made.thresholds() if row["chosen"])
    assert all(one < other for one, other in found)
    assert all(value >= np.float32(threshold) for value in found.values())
    new = set(found) - {(a, b) for a, b, label, *_ in made.links if label}
    assert len(new & made.truth) / len(new) > 0.8


def test_without_links_scores_are_log_odds_and_thresholds_are_estimates(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.links = []
    made.scores = random_scores(0, ENTITIES, slope=1.0)
    quality = made.quality(made.calibrate(target=AlignmentTarget("precision", 0.95)))
    assert (quality["estimated"], quality["population"], quality["method"]) == (True, "estimated", "identity")
    assert quality["judged"] == 0
    row = made.thresholds()[0]
    assert (row["low"], row["high"]) == (0.0, 1.0)
    found = made.decide()
    assert np.mean([a == b for a, b in found]) == pytest.approx(0.95, abs=0.05)
    assert made.quality(made.matches)["estimated"]


def test_assumed_matches_are_among_those_that_are_accepted(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.links = [(*row[:4], "assumed") for row in made.links]
    made.calibrate(target=AlignmentTarget("accepted", 40))
    row = made.thresholds()[0]
    made.link_ref = links(made.env, [])
    found = made.decide()
    assert len(found) == 40
    assert min(found.values()) - row["threshold"] == pytest.approx(0.0, abs=0.01)


def test_validation_entities_without_a_candidate_leave_thresholds_an_estimate(tmp_path: Path) -> None:
    made = World(tmp_path)
    held = {number for a, b, _, split, _ in made.links if split == "validation" for number in (a, b)}
    made.links += [(a, a + 1, 0, "validation", "given") for a in sorted(held)[:20]]
    every = made.scores | {(a, b): -5.0 for a, b, *_ in made.links[-20:]}
    known = {(a, b): every[a, b] for a, b, *_ in made.links}
    made.scores = {pair: value for pair, value in made.scores.items() if not held & set(pair)}
    made.calibrate(target=AlignmentTarget("precision", 0.95), labelled_scores=known)
    row = made.thresholds()[0]
    assert row["population"] == "estimated"
    assert len(made.decide()) > 50


def test_assumed_links_calibrate_nothing(tmp_path: Path) -> None:
    one, other = World(tmp_path / "one"), World(tmp_path / "other")
    one.links = [(*row[:4], "assumed") for row in one.links]
    other.links = []
    qualities = [made.quality(made.calibrate()) for made in (one, other)]
    assert qualities[0] == qualities[1]
    assert qualities[0]["estimated"]
    assert qualities[0]["method"] == "identity"


def test_assumed_matches_are_to_be_decided_as_others_are(tmp_path: Path) -> None:
    """Decisions do not know them, so neither does what their threshold is chosen from."""
    made = World(tmp_path)
    made.links = [(a, b, 1, "training" if a % 5 else "validation", "assumed") for a, b in sorted(made.truth)]
    ref = links(made.env, made.links)
    made.calibrate(links_ref=ref, target=AlignmentTarget("accepted", 40))
    made.link_ref = links(made.env, [])
    assert len(made.decide()) == 40


def test_without_a_known_match_all_is_an_estimate(tmp_path: Path) -> None:
    """Where a reviewer found pairs of two entities alone, and all matches are assumed."""
    made = World(tmp_path)
    wrong = sorted(set(made.scores) - made.truth)[:60]
    made.links = [(*row[:4], "assumed") for row in made.links]
    made.links += [(a, b, 0, SPLITS[number % 3], "reviewed") for number, (a, b) in enumerate(wrong)]
    assert made.quality(made.calibrate())["estimated"]


def test_known_pairs_that_leave_nothing_to_be_decided(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.links = [(a, b, 1, "training", "given") for a, b in sorted(made.truth)]
    lone = {side: {pair[side] for pair in made.truth} for side in range(2)}
    made.scores = {pair: value for pair, value in made.scores.items() if pair[0] in lone[0] and pair[1] in lone[1]}
    quality = made.quality(made.calibrate(target=AlignmentTarget("precision", 0.95)))
    assert (quality["threshold"], quality["estimated"]) == (0.5, True)
    assert set(made.decide()) == made.truth


def test_links_of_the_test_change_nothing(tmp_path: Path) -> None:
    one, other = World(tmp_path / "one"), World(tmp_path / "other")
    other.links = [row for row in other.links if row[3] != "test"]
    for made in (one, other):
        made.calibrate()
    assert one.thresholds() == other.thresholds()


def test_candidates_of_links_alone_are_not_what_was_found(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.calibrate()
    by_links = dict.fromkeys(((a, b) for a, b in made.truth), 8)
    made.candidates, made.score_ref = Scored(made.scores, by_links).write(made.env)
    found = made.decide()
    assert {pair for pair in found if pair in made.truth} == {(a, b) for a, b, label, *_ in made.links if label}


def test_scores_of_other_candidates_are_refused(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.calibrate()
    made.candidates, _ = Scored({(0, 1): 0.0}).write(made.env)
    with pytest.raises(FingerpostError, match="expected a score of each candidate"):
        made.decide()


def test_a_rate_that_the_pairs_do_not_tell_is_refused(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.links = [(0, 0, 1, "validation", "given"), (0, 1, 0, "validation", "given")]
    made.scores = {(0, 0): 3.0, (0, 1): -3.0}
    with pytest.raises(FingerpostError, match=r"kg\.links.*threshold: expected"):
        made.calibrate(target=AlignmentTarget("far", 0.01))
