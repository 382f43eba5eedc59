"""Parameters of the landscape of costs around a network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LandscapeParams:
    """Parameters of a map of the search space.

    reach: channels go from the device's parallelism factor to this many times those of the network, and to three
        times the factor at least.
    steps: maximum number of steps down through a space.
    """

    reach: float = 2.0
    steps: int = 500

    def __post_init__(self) -> None:
        if not 1 <= self.reach < float("inf"):
            raise ValueError(f"reach: expected 1 or more, got {self.reach}; correct it")
        if self.steps < 1:
            raise ValueError(f"steps: expected 1 or more, got {self.steps}; correct it")
