"""Intervals of thresholds are where the rate is told from the target, by the plain formula; and how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from fingerpost.ext.pair_counts import pair_scores
from fingerpost.tasks.metric.class_pairs import SAMPLED_CLASSES, SAMPLED_ROWS, sampled_classes, sampled_rows
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.intervals import score_interval, twice_counted
from fingerpost.tasks.metric.scores import Measure, ScoreBins, bins_covering, class_rows, score_of
from fingerpost.tasks.metric.thresholds import Rate, Target, choose_threshold
from tests.unit.metric.worlds import embeddings

CLASSES = 20


def accepted_between(vectors: np.ndarray, labels: np.ndarray, measure: Measure, score: float) -> np.ndarray:
    """Accepted pairs of each two classes, positive ones on the diagonal: (c, c)."""
    data = class_rows(vectors, labels, measure)
    passes = pair_scores(data.rows, data.rows, measure=measure) >= np.float32(score)
    np.fill_diagonal(passes, False)
    member = data.classes[:, None] == np.arange(len(data.names))
    found = member.T.astype(float) @ passes @ member
    found[np.diag_indices(len(found))] /= 2
    return found


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
@pytest.mark.parametrize(("rate", "share"), [("far", 0.05), ("frr", 0.1)])
def test_the_ends_are_where_the_rate_is_told_from_the_target(measure: Measure, rate: Rate, share: float) -> None:
    vectors, labels = embeddings(CLASSES, 8 * CLASSES, 8, 1)
    labels[: 2 * CLASSES] = np.tile(np.arange(CLASSES), 2)
    pairs = pair_histograms(vectors, labels, bins_covering(vectors, measure, 512))
    choice = choose_threshold(pairs, Target(rate, share), level=0.9)
    ends = sorted(score_of(end, measure) for end in choice.interval)
    every = accepted_between(vectors, labels, measure, -1e9)
    if rate == "far":
        np.fill_diagonal(every, 0)
    weights = every.sum(axis=1) if rate == "far" else np.diag(every)
    freedom = (weights**2).sum() ** 2 / (weights**4).sum() - 1
    score = pairs.score_at_far(share) if rate == "far" else pairs.score_at_frr(share)
    left = 1 - twice_counted(pairs, share, score) if rate == "far" else 1.0

    def told(score: float) -> float:
        wrong = accepted_between(vectors, labels, measure, score)
        if rate == "far":
            np.fill_diagonal(wrong, 0)
        by_class = wrong.sum(axis=1) if rate == "far" else weights - np.diag(wrong)
        found = by_class.sum() / weights.sum()
        without = by_class - found * weights
        # Leaving a class out takes all its pairs away, of which a negative one counts in two classes.
        error = np.sqrt(CLASSES / (CLASSES - 1) * (without**2).sum() * left) / (weights.sum() / (1 + (rate == "far")))
        return float(abs(np.log(found / share)) * found / error / stats.t(freedom).ppf(0.95))

    width = pairs.bins.width
    half = jackknife(vectors, labels, pairs.bins, Target(rate, share))
    for end, sign in zip(ends, (-1, 1), strict=True):
        inner, outer = (np.floor(end / width) * width, np.ceil(end / width) * width)[::sign]
        assert told(outer) >= 1 - 1e-6
        if rate == "far" or abs(end - score) > half + 1e-9:
            assert told(inner) <= 1 + 1e-6
        else:
            assert abs(end - score) == pytest.approx(half)


def jackknife(vectors: np.ndarray, labels: np.ndarray, bins: ScoreBins, target: Target) -> float:
    """Half the interval of 90 % by counting again without each class."""
    without = []
    for label in np.unique(labels):
        rest = pair_histograms(vectors[labels != label], labels[labels != label], bins)
        without.append(rest.score_at_far(target.share) if target.rate == "far" else rest.score_at_frr(target.share))
    count = len(without)
    error = np.sqrt((count - 1) * np.var(without))
    return float(stats.t(count - 1).ppf(0.95) * error)


def test_few_pairs_of_classes_leave_the_interval_the_jackknifes() -> None:
    vectors, labels = embeddings(8, 80, 8, 1)
    pairs = pair_histograms(vectors, labels, ScoreBins.cosine(512))
    # 1 % of 28 pairs of classes is less than one.
    choice = choose_threshold(pairs, Target("far", 0.01), level=0.9)
    half = jackknife(vectors, labels, pairs.bins, Target("far", 0.01))
    score = pairs.score_at_far(0.01)
    assert choice.interval == pytest.approx((score - half, min(score + half, 1.0)))


def test_what_pairs_of_classes_make_of_the_variance_is_taken_off_once() -> None:
    # Few dimensions: which classes lie close together decides, and that is a matter of pairs.
    vectors, labels = embeddings(40, 400, 16, 2)
    pairs = pair_histograms(vectors, labels, ScoreBins.cosine(512))
    score = pairs.score_at_far(0.05)
    edge = float(np.floor(score / pairs.bins.width) * pairs.bins.width)
    every, found = (accepted_between(vectors, labels, "cosine", at) for at in (-2.0, edge))
    away = found - 0.05 * every
    np.fill_diagonal(away, 0)
    expected = (away**2).sum() / 2 / (away.sum(axis=1) ** 2).sum()
    assert 0.2 < expected < 0.5
    assert twice_counted(pairs, 0.05, edge) == pytest.approx(expected, rel=1e-6)


def test_drawn_classes_stand_for_all() -> None:
    vectors, labels = embeddings(150, 1500, 16, 3)
    pairs = pair_histograms(vectors, labels, ScoreBins.cosine(512))
    assert pairs.between is not None
    assert pairs.between.counts.shape == (SAMPLED_CLASSES * (SAMPLED_CLASSES - 1) // 2, 512)
    score = pairs.score_at_far(0.05)
    away = accepted_between(vectors, labels, "cosine", score) - 0.05 * accepted_between(vectors, labels, "cosine", -2.0)
    np.fill_diagonal(away, 0)
    expected = (away**2).sum() / 2 / (away.sum(axis=1) ** 2).sum()
    assert twice_counted(pairs, 0.05, score) == pytest.approx(expected, rel=0.3)
    shuffled = np.random.default_rng(0).permutation(len(vectors))
    again = pair_histograms(vectors[shuffled], labels[shuffled], ScoreBins.cosine(512)).between
    assert again is not None
    assert (again.counts.sum(axis=1) == pairs.between.counts.sum(axis=1)).all()
    classes = np.repeat([0, 1, 2], [200, 3, 1])
    places = sampled_rows(classes, sampled_classes(np.array(["a", "b", "c"])))
    assert np.bincount(classes[places]).tolist() == [SAMPLED_ROWS, 3, 1]
    assert places[0] == 0
    assert places[SAMPLED_ROWS - 1] > 190


def test_intervals_hold_the_true_threshold_about_as_often_as_they_say() -> None:
    # Many classes stand for all there are: what their threshold is, samples of 25 should tell within their intervals.
    random = np.random.default_rng(0)

    def drawn(classes: int) -> tuple[np.ndarray, np.ndarray]:
        spread = random.uniform(0.2, 1.2, (classes, 1, 1))
        vectors = random.standard_normal((classes, 1, 6)) + spread * random.standard_normal((classes, 6, 6))
        return vectors.reshape(-1, 6).astype(np.float32), np.repeat(np.arange(classes), 6)

    targets = (Target("far", 0.05), Target("frr", 0.1))
    bins, every = ScoreBins.cosine(1024), pair_histograms(*drawn(700), ScoreBins.cosine(1024))
    true = {target.rate: choose_threshold(every, target).threshold for target in targets}
    held, widths = dict.fromkeys(true, 0), dict[str, list[float]](far=[], frr=[])
    for _ in range(150):
        pairs = pair_histograms(*drawn(25), bins)
        for target in targets:
            low, high = choose_threshold(pairs, target).interval
            held[target.rate] += low <= true[target.rate] <= high
            widths[target.rate].append(high - low)
    # Measured: 142 and 141, and of 600 such sets 96 and 95 %. The plain jackknife holds 150 and 130 (99 and 88 %) here, the former at
    # 1.5 times the width, 0.094.
    assert held["far"] >= 137, held
    assert held["frr"] >= 135, held
    assert np.median(widths["far"]) < 0.075


def test_separate_classes_and_wrong_levels() -> None:
    vectors = np.repeat(np.eye(6, dtype=np.float32), 3, axis=0) + 0.01 * np.arange(6, dtype=np.float32)
    pairs = pair_histograms(vectors, np.repeat(np.arange(6), 3), ScoreBins.cosine(64))
    for rate, share in (("far", 0.0), ("far", 0.01), ("frr", 0.0), ("frr", 0.5)):
        choice = choose_threshold(pairs, Target(rate, share))  # type: ignore[arg-type]
        assert choice.interval[0] <= choice.threshold <= choice.interval[1]
    with pytest.raises(ValueError, match="level: expected a probability between 0 and 1"):
        score_interval(pairs, "far", 0.01, 0.5, np.zeros(6), level=1.0)
