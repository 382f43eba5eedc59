"""Parameters of mining patterns of edits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PatternParams:
    """How patterns are mined from searches.

    least: minimum number of networks with an accuracy that a search needs to count.
    noise: standard deviation of an accuracy from one training to the next, at least; more is assumed where the
        networks say so.
    prior: how much the built-in patterns weigh, in networks that differ by one edit.
    """

    least: int = 6
    noise: float = 0.003
    prior: float = 1.0

    def __post_init__(self) -> None:
        if self.least < 2 or self.noise <= 0 or self.prior <= 0:
            raise ValueError(
                f"patterns: expected least of 2 or more, and noise and prior above 0, got {self.least}, {self.noise} and"
                f" {self.prior}; 6, 0.003 and 1 are usual"
            )
