"""The operators of an architecture as a device runs them: convolutions with what is fused into them, and their costs."""

from dataclasses import dataclass
from typing import Literal, get_args

from fingerpost.tasks.nas.architecture import Architecture, Block

OperatorKind = Literal["conv", "depthwise", "pool", "linear", "resize", "add"]
OPERATOR_KINDS: tuple[OperatorKind, ...] = get_args(OperatorKind)


@dataclass(frozen=True)
class Operator:
    """One operator on square tensors, with batch norm folded into its weights.

    size: pixels on a side of its input. inputs, outputs: channels. output_size: pixels on a side of its output. relu: a
    ReLU runs in it. added: the input of its block is added in it. ``pool`` is global average pooling; an ``add`` that runs
    on its own occurs on devices that do not fuse it.
    """

    kind: OperatorKind
    size: int
    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    output_size: int = 0
    relu: bool = False
    added: bool = False

    def __post_init__(self) -> None:
        if self.output_size == 0:
            fallback = 1 if self.kind in ("pool", "linear") else -(-self.size // self.stride)
            object.__setattr__(self, "output_size", fallback)

    @property
    def macs(self) -> int:
        """Multiply-accumulates; additions and comparisons are not counted."""
        pixels = self.output_size**2
        if self.kind == "conv":
            return pixels * self.kernel**2 * self.inputs * self.outputs
        if self.kind == "depthwise":
            return pixels * self.kernel**2 * self.outputs
        return self.inputs * self.outputs if self.kind == "linear" else 0

    @property
    def parameters(self) -> int:
        """Weights and biases, batch norm folded in."""
        if self.kind == "conv":
            return self.kernel**2 * self.inputs * self.outputs + self.outputs
        if self.kind == "depthwise":
            return self.kernel**2 * self.outputs + self.outputs
        return self.inputs * self.outputs + self.outputs if self.kind == "linear" else 0

    @property
    def input_values(self) -> int:
        """Values read: the input, and what is added."""
        own = self.size**2 * self.inputs
        return own + (self.output_values if self.added or self.kind == "add" else 0)

    @property
    def output_values(self) -> int:
        """Values written."""
        return self.output_size**2 * self.outputs


def operators_of(architecture: Architecture) -> tuple[Operator, ...]:
    """The operators in the order in which they run, additions and ReLU fused into the convolution before them."""
    stem = Operator(
        "conv", architecture.resolution, architecture.inputs, architecture.stem, 3, architecture.stem_stride, relu=True
    )
    found = [stem]
    for stage in architecture.stages:
        for number, block in enumerate(stage.blocks):
            stride = stage.stride if number == 0 else 1
            found += block_operators(block, found[-1].output_size, found[-1].outputs, stage.channels, stride)
    return (*found, *_ending(architecture, found[-1].output_size, found[-1].outputs))


def block_operators(block: Block, size: int, inputs: int, outputs: int, stride: int) -> list[Operator]:
    """The operators of one block on an input of ``size`` × ``size`` pixels."""
    added = stride == 1 and inputs == outputs
    if block.kind == "conv":
        return [Operator("conv", size, inputs, outputs, block.kernel, stride, relu=True, added=added)]
    wide = inputs * block.expansion
    if block.kind == "fused":
        first = [Operator("conv", size, inputs, wide, block.kernel, stride, relu=True)]
    else:
        first = [Operator("conv", size, inputs, wide, relu=True)] if block.expansion > 1 else []
        first.append(Operator("depthwise", size, wide, wide, block.kernel, stride, relu=True))
    return [*first, Operator("conv", first[-1].output_size, wide, outputs, added=added)]


def _ending(architecture: Architecture, size: int, channels: int) -> list[Operator]:
    """The head, and what makes classes or masks of it."""
    found: list[Operator] = []
    if architecture.head:
        found.append(Operator("conv", size, channels, architecture.head, relu=True))
        channels = architecture.head
    if architecture.task == "classification":
        return [
            *found,
            Operator("pool", size, channels, channels),
            Operator("linear", 1, channels, architecture.classes),
        ]
    classes = architecture.classes
    found.append(Operator("conv", size, channels, classes))
    return [*found, Operator("resize", size, classes, classes, output_size=architecture.output)]
