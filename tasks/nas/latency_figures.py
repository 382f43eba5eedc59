"""The errors of a latency estimator on operators of validation and on whole networks that it has not seen."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.latency import LatencyEstimator
from fingerpost.tasks.nas.latency_errors import latency_errors
from fingerpost.tasks.nas.measurements import Measurements, NetworkMeasurements
from fingerpost.tasks.nas.operators import OPERATOR_KINDS, operators_of

#: Method, setting, metric and figure.
Figure = tuple[str, str, str, float]


def latency_figures(estimator: LatencyEstimator, measurements: Measurements) -> list[Figure]:
    """Figures of the forest on operators of validation by kind, and of forest and linear control on networks of test.

    Settings: ``operators``, ``operators:KIND``, ``networks``. ``covered``: fraction of networks within two standard
    deviations of their estimates.
    """
    found = _of_operators(estimator, measurements)
    networks = measurements.networks
    if networks.test.any():
        found += _of_networks(estimator, networks)
    return found


def _of_operators(estimator: LatencyEstimator, measurements: Measurements) -> list[Figure]:
    tested = measurements.operators.chosen(measurements.operators.validation)
    if not len(tested.rows):
        return []
    predicted, _ = estimator.operator_latencies(tested.rows)
    kinds = {f"operators:{OPERATOR_KINDS[kind]}": tested.rows[:, 0] == kind for kind in np.unique(tested.rows[:, 0])}
    found = []
    for setting, mine in ({"operators": np.ones(len(predicted), dtype=bool)} | kinds).items():
        found += _figures("forest", setting, predicted[mine], tested.ms[mine])
    return found


def _of_networks(estimator: LatencyEstimator, networks: NetworkMeasurements) -> list[Figure]:
    architectures = [Architecture.parse(text) for text, test in zip(networks.texts, networks.test, strict=True) if test]
    measured = networks.ms[networks.test]
    predicted, spread = estimator.predict(architectures)
    macs = np.array([sum(one.macs for one in operators_of(each)) for each in architectures], dtype=np.float64)
    covered = float(np.mean(np.abs(measured - predicted) <= 2 * spread))
    found = [*_figures("forest", "networks", predicted, measured), ("forest", "networks", "covered", covered)]
    return (
        [*found, *_figures("linear", "networks", estimator.linear_ms(macs), measured)]
        if any(estimator.macs_rates)
        else found
    )


def _figures(method: str, setting: str, predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> list[Figure]:
    return [(method, setting, metric, value) for metric, value in latency_errors(predicted, measured).items()]
