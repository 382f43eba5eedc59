"""What a block and a stage of a search space may be, and how channels are scaled by a width."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fingerpost.tasks.nas.architecture import Block, BlockKind

#: Genes of a block: kind, kernel, expansion.
BLOCK_GENES = 3


@dataclass(frozen=True)
class BlockChoices:
    """What a block may be: distinct kinds, ascending kernels and expansions; a plain convolution has no expansion.

    fused: the expansions of fused blocks where they differ, since their dense convolution has more weights than a
    depthwise one; () for those of ``expansions``.
    """

    kinds: tuple[BlockKind, ...] = ("ibn", "fused")
    kernels: tuple[int, ...] = (3,)
    expansions: tuple[int, ...] = (4,)
    fused: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ValueError(f"search space: expected distinct kinds of blocks, got {self.kinds}; correct them")
        check_ascending("kernels", self.kernels)
        check_ascending("expansions", self.expansions)
        check_ascending("fused expansions", self.fused or self.expansions)

    @property
    def counts(self) -> tuple[int, int, int]:
        """The number of choices for each gene; those of an expansion that a kind lacks stand for its last."""
        return len(self.kinds), len(self.kernels), max(len(self.expansions), len(self.fused))

    def expansions_of(self, kind: BlockKind) -> tuple[int, ...]:
        """The expansions of blocks of a kind."""
        if kind == "conv":
            return (1,)
        return self.fused or self.expansions if kind == "fused" else self.expansions

    def block(self, kind: int, kernel: int, expansion: int) -> Block:
        """The block of three genes."""
        chosen = self.kinds[kind]
        expansions = self.expansions_of(chosen)
        return Block(chosen, self.kernels[kernel], expansions[min(expansion, len(expansions) - 1)])

    def genes_of(self, block: Block) -> tuple[int, int, int]:
        """The canonical genes of a block; ValueError if it is none of the choices."""
        kind, kernel = index_of("kind", block.kind, self.kinds), index_of("kernel", block.kernel, self.kernels)
        return kind, kernel, index_of("expansion", block.expansion, self.expansions_of(block.kind))

    def genes(self) -> list[tuple[int, int, int]]:
        """The canonical genes of all choices."""
        kinds, kernels, expansions = (range(count) for count in self.counts)
        found = itertools.product(kinds, kernels, expansions)
        return [genes for genes in found if genes[2] < len(self.expansions_of(self.kinds[genes[0]]))]


@dataclass(frozen=True)
class StageChoices:
    """What a stage may be: ascending channels, strides of its first block and depths (numbers of blocks).

    blocks: one entry for each block of the deepest stage; a shallower one has the first of them.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    depths: tuple[int, ...]
    blocks: tuple[BlockChoices, ...]

    def __post_init__(self) -> None:
        for name in ("channels", "strides", "depths"):
            check_ascending(f"{name} of a stage", getattr(self, name))
        if self.depths[0] < 1 or self.depths[-1] != len(self.blocks):
            raise ValueError(
                f"search space: expected choices for each of the {self.depths[-1]} blocks of a stage, got"
                f" {len(self.blocks)}; give one for each"
            )

    def genes(self) -> list[tuple[int, ...]]:
        """All genes of channels, stride and depth, followed by the canonical ones of the blocks."""
        found = []
        for depth, count in enumerate(self.depths):
            absent = (0,) * (BLOCK_GENES * (len(self.blocks) - count))
            for blocks in itertools.product(*(choices.genes() for choices in self.blocks[:count])):
                chosen = tuple(itertools.chain.from_iterable(blocks)) + absent
                found += [
                    (channels, stride, depth, *chosen)
                    for channels in range(len(self.channels))
                    for stride in range(len(self.strides))
                ]
        return found


def rounded_channels(channels: int, width: float, multiple: int) -> int:
    """``width`` times ``channels`` rounded to a multiple (halves up), at least one and at least 0.9 of the exact number,
    as MobileNet rounds its channels; 0, a head that is not there, stays 0."""
    if channels == 0:
        return 0
    exact = width * channels
    found = multiple * max(1, math.floor(exact / multiple + 0.5))
    return found if found >= 0.9 * exact else found + multiple


def check_ascending(name: str, values: Sequence[float]) -> None:
    """ValueError unless the choices are distinct and in ascending order."""
    if not values or sorted(set(values)) != list(values):
        raise ValueError(f"search space: expected distinct ascending choices for {name}, got {values}; correct them")


def index_of(name: str, value: object, choices: Sequence[object]) -> int:
    """The position of a value among the choices; ValueError if it is none of them."""
    if value not in choices:
        raise outside(f"its {name} {value!r} is none of {choices}")
    return choices.index(value)


def outside(why: str) -> ValueError:
    """The error of an architecture that a space does not hold."""
    return ValueError(f"architecture: expected one of the search space, got another ({why}); choose another")
