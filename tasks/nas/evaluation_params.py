"""Parameters of the evaluation of a network on test images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationParams:
    """How the chosen network is evaluated.

    reference: whether the reference network is trained in the same way and evaluated beside it. resamples: bootstrap samples
    of test images for the interval of an intersection over union; that of an accuracy needs none.
    """

    reference: bool = True
    resamples: int = 400

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ValueError(f"evaluation: expected at least 1 of resamples, got {self.resamples}; correct it")
