"""OPIS: the shifted-Gaussian table, zero for equal classes, invariances, both readings, classes with few pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.opis import CalibrationRange, OpisParams, OpisReport, opis, utilities, worst_count
from fingerpost.tasks.metric.pairs import PairScores, exact_pairs
from fingerpost.tasks.metric.scores import Measure, ScoreBins, bins_covering
from tests.unit.metric.worlds import embeddings

PLAIN = OpisParams(draws=0)


def scored(inside: list[np.ndarray], outside: list[np.ndarray]) -> PairScores:
    """Classes with given scores of their positive and negative pairs."""
    kinds = [[np.sort(scores).astype(np.float32) for scores in kind] for kind in (inside, outside)]
    return PairScores("cosine", np.arange(len(inside)), *kinds)


def gaussians(shifts: list[float], samples: int = 20_000) -> PairScores:
    random = np.random.default_rng(0)
    inside = [random.normal(0.8 - shift, 0.05, samples) for shift in shifts]
    return scored(inside, [random.normal(0.2, 0.1, samples) for _ in shifts])


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 0.0), (0.1, 0.03101), (0.2, 0.10919)])
@pytest.mark.parametrize("binned", [False, True])
def test_shifted_gaussians_give_the_published_table(shift: float, expected: float, binned: bool) -> None:
    pairs = gaussians([0.0, shift])
    over = CalibrationRange(0.5, 0.8, "thresholds")
    found = opis(pairs.histograms(ScoreBins.cosine()) if binned else pairs, over, PLAIN)
    assert found.opis == pytest.approx(expected, abs=5e-4)
    # Two classes lie equally far from their mean: the gap between them is twice that.
    assert found.worst_opis == pytest.approx(4 * found.opis, abs=1e-12)
    assert len(found.thresholds) == 101
    assert (found.thresholds[0], found.thresholds[-1]) == (0.5, 0.8)


def by_definition(utility: np.ndarray, worst: int) -> tuple[float, float]:
    """OPIS and ε-OPIS of utilities (classes, thresholds), written out."""
    mean = utility.mean(axis=0)
    score = np.mean([((row - mean) ** 2).mean() for row in utility])
    order = np.argsort(utility.mean(axis=1))
    gap = utility[order[:worst]].mean(axis=0) - utility[order[worst:]].mean(axis=0)
    return float(score), float((gap**2).mean())


@settings(max_examples=30)
@given(
    measure=st.sampled_from(["cosine", "euclidean"]),
    seed=st.integers(0, 99),
    classes=st.integers(2, 12),
    weight=st.floats(0.25, 4),
    worst=st.floats(0.01, 0.99),
)
def test_histogram_equals_exact_equals_the_definition(
    measure: Measure, seed: int, classes: int, weight: float, worst: float
) -> None:
    vectors, labels = embeddings(classes, 8 * classes, 6, seed)
    labels[: 2 * classes] = np.tile(np.arange(classes), 2)  # two rows each at least
    bins = bins_covering(vectors, measure, 512)
    exact, binned = exact_pairs(vectors, labels, measure), pair_histograms(vectors, labels, bins)
    ends = np.sort(np.random.default_rng(seed).choice(bins.edges[1:-1], 2, replace=False))
    thresholds = np.sort(ends if measure == "cosine" else -ends)
    # As many steps as bins: every threshold is the end of a bin, where histograms are exact.
    steps = round((ends[1] - ends[0]) / bins.width) + 1
    over = CalibrationRange(*thresholds, bounds="thresholds")
    params = OpisParams(weight=weight, steps=steps, worst=worst, draws=0)
    a, b = opis(exact, over, params), opis(binned, over, params)
    assert (a.utility == b.utility).all()
    assert (a.opis, a.worst_opis, a.worst) == (b.opis, b.worst_opis, b.worst)
    score, gap = by_definition(a.utility, worst_count(classes, worst))
    assert a.opis == pytest.approx(score, abs=1e-12)
    assert a.worst_opis == pytest.approx(gap, abs=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 99), weight=st.floats(0.25, 4), low=st.floats(0.005, 0.2), width=st.floats(0.02, 0.7))
def test_histogram_is_within_the_bin_width_of_exact_off_the_edges(
    seed: int, weight: float, low: float, width: float
) -> None:
    """A rate between edges is one that the exact curve has within a bin of it: utilities lie between those of the ends."""
    vectors, labels = embeddings(6, 60, 6, seed)
    labels[:12] = np.tile(np.arange(6), 2)
    bins = ScoreBins.cosine(512)
    exact, binned = exact_pairs(vectors, labels, "cosine"), pair_histograms(vectors, labels, bins)
    over = CalibrationRange(low, low + width)
    found = opis(binned, over, OpisParams(weight=weight, draws=0))
    scores = found.thresholds
    below, above = np.floor(scores / bins.width) * bins.width, np.ceil(scores / bins.width) * bins.width
    (more, more_wrong), (less, less_wrong) = exact.accepted(below), exact.accepted(above)
    phi = (less / exact.positives[:, None], more / exact.positives[:, None])
    psi = (1 - more_wrong / exact.negatives[:, None], 1 - less_wrong / exact.negatives[:, None])
    bounds = [np.nan_to_num((1 + weight**2) * p * q / (weight**2 * p + q)) for p, q in zip(phi, psi, strict=True)]
    assert (found.utility >= bounds[0] - 1e-9).all()
    assert (found.utility <= bounds[1] + 1e-9).all()
    assert abs(np.array(over.scores(binned)) - np.array(over.scores(exact))).max() <= bins.width


def test_identical_classes_have_no_inconsistency() -> None:
    random = np.random.default_rng(1)
    inside, outside = random.normal(0.7, 0.1, 500), random.normal(0.1, 0.2, 5000)
    found = opis(scored([inside] * 5, [outside] * 5), CalibrationRange(0.01, 0.1), OpisParams(draws=50))
    assert found.opis == found.worst_opis == 0
    assert found.opis_interval == found.worst_opis_interval == (0, 0)


def test_order_of_rows_and_names_of_classes_change_nothing() -> None:
    vectors, labels = embeddings(9, 200, 8, 3)
    order = np.random.default_rng(0).permutation(200)
    names = np.array([f"class {label}" for label in labels])
    first = opis(pair_histograms(vectors, labels, ScoreBins.cosine()))
    again = opis(pair_histograms(vectors[order], names[order], ScoreBins.cosine()))
    assert (first.opis, first.opis_interval, first.worst_opis, first.worst_opis_interval) == (
        again.opis,
        again.opis_interval,
        again.worst_opis,
        again.worst_opis_interval,
    )
    assert [f"class {name}" for name in first.worst] == again.worst
    back = opis(pair_histograms(vectors, 8 - labels, ScoreBins.cosine()), params=PLAIN)
    assert back.opis == pytest.approx(first.opis, rel=1e-12)
    assert back.worst_opis == pytest.approx(first.worst_opis, rel=1e-12)


def test_the_score_grows_with_the_shift_and_weighs_rejection() -> None:
    over = CalibrationRange(0.5, 0.8, "thresholds")
    grown = [opis(gaussians([0.0, shift], 2000), over, PLAIN).opis for shift in (0.0, 0.05, 0.1, 0.2)]
    assert grown == sorted(grown)
    pairs = gaussians([0.0], 2000)
    heavy, light = (utilities(pairs, np.array([0.8]), weight)[0, 0] for weight in (3.0, 1 / 3))
    assert heavy > light, "a strict threshold rejects negatives, which a large weight counts more, but positives too"
    phi, psi = pairs.accepted([0.8])[0][0, 0] / 2000, 1 - pairs.accepted([0.8])[1][0, 0] / 2000
    assert heavy == pytest.approx(10 * phi * psi / (9 * phi + psi))


def test_the_articles_wording_counts_movement_along_the_range_as_well() -> None:
    pairs, over = gaussians([0.0, 0.1], 2000), CalibrationRange(0.5, 0.8, "thresholds")
    plain = opis(pairs, over, PLAIN)
    ranged = opis(pairs, over, OpisParams(draws=0, around="range"))
    assert ranged.opis == pytest.approx(((plain.utility - plain.utility.mean()) ** 2).mean())
    assert ranged.opis > plain.opis
    assert ranged.worst_opis == plain.worst_opis


@pytest.mark.parametrize("bounds", ["far", "frr"])
def test_a_range_of_rates_has_these_rates_at_its_ends(bounds: str) -> None:
    pairs = gaussians([0.0, 0.1], 5000)
    found = opis(pairs.histograms(ScoreBins.cosine()), CalibrationRange(0.02, 0.2, bounds), PLAIN)
    accepted, wrong = pairs.accepted(found.thresholds[[0, -1]])
    far, frr = wrong.sum(axis=0) / pairs.negatives.sum(), 1 - accepted.sum(axis=0) / pairs.positives.sum()
    expected = [0.2, 0.02] if bounds == "far" else [0.02, 0.2]
    assert (far if bounds == "far" else frr).tolist() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_a_range_of_some_classes_serves_others(measure: Measure) -> None:
    vectors, labels = embeddings(4, 80, 6, 0)
    pairs = pair_histograms(vectors, labels, bins_covering(vectors, measure))
    over = CalibrationRange(0.05, 0.2)
    fixed = over.fixed(pairs)
    assert fixed.bounds == "thresholds"
    assert fixed.scores(pairs) == over.scores(pairs)


def test_distances_are_thresholds_from_far_to_near() -> None:
    vectors, labels = embeddings(4, 80, 6, 0)
    pairs = pair_histograms(vectors, labels, bins_covering(vectors, "euclidean"))
    found = opis(pairs, CalibrationRange(1.0, 2.0, "thresholds"), PLAIN)
    assert (found.thresholds[0], found.thresholds[-1]) == (2.0, 1.0)
    exact = exact_pairs(vectors, labels, "euclidean")
    shares = [(scores >= -2.0).mean() for scores in exact.inside]
    rejected = [(scores < -2.0).mean() for scores in exact.outside]
    assert found.utility[:, 0] == pytest.approx([2 * p * q / (p + q) for p, q in zip(shares, rejected, strict=True)])


def test_classes_with_few_pairs_are_reported() -> None:
    vectors, labels = embeddings(4, 60, 6, 0)
    labels = np.concatenate([labels, [90, 91, 91]])
    vectors = np.concatenate([vectors, vectors[:3]])
    found = opis(pair_histograms(vectors, labels, ScoreBins.cosine()), params=OpisParams(least_pairs=2, draws=0))
    assert [(few.name, few.positives, few.negatives) for few in found.few] == [("90", 0, 62), ("91", 1, 122)]
    assert found.counted.tolist() == [True] * 4 + [False] * 2
    assert np.isnan(found.utility[4]).all()
    assert not np.isnan(found.utility[5]).any(), "its curve is there to be looked at"
    assert found.opis == pytest.approx(by_definition(found.utility[:4], 1)[0])
    assert found.mean_utility == pytest.approx(found.utility[:4].mean(axis=0))


def test_intervals_hold_the_value_and_narrow_with_more_classes() -> None:
    def report(classes: int) -> OpisReport:
        random = np.random.default_rng(0)
        return opis(gaussians(random.uniform(0, 0.2, classes).tolist(), 300), CalibrationRange(0.5, 0.8, "thresholds"))

    few, many = report(10), report(160)
    for found in (few, many):
        for value, interval in ((found.opis, found.opis_interval), (found.worst_opis, found.worst_opis_interval)):
            assert interval is not None
            assert interval[0] < value < interval[1]
    assert few.opis_interval is not None
    assert many.opis_interval is not None
    assert np.diff(many.opis_interval) < 0.5 * np.diff(few.opis_interval)


def test_intervals_are_those_of_resampled_classes() -> None:
    pairs = gaussians([0.0, 0.05, 0.1, 0.15, 0.2], 500)
    params = OpisParams(draws=200, worst=0.4, seed=7)
    found = opis(pairs, CalibrationRange(0.5, 0.8, "thresholds"), params)
    ranked = found.utility[np.argsort(found.utility.mean(axis=1))]
    random = np.random.default_rng(7)
    values = [by_definition(ranked[np.sort(one)], 2) for _ in range(2) for one in random.integers(0, 5, (100, 5))]
    expected = np.quantile(np.array(values), [0.025, 0.975], axis=0)
    assert found.opis_interval == pytest.approx(expected[:, 0].tolist())
    assert found.worst_opis_interval == pytest.approx(expected[:, 1].tolist())


def test_what_has_no_score_is_refused() -> None:
    for make in (
        lambda: CalibrationRange(0.1, 0.01),
        lambda: CalibrationRange(0.1, 1.5),
        lambda: CalibrationRange(0.1, 0.2, "tar"),
        lambda: OpisParams(worst=1.0),
        lambda: OpisParams(worst=0.0),
        lambda: OpisParams(steps=1),
        lambda: OpisParams(weight=0),
        lambda: OpisParams(least_pairs=0),
    ):
        with pytest.raises(ValueError, match="expected"):
            make()
    with pytest.raises(ValueError, match="OPIS: expected two classes with at least 1 pairs of either kind, got 1"):
        opis(gaussians([0.0], 50), CalibrationRange(0.1, 0.2, "thresholds"))
    alike = scored([np.ones(3)] * 2, [np.zeros(3)] * 2)
    with pytest.raises(ValueError, match="calibration range: expected different thresholds"):
        opis(alike, CalibrationRange(0.4, 0.5))
    assert [worst_count(classes, 0.1) for classes in (2, 10, 11, 100)] == [1, 1, 2, 10]
    assert worst_count(3, 0.99) == 2
