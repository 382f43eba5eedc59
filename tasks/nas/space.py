"""The search space of block networks: what may be chosen for the stem, each stage and each block.

"Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023), search space curation: a curated space
offers a handful of channel numbers, all multiples of the device's parallelism factor; the uncurated one every number in
the same range. A width multiplier (a depth multiplier there) scales the channels of the whole network.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture, NetworkStage, Task
from fingerpost.tasks.nas.genomes import Genome, crossed, mutated, sampled
from fingerpost.tasks.nas.space_choices import (
    BLOCK_GENES,
    StageChoices,
    check_ascending,
    index_of,
    outside,
    rounded_channels,
)
from fingerpost.tasks.nas.space_features import features_of

#: Genes before those of the stages: resolution, output, width, stem, stem stride, head.
_FIRST = 6
#: Genes of a stage before those of its blocks: channels, stride, depth.
_STAGE = 3


@dataclass(frozen=True)
class SearchSpace:
    """The choices for a network; each tuple holds distinct values, numbers in ascending order.

    widths: multipliers of all channels. multiple: channels times a width are rounded to multiples of it, the parallelism
    factor in a curated space. parallelism: the operations that the device executes at once, such as the rows of a
    multiplier array. outputs: pixels of the masks on a side, (0,) for classification.
    """

    inputs: int
    classes: int
    resolutions: tuple[int, ...]
    stem: tuple[int, ...]
    stem_strides: tuple[int, ...]
    stages: tuple[StageChoices, ...]
    head: tuple[int, ...] = (0,)
    widths: tuple[float, ...] = (1.0,)
    multiple: int = 1
    parallelism: int = 16
    task: Task = "classification"
    outputs: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.parallelism < 1:
            raise ValueError(
                f"search space: expected a multiple and a parallelism of 1 or more, got {self}; correct it"
            )
        for name in ("resolutions", "outputs", "widths", "stem", "stem_strides", "head"):
            check_ascending(name, getattr(self, name))
        # The smallest and the largest network are checked as any architecture is.
        self.candidate(np.zeros(len(self.genes), dtype=np.int64))
        self.candidate(np.array(self.genes, dtype=np.int64) - 1)

    @cached_property
    def genes(self) -> tuple[int, ...]:
        """The number of choices for each gene: resolution, output, width, stem, stem stride, head; then for each stage
        channels, stride, depth, and for each of its blocks kind, kernel, expansion."""
        found = [self.resolutions, self.outputs, self.widths, self.stem, self.stem_strides, self.head]
        counts = [len(choices) for choices in found]
        for stage in self.stages:
            counts += [len(stage.channels), len(stage.strides), len(stage.depths)]
            for block in stage.blocks:
                counts += block.counts
        return tuple(counts)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """The position of each stage's first gene."""
        lengths = [_STAGE + BLOCK_GENES * len(stage.blocks) for stage in self.stages]
        return tuple(_FIRST + sum(lengths[:stage]) for stage in range(len(lengths)))

    @cached_property
    def _scaled(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each width and each of stem, head and stages: its channel choices scaled by the width."""
        groups = (self.stem, self.head, *(stage.channels for stage in self.stages))
        return tuple(
            tuple(tuple(rounded_channels(value, width, self.multiple) for value in group) for group in groups)
            for width in self.widths
        )

    def candidate(self, genome: Genome) -> Architecture:
        """The architecture that a genome stands for."""
        genes: list[int] = genome.tolist()
        resolution, output, width, stem, stem_stride, head = genes[:_FIRST]
        scaled = self._scaled[width]
        stages = []
        for number, (stage, start) in enumerate(zip(self.stages, self._starts, strict=True)):
            channels, stride, depth = genes[start : start + _STAGE]
            first = start + _STAGE
            blocks = tuple(
                choices.block(*genes[first + BLOCK_GENES * place :][:BLOCK_GENES])
                for place, choices in enumerate(stage.blocks[: stage.depths[depth]])
            )
            stages.append(NetworkStage(scaled[2 + number][channels], stage.strides[stride], blocks))
        return Architecture(
            self.resolutions[resolution],
            self.inputs,
            self.classes,
            scaled[0][stem],
            self.stem_strides[stem_stride],
            tuple(stages),
            scaled[1][head],
            self.task,
            self.outputs[output],
        )

    def parse(self, text: str) -> Architecture:
        """The architecture of a canonical text; ValueError for any other text."""
        return Architecture.parse(text)

    def genome_of(self, candidate: Architecture) -> Genome:
        """The canonical genome of an architecture: of several widths that give its channels, the first; genes without
        effect are 0. ValueError if the space does not hold it."""
        fixed = (self.inputs, self.classes, self.task, len(self.stages))
        mine = (candidate.inputs, candidate.classes, candidate.task, len(candidate.stages))
        if fixed != mine:
            raise outside(f"inputs, classes, task and number of stages are {mine}, not {fixed}")
        width, (stem, head, *channels) = self._channel_genes(candidate)
        genes = [
            index_of("resolution", candidate.resolution, self.resolutions),
            index_of("output", candidate.output, self.outputs),
            width,
            stem,
            index_of("stem_stride", candidate.stem_stride, self.stem_strides),
            head,
        ]
        for own, stage, chosen in zip(candidate.stages, self.stages, channels, strict=True):
            genes += [chosen, index_of("stride", own.stride, stage.strides)]
            genes.append(index_of("depth", len(own.blocks), stage.depths))
            for place, choices in enumerate(stage.blocks):
                genes += choices.genes_of(own.blocks[place]) if place < len(own.blocks) else [0] * BLOCK_GENES
        return np.array(genes, dtype=np.int64)

    def _channel_genes(self, candidate: Architecture) -> tuple[int, list[int]]:
        wanted = (candidate.stem, candidate.head, *(stage.channels for stage in candidate.stages))
        for width, scaled in enumerate(self._scaled):
            if all(value in group for value, group in zip(wanted, scaled, strict=True)):
                return width, [group.index(value) for value, group in zip(wanted, scaled, strict=True)]
        raise outside(f"no width gives the channels {wanted} of stem, head and stages")

    def canonical(self, genome: Genome) -> Genome:
        """The canonical genome of its architecture."""
        return self.genome_of(self.candidate(genome))

    def sample(self, random: np.random.Generator) -> Genome:
        """A random genome, each gene uniform among its choices."""
        return self.canonical(sampled(self.genes, random))

    def mutate(self, genome: Genome, random: np.random.Generator, rate: float = 0.1) -> Genome:
        """Another architecture: each gene changed with probability ``rate``, at least one where there is another."""
        return mutated(self.genes, genome, random, rate=rate, canonical=self.canonical)

    def crossover(self, first: Genome, second: Genome, random: np.random.Generator) -> Genome:
        """The first parent's genes up to a random point, the second parent's from there."""
        return crossed(first, second, random, canonical=self.canonical)

    def encode(self, genomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """The features (n, d) of the architectures of genomes (n, g), see ``features_of``."""
        depths = tuple(len(stage.blocks) for stage in self.stages)
        return np.array([features_of(self.candidate(genome), depths) for genome in genomes])

    @cached_property
    def size(self) -> int:
        """The number of distinct architectures: widths that give the same channels count once (inclusion-exclusion)."""
        widths = [[set(group) for group in scaled] for scaled in self._scaled]
        channels = 0
        for count in range(1, len(widths) + 1):
            for chosen in itertools.combinations(widths, count):
                common = [set.intersection(*groups) for groups in zip(*chosen, strict=True)]
                channels += (-1) ** (count + 1) * math.prod(len(group) for group in common)
        rest = len(self.resolutions) * len(self.outputs) * len(self.stem_strides)
        for stage in self.stages:
            options = [len(choices.genes()) for choices in stage.blocks]
            rest *= len(stage.strides) * sum(math.prod(options[:depth]) for depth in stage.depths)
        return channels * rest

    def enumerate(self) -> Iterator[Genome]:
        """All canonical genomes, each once."""
        outer = itertools.product(*(range(count) for count in self.genes[:_FIRST]))
        for first, *rest in itertools.product(outer, *(stage.genes() for stage in self.stages)):
            genome = np.array([*first, *itertools.chain.from_iterable(rest)], dtype=np.int64)
            # Of channels and widths, others may give the same network.
            if np.array_equal(self.canonical(genome), genome):
                yield genome

    def smallest(self) -> Architecture:
        """The network with the first choice for each number, and blocks of the first kind."""
        return self.candidate(np.zeros(len(self.genes), dtype=np.int64))

    def largest(self) -> Architecture:
        """The network with the last choice for each number, but the first stride, and blocks of the first kind."""
        genome = np.array(self.genes, dtype=np.int64) - 1
        genome[4] = 0
        for stage, start in zip(self.stages, self._starts, strict=True):
            genome[start + 1] = 0
            genome[start + _STAGE : start + _STAGE + BLOCK_GENES * len(stage.blocks) : BLOCK_GENES] = 0
        return self.candidate(genome)
