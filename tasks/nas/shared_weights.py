"""The weights that all networks of a search space share, and which of them are a network's own; needs no torch.

Each block has weights of its own for each kind. Of channels a network has the first ones (slimmable networks, Yu et al., ICLR
2019), of a kernel the centre, of a stage the first blocks (Cai et al., Once-for-All, ICLR 2020).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture, Block, BlockKind
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, rounded_channels

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Part:
    """A convolution: its name in a network and among the shared weights, its sizes, and whether it is depthwise."""

    own: str
    shared: str
    outputs: int
    inputs: int
    kernel: int
    depthwise: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of its kernel."""
        return self.outputs, 1 if self.depthwise else self.inputs, self.kernel, self.kernel


@dataclass(frozen=True)
class Cut:
    """The part of a shared array that is an array of a network."""

    name: str
    slices: tuple[slice, ...]
    shape: tuple[int, ...]


def shapes_of(space: SearchSpace) -> dict[str, tuple[int, ...]]:
    """The shapes of the shared arrays by name: kernels, scales and biases of batch norms, and the layer to the classes."""
    found: dict[str, tuple[int, ...]] = {}
    for part in _largest_parts(space):
        found[f"{part.shared}.kernel"] = part.shape
        found[f"{part.shared}.scale"] = found[f"{part.shared}.bias"] = (part.outputs,)
    last = _most(space, space.stages[-1].channels)
    for head in {value > 0 for value in space.head}:
        name = "after_head" if head else "after_stages"
        found[f"{name}.kernel"] = (space.classes, _most(space, space.head) if head else last)
        found[f"{name}.bias"] = (space.classes,)
    return found


def cuts_of(space: SearchSpace, architecture: Architecture) -> dict[str, Cut]:
    """Where the arrays of a network of the space are, by their names in `fingerpost.tasks.nas.networks`.

    Running statistics of batch norms are not shared. ValueError for an architecture that the space does not hold.
    """
    space.genome_of(architecture)
    shapes, found = shapes_of(space), dict[str, Cut]()
    for part in _parts_of(architecture):
        largest = shapes[f"{part.shared}.kernel"][-1]
        edge = (largest - part.kernel) // 2
        middle = slice(edge, edge + part.kernel)
        slices = (slice(part.outputs), slice(part.shape[1]), middle, middle)
        found[f"{part.own}.conv.weight"] = Cut(f"{part.shared}.kernel", slices, part.shape)
        for own, shared in (("weight", "scale"), ("bias", "bias")):
            found[f"{part.own}.norm.{own}"] = Cut(f"{part.shared}.{shared}", slices[:1], (part.outputs,))
    channels = architecture.head or architecture.stages[-1].channels
    name, classes = "after_head" if architecture.head else "after_stages", architecture.classes
    shape = (classes, channels) if architecture.task == "classification" else (classes, channels, 1, 1)
    found["classifier.weight"] = Cut(f"{name}.kernel", (slice(classes), slice(channels)), shape)
    found["classifier.bias"] = Cut(f"{name}.bias", (slice(classes),), (classes,))
    return found


def own_weights(space: SearchSpace, weights: Mapping[str, NDArray[np.generic]], architecture: Architecture) -> Arrays:
    """The shared weights of a network by name, without running statistics; ValueError for weights of another space."""
    shapes = {name: values.shape for name, values in weights.items()}
    if shapes != shapes_of(space):
        raise ValueError("supernet: expected the weights of this search space, got those of another; train it again")
    cuts = cuts_of(space, architecture)
    return {own: np.ascontiguousarray(weights[cut.name][cut.slices]).reshape(cut.shape) for own, cut in cuts.items()}


def _most(space: SearchSpace, channels: tuple[int, ...]) -> int:
    """The most channels that a choice and a width give."""
    return max(rounded_channels(value, width, space.multiple) for value in channels for width in space.widths)


def _largest_parts(space: SearchSpace) -> Iterator[Part]:
    """The convolutions of all blocks and kinds in their largest forms."""
    channels = _most(space, space.stem)
    yield Part("stem", "stem", channels, space.inputs, 3)
    for number, stage in enumerate(space.stages):
        outputs = _most(space, stage.channels)
        for place, choices in enumerate(stage.blocks):
            for kind in choices.kinds:
                name = f"stage{number}.block{place}.{kind}"
                yield from _block_parts(_largest(choices, kind), channels, outputs, "", name)
            channels = outputs
    if max(space.head) > 0:
        yield Part("head", "head", _most(space, space.head), channels, 1)


def _largest(choices: BlockChoices, kind: BlockKind) -> Block:
    return Block(kind, choices.kernels[-1], choices.expansions_of(kind)[-1])


def _parts_of(architecture: Architecture) -> Iterator[Part]:
    """The convolutions of a network."""
    channels, position = architecture.stem, 0
    yield Part("stem", "stem", channels, architecture.inputs, 3)
    for number, stage in enumerate(architecture.stages):
        for place, block in enumerate(stage.blocks):
            name = f"stage{number}.block{place}.{block.kind}"
            yield from _block_parts(block, channels, stage.channels, f"blocks.{position}.parts.", name)
            channels, position = stage.channels, position + 1
    if architecture.head:
        yield Part("head", "head", architecture.head, channels, 1)


def _block_parts(block: Block, inputs: int, outputs: int, own: str, shared: str) -> Iterator[Part]:
    wide, kernel = inputs * block.expansion, block.kernel
    if block.kind == "conv":
        yield Part(f"{own}conv", f"{shared}.conv", outputs, inputs, kernel)
        return
    if block.kind == "fused":
        yield Part(f"{own}expand", f"{shared}.expand", wide, inputs, kernel)
    else:
        if block.expansion > 1:
            yield Part(f"{own}expand", f"{shared}.expand", wide, inputs, 1)
        yield Part(f"{own}depthwise", f"{shared}.depthwise", wide, wide, kernel, depthwise=True)
    yield Part(f"{own}project", f"{shared}.project", outputs, wide, 1)
