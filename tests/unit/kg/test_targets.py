"""Thresholds of targets: kept on the pairs that they are chosen on, as good as any, whatever the order of the pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.calibration import fit_line, log_odds_of, probabilities_of, uncalibrated
from fingerpost.tasks.kg.judged import Judged, Links, SameEntities
from fingerpost.tasks.kg.one_to_one import ScoredPairs
from fingerpost.tasks.kg.targets import (
    AlignmentTarget,
    IntervalParams,
    accepted_threshold,
    at_threshold,
    chosen_threshold,
    expected_f1_threshold,
    far_threshold,
    wilson,
)

FEW = IntervalParams(resamples=3)


def judged_of(
    left: np.ndarray, right: np.ndarray, scores: np.ndarray, truth: np.ndarray, missed: float = 0.0
) -> Judged:
    pairs = ScoredPairs(left, right, scores)
    return Judged("given", pairs, truth.astype(float), missed, np.ones(len(truth), bool))


def random_judged(seed: int, *, most: int = 40) -> Judged:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, most))
    keys = rng.choice(most * most, count, replace=False)
    # Few distinct scores, many pairs of equal ones.
    scores = rng.integers(-8, 9, count) / 2 if rng.random() < 0.7 else rng.normal(0, 3, count)
    return judged_of(
        keys // most, keys % most, scores.astype(float), rng.integers(0, 2, count), float(rng.integers(0, 3))
    )


def figures_at(judged: Judged, log_odds: float) -> dict[str, float]:
    return at_threshold(judged, log_odds, level=0.95)


def figures(judged: Judged, threshold: float) -> dict[str, float]:
    return figures_at(judged, float(log_odds_of(threshold)))


def every_threshold(judged: Judged) -> list[dict[str, float]]:
    return [at_threshold(judged, score, level=0.95) for score in np.unique(judged.pairs.scores)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_expected_f1_is_the_best_of_a_curve(seed: int) -> None:
    """The threshold maximises F1 where each pair counts with its probability by the curve."""
    judged = random_judged(seed)
    threshold = expected_f1_threshold(judged)
    # Pairs of one label alone say nothing of a curve: that of the calibration holds.
    curve = fit_line(judged.pairs.scores, judged.truth) if judged.usable else uncalibrated()
    soft = Judged("given", judged.pairs, curve.probabilities(judged.pairs.scores), judged.missed, judged.decided)
    if curve.tensors["coefficients"][0] > 1e-6:
        best = max(each["f1"] for each in every_threshold(soft))
        assert figures_at(soft, threshold)["f1"] == pytest.approx(best, abs=1e-6)


def test_matches_alone_do_not_keep_less_similar_ones_out() -> None:
    """Of pairs that are all right none says from where on they are wrong: their probabilities do."""
    few = judged_of(np.arange(3), np.arange(3), np.array([0.7, 0.9, 1.2]), np.ones(3))
    probabilities = probabilities_of(few.pairs.scores)
    best = 2 * probabilities.sum() / (3 + probabilities.sum())
    assert probabilities_of(np.array(expected_f1_threshold(few))) == pytest.approx(best / 2)


def test_a_threshold_of_f1_does_not_hang_on_two_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(100) < 20
    scores = np.where(truth, rng.normal(6, 0.7, 100), rng.normal(-6, 0.7, 100))
    scores[:2] = -5.0
    judged = judged_of(np.arange(100), np.arange(100), scores, truth)
    assert -3 < expected_f1_threshold(judged) < 3


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), value=st.sampled_from([0.5, 0.9, 1.0]))
def test_a_precision_is_kept_where_any_threshold_keeps_it_with_most_accepted(seed: int, value: float) -> None:
    judged = random_judged(seed)
    found = chosen_threshold(judged, AlignmentTarget("precision", value), FEW)
    own = figures(judged, found.threshold)
    possible = [each["accepted"] for each in every_threshold(judged) if each["precision"] >= value]
    assert found.kept == bool(possible)
    if found.kept:
        assert own["precision"] >= value
        assert own["accepted"] == max(possible)
    assert (found.accepted, found.precision, found.recall) == (own["accepted"], own["precision"], own["recall"])


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), asked=st.integers(1, 45))
def test_as_many_pass_as_asked_for_and_no_more_than_are_equal_to_the_last(seed: int, asked: int) -> None:
    judged = random_judged(seed)
    scores = judged.pairs.scores
    found = accepted_threshold(judged, AlignmentTarget("accepted", asked), scores)
    over = scores >= log_odds_of(found.threshold)
    assert over.sum() >= min(asked, len(scores))
    assert (over & (scores > scores[over].min())).sum() < asked


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.01, 0.2]))
def test_a_false_acceptance_rate_is_kept(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    count = 120
    left, right = (rng.integers(0, 30, count) for _ in range(2))
    keys = np.unique(left * 30 + right)
    left, right = keys // 30, keys % 30
    truth = (left == right).astype(float)
    scores = np.round(rng.normal(0, 2, len(left)) + 3 * truth, int(rng.integers(0, 3)))
    judged = judged_of(left, right, scores, truth)
    matches = Links(
        np.arange(30), np.arange(30), np.ones(30, np.int8), np.array(["test"] * 30), np.array(["given"] * 30)
    )
    found = far_threshold(judged, SameEntities(matches), AlignmentTarget("far", share), FEW)
    over = scores >= log_odds_of(found.threshold)
    wrong = (truth == 0).sum()
    if found.kept:
        assert (over & (truth == 0)).sum() <= share * wrong + 1e-9
    lower = scores[~over].max(initial=-np.inf)
    if found.kept and np.isfinite(lower):
        # No lower threshold keeps it.
        assert ((scores >= lower) & (truth == 0)).sum() > share * wrong
    assert found.low <= found.threshold <= found.high


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_pairs_changes_no_threshold(seed: int) -> None:
    judged = random_judged(seed)
    order = np.random.default_rng(seed).permutation(len(judged.truth))
    turned = Judged(
        judged.population, judged.pairs.where(order), judged.truth[order], judged.missed, judged.decided[order]
    )
    for target in (AlignmentTarget(), AlignmentTarget("precision", 0.9)):
        assert chosen_threshold(judged, target, FEW) == chosen_threshold(turned, target, FEW)


def test_an_interval_has_the_threshold_that_more_pairs_would_give() -> None:
    rng = np.random.default_rng(0)

    def drawn(count: int) -> Judged:
        truth = rng.random(count) < 0.3
        return judged_of(np.arange(count), np.arange(count), rng.normal(0, 2, count) + 4 * truth - 2, truth)

    target = AlignmentTarget("precision", 0.9)
    whole = chosen_threshold(drawn(200_000), target, IntervalParams(resamples=1)).threshold
    inside = 0
    for _ in range(30):
        found = chosen_threshold(drawn(400), target, IntervalParams(resamples=60))
        inside += found.low <= whole <= found.high
    assert inside >= 24


@pytest.mark.parametrize(
    ("matches", "count", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (90, 100, 0.8256, 0.9448), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals(matches: int, count: int, low: float, high: float) -> None:
    assert wilson(matches, count, 0.95) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("f1", 0.5), ("precision", 0.0), ("precision", 1.1), ("accepted", 0), ("far", 1.0), ("recall", 0.5)],
)
def test_targets_that_are_refused(name, value: float) -> None:
    with pytest.raises(ValueError, match="target: expected f1 with 0, precision above 0 to 1"):
        AlignmentTarget(name, value)


@pytest.mark.parametrize(
    "target", [AlignmentTarget(), AlignmentTarget("precision", 0.95), AlignmentTarget("far", 0.01)]
)
def test_without_a_pair_that_is_to_be_decided_a_pair_is_accepted_that_is_likelier_right_than_wrong(
    target: AlignmentTarget,
) -> None:
    none = judged_of(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))
    found = chosen_threshold(none, target, FEW)
    assert (found.threshold, found.low, found.high, found.accepted, found.kept) == (0.5, 0.0, 1.0, 0, True)


def test_without_a_pair_no_number_of_matches_is_accepted() -> None:
    none = judged_of(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))
    assert accepted_threshold(none, AlignmentTarget("accepted", 3), none.pairs.scores).accepted == 0
