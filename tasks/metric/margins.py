"""Parameters of the threshold-consistent margin loss; needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TcmParams:
    """Margins m⁺ and m⁻ (cosines) and weights λ⁺ and λ⁻ of the TCM loss.

    Pairs within a class should exceed m⁺, pairs of two classes should stay below m⁻. The defaults are those of
    pytorch-metric-learning; the authors recommend tuning both margins to the data (Zhang et al., ICLR 2024). ValueError
    for margins outside -1 to 1 and negative weights.

    positive_margin: m⁺, a cosine that pairs within a class should exceed.
    negative_margin: m⁻, a cosine that pairs of two classes should stay below.
    positive_weight: λ⁺, weight of the pairs within a class.
    negative_weight: λ⁻, weight of the pairs of two classes.
    """

    positive_margin: float = 0.9
    negative_margin: float = 0.5
    positive_weight: float = 1.0
    negative_weight: float = 1.0

    def __post_init__(self) -> None:
        if not (-1 <= self.positive_margin <= 1 and -1 <= self.negative_margin <= 1):
            raise ValueError(
                f"TCM: expected margins of -1 to 1, got {self.positive_margin} and {self.negative_margin}; they are"
                " cosines"
            )
        if not (0 <= self.positive_weight < float("inf") and 0 <= self.negative_weight < float("inf")):
            raise ValueError(
                f"TCM: expected weights of at least 0, got {self.positive_weight} and {self.negative_weight}; correct"
                " them"
            )
