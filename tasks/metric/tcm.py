"""The threshold-consistent margin loss as torch modules; all that needs torch for it is here.

Source: Zhang et al., ICLR 2024; algorithms.md 3.2; the article's "Better threshold consistency".
"""

from typing import Any

import torch

from tasks.metric.margins import TcmParams


class ThresholdConsistentMargin(torch.nn.Module):
    """λ⁺·mean(m⁺ - s) over pairs of one class with s ≤ m⁺, plus λ⁻·mean(s - m⁻) over pairs of two classes with s ≥ m⁻.

    s is the cosine of two rows of the batch. Means are over these hard pairs alone; without any a term is 0, and so is its
    gradient.
    """

    def __init__(self, params: TcmParams = TcmParams()) -> None:
        super().__init__()
        self.params = params

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of embeddings (b, d), of any length, with labels (b,)."""
        if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
            raise ValueError(
                f"TCM: expected embeddings (b, d) and labels (b,), got {tuple(embeddings.shape)} and "
                f"{tuple(labels.shape)}; pass one label a row"
            )
        p, unit = self.params, torch.nn.functional.normalize(embeddings, dim=1)
        cosines = unit @ unit.T
        same = labels[:, None] == labels[None, :]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        positive = _mean_over(p.positive_margin - cosines, same & ~itself & (cosines <= p.positive_margin))
        negative = _mean_over(cosines - p.negative_margin, ~same & (cosines >= p.negative_margin))
        return p.positive_weight * positive + p.negative_weight * negative

    def extra_repr(self) -> str:
        """The settings, as torch prints modules."""
        return repr(self.params)


def _mean_over(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen values; 0 with a gradient of 0 without any."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


class WithTcm(torch.nn.Module):
    """Any base loss of (embeddings, labels, ...) plus TCM; the base loss keeps its own weights, if it has some."""

    def __init__(self, base: torch.nn.Module, params: TcmParams = TcmParams()) -> None:
        super().__init__()
        self.base = base
        self.tcm = ThresholdConsistentMargin(params)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        """The sum of both losses; what else is given goes to the base loss."""
        return self.base(embeddings, labels, *more, **named) + self.tcm(embeddings, labels)
