"""The networks that make embeddings, and base losses by name; all of it needs torch.

Base losses are those of pytorch-metric-learning at its defaults (algorithms.md 3.3). Networks: a projection head, four blocks
of convolutions as few-shot learning uses them on Omniglot (Vinyals et al., NeurIPS 2016), a small vision transformer
(Dosovitskiy et al., ICLR 2021; here the mean over patches instead of a class token).
"""

import importlib
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.metric.embedders import BackboneParams, LossName


class _Unit(torch.nn.Module):
    """Scales rows to length one."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(rows, dim=1)


def head(inputs: int, params: BackboneParams) -> torch.nn.Module:
    """One linear layer, or two."""
    if not params.hidden:
        return torch.nn.Linear(inputs, params.dimensions)
    first = torch.nn.Linear(inputs, params.hidden)
    return torch.nn.Sequential(first, torch.nn.GELU(), torch.nn.Linear(params.hidden, params.dimensions))


def convolutions(channels: int, params: BackboneParams) -> torch.nn.Module:
    """Four blocks of convolution, batch norm, ReLU and max pooling, of width, 2·width, 4·width and 4·width channels, then a
    linear layer over the mean of what is left of the picture.
    """
    parts: list[torch.nn.Module] = []
    for times in (1, 2, 4, 4):
        out = params.width * times
        parts += [torch.nn.Conv2d(channels, out, 3, padding=1, bias=False), torch.nn.BatchNorm2d(out)]
        parts += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        channels = out
    parts += [_Mean(), torch.nn.Linear(channels, params.dimensions)]
    # Convolutions of few channels take two thirds of the time with the channels last.
    return torch.nn.Sequential(*parts).to(memory_format=torch.channels_last)


class _Mean(torch.nn.Module):
    """The mean over a picture's places."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.mean(dim=(2, 3))


class VisionTransformer(torch.nn.Module):
    """Patches with a place each, layers that normalise first, the mean over patches, a linear layer."""

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
    """The module that "package.module:Name" makes with these arguments; ValueError where there is none."""
    place, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(place), attribute)(**arguments)
    except (ImportError, AttributeError, TypeError) as problem:
        raise ValueError(
            f"backbone {name}: expected a torch.nn.Module that can be made with {arguments}, got"
            f" {type(problem).__name__}: {problem}; correct the name or the arguments, and have its package on the path"
            " of every worker"
        ) from problem
    if not isinstance(made, torch.nn.Module):
        raise ValueError(
            f"backbone {name}: expected a torch.nn.Module, got {type(made).__name__}; name a module's class"
        )
    return made


def network(params: BackboneParams, shape: tuple[int, ...]) -> torch.nn.Module:
    """The network for inputs of a shape, (d,) for vectors, (height, width) or (height, width, channels) for images.

    It maps what :func:`as_input` makes to float32 (b, dimensions) of length one. ValueError where the kind does not fit the shape.
    """
    if params.kind == "module":
        return torch.nn.Sequential(named_module(params.module, dict(params.arguments)), _Unit())
    if (params.kind == "head") != (len(shape) == 1):
        raise ValueError(
            f"backbone {params.kind}: expected {'vectors' if params.kind == 'head' else 'images'}, got inputs of shape"
            f" {shape}; take head for vectors and conv or vit for images"
        )
    if params.kind == "head":
        return torch.nn.Sequential(head(shape[0], params), _Unit())
    height, width, channels = (*shape, 1)[:3]
    least = 16 if params.kind == "conv" else params.patch
    if min(height, width) < least:
        raise ValueError(
            f"backbone {params.kind}: expected images of at least {least} × {least} pixels, got {height} × {width};"
            " enlarge them"
        )
    if params.kind == "conv":
        return torch.nn.Sequential(convolutions(channels, params), _Unit())
    return torch.nn.Sequential(VisionTransformer(channels, height, width, params), _Unit())


def as_input(rows: NDArray[np.generic]) -> torch.Tensor:
    """Vectors float32 (b, d) as they are; images uint8 (b, height, width) or (b, height, width, channels) as float32
    (b, channels, height, width) of 0 to 1.
    """
    if rows.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
    pictures = torch.from_numpy(np.ascontiguousarray(rows)).to(torch.float32) / 255
    if pictures.ndim == 3:
        return pictures[:, None]
    return pictures.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def base_loss(name: LossName, classes: int, dimensions: int) -> torch.nn.Module:
    """A loss of (embeddings, labels) by name, at pytorch-metric-learning's defaults."""
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
            """Without the infinite slope of an angle of exactly 0 or 180 degrees, which few dimensions soon reach."""

            def get_angles(self, cosines: torch.Tensor) -> torch.Tensor:
                return super().get_angles(cosines.clamp(-1 + 1e-6, 1 - 1e-6))

        return ArcFace(classes, dimensions)
    raise ValueError(f"loss: expected one that is known, got {name!r}; correct it")


def rate_at(step: int, steps: int, rate: float, warmup: int = 0) -> float:
    """A cosine from ``rate`` to a hundredth of it, in the first ``warmup`` steps a growing part of that."""
    part = min(1.0, (step + 1) / (warmup + 1))
    return part * rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps)))
