"""Thresholds keep their target, held-out rates are those of leaving classes out, and each class's rates are right."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from fingerpost.tasks.metric.classes import class_groups
from fingerpost.tasks.metric.groups import group_columns, group_thresholds
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.pairs import PairHistograms, Pairs, exact_pairs
from fingerpost.tasks.metric.scores import Measure, ScoreBins, bins_covering, score_of, threshold_of
from fingerpost.tasks.metric.thresholds import (
    Curve,
    Target,
    ThresholdChoice,
    choose_threshold,
    class_rates,
    equal_error,
    fnmr_at_fmr,
    global_curve,
)
from tests.unit.metric.worlds import embeddings

MEASURES = ("cosine", "euclidean")
TARGETS = (Target("far", 0.05), Target("frr", 0.1))


def class_curves(pairs: Pairs, scores: ArrayLike) -> Curve:
    """The curves of each class at ascending scores (g,); NaN without such pairs."""
    wanted = np.asarray(scores, dtype=np.float64)
    accepted, wrong = pairs.accepted(wanted)
    with np.errstate(invalid="ignore"):
        far, frr = wrong / pairs.negatives[:, None], 1 - accepted / pairs.positives[:, None]
    return Curve(np.array([threshold_of(score, pairs.measure) for score in wanted]), far, frr)


def world(classes: int, seed: int, measure: Measure = "cosine") -> tuple[np.ndarray, np.ndarray, ScoreBins]:
    vectors, labels = embeddings(classes, 8 * classes, 8, seed)
    labels[: 2 * classes] = np.tile(np.arange(classes), 2)
    return vectors, labels, bins_covering(vectors, measure)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("target", TARGETS)
def test_the_threshold_keeps_its_target_as_exactly_as_the_bins_allow(measure: Measure, target: Target) -> None:
    vectors, labels, bins = world(12, 0, measure)
    choice = choose_threshold(pair_histograms(vectors, labels, bins), target)
    rates = choice.rates
    found = rates.global_far if target.rate == "far" else rates.global_frr
    assert 0.9 * target.share <= found <= target.share
    exact = exact_pairs(vectors, labels, measure)
    score = score_of(choice.threshold, measure)
    assert rates.global_far == pytest.approx((np.concatenate(exact.outside) >= score).mean(), abs=1e-12)
    assert rates.global_frr == pytest.approx((np.concatenate(exact.inside) < score).mean(), abs=1e-12)
    true = exact.score_at_far(0.05) if target.rate == "far" else exact.score_at_frr(0.1)
    assert abs(score_of(choice.threshold, measure) - true) <= bins.width
    assert choice.interval[0] < choice.threshold < choice.interval[1]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("target", TARGETS)
def test_held_out_rates_are_those_of_counting_again_without_each_class(measure: Measure, target: Target) -> None:
    vectors, labels, bins = world(9, 1, measure)
    pairs = pair_histograms(vectors, labels, bins)
    wrong, total = 0.0, 0
    for label in range(9):
        rest = pair_histograms(vectors[labels != label], labels[labels != label], bins)
        edges = rest.edges[1:-1]
        right, passing = (kind.sum(axis=0) for kind in rest.accepted(edges))
        if target.rate == "far":
            score = edges[passing <= 0.05 * rest.negatives.sum()].min()
        else:
            score = edges[right >= 0.9 * rest.positives.sum() - 1e-9].max()
        accepted, false = pairs.accepted([score])
        if target.rate == "far":
            wrong, total = wrong + false[label, 0], total + pairs.negatives[label]
        else:
            wrong, total = wrong + pairs.positives[label] - accepted[label, 0], total + pairs.positives[label]
    assert choose_threshold(pairs, target).held_out == pytest.approx(wrong / total)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_class_gets_what_counting_its_pairs_gives_and_the_worst_are_named(measure: Measure) -> None:
    vectors, labels, bins = world(6, 2, measure)
    names = np.array(["ant", "bee", "cat", "dog", "eel", "fox"])[labels]
    pairs, exact = pair_histograms(vectors, names, bins), exact_pairs(vectors, names, measure)
    score = bins.edges[int(0.8 * bins.count)]
    rates = class_rates(pairs, threshold_of(score, measure))
    far = [np.mean(scores >= score) for scores in exact.outside]
    frr = [np.mean(scores < score) for scores in exact.inside]
    assert rates.far.tolist() == pytest.approx(far)
    assert rates.frr.tolist() == pytest.approx(frr)
    assert rates.global_far == pytest.approx(np.mean(np.concatenate(exact.outside) >= score))
    assert rates.global_frr == pytest.approx(np.mean(np.concatenate(exact.inside) < score))
    worst = rates.worst("frr", 2)
    assert [name for name, _ in worst] == [
        str(pairs.names[place]) for place in np.argsort(-np.array(frr).round(9), kind="stable")[:2]
    ]
    assert worst[0][1] == pytest.approx(max(frr))
    assert len(rates.worst("far")) == 6


def test_a_class_without_positives_has_no_false_reject_rate() -> None:
    vectors, labels, bins = world(4, 0)
    pairs = pair_histograms(np.concatenate([vectors, vectors[:1]]), np.append(labels, 50), bins)
    rates = choose_threshold(pairs, Target("frr", 0.1)).rates
    assert np.isnan(rates.frr[4])
    assert not np.isnan(rates.far[4])
    assert "50" not in [name for name, _ in rates.worst("frr")]
    assert 0.09 <= rates.global_frr <= 0.1


def grouped(shift: float) -> tuple[PairHistograms, np.ndarray, ThresholdChoice]:
    """Two groups of 20 classes, the second nearer to each other by ``shift`` along one direction; and two odd classes."""
    random = np.random.default_rng(4)
    centres = random.standard_normal((42, 12))
    centres[20:40, 0] += shift
    vectors = (np.repeat(centres, 6, axis=0) + 0.4 * random.standard_normal((252, 12))).astype(np.float32)
    pairs = pair_histograms(vectors, np.repeat(np.arange(42), 6), ScoreBins.cosine())
    return pairs, np.array(["a"] * 20 + ["b"] * 20 + ["c"] * 2), choose_threshold(pairs, Target("far", 0.05))


def test_groups_get_a_threshold_where_theirs_differs() -> None:
    pairs, groups, choice = grouped(4.0)
    found = group_thresholds(pairs, groups, choice)
    assert found.small == [("c", 2)]
    a, b = found.groups
    assert (a.name, a.classes, b.name, b.classes) == ("a", 20, "b", 20)
    assert b.worth
    assert b.threshold > choice.threshold > a.threshold
    assert b.rate > 0.05 > a.rate
    at_own = class_rates(pairs, b.threshold)
    members = groups == "b"
    own = float((at_own.far * at_own.negatives)[members].sum() / at_own.negatives[members].sum())
    assert 0.95 * 0.05 <= own <= 0.05
    even, labels, choice = grouped(0.0)
    assert not any(group.worth for group in group_thresholds(even, labels, choice).groups)


def test_groups_are_tested_on_other_classes_and_none_is_left_out() -> None:
    pairs, groups, choice = grouped(4.0)
    other, others, _ = grouped(3.5)
    others = np.where(others == "c", "d", others)
    rows = group_columns((pairs, other), (groups, others), choice, level=0.95, least_classes=5)
    by_name = {name: {column: values[at] for column, values in rows.items()} for at, name in enumerate(rows["name"])}
    assert list(by_name) == ["a", "b", "c", "d"]
    own = {group.name: group for group in group_thresholds(pairs, groups, choice).groups}
    b = by_name["b"]
    assert (b["threshold"], b["worth"], b["classes"], b["test_classes"]) == (own["b"].threshold, True, 20, 20)
    assert b["rate"] == own["b"].rate
    for column, threshold in (("test_rate", choice.threshold), ("own_test_rate", own["b"].threshold)):
        exact, members = class_rates(other, threshold), others == "b"
        rate = (exact.far * exact.negatives)[members].sum() / exact.negatives[members].sum()
        assert b[column] == pytest.approx(rate)
    for name, classes, tested in (("c", 2, 0), ("d", 0, 2)):
        found = by_name[name]
        assert (found["classes"], found["test_classes"], found["threshold"]) == (classes, tested, None)
        assert not found["worth"]
    none = group_thresholds(pairs, np.where(groups == "c", "", groups), choice)
    assert (len(none.groups), none.small) == (2, [])


def test_a_class_is_in_the_group_that_most_of_its_rows_name() -> None:
    labels = ["x", "x", "x", "y", "y", "z", "", "w", "w"]
    told = ["a", "b", "b", "c", "b", None, "a", "", "c"]
    found, several = class_groups(labels, told, ["w", "x", "y", "z"])
    assert (found.tolist(), several) == (["c", "b", "b", ""], 2)


def test_curves_fall_and_meet_at_the_equal_error_rate() -> None:
    vectors, labels, bins = world(8, 3)
    pairs, exact = pair_histograms(vectors, labels, bins), exact_pairs(vectors, labels, "cosine")
    curve = global_curve(pairs)
    assert (curve.far[0], curve.far[-1], curve.frr[0], curve.frr[-1]) == (1, 0, 0, 1)
    assert (np.diff(curve.far) <= 0).all()
    assert (np.diff(curve.frr) >= 0).all()
    threshold, rate = equal_error(pairs)
    negatives, positives = np.concatenate(exact.outside), np.concatenate(exact.inside)
    steps = np.array([threshold - bins.width, threshold + bins.width])
    gaps = [(negatives >= step).mean() - (positives < step).mean() for step in steps]
    assert gaps[0] >= 0 >= gaps[1]
    at = class_rates(pairs, threshold)
    assert rate == pytest.approx(max(at.global_far, at.global_frr), abs=1e-12)
    assert rate == pytest.approx(max((negatives >= threshold).mean(), (positives < threshold).mean()), abs=1e-12)
    by_class = class_curves(pairs, bins.edges[1:-1:16])
    assert by_class.far.shape == by_class.frr.shape == (8, len(by_class.thresholds))
    one = class_rates(pairs, float(by_class.thresholds[40]))
    assert by_class.far[:, 40].tolist() == one.far.tolist()
    assert by_class.frr[:, 40].tolist() == one.frr.tolist()


@pytest.mark.parametrize("measure", MEASURES)
def test_fnmr_at_fmr_is_that_of_the_scores(measure: Measure) -> None:
    vectors, labels, bins = world(8, 5, measure)
    pairs, exact = pair_histograms(vectors, labels, bins), exact_pairs(vectors, labels, measure)
    negatives, positives = np.concatenate(exact.outside), np.concatenate(exact.inside)
    for rate, found in zip((0.3, 0.03), fnmr_at_fmr(pairs, [0.3, 0.03]), strict=True):
        at = np.quantile(negatives, 1 - rate)
        low, high = (positives < at - 2 * bins.width).mean(), (positives < at + 2 * bins.width).mean()
        assert low - 1e-9 <= found <= high + 1e-9


def test_separate_classes_have_no_errors() -> None:
    vectors = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    pairs = pair_histograms(vectors, np.repeat(np.arange(4), 3), ScoreBins.cosine(64))
    assert equal_error(pairs)[1] == 0
    assert fnmr_at_fmr(pairs, [0.01]) == [0]


def test_what_has_no_threshold_is_refused() -> None:
    vectors, labels, bins = world(4, 0)
    pairs = pair_histograms(vectors, labels, bins)
    choice = choose_threshold(pairs, Target("far", 0.05))
    for share, rate in ((1.0, "far"), (-0.1, "far"), (0.1, "tar")):
        with pytest.raises(ValueError, match="target: expected far or frr"):
            Target(rate, share)
    with pytest.raises(ValueError, match="level: expected a probability between 0 and 1"):
        choose_threshold(pairs, Target("far", 0.05), level=1.0)
    with pytest.raises(ValueError, match="groups: expected one for each of 4 classes"):
        group_thresholds(pairs, ["a", "b"], choice)
    one = pair_histograms(vectors, np.zeros(len(vectors)), bins)
    with pytest.raises(ValueError, match="pairs: expected positive and negative pairs"):
        choose_threshold(one, Target("far", 0.05))
    with pytest.raises(ValueError, match="threshold: expected two classes with pairs for frr, got 1"):
        choose_threshold(one, Target("frr", 0.05))
    two = pair_histograms(vectors, labels % 2, bins)
    with pytest.raises(ValueError, match="threshold: expected three classes with pairs between them"):
        choose_threshold(two, Target("far", 0.05))
    with pytest.raises(ValueError, match="pairs: expected positive and negative pairs"):
        global_curve(one)
