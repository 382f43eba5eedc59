"""The latency estimator: its errors on a simulated device, what it says of its own errors, and what it was not shown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.adjustment import Adjustment, fit_adjustment
from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.devices import Latencies
from fingerpost.tasks.nas.forest import fit_forest
from fingerpost.tasks.nas.kind_latency import fit_kind
from fingerpost.tasks.nas.latency import LatencyEstimator, fit_latency_estimator
from fingerpost.tasks.nas.latency_errors import latency_errors, spearman
from fingerpost.tasks.nas.latency_figures import latency_figures
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.measuring import measure_device, sampled_networks
from fingerpost.tasks.nas.operator_arrays import operator_rows, operators_from
from fingerpost.tasks.nas.operators import Operator, operators_of
from fingerpost.tasks.nas.spaces import space_for_images

DEVICE = Accelerator()
SPACE = space_for_images(28, 1, 10)
PARAMS = MeasuringParams(networks=160, operators=500, rounds=2, training_networks=12, test_networks=20)


@pytest.fixture(scope="module")
def measured() -> Measurements:
    return measure_device(DEVICE, SPACE, PARAMS, advance=lambda done: None)


@pytest.fixture(scope="module")
def estimator(measured: Measurements) -> LatencyEstimator:
    return fit_latency_estimator(measured, LatencyParams(), parallelism=16, bytes_per_value=1.0)


@pytest.fixture(scope="module")
def unseen() -> list[Architecture]:
    return sampled_networks(SPACE, 150, np.random.default_rng(77))


def test_networks_and_operators_that_were_not_measured_are_within_ten_percent(
    measured: Measurements, estimator: LatencyEstimator, unseen: list[Architecture]
) -> None:
    truth = DEVICE.measure_networks(unseen).ms
    mean, spread = estimator.predict(unseen)
    errors = latency_errors(mean, truth)
    assert errors["within_10"] >= 0.97
    assert errors["spearman"] > 0.99
    # The control: one line through multiply-accumulates.
    macs = np.array([sum(one.macs for one in operators_of(each)) for each in unseen], dtype=np.float64)
    assert latency_errors(estimator.linear_ms(macs), truth)["within_10"] < 0.5
    assert np.mean(np.abs(truth - mean) <= 2 * spread) > 0.85
    assert np.median(spread / mean) < 0.06
    others = {one for each in unseen for one in operators_of(each)} - set(operators_from(measured.operators.rows))
    rows = operator_rows(sorted(others, key=repr))
    assert len(rows) > 500
    assert latency_errors(estimator.operator_latencies(rows)[0], DEVICE.latencies(rows))["within_10"] >= 0.95


def test_figures_are_those_of_networks_and_operators_that_were_not_trained_on(
    measured: Measurements, estimator: LatencyEstimator
) -> None:
    figures = {figure[:3]: figure[3] for figure in latency_figures(estimator, measured)}
    assert figures["forest", "networks", "count"] == measured.networks.test.sum() == 20
    tested = measured.operators.chosen(measured.operators.validation)
    assert figures["forest", "operators", "count"] == len(tested.rows)
    errors = np.abs(estimator.operator_latencies(tested.rows)[0] / tested.ms - 1)
    assert figures["forest", "operators", "within_10"] == pytest.approx(np.mean(errors <= 0.1))
    assert figures["forest", "networks", "within_10"] > figures["linear", "networks", "within_10"] + 0.4
    # Without networks there are none of networks.
    alone = Measurements(measured.operators)
    assert {figure[1] for figure in latency_figures(fit_latency_estimator(alone, LatencyParams()), alone)} == {
        setting for _, setting, _ in figures if setting != "networks"
    }


def test_an_estimator_is_stored_as_arrays(estimator: LatencyEstimator, unseen: list[Architecture]) -> None:
    arrays = {name: np.array(values) for name, values in estimator.arrays().items()}
    assert all(values.dtype.kind in "iuf" for values in arrays.values())
    again = LatencyEstimator.from_arrays(arrays, list(estimator.kinds))
    for one, other in zip(again.predict(unseen), estimator.predict(unseen), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (again.parallelism, again.bytes_per_value) == (16, 1.0)
    assert again.macs_rates == estimator.macs_rates


def test_what_is_estimated_of_a_network_depends_on_it_alone(
    estimator: LatencyEstimator, unseen: list[Architecture]
) -> None:
    means, spreads = estimator.predict(unseen)
    alone = [estimator.predict([one]) for one in unseen]
    assert means.tolist() == [mean[0] for mean, _ in alone]
    assert spreads.tolist() == [spread[0] for _, spread in alone]
    assert [len(values) for values in estimator.predict([])] == [0, 0]


def test_operators_unlike_those_measured_are_named_and_uncertain(estimator: LatencyEstimator) -> None:
    block = Block("ibn", 3, 4)
    narrow, middle, last = (NetworkStage(16 * n, min(n, 2), (block,)) for n in (1, 2, 3))
    known = Architecture(28, 1, 10, 16, 2, (narrow, middle, last))
    assert estimator.unmeasured(known) == ()
    large_kernel = replace(known, stages=(NetworkStage(16, 1, (Block("ibn", 7, 4),)), middle, last))
    assert {one.kernel for one in estimator.unmeasured(large_kernel)} == {7}
    wide = replace(known, stages=(narrow, NetworkStage(4000, 2, (block,)), last))
    assert estimator.unmeasured(wide)
    mean, spread = estimator.predict([known, large_kernel, wide])
    assert (spread / mean)[0] < 0.1 < (spread / mean)[1:].min()
    segmentation = replace(known, task="segmentation", output=28)
    with pytest.raises(ValueError, match=r"expected operators of conv.*, got resize; measure such operators"):
        estimator.predict([segmentation])


def test_estimates_rise_with_the_groups_of_channels(estimator: LatencyEstimator) -> None:
    rows = operator_rows([Operator("conv", 14, 16 * n, 16 * n, 3, relu=True, added=True) for n in (1, 2, 3, 4)])
    ms, _ = estimator.operator_latencies(rows)
    assert (np.diff(ms) > 0).all()


def test_networks_that_are_not_sums_of_their_operators_are_adjusted_to(measured: Measurements) -> None:
    """A device on which depthwise convolutions take twice as long inside networks, and a network 0.1 ms more."""

    def slow(texts: tuple[str, ...]) -> np.ndarray:
        found = []
        for operators in (operators_of(Architecture.parse(text)) for text in texts):
            ms = DEVICE.measure_operators(operators).ms
            weights = np.array([2.0 if one.kind == "depthwise" else 1.0 for one in operators])
            found.append(float(ms @ weights) + 0.1)
        return np.array(found)

    networks = replace(measured.networks, ms=slow(measured.networks.texts))
    estimator = fit_latency_estimator(Measurements(measured.operators, networks), LatencyParams())
    tested = [Architecture.parse(text) for text, test in zip(networks.texts, networks.test, strict=True) if test]
    mean, spread = estimator.predict(tested)
    assert latency_errors(mean, networks.ms[networks.test])["within_10"] >= 0.9
    assert (np.abs(mean - networks.ms[networks.test]) <= 2 * spread).mean() > 0.7
    unadjusted = replace(estimator, adjustment=Adjustment.none())
    assert latency_errors(unadjusted.predict(tested)[0], networks.ms[networks.test])["within_10"] < 0.2


def test_an_adjustment_finds_weights_and_keeps_what_no_network_shows() -> None:
    random = np.random.default_rng(0)
    sums, operators = random.random((30, 4)) + 0.2, random.integers(8, 30, 30).astype(float)
    sums[:, 3] = 0
    ms = sums @ [1.2, 0.8, 1.0, 0] + 0.001 * operators
    found = fit_adjustment(sums, operators, ms)
    assert found.of(sums, operators) == pytest.approx(ms, rel=0.03)
    assert found.weights[3] == pytest.approx(1.0)
    assert Adjustment.from_array(found.array()).of(sums, operators) == pytest.approx(found.of(sums, operators))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(5, 60), st.integers(1, 12))
def test_a_forest_predicts_what_scikit_learn_does(seed: int, rows: int, trees: int) -> None:
    random = np.random.default_rng(seed)
    features = random.integers(0, 6, (rows, 4)).astype(np.float32) / 2
    targets = random.normal(size=rows)
    forest = fit_forest(features, targets, trees=trees, max_features=0.6, seed=seed)
    model = RandomForestRegressor(trees, max_features=0.6, random_state=seed).fit(features, targets)
    asked = (random.random((20, 4)) * 3).astype(np.float32)
    each = np.array([tree.predict(asked) for tree in model.estimators_])
    mean, spread = forest.predict(asked)
    assert mean == pytest.approx(each.mean(axis=0), rel=1e-9, abs=1e-12)
    assert spread == pytest.approx(each.std(axis=0), abs=1e-6)


def test_the_spread_of_a_kind_is_that_of_its_errors_and_of_measuring() -> None:
    random = np.random.default_rng(1)
    counts = random.integers(8, 200, 400)
    rows = operator_rows([Operator("conv", 14, int(count), int(count), 3) for count in counts])
    noisy = DEVICE.latencies(rows) * np.exp(random.normal(0, 0.05, 400))
    validation = np.arange(400) % 4 == 0
    kind = fit_kind(rows, noisy, 0.04 * noisy, validation, LatencyParams(trees=20))
    ms, spread = kind.predict(rows[validation])
    assert 0.04 <= np.median(spread / ms) < 0.09
    assert 0.85 < np.mean(np.abs(noisy[validation] - ms) <= 2 * spread) <= 1
    exact = fit_kind(rows, DEVICE.latencies(rows), np.zeros(400), validation, LatencyParams(trees=20))
    ms, spread = exact.predict(rows[validation])
    assert np.median(spread / ms) < 0.03


@pytest.mark.parametrize("values", [[1.0, 2, 3, 3, 0], [5.0, 5, 1, 2, 2]])
def test_spearman_is_scipys(values: list[float]) -> None:
    other = np.array([3.0, 1, 4, 1, 5])
    assert spearman(np.array(values), other) == pytest.approx(stats.spearmanr(values, other).statistic)
    assert np.isnan(spearman(np.ones(5), other))
    assert "spearman" not in latency_errors(np.ones(5), other)


def test_without_operators_there_is_no_estimator(measured: Measurements) -> None:
    none = measured.operators.chosen(np.zeros(len(measured.operators.rows), dtype=bool))
    with pytest.raises(ValueError, match="expected operators, got none"):
        fit_latency_estimator(Measurements(none), LatencyParams())


def test_refinement_measures_around_operators_that_are_estimated_badly() -> None:
    class Odd(Accelerator):
        """Convolutions with 41 to 63 input channels take thrice as long."""

        def measure_operators(self, operators):
            ms = super().measure_operators(operators).ms
            return Latencies.exact(ms * [3 if one.kind == "conv" and 40 < one.inputs < 64 else 1 for one in operators])

    params = replace(PARAMS, networks=40, operators=150, most=230)
    found = measure_device(Odd(), SPACE, params, advance=lambda done: None).operators
    added = found.chosen(found.rounds > 0)
    assert 20 <= len(added.rows) == len(found.rows) - np.count_nonzero(found.rounds == 0)
    assert len(found.rows) <= 230
    assert len(set(operators_from(found.rows))) == len(found.rows)
    assert added.validation.any()
    # What is around is of the same form.
    first = found.chosen(found.rounds == 0)
    forms = {tuple(row) for row in first.rows[:, [0, 1, 4, 5, 6, 7, 8]].tolist()}
    assert {tuple(row) for row in added.rows[:, [0, 1, 4, 5, 6, 7, 8]].tolist()} <= forms


def test_measuring_depends_on_the_seed_alone() -> None:
    params = replace(PARAMS, networks=12, operators=40, rounds=1, training_networks=2, test_networks=2)
    one, again, other = (
        measure_device(DEVICE, SPACE, replace(params, seed=seed), advance=lambda done: None) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(again.operators.rows, one.operators.rows)
    np.testing.assert_array_equal(again.operators.validation, one.operators.validation)
    assert again.networks.texts == one.networks.texts
    assert other.networks.texts != one.networks.texts


def test_operators_of_given_networks_are_measured() -> None:
    odd = Architecture(28, 1, 10, 13, 2, (NetworkStage(29, 1, (Block("ibn", 3, 6),)),))
    steps: list[int] = []
    params = replace(PARAMS, operators=20, rounds=0, networks=4)
    found = measure_device(DEVICE, SPACE, params, given=[odd], advance=steps.append)
    assert set(operators_of(odd)) <= set(operators_from(found.operators.rows))
    assert steps == [1, 2]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(MeasuringParams, "operators", 3), (MeasuringParams, "validation_share", 0.9), (LatencyParams, "trees", 0)],
)
def test_impossible_parameters_are_refused(kind: type, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected at"):
        kind(**{name: value})
