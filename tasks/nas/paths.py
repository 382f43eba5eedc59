"""The networks that a step of a supernet's training goes through; needs no torch.

Strict fairness (Chu et al., FairNAS, ICCV 2021): in each step, each kind of each block is trained equally often.
"""

import numpy as np

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.genomes import Genome
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BLOCK_GENES

#: Positions of genes, as :attr:`SearchSpace.genes` lists them: of the network, and from the first gene of a stage.
RESOLUTION, OUTPUT, STEM_STRIDE, FIRST = 0, 1, 4, 6
STRIDE, DEPTH, BLOCKS = 1, 2, 3


def paths(space: SearchSpace, random: np.random.Generator) -> list[Architecture]:
    """As many networks as the block with the most kinds has kinds.

    They have the same resolution, output, strides and depths, so that each block that one of them has is trained. Of each
    other gene, every choice occurs equally often up to one.
    """
    count = max(len(block.kinds) for stage in space.stages for block in stage.blocks)
    first, common = space.sample(random), _common(space)
    genes = np.repeat(first[None], count, axis=0)
    for gene, choices in enumerate(space.genes):
        if gene not in common:
            genes[:, gene] = _fair(choices, count, random)
    return [space.candidate(genome) for genome in genes]


def largest_beside(space: SearchSpace, way: Architecture, random: np.random.Generator) -> Architecture:
    """The largest network with the resolution, output and strides of another; its blocks are of random kinds."""
    genome, given = np.array(space.genes, dtype=np.int64) - 1, space.genome_of(way)
    genome[[RESOLUTION, OUTPUT, STEM_STRIDE]] = given[[RESOLUTION, OUTPUT, STEM_STRIDE]]
    for start, stage in zip(_starts(space), space.stages, strict=True):
        genome[start + STRIDE] = given[start + STRIDE]
        for place, choices in enumerate(stage.blocks):
            genome[start + BLOCKS + BLOCK_GENES * place] = random.integers(len(choices.kinds))
    return space.candidate(genome)


def some_networks(space: SearchSpace, count: int, *, seed: int) -> list[Architecture]:
    """``count`` random networks of a space, or all of a smaller one."""
    random, found = np.random.default_rng(seed), dict[str, Genome]()
    for _ in range(20 * count):
        genome = space.sample(random)
        found.setdefault(space.candidate(genome).id, genome)
        if len(found) == min(count, space.size):
            break
    return [space.candidate(genome) for genome in found.values()]


def _fair(choices: int, count: int, random: np.random.Generator) -> Genome:
    """``count`` choices, each as often as the others up to one, in random order."""
    rounds = [random.permutation(choices) for _ in range(-(-count // choices))]
    return random.permutation(np.concatenate(rounds)[:count])


def _common(space: SearchSpace) -> set[int]:
    """The genes that the networks of a step have in common."""
    of_stages = {start + gene for start in _starts(space) for gene in (STRIDE, DEPTH)}
    return {RESOLUTION, OUTPUT, STEM_STRIDE} | of_stages


def _starts(space: SearchSpace) -> list[int]:
    """The position of each stage's first gene."""
    found = [FIRST]
    for stage in space.stages[:-1]:
        found.append(found[-1] + BLOCKS + BLOCK_GENES * len(stage.blocks))
    return found
