"""A threshold says where its target is not safely met: few classes, rates beyond a factor of two, a wide interval."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.scores import ScoreBins
from fingerpost.tasks.metric.threshold_warnings import FEW_CLASSES, _deviating, cannot_be_kept, threshold_warnings
from fingerpost.tasks.metric.thresholds import ClassRates, Target, ThresholdChoice, choose_threshold, class_rates


def world(classes: int, seed: int = 0) -> PairHistograms:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 6)
    vectors = random.standard_normal((classes, 8))[labels] + 0.6 * random.standard_normal((len(labels), 8))
    return pair_histograms(vectors.astype(np.float32), labels, ScoreBins.cosine())


def chosen(pairs: PairHistograms, target: Target, **others: float) -> ThresholdChoice:
    """A choice whose interval is a point, so that only what is changed can be wrong."""
    choice = choose_threshold(pairs, target)
    found = {"held_out": target.share, "interval": (choice.threshold, choice.threshold)} | others
    return replace(choice, **found)  # type: ignore[arg-type]


def rates(far: float, frr: float) -> ClassRates:
    one = np.array([1])
    return ClassRates(0.5, np.array(["x"]), np.array([far]), np.array([frr]), one, one)


def test_many_classes_that_agree_are_no_reason_to_warn() -> None:
    pairs = world(150)
    for target in (Target("far", 0.01), Target("frr", 0.1)):
        choice = choose_threshold(pairs, target)
        assert threshold_warnings(pairs, choice, class_rates(world(150, 1), choice.threshold)) == []


def test_three_classes_are_warned_of_in_words_with_what_to_do() -> None:
    pairs = world(3)
    choice = choose_threshold(pairs, Target("far", 0.01))
    told = threshold_warnings(pairs, choice, class_rates(world(40, 1), choice.threshold))
    assert re.search(rf"\b3 classes, fewer than {FEW_CLASSES};.*\(validation_share\)", told[0])
    assert any(re.search(r"ends of its interval FAR is [\d.]+ % and [\d.]+ %", words) for words in told)
    assert len(told) > 2


@pytest.mark.parametrize(
    ("held", "said"), [(0.038, "3.8 %, 3.8 times"), (0.004, "0.4 %, 0.4 times"), (0.0199, ""), (0.0051, "")]
)
def test_rates_beyond_twice_or_half_the_target_are_warned_of(held: float, said: str) -> None:
    pairs = world(20)
    for rate in ("far", "frr"):
        target = Target(rate, 0.01)  # type: ignore[arg-type]
        held_out = threshold_warnings(pairs, chosen(pairs, target, held_out=held))
        others = rates(held, 0.9) if rate == "far" else rates(0.9, held)
        tested = threshold_warnings(pairs, chosen(pairs, target), others)
        for words, of in ((held_out, "left out"), (tested, "test")):
            assert len(words) == bool(said)
            facts = rf"{rate.upper()} of .*{of} .*is {re.escape(said)} the target; .*more classes"
            assert all(re.search(facts, warning) for warning in words)


def test_a_target_of_nothing_is_missed_by_anything() -> None:
    pairs = world(20)
    target = Target("far", 0.0)
    assert threshold_warnings(pairs, chosen(pairs, target), rates(0.0, 0.5)) == []
    (told,) = threshold_warnings(pairs, chosen(pairs, target, held_out=0.003))
    assert re.search(r"FAR of classes left out .*is 0\.3 %, for a target of 0;", told)


def test_large_figures_are_written_out() -> None:
    assert "FAR 0.01 %: 100 % of the pairs" in cannot_be_kept(0.0001, 1.0)
    assert [text for _, _, text in _deviating([("", 1.0), ("", 0.06)], 0.0001)] == [
        "10,000 times the target",
        "600 times the target",
    ]
