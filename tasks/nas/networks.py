"""Torch modules of architectures, operator by operator as `fingerpost.tasks.nas.operators` lists them; needs torch.

Batch norm is folded into the convolution before it as in Jacob et al. (CVPR 2018, 3.2), in float64.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.determinism import seeded
from fingerpost.tasks.nas.architecture import Architecture, Block
from fingerpost.tasks.nas.resizing import resizing_matrix

Arrays = dict[str, NDArray[np.generic]]


class Convolution(torch.nn.Module):
    """A convolution with its batch norm and, if ``relu``, a ReLU; an addend is added before the ReLU.

    Folded, the convolution has a bias and there is no batch norm. The output has ceil(size / stride) pixels on a side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = False,
        folded: bool = False,
    ) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=folded
        )
        torch.nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.norm = torch.nn.Identity() if folded else torch.nn.BatchNorm2d(outputs)
        self.relu = torch.nn.ReLU() if relu else torch.nn.Identity()

    def forward(self, rows: torch.Tensor, addend: torch.Tensor | None = None) -> torch.Tensor:
        """(b, inputs, size, size) to (b, outputs, size', size')."""
        out = self.norm(self.conv(rows))
        return self.relu(out if addend is None else out + addend)


class BlockModule(torch.nn.Module):
    """A block; ``parts`` are its convolutions in the order in which they run."""

    def __init__(self, block: Block, inputs: int, outputs: int, stride: int, *, folded: bool = False) -> None:
        super().__init__()
        self.added = stride == 1 and inputs == outputs
        wide = inputs * block.expansion
        parts: dict[str, Convolution] = {}
        if block.kind == "conv":
            parts["conv"] = Convolution(inputs, outputs, block.kernel, stride=stride, relu=True, folded=folded)
        elif block.kind == "fused":
            parts["expand"] = Convolution(inputs, wide, block.kernel, stride=stride, relu=True, folded=folded)
        else:
            if block.expansion > 1:
                parts["expand"] = Convolution(inputs, wide, relu=True, folded=folded)
            parts["depthwise"] = Convolution(
                wide, wide, block.kernel, stride=stride, groups=wide, relu=True, folded=folded
            )
        if block.kind != "conv":
            parts["project"] = Convolution(wide, outputs, folded=folded)
        self.parts = torch.nn.ModuleDict(parts)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(b, inputs, size, size) to (b, outputs, size', size')."""
        *before, last = self.parts.values()
        out = rows
        for part in before:
            out = part(out)
        return last(out, rows if self.added else None)


class Resize(torch.nn.Module):
    """Square images of ``size`` pixels resized to ``resolution`` as :func:`fingerpost.tasks.nas.resizing.resized` does."""

    def __init__(self, size: int, resolution: int) -> None:
        super().__init__()
        matrix = torch.from_numpy(resizing_matrix(size, resolution).astype(np.float32))
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(b, inputs, size, size) to (b, inputs, resolution, resolution)."""
        return self.matrix @ images @ self.matrix.T


class Network(torch.nn.Module):
    """The module of an architecture; its input are images float32 (b, inputs, size, size) from 0 to 1.

    Its output are logits, float32 (b, classes) for classification and (b, classes, output, output) for segmentation.
    size: pixels on a side of the images, by default the architecture's resolution; images of another size are resized.
    folded: convolutions have biases instead of batch norms, see :func:`folded`.
    """

    def __init__(self, architecture: Architecture, *, size: int = 0, folded: bool = False) -> None:
        super().__init__()
        self.architecture, self.is_folded = architecture, folded
        self.size = size or architecture.resolution
        resolution, channels = architecture.resolution, architecture.stem
        self.resize = torch.nn.Identity() if self.size == resolution else Resize(self.size, resolution)
        self.stem = Convolution(
            architecture.inputs, channels, 3, stride=architecture.stem_stride, relu=True, folded=folded
        )
        blocks = []
        for stage in architecture.stages:
            for number, block in enumerate(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(BlockModule(block, channels, stage.channels, stride, folded=folded))
                channels = stage.channels
        self.blocks = torch.nn.Sequential(*blocks)
        self.head: torch.nn.Module = torch.nn.Identity()
        if architecture.head:
            self.head = Convolution(channels, architecture.head, relu=True, folded=folded)
            channels = architecture.head
        if architecture.task == "classification":
            self.pool = torch.nn.AdaptiveAvgPool2d(1)
            self.classifier: torch.nn.Module = torch.nn.Linear(channels, architecture.classes)
        else:
            self.classifier = torch.nn.Conv2d(channels, architecture.classes, 1)
            self.enlarge = torch.nn.Upsample((architecture.output,) * 2, mode="bilinear", align_corners=False)
        # With few channels, channels-last convolutions take two thirds of the time.
        self.to(memory_format=torch.channels_last)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """What pooling or the convolution to the classes gets, float32 (b, channels, size', size')."""
        return self.head(self.blocks(self.stem(self.resize(images))))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of images."""
        rows = self.features(images)
        if self.architecture.task == "classification":
            return self.classifier(self.pool(rows).flatten(1))
        return self.enlarge(self.classifier(rows))

    def convolutions(self) -> Iterator[tuple[str, Convolution]]:
        """Its convolutions with their names, in the order in which they run."""
        for name, module in self.named_modules():
            if isinstance(module, Convolution):
                yield name, module


def network(architecture: Architecture, *, size: int = 0, seed: int = 0) -> Network:
    """The network of an architecture with initial weights that depend on ``seed`` alone."""
    with seeded(seed, 1):
        return Network(architecture, size=size)


def folded(net: Network) -> Network:
    """A network in eval mode with the same outputs, to rounding, without batch norms: what a device runs."""
    if net.is_folded:
        return net.eval()
    weights = weights_of(net)
    for name, part in net.convolutions():
        variance, epsilon = weights.pop(f"{name}.norm.running_var").astype(np.float64), part.norm.eps
        scale = weights.pop(f"{name}.norm.weight") / np.sqrt(variance + epsilon)
        mean, bias = weights.pop(f"{name}.norm.running_mean"), weights.pop(f"{name}.norm.bias")
        del weights[f"{name}.norm.num_batches_tracked"]
        kernel = weights[f"{name}.conv.weight"]
        weights[f"{name}.conv.weight"] = (kernel * scale[:, None, None, None]).astype(np.float32)
        weights[f"{name}.conv.bias"] = (bias - mean * scale).astype(np.float32)
    return loaded(Network(net.architecture, size=net.size, folded=True), weights)


def weights_of(net: torch.nn.Module) -> Arrays:
    """The weights and running statistics as arrays by name, copied."""
    return {name: np.ascontiguousarray(tensor.detach().numpy()).copy() for name, tensor in net.state_dict().items()}


def loaded(net: Network, weights: Mapping[str, NDArray[np.generic]]) -> Network:
    """The network in eval mode with these weights; ValueError for weights of another network."""
    try:
        net.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
    except RuntimeError as problem:
        raise ValueError(
            f"weights: expected those of architecture {net.architecture.id}, got others ({problem}); train it again"
        ) from problem
    return net.eval()


def as_input(images: NDArray[np.generic]) -> torch.Tensor:
    """Images uint8 or float32 from 0 to 255, (b, size, size) or (b, size, size, inputs), as input of a network."""
    pictures = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)) / 255
    return pictures[:, None] if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)
