"""The forward pass of a network of a search space with the shared weights, as it is trained; needs torch.

Written out, since building a module for every path of every step takes as long as the pass.
"""

from collections.abc import Mapping

import torch
from torch.nn import functional

from fingerpost.tasks.nas.architecture import Architecture, Block
from fingerpost.tasks.nas.shared_weights import cuts_of
from fingerpost.tasks.nas.space import SearchSpace


def shared_logits(
    space: SearchSpace, weights: Mapping[str, torch.Tensor], architecture: Architecture, images: torch.Tensor
) -> torch.Tensor:
    """What `fingerpost.tasks.nas.networks.Network` gives in training: batch norms have the statistics of the batch.

    images: float32 (b, inputs, resolution, resolution) from 0 to 1. Gradients flow to the shared weights.
    """
    own = {name: weights[cut.name][cut.slices].reshape(cut.shape) for name, cut in cuts_of(space, architecture).items()}
    rows, position = _convolution(own, "stem", images, architecture.stem_stride).relu(), 0
    for stage in architecture.stages:
        for number, block in enumerate(stage.blocks):
            rows = _block(own, f"blocks.{position}.parts.", block, rows, stage.stride if number == 0 else 1)
            position += 1
    if architecture.head:
        rows = _convolution(own, "head", rows).relu()
    kernel, bias = own["classifier.weight"], own["classifier.bias"]
    if architecture.task == "classification":
        return functional.linear(rows.mean(dim=(2, 3)), kernel, bias)
    pixels = functional.conv2d(rows, kernel, bias)
    return functional.interpolate(pixels, (architecture.output,) * 2, mode="bilinear", align_corners=False)


def _convolution(own: Mapping[str, torch.Tensor], name: str, rows: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """A convolution and its batch norm."""
    kernel = own[f"{name}.conv.weight"]
    groups = rows.shape[1] // kernel.shape[1]
    out = functional.conv2d(rows, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
    scale, bias = own[f"{name}.norm.weight"], own[f"{name}.norm.bias"]
    return functional.batch_norm(out, None, None, scale, bias, training=True)


def _block(own: Mapping[str, torch.Tensor], name: str, block: Block, rows: torch.Tensor, stride: int) -> torch.Tensor:
    if block.kind == "conv":
        out = _convolution(own, f"{name}conv", rows, stride)
        return (out + rows if out.shape == rows.shape and stride == 1 else out).relu()
    out = rows
    if f"{name}expand.conv.weight" in own:
        out = _convolution(own, f"{name}expand", out, stride if block.kind == "fused" else 1).relu()
    if block.kind == "ibn":
        out = _convolution(own, f"{name}depthwise", out, stride).relu()
    out = _convolution(own, f"{name}project", out)
    return out + rows if out.shape == rows.shape and stride == 1 else out
