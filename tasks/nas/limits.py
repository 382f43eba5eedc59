"""The costs of a candidate, and limits on them that respect how uncertain the estimate of the latency is."""

from collections.abc import Mapping
from dataclasses import dataclass

#: The limited costs, as messages and settings name them.
LIMITED = ("latency_ms", "memory_bytes", "parameters")


@dataclass(frozen=True)
class CandidateCosts:
    """The costs of a candidate.

    latency_ms, latency_spread_ms: the estimated latency on the device and the standard deviation of the estimate, in
    milliseconds. macs: multiply-accumulates of one image. parameters: weights and biases, batch norm folded in.
    memory_bytes: peak activation memory.
    """

    latency_ms: float
    latency_spread_ms: float
    macs: int
    parameters: int
    memory_bytes: int


@dataclass(frozen=True)
class LimitParams:
    """Limits on networks; 0 for none.

    latency_ms: largest allowed latency in milliseconds, 0 for none.
    memory_bytes: largest allowed peak activation memory in bytes, 0 for none.
    parameters: largest allowed number of parameters, 0 for none.
    latency_share: largest allowed latency as a fraction of the reference network's, 0 for none; where both are given,
        the smaller one holds.
    memory_share: largest allowed peak activation memory as a fraction of the reference network's, 0 for none.
    parameter_share: largest allowed number of parameters as a fraction of the reference network's, 0 for none.
    spreads: standard deviations of the estimate that are added to an estimated latency before it is compared with its
        limit.
    """

    latency_ms: float = 0.0
    memory_bytes: int = 0
    parameters: int = 0
    latency_share: float = 0.0
    memory_share: float = 0.0
    parameter_share: float = 0.0
    spreads: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"limits: expected {name} of at least 0, got {value}; correct it")

    @property
    def has_shares(self) -> bool:
        """Whether a limit depends on the reference network."""
        return max(self.latency_share, self.memory_share, self.parameter_share) > 0


@dataclass(frozen=True)
class Limits:
    """Limits by name, only those that there are; ``spreads`` as `LimitParams` has it."""

    largest: Mapping[str, float]
    spreads: float

    def bounds(self, costs: CandidateCosts) -> dict[str, float]:
        """What is compared with each limit: for the latency, the estimate plus ``spreads`` standard deviations."""
        values = {
            "latency_ms": costs.latency_ms + self.spreads * costs.latency_spread_ms,
            "memory_bytes": float(costs.memory_bytes),
            "parameters": float(costs.parameters),
        }
        return {name: values[name] for name in self.largest}

    def keeps(self, costs: CandidateCosts) -> bool:
        """Whether a candidate keeps all limits."""
        return self.excess(costs) == 0

    def excess(self, costs: CandidateCosts) -> float:
        """The sum over limits of the fraction by which a candidate exceeds each; 0 if it keeps all."""
        return sum(max(0.0, value / self.largest[name] - 1.0) for name, value in self.bounds(costs).items())


def limits_of(params: LimitParams, reference: CandidateCosts | None) -> Limits:
    """The limits of parameters; those that are fractions, of the costs of the reference.

    ValueError for fractions without a reference.
    """
    if params.has_shares and reference is None:
        raise ValueError(
            "limits: expected a reference network for limits that are fractions of its costs, got none; give one, or limits"
            " in milliseconds, bytes and parameters"
        )
    found: dict[str, float] = {}
    for name, fraction in zip(
        LIMITED, (params.latency_share, params.memory_share, params.parameter_share), strict=True
    ):
        given = [float(value) for value in (getattr(params, name),) if value]
        if fraction and reference is not None:
            given.append(fraction * float(getattr(reference, name)))
        if given:
            found[name] = min(given)
    return Limits(found, params.spreads)
