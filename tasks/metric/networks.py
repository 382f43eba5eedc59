"""Embedding networks and base losses by name; needs torch.

Base losses are those of pytorch-metric-learning with its defaults. Networks: a projection head; the four convolution
blocks of few-shot learning on Omniglot (Vinyals et al., NeurIPS 2016); a small vision transformer (Dosovitskiy et al.,
ICLR 2021; mean over patches instead of a class token).
"""

import importlib
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.metric.embedders import BackboneParams, LossName

#: Rows with an entry beyond it, or with all entries below its inverse, are scaled before they are squared.
_LONG = 1e9


class _Unit(torch.nn.Module):
    """Scales rows to length one."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        # Squares of long rows overflow float32, those of short ones vanish; dividing other rows by 1 changes no bit.
        largest = rows.detach().abs().amax(dim=1, keepdim=True)
        unusual = (largest > _LONG) | ((largest < 1 / _LONG) & (largest > 0))
        return torch.nn.functional.normalize(rows / torch.where(unusual, largest, torch.ones_like(largest)), dim=1)


def head(inputs: int, params: BackboneParams) -> torch.nn.Module:
    """One linear layer, or two with a GELU between them if ``params.hidden`` is above 0."""
    if not params.hidden:
        return torch.nn.Linear(inputs, params.dimensions)
    first = torch.nn.Linear(inputs, params.hidden)
    return torch.nn.Sequential(first, torch.nn.GELU(), torch.nn.Linear(params.hidden, params.dimensions))


def convolutions(channels: int, params: BackboneParams) -> torch.nn.Module:
    """Four convolution blocks, global average pooling and a linear layer.

    A block is a convolution, batch norm, ReLU and max pooling; the blocks have width, 2·width, 4·width and 4·width
    channels.
    """
    parts: list[torch.nn.Module] = []
    for times in (1, 2, 4, 4):
        out = params.width * times
        parts += [torch.nn.Conv2d(channels, out, 3, padding=1, bias=False), torch.nn.BatchNorm2d(out)]
        parts += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        channels = out
    parts += [_Mean(), torch.nn.Linear(channels, params.dimensions)]
    # With few channels, channels-last convolutions take two thirds of the time.
    return torch.nn.Sequential(*parts).to(memory_format=torch.channels_last)


class _Mean(torch.nn.Module):
    """Global average pooling: (b, channels, height, width) to (b, channels)."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.mean(dim=(2, 3))


class VisionTransformer(torch.nn.Module):
    """Patches with learned positions, pre-norm encoder layers, the mean over patches, and a linear layer."""

    def __init__(self, channels: int, height: int, width: int, params: BackboneParams) -> None:
        super().__init__()
        size, patch = params.width, params.patch
        self.patches = torch.nn.Conv2d(channels, size, patch, stride=patch)
        self.places = torch.nn.Parameter(0.02 * torch.randn(1, (height // patch) * (width // patch), size))
        layer = torch.nn.TransformerEncoderLayer(
            size, params.heads, 4 * size, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = torch.nn.TransformerEncoder(layer, params.depth, enable_nested_tensor=False)
        self.norm, self.out = torch.nn.LayerNorm(size), torch.nn.Linear(size, params.dimensions)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(b, channels, height, width) to (b, dimensions)."""
        tokens = self.patches(pictures).flatten(2).transpose(1, 2) + self.places
        return self.out(self.norm(self.layers(tokens).mean(dim=1)))


def named_module(name: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """The module that calling "package.module:Name" with these arguments returns; ValueError if that fails."""
    package, _, attribute = name.partition(":")
    try:
        module = getattr(importlib.import_module(package), attribute)(**arguments)
    except (ImportError, AttributeError, TypeError) as problem:
        raise ValueError(
            f"backbone {name}: expected a torch.nn.Module that can be built with {arguments}, got"
            f" {type(problem).__name__}: {problem}; correct the name or the arguments, and install its package on every"
            " worker"
        ) from problem
    if not isinstance(module, torch.nn.Module):
        raise ValueError(
            f"backbone {name}: expected a torch.nn.Module, got {type(module).__name__}; name a module's class"
        )
    return module


def network(params: BackboneParams, shape: tuple[int, ...]) -> torch.nn.Module:
    """The network for inputs of a shape: (d,) for vectors, (height, width) or (height, width, channels) for images.

    It maps the output of :func:`as_input` to float32 (b, dimensions) of length one. ValueError if the kind does not fit
    the shape.
    """
    if params.kind == "module":
        return torch.nn.Sequential(named_module(params.module, dict(params.arguments)), _Unit())
    if (params.kind == "head") != (len(shape) == 1):
        raise ValueError(
            f"backbone {params.kind}: expected {'vectors' if params.kind == 'head' else 'images'}, got inputs of shape"
            f" {shape}; use head for vectors and conv or vit for images"
        )
    if params.kind == "head":
        return torch.nn.Sequential(head(shape[0], params), _Unit())
    height, width, channels = (*shape, 1)[:3]
    minimum = 16 if params.kind == "conv" else params.patch
    if min(height, width) < minimum:
        raise ValueError(
            f"backbone {params.kind}: expected images of at least {minimum} × {minimum} pixels, got"
            f" {height} × {width}; enlarge them"
        )
    if params.kind == "conv":
        return torch.nn.Sequential(convolutions(channels, params), _Unit())
    return torch.nn.Sequential(VisionTransformer(channels, height, width, params), _Unit())


def as_input(rows: NDArray[np.generic]) -> torch.Tensor:
    """Network input: vectors float32 (b, d) unchanged; images as float32 (b, channels, height, width) in 0 to 1.

    rows: vectors (b, d), or images uint8 (b, height, width) or (b, height, width, channels).
    """
    if rows.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
    pictures = torch.from_numpy(np.ascontiguousarray(rows)).to(torch.float32) / 255
    if pictures.ndim == 3:
        return pictures[:, None]
    return pictures.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def base_loss(name: LossName, classes: int, dimensions: int) -> torch.nn.Module:
    """A loss of (embeddings, labels) by name, with pytorch-metric-learning's defaults; ValueError for another name."""
    from pytorch_metric_learning import losses

    if name == "multi_similarity":
        return losses.MultiSimilarityLoss()
    if name == "smooth_ap":
        return losses.SmoothAPLoss()
    if name == "contrastive":
        return losses.ContrastiveLoss()
    if name == "proxy_anchor":
        return losses.ProxyAnchorLoss(classes, dimensions)
    if name == "arcface":

        class ArcFace(losses.ArcFaceLoss):
            """ArcFace without the infinite gradient at angles of 0 and 180 degrees, which occur in few dimensions."""

            def get_angles(self, cosines: torch.Tensor) -> torch.Tensor:
                return super().get_angles(cosines.clamp(-1 + 1e-6, 1 - 1e-6))

        return ArcFace(classes, dimensions)
    raise ValueError(f"loss: expected a known name, got {name!r}; correct it")


def rate_at(step: int, steps: int, rate: float, warmup: int = 0) -> float:
    """The learning rate at a step: a cosine from ``rate`` to a hundredth of it after a linear warm-up."""
    part = min(1.0, (step + 1) / (warmup + 1))
    return part * rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps)))
