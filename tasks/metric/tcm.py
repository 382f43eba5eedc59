"""The threshold-consistent margin (TCM) loss as torch modules.

Source: Zhang et al., "Threshold-Consistent Margin Loss for Open-World Deep Metric Learning", ICLR 2024
(arXiv 2307.04047); normalisation by the number of hard pairs as in pytorch-metric-learning's
``ThresholdConsistentMarginLoss``.
"""

from typing import Any

import torch

from fingerpost.tasks.metric.margins import TcmParams


class ThresholdConsistentMargin(torch.nn.Module):
    """λ⁺·mean(m⁺ - s) over hard positive pairs plus λ⁻·mean(s - m⁻) over hard negative pairs.

    s is the cosine of two rows of the batch. Hard positive pairs are of one class and have s ≤ m⁺, hard negative
    pairs are of two classes and have s ≥ m⁻. A term without hard pairs is 0 and has a gradient of 0.
    """

    def __init__(self, params: TcmParams = TcmParams()) -> None:
        super().__init__()
        self.params = params

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss (a scalar) of embeddings (b, d), not necessarily of unit length, with labels (b,)."""
        if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
            raise ValueError(
                f"TCM: expected embeddings (b, d) and labels (b,), got {tuple(embeddings.shape)} and "
                f"{tuple(labels.shape)}; pass one label per row"
            )
        p, unit = self.params, torch.nn.functional.normalize(embeddings, dim=1)
        cosines = unit @ unit.T
        same = labels[:, None] == labels[None, :]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        positive = _mean_over(p.positive_margin - cosines, same & ~itself & (cosines <= p.positive_margin))
        negative = _mean_over(cosines - p.negative_margin, ~same & (cosines >= p.negative_margin))
        return p.positive_weight * positive + p.negative_weight * negative

    def extra_repr(self) -> str:
        """The parameters, for torch's representation of modules."""
        return repr(self.params)


def _mean_over(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen values; 0 with a gradient of 0 if there are none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


class WithTcm(torch.nn.Module):
    """Any base loss of (embeddings, labels, ...) plus TCM; the base loss keeps its own parameters, if it has any."""

    def __init__(self, base: torch.nn.Module, params: TcmParams = TcmParams()) -> None:
        super().__init__()
        self.base = base
        self.tcm = ThresholdConsistentMargin(params)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        """The sum of both losses; further arguments are passed to the base loss."""
        return self.base(embeddings, labels, *more, **named) + self.tcm(embeddings, labels)
