"""The quality of a product beside that of a simple baseline on the same data: a state between passed and failed."""

from dataclasses import dataclass

from fingerpost.flows.report import formats


@dataclass(frozen=True)
class Beside:
    """A metric of a product, and that of a baseline, which is simpler: what it is called, and its value.

    ``rising``: whether higher is better. ``certain``: whether the difference is significant, where that was tested.
    """

    product: str
    metric: str
    value: float
    baseline: str
    other: float
    rising: bool = True
    certain: bool = True

    @property
    def below(self) -> bool:
        """Whether the product is worse than the baseline."""
        return self.certain and (self.value < self.other if self.rising else self.value > self.other)

    def __str__(self) -> str:
        value, other = formats.figure(self.value), formats.figure(self.other)
        return f"The {self.product} is below a simple baseline: {self.metric} {value}, {self.baseline} {other}"
