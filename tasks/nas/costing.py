"""The costs of architectures on a device, by its latency estimator."""

from collections.abc import Callable, Sequence

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.latency import LatencyEstimator
from fingerpost.tasks.nas.limits import CandidateCosts


def estimated_costs(estimator: LatencyEstimator) -> Callable[[Sequence[object]], list[CandidateCosts]]:
    """A function from architectures to their costs: latencies as estimated, the rest as counted."""

    def costs(candidates: Sequence[object]) -> list[CandidateCosts]:
        architectures = [one for one in candidates if isinstance(one, Architecture)]
        if not architectures:
            return []
        means, spreads = estimator.predict(architectures)
        counted = [costs_of(one) for one in architectures]
        return [
            CandidateCosts(
                float(mean),
                float(spread),
                cost.macs,
                cost.parameters,
                round(cost.peak_values * estimator.bytes_per_value),
            )
            for mean, spread, cost in zip(means, spreads, counted, strict=True)
        ]

    return costs
