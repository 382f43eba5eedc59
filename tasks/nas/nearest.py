"""The network of a search space that is most like a given one, such as an expert's."""

import math

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.genomes import Genome
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, rounded_channels


def nearest(space: SearchSpace, architecture: Architecture) -> Genome:
    """The genome whose network is most like a given one that the space may not hold.

    Number by number the nearest choice (the smaller of two), of the widths the one with the nearest channels; a kind of
    block that the space does not offer becomes its first. ValueError for another number of stages.
    """
    if len(architecture.stages) != len(space.stages):
        raise ValueError(
            f"architecture {architecture.id}: expected {len(space.stages)} stages as the search space has, got"
            f" {len(architecture.stages)}; give a network of as many stages"
        )
    found = min(
        (_with_width(space, architecture, width) for width in space.widths),
        key=lambda near: _channel_distance(near, architecture),
    )
    return space.genome_of(found)


def _with_width(space: SearchSpace, architecture: Architecture, width: float) -> Architecture:
    def channels(value: int, choices: tuple[int, ...]) -> int:
        return _closest(value, tuple(rounded_channels(choice, width, space.multiple) for choice in choices))

    stages = tuple(
        NetworkStage(
            channels(own.channels, stage.channels),
            _closest(own.stride, stage.strides),
            tuple(
                _nearest_block(own.blocks[min(place, len(own.blocks) - 1)], stage.blocks[place])
                for place in range(_closest(len(own.blocks), stage.depths))
            ),
        )
        for own, stage in zip(architecture.stages, space.stages, strict=True)
    )
    return Architecture(
        _closest(architecture.resolution, space.resolutions),
        space.inputs,
        space.classes,
        channels(architecture.stem, space.stem),
        _closest(architecture.stem_stride, space.stem_strides),
        stages,
        channels(architecture.head, space.head),
        space.task,
        _closest(architecture.output, space.outputs),
    )


def _nearest_block(block: Block, choices: BlockChoices) -> Block:
    kind = block.kind if block.kind in choices.kinds else choices.kinds[0]
    return Block(kind, _closest(block.kernel, choices.kernels), _closest(block.expansion, choices.expansions_of(kind)))


def _closest(value: int, choices: tuple[int, ...]) -> int:
    return min(choices, key=lambda choice: (abs(choice - value), choice))


def _channel_distance(found: Architecture, wanted: Architecture) -> float:
    pairs = [(found.stem, wanted.stem), (found.head, wanted.head)]
    pairs += [(own.channels, other.channels) for own, other in zip(found.stages, wanted.stages, strict=True)]
    return sum(abs(math.log((1 + own) / (1 + other))) for own, other in pairs)
