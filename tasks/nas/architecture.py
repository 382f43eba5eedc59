"""Architectures of convolutional networks: stages of blocks between a stem and a head.

The search space of "Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023); inverted bottlenecks are
those of MobileNetV2 (Sandler et al., CVPR 2018), fused ones those of EfficientNet-EdgeTPU (Gupta and Akin, 2020).
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

BlockKind = Literal["ibn", "fused", "conv"]
Task = Literal["classification", "segmentation"]

#: The kinds of blocks: inverted bottleneck, fused inverted bottleneck, plain convolution.
BLOCK_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Block:
    """A block: its kind, the size of its kernel (odd), and by how much it expands its input channels.

    ``ibn``: a 1 × 1 convolution to ``expansion`` times the input channels, a depthwise convolution, and a 1 × 1 convolution
    to the output channels. ``fused``: a dense convolution that expands, and a 1 × 1 convolution. ``conv``: one dense
    convolution; its expansion is 1. A batch norm follows each convolution, and a ReLU each but the last of ``ibn`` and
    ``fused``; an ``ibn`` with an expansion of 1 has no first convolution. The ReLU of ``conv`` follows the addition. The input is added where the block keeps size and channels.
    """

    kind: BlockKind = "ibn"
    kernel: int = 3
    expansion: int = 4


@dataclass(frozen=True)
class NetworkStage:
    """Blocks with the same number of output channels; the first one has the stride."""

    channels: int
    stride: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Architecture:
    """A network for square images of ``resolution`` pixels with ``inputs`` channels and ``classes`` classes.

    An image is resized to the resolution (bilinear) if it has another. The stem is a 3 × 3 convolution with its stride and
    ReLU. head: channels of a 1 × 1 convolution with ReLU after the last stage, 0 for none. Classification ends with global
    average pooling and a linear layer. Segmentation ends with a 1 × 1 convolution to the classes, whose output is resized
    (bilinear) to ``output`` pixels; classes count the background. output is 0 for classification.
    """

    resolution: int
    inputs: int
    classes: int
    stem: int
    stem_stride: int
    stages: tuple[NetworkStage, ...]
    head: int = 0
    task: Task = "classification"
    output: int = 0

    def __post_init__(self) -> None:
        if problem := _violation(self):
            raise ValueError(f"architecture: {problem}; correct it")

    @property
    def text(self) -> str:
        """Its canonical text: JSON with sorted keys; equal for equal architectures alone."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        """Its canonical id: 16 hexadecimal digits of the sha256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """The inverse of ``text``; ValueError for anything else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            stages = tuple(
                NetworkStage(**{**stage, "blocks": tuple(Block(**block) for block in stage["blocks"])})
                for stage in fields.pop("stages")
            )
            return cls(**fields, stages=stages)
        except (TypeError, KeyError, AttributeError, json.JSONDecodeError) as problem:
            raise ValueError(
                f"architecture: expected its canonical text, got {text[:60]!r} ({problem}); correct it"
            ) from problem


def _violation(architecture: Architecture) -> str:
    """What an architecture has that none can have, as "expected …, got …"; empty for none."""
    numbers = {
        "resolution": architecture.resolution,
        "inputs": architecture.inputs,
        "classes": architecture.classes,
        "stem": architecture.stem,
    }
    for name, value in numbers.items():
        if value < 1:
            return f"expected {name} of at least 1, got {value}"
    if architecture.task not in TASKS:
        return f"expected a task of {', '.join(TASKS)}, got {architecture.task!r}"
    if architecture.head < 0 or architecture.stem_stride not in (1, 2):
        return f"expected a head of at least 0 and a stem_stride of 1 or 2, got {architecture.head} and {architecture.stem_stride}"
    if (architecture.output > 0) != (architecture.task == "segmentation"):
        return f"expected an output of at least 1 for segmentation and 0 for classification, got {architecture.output}"
    if not architecture.stages:
        return "expected at least one stage, got none"
    for number, stage in enumerate(architecture.stages, start=1):
        if stage.channels < 1 or stage.stride not in (1, 2) or not stage.blocks:
            return f"expected channels, a stride of 1 or 2 and blocks in stage {number}, got {stage}"
        for block in stage.blocks:
            if block.kind not in BLOCK_KINDS or block.kernel < 1 or block.kernel % 2 == 0 or block.expansion < 1:
                return f"expected a kind of {', '.join(BLOCK_KINDS)}, an odd kernel and an expansion in stage {number}, got {block}"
            if block.kind == "conv" and block.expansion != 1:
                return f"expected an expansion of 1 for a plain convolution in stage {number}, got {block.expansion}"
    return ""
