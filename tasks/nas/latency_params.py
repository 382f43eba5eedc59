"""Parameters of measuring a device and of the latency estimator."""

from dataclasses import dataclass


def _check(params: object, least: dict[str, float], most: dict[str, float] | None = None) -> None:
    for name, value in least.items():
        given = getattr(params, name)
        if not given >= value:
            raise ValueError(f"{name}: expected at least {value:g}, got {given}; correct it")
    for name, value in (most or {}).items():
        given = getattr(params, name)
        if not given <= value:
            raise ValueError(f"{name}: expected at most {value:g}, got {given}; correct it")


@dataclass(frozen=True)
class MeasuringParams:
    """What is measured: operators of sampled networks, more of them where the estimator is wrong, and whole networks.

    networks: networks sampled for their operators, half from the curated space, half from the uncurated one.
    operators: distinct operators of these networks that are measured.
    rounds: maximum number of fits after which more operators are measured.
    per_item: operators that are measured, after a fit, around each operator of validation that is estimated badly.
    threshold: relative error of an estimate above which it is bad.
    most: maximum number of operators in all.
    validation_share: fraction of the operators that the estimator is validated on.
    training_networks: whole networks that the sum over operators is adjusted to.
    test_networks: whole networks that the estimator is tested on.
    fronts: networks of a search's Pareto front that are measured again, besides the chosen one and the reference.
    seed: seed of the sampled networks and operators.
    """

    networks: int = 300
    operators: int = 600
    rounds: int = 3
    per_item: int = 6
    threshold: float = 0.1
    most: int = 1500
    validation_share: float = 0.2
    training_networks: int = 20
    test_networks: int = 40
    fronts: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"networks": 2, "operators": 20, "rounds": 0, "per_item": 1, "threshold": 0.001}
        _check(self, least | {"most": self.operators, "validation_share": 0.05, "training_networks": 0})
        _check(self, {"test_networks": 2, "fronts": 0, "seed": 0}, {"validation_share": 0.5})


@dataclass(frozen=True)
class LatencyParams:
    """The regression of an operator kind.

    trees: trees of the random forest.
    max_features: share of the features that a split looks at.
    seed: seed of the forest.
    """

    trees: int = 60
    max_features: float = 0.6
    seed: int = 10

    def __post_init__(self) -> None:
        _check(self, {"trees": 2, "max_features": 0.01, "seed": 0}, {"max_features": 1})
