"""The rates told of a threshold are those of all pairs, one by one, whatever the bins that it was found by."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fingerpost.tasks.metric.assessment import AssessmentParams, assess
from fingerpost.tasks.metric.calibrated import migrate
from fingerpost.tasks.metric.crossing import safe_edges
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.opis import OpisParams
from fingerpost.tasks.metric.pairs import PairScores, exact_pairs
from fingerpost.tasks.metric.recount import counted_at, recounting, refined
from fingerpost.tasks.metric.scores import Measure, bins_covering, score_of
from fingerpost.tasks.metric.thresholds import Rate, Target, choose_threshold, class_rates, equal_error, fnmr_at_fmr
from tests.unit.metric.worlds import embeddings

MEASURES: tuple[Measure, ...] = ("cosine", "euclidean")
WORLDS = ("spread", "rows in two classes", "all alike", "one far out", "two scales", "opposite")


def rows_of(world: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and labels of a few classes, plain or with what bins are bad at."""
    vectors, labels = embeddings(5, 40, 6, seed)
    labels[:10] = np.tile(np.arange(5), 2)
    if world == "rows in two classes":
        vectors[20:30] = vectors[0]
    elif world == "all alike":
        vectors[:] = vectors[0]
    elif world == "one far out":
        vectors[7] *= 10_000
    elif world == "two scales":
        vectors[::2] *= 1e-6
    elif world == "opposite":
        vectors[1::2] = -vectors[::2]
    return vectors, labels


def rates_of(exact: PairScores, threshold: float, measure: Measure) -> tuple[np.ndarray, np.ndarray, float, float]:
    """FAR and FRR of each class and of all, counted pair by pair."""
    score = score_of(threshold, measure)
    far = np.array([(scores >= score).mean() for scores in exact.outside])
    frr = np.array([(scores < score).mean() for scores in exact.inside])
    return (
        far,
        frr,
        float((np.concatenate(exact.outside) >= score).mean()),
        float((np.concatenate(exact.inside) < score).mean()),
    )


@settings(max_examples=40)
@given(
    world=st.sampled_from(WORLDS),
    measure=st.sampled_from(MEASURES),
    rate=st.sampled_from(["far", "frr"]),
    share=st.sampled_from([0.0, 1e-4, 0.003, 0.01, 0.05, 0.2, 0.6]),
    bins=st.sampled_from([16, 256, 2048]),
    seed=st.integers(0, 20),
)
@example(world="one far out", measure="euclidean", rate="far", share=0.01, bins=2048, seed=0)
@example(world="one far out", measure="euclidean", rate="frr", share=0.0, bins=16, seed=0)
@example(world="all alike", measure="cosine", rate="far", share=0.01, bins=2048, seed=0)
@example(world="rows in two classes", measure="cosine", rate="far", share=0.0, bins=2048, seed=0)
def test_told_rates_are_those_of_the_pairs_and_a_target_is_kept_or_said_to_be_beyond_reach(
    world: str, measure: Measure, rate: Rate, share: float, bins: int, seed: int
) -> None:
    vectors, labels = rows_of(world, seed)
    target, exact = Target(rate, share), exact_pairs(vectors, labels, measure)
    recount = recounting(vectors, labels, measure)
    counted = pair_histograms(vectors, labels, bins_covering(vectors, measure, bins, outliers=False))
    pairs = refined(counted, target, recount)
    choice = choose_threshold(pairs, target)
    far, frr, all_far, all_frr = rates_of(exact, choice.threshold, measure)
    assert choice.rates.far == pytest.approx(far, abs=1e-12)
    assert choice.rates.frr == pytest.approx(frr, abs=1e-12)
    assert choice.rates.global_far == pytest.approx(all_far, abs=1e-12)
    assert choice.rates.global_frr == pytest.approx(all_frr, abs=1e-12)
    told = all_far if rate == "far" else all_frr
    assert choice.kept == (told <= share + 1e-12)
    assert choice.interval[0] <= choice.threshold <= choice.interval[1]
    # The threshold loses at most a small part of what the target allows, or the difference of scores that are alike.
    score = score_of(choice.threshold, measure)
    best = exact.score_at_far(share) if rate == "far" else exact.score_at_frr(share)
    scores = np.concatenate(exact.outside if rate == "far" else exact.inside)
    between = (scores >= best) & (scores < score) if rate == "far" else (scores >= score) & (scores < best)
    near = 2.0**-17 * max(abs(best), abs(score), 1 if measure == "cosine" else float(-counted.bins.low))
    assert between.sum() <= 0.05 * share * len(scores) + 1e-9 or abs(best - score) <= near
    if not choice.kept:
        assert best > score, "only a threshold beyond all scores that can be told apart would keep it"
        assert abs(best - score) <= near


@settings(max_examples=25)
@given(
    world=st.sampled_from(WORLDS),
    measure=st.sampled_from(MEASURES),
    at=st.floats(-1.5, 3.0),
    scale=st.sampled_from([1.0, 1e-6, 1e4]),
    seed=st.integers(0, 20),
)
def test_any_threshold_can_be_counted_at(world: str, measure: Measure, at: float, scale: float, seed: int) -> None:
    vectors, labels = rows_of(world, seed)
    exact, recount = exact_pairs(vectors, labels, measure), recounting(vectors, labels, measure)
    threshold = abs(at) * scale if measure == "euclidean" else at
    # A score that pairs have, exactly, and its neighbours: the hardest to tell apart.
    known = float(exact.outside[0][len(exact.outside[0]) // 2])
    thresholds = [threshold, known, float(np.nextafter(np.float32(known), np.float32(2))), known - 1e-12]
    thresholds = [value if measure == "cosine" else -value for value in thresholds[1:]] + [threshold]
    bins = bins_covering(vectors, measure, 64, outliers=False)
    pairs = counted_at(pair_histograms(vectors, labels, bins), thresholds, recount)
    for value in thresholds:
        rates = class_rates(pairs, value)
        far, frr, _, _ = rates_of(exact, value, measure)
        assert rates.far == pytest.approx(far, abs=1e-12)
        assert rates.frr == pytest.approx(frr, abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("rate", ["far", "frr"])
@pytest.mark.parametrize("world", WORLDS)
def test_an_assessment_tells_exact_rates_of_other_classes_and_of_groups(
    world: str, rate: Rate, measure: Measure
) -> None:
    sides = [rows_of(world, seed) for seed in (1, 2)]
    params = AssessmentParams(Target(rate, 0.01), opis=OpisParams(draws=0), least_group_classes=2)
    pairs = [pair_histograms(*side, bins_covering(side[0], measure, 256, outliers=False)) for side in sides]
    recounts = recounting(*sides[0], measure), recounting(*sides[1], measure)
    groups = np.array(["a", "a", "a", "b", "b"])
    found = assess(pairs[0], pairs[1], params, (groups, groups), recounts=recounts)
    exact = [exact_pairs(*side, measure) for side in sides]
    figures = {figure[:3]: figure[3] for figure in found.figures}
    threshold = found.quality["threshold"]
    for name, pairs_of in (("validation", exact[0]), ("test", exact[1])):
        _, _, far, frr = rates_of(pairs_of, threshold, measure)
        assert figures["threshold", name, "far"] == pytest.approx(far, abs=1e-12)
        assert figures["threshold", name, "frr"] == pytest.approx(frr, abs=1e-12)
    assert found.classes["far"] == pytest.approx(rates_of(exact[1], threshold, measure)[0].tolist(), abs=1e-12)
    kept = figures["threshold", "validation", rate] <= 0.01
    assert found.quality["kept"] == kept
    assert any(words.startswith("no threshold keeps FAR 1 %") for words in found.quality["cautions"]) != kept
    for row, members in enumerate((slice(0, 3), slice(3, 5))):
        for column, value in (("test_rate", threshold), ("own_test_rate", found.groups["threshold"][row])):
            kind = (exact[1].outside if rate == "far" else exact[1].inside)[members]
            passing = np.concatenate(kind) >= score_of(value, measure)
            rate_of = passing.mean() if rate == "far" else 1 - passing.mean()
            assert found.groups[column][row] == pytest.approx(rate_of, abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_migrated_threshold_has_at_most_the_rate_that_the_old_one_has(measure: Measure) -> None:
    sides = [rows_of("spread", 1), rows_of("rows in two classes", 1)]
    pairs = [pair_histograms(*side, bins_covering(side[0], measure, 64)) for side in sides]
    recounts = recounting(*sides[0], measure), recounting(*sides[1], measure)
    old = 0.7123 if measure == "cosine" else 1.2345
    moved = migrate(old, "frr", pairs[0], pairs[1], recounts=recounts)
    before, after = (
        rates_of(exact_pairs(*side, measure), at, measure)
        for side, at in zip(sides, (old, moved.choice.threshold), strict=True)
    )
    assert moved.before.global_frr == pytest.approx(before[3], abs=1e-12)
    assert moved.after.global_frr == pytest.approx(after[3], abs=1e-12)
    assert after[3] <= before[3]


@pytest.mark.parametrize("world", WORLDS)
def test_figures_without_a_recount_are_those_of_the_ends_of_bins(world: str) -> None:
    vectors, labels = rows_of(world, 3)
    exact = exact_pairs(vectors, labels, "cosine")
    pairs = pair_histograms(vectors, labels, bins_covering(vectors, "cosine", 256))
    threshold, rate = equal_error(pairs)
    _, _, far, frr = rates_of(exact, threshold, "cosine")
    assert rate == pytest.approx(max(far, frr), abs=1e-12)
    wrong, right = np.concatenate(exact.outside), np.concatenate(exact.inside)
    for fmr, fnmr in zip((0.0, 0.01, 0.3), fnmr_at_fmr(pairs, (0.0, 0.01, 0.3)), strict=True):
        keeping = [edge for edge in pairs.edges[1:-1] if (wrong >= edge).mean() <= fmr]
        assert fnmr == pytest.approx((right < keeping[0]).mean() if keeping else 1.0, abs=1e-12)
    with pytest.raises(ValueError, match=r"threshold: expected an end of a bin, .* got 0.123; count the pairs again"):
        class_rates(pairs, 0.123)


def test_other_pairs_and_thresholds_that_are_no_numbers_are_refused() -> None:
    vectors, labels = rows_of("spread", 0)
    pairs = pair_histograms(vectors, labels, bins_covering(vectors, "cosine", 64))
    with pytest.raises(ValueError, match="pair counts: expected the same pairs again, found others"):
        refined(pairs, Target("far", 0.0), recounting(*rows_of("all alike", 0), "cosine"))
    with pytest.raises(ValueError, match="threshold: expected a finite number, got nan"):
        counted_at(pairs, [float("nan")], recounting(vectors, labels, "cosine"))


def test_an_end_beyond_all_bins_is_no_threshold() -> None:
    curves = np.array([[10, 10, 5, 5, 5, 0], [10, 10, 10, 10, 10, 0]])
    edges, kept = safe_edges(curves, 0.5)
    assert (edges.tolist(), kept.tolist()) == ([2, 4], [True, False])
    edges, kept = safe_edges(curves, 0.6, highest=True)
    assert (edges.tolist(), kept.tolist()) == ([1, 4], [True, True])


def test_outliers_leave_bins_as_they_are() -> None:
    vectors, _ = rows_of("spread", 0)
    plain = bins_covering(vectors, "euclidean", outliers=False)
    assert plain == bins_covering(vectors, "euclidean"), "no row is far beyond the others"
    vectors[7] *= 10_000
    stretched = bins_covering(vectors, "euclidean")
    assert stretched.width >= 1000 * plain.width
    assert bins_covering(vectors, "euclidean", outliers=False).width <= 8 * plain.width
