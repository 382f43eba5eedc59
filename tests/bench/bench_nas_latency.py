"""How well latencies are estimated from operators: ``python -m tests.bench.bench_nas_latency``.

On simulated accelerators of several sizes and on this CPU through onnxruntime and torch: operators of the search space
of 28-pixel images are measured at the defaults, an estimator is fitted, and networks of the space that were never measured are
estimated, half of them curated, half uncurated. The rivals are fitted to the same measurements: a line through
multiply-accumulates (of whole networks), and a random forest of nn-Meter's features alone (configuration,
multiply-accumulates and parameters), summed over operators. Of this CPU it says as well how far a second measurement of the
same networks is from the first: no estimate can be better. CPU seconds of measuring and fitting.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from fingerpost.tasks.nas.accelerator import AcceleratorParams
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.cpu_params import RUNTIMES, CpuParams
from fingerpost.tasks.nas.devices import Device
from fingerpost.tasks.nas.latency import LatencyEstimator, fit_latency_estimator
from fingerpost.tasks.nas.latency_errors import latency_errors
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measurements import Measurements
from fingerpost.tasks.nas.measuring import measure_device, sampled_networks
from fingerpost.tasks.nas.operator_arrays import operator_rows, operators_from
from fingerpost.tasks.nas.operator_features import operator_macs, operator_parameters
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.spaces import space_for_images
from fingerpost.tasks.nas.stages.devices import device_source
from tests.bench.results import cpu_seconds, print_table, write_rows

#: The default, larger and uneven arrays, one that memory bounds, and sides that are no groups of the estimator's features.
ACCELERATORS = {
    "16 x 16": AcceleratorParams(),
    "32 x 32": AcceleratorParams(input_parallelism=32, output_parallelism=32, packed_channels=32),
    "8 x 64, float16": AcceleratorParams(input_parallelism=8, output_parallelism=64, bytes_per_value=2.0),
    "64 x 64, slow memory": AcceleratorParams(64, 64, weight_bandwidth=1.0, activation_bandwidth=1.0),
    "12 x 12": AcceleratorParams(12, 12, packed_channels=12),
    "24 x 24": AcceleratorParams(24, 24, packed_channels=24),
    "20 x 28, unpacked": AcceleratorParams(20, 28, packed_channels=1),
}
SPACE = space_for_images(28, 1, 10)
Row = dict[str, Any]


def accelerator_rows(count: int, params: MeasuringParams) -> list[Row]:
    """Errors on ``count`` unseen networks and on their operators, for each accelerator."""
    rows = []
    for name, accelerator in ACCELERATORS.items():
        device = device_source("accelerator", accelerator=accelerator).opened()
        rows += device_rows(f"accelerator {name}", device, count, params)
    return rows


def cpu_rows(count: int, params: MeasuringParams) -> list[Row]:
    """The same of this CPU through each runtime."""
    rows = []
    for runtime in RUNTIMES:
        device = device_source("cpu", cpu=CpuParams(runtime=runtime)).opened()
        rows += device_rows(f"CPU, {runtime}", device, count, params)
    return rows


def device_rows(dataset: str, device: Device, count: int, params: MeasuringParams) -> list[Row]:
    """Errors of the estimator and of its rivals on networks and operators that were not measured for it."""
    measuring, measured = cpu_seconds(lambda: measure_device(device, SPACE, params, advance=lambda done: None))
    fitting, estimator = cpu_seconds(lambda: fit_latency_estimator(measured, LatencyParams()))
    networks = sampled_networks(SPACE, count, np.random.default_rng(99))
    truth = device.measure_networks(networks).ms
    predicting, (mean, spread) = cpu_seconds(lambda: estimator.predict(networks))
    seconds = {"operators": len(measured.operators.rows), "measuring_s": measuring, "fitting_s": fitting}
    covered = float(np.mean(np.abs(truth - mean) <= 2 * spread))
    own = {"covered": covered, "spread": float(np.median(spread / mean)), **seconds}
    own["predicting_ms"] = 1000 * predicting / count
    rows = [row_of(dataset, "ours", "networks", mean, truth, own)]
    again = device.measure_networks(networks).ms
    if not np.array_equal(again, truth):
        rows.append(row_of(dataset, "measured again", "networks", again, truth))
    rows += [row_of(dataset, name, "networks", ms, truth) for name, ms in rivals(measured, estimator, networks).items()]
    rows.append(operator_row(dataset, device, measured, estimator, networks))
    return rows


def operator_row(
    dataset: str, device: Device, measured: Measurements, estimator: LatencyEstimator, networks: list[Architecture]
) -> Row:
    """Errors on at most a thousand operators of networks that were not measured before."""
    known = set(operators_from(measured.operators.rows))
    others = sorted({one for each in networks for one in operators_of(each)} - known, key=repr)
    chosen = np.random.default_rng(1).permutation(len(others))[:1000]
    operators = [others[place] for place in chosen.tolist()]
    found = device.measure_operators(operators)
    return row_of(
        dataset, "ours", "operators", estimator.operator_ms(operators)[0], found.ms, {"tested": len(operators)}
    )


def rivals(
    measured: Measurements, estimator: LatencyEstimator, networks: list[Architecture]
) -> dict[str, NDArray[np.float64]]:
    """What the line through multiply-accumulates, and forests of nn-Meter's features, say of networks."""
    operators = [operator_rows(operators_of(network)) for network in networks]
    macs = np.array([operator_macs(rows).sum() for rows in operators])
    training = measured.operators.chosen(~measured.operators.validation)
    forests = {}
    for kind in np.unique(training.rows[:, 0]).tolist():
        mine = training.chosen(training.rows[:, 0] == kind)
        model = RandomForestRegressor(LatencyParams().trees, max_features=0.6, random_state=10)
        forests[kind] = model.fit(plain_features(mine.rows), mine.ms)
    stacked, ends = np.concatenate(operators), np.cumsum([0, *map(len, operators)])
    ms = np.zeros(len(stacked))
    for kind, model in forests.items():
        of_kind = stacked[:, 0] == kind
        ms[of_kind] = model.predict(plain_features(stacked[of_kind]))
    sums = np.add.reduceat(ms, ends[:-1])
    return {"line through MACs": estimator.linear_ms(macs), "forest of plain features": sums}


def plain_features(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Configuration, multiply-accumulates and parameters."""
    return np.column_stack([rows[:, 1:], operator_macs(rows), operator_parameters(rows)])


def row_of(
    dataset: str,
    contender: str,
    setting: str,
    predicted: NDArray[np.float64],
    truth: NDArray[np.float64],
    more: Mapping[str, Any] | None = None,
) -> Row:
    """A row with the errors of some latencies."""
    errors = latency_errors(predicted, truth)
    return {"dataset": dataset, "contender": contender, "setting": setting} | errors | dict(more or {})


def main() -> None:
    """Measure, print and write ``bench-results/nas_latency.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer networks and operators")
    quick = parser.parse_args().quick
    params = MeasuringParams()
    large = replace(params, networks=600, operators=1200, most=2400, training_networks=60)
    started = time.process_time()
    rows = accelerator_rows(100 if quick else 500, params)
    rows += cpu_rows(30 if quick else 200, params if quick else large)
    print_table(rows, "Latencies estimated from operators")
    print(f"written to {write_rows('nas_latency', rows, quick=quick, cpu_seconds=time.process_time() - started)}")


if __name__ == "__main__":
    main()
