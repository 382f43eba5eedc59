"""Operators and networks as torch modules with random weights, to be timed; needs torch."""

from collections.abc import Callable, Hashable

import numpy as np
import torch
from torch.nn import functional

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.networks import folded, network
from fingerpost.tasks.nas.operators import Operator


def operator_run(one: Operator, random: np.random.Generator) -> Callable[[], object]:
    """A function that runs an operator once on random values, channels last as the networks."""
    values = _image(random, one.inputs, one.size)
    addend = _image(random, one.outputs, one.output_size) if one.added or one.kind == "add" else None
    kernel = _kernel(one, random)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            out = kernel(values) if addend is None or one.kind != "add" else values + addend
            out = out + addend if one.added and addend is not None else out
            return functional.relu(out) if one.relu else out

    return run


def context_of(one: Operator) -> Hashable:
    """What operators with the same ``context_run`` have in common: all are alike."""
    return None


def context_run(one: Operator, random: np.random.Generator) -> Callable[[], object]:
    """A function that does what a call does besides the operator: it enters inference."""
    image = _image(random, 1, 1)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return image

    return run


def _kernel(one: Operator, random: np.random.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
    """An operator without its addition and ReLU."""
    if one.kind in ("conv", "depthwise"):
        groups = one.outputs if one.kind == "depthwise" else 1
        conv = torch.nn.Conv2d(
            one.inputs, one.outputs, one.kernel, stride=one.stride, padding=one.kernel // 2, groups=groups
        )
        return _filled(conv, random).to(memory_format=torch.channels_last)
    if one.kind == "linear":
        linear = _filled(torch.nn.Linear(one.inputs, one.outputs), random)
        return lambda values: linear(values.flatten(1))
    if one.kind == "pool":
        return torch.nn.AdaptiveAvgPool2d(1)
    return torch.nn.Upsample((one.output_size,) * 2, mode="bilinear", align_corners=False)


def network_run(architecture: Architecture, random: np.random.Generator) -> Callable[[], object]:
    """A function that runs a network once on a random image, batch norm folded into its convolutions."""
    net = folded(network(architecture, seed=int(random.integers(2**31))))
    image = _image(random, architecture.inputs, architecture.resolution)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = net(image)
            return found

    return run


def _image(random: np.random.Generator, channels: int, size: int) -> torch.Tensor:
    values = torch.from_numpy(random.random((1, channels, size, size), dtype=np.float32))
    return values.to(memory_format=torch.channels_last)


def _filled(module: torch.nn.Module, random: np.random.Generator) -> torch.nn.Module:
    """A module with random weights of a generator of its own, in place of torch's."""
    with torch.no_grad():
        for parameter in module.parameters():
            shape = tuple(parameter.shape)
            fan = max(1, int(np.prod(shape[1:])))
            parameter.copy_(torch.from_numpy(random.standard_normal(shape) / np.sqrt(fan)))
    return module.eval()
