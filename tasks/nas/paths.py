"""The networks that a step of a supernet's training goes through; needs no torch.

Strict fairness (Chu et al., FairNAS, ICCV 2021): in each step, each kind of each block is trained equally often.
"""

import numpy as np

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.genomes import Genome
from fingerpost.tasks.nas.space import SearchSpace


def paths(space: SearchSpace, random: np.random.Generator) -> list[Architecture]:
    """As many networks as the block with the most kinds has kinds.

    They have the same resolution, output, strides and depths, so that each block that one of them has is trained. Of each
    other gene, every choice occurs equally often up to one.
    """
    count = max(len(block.kinds) for stage in space.stages for block in stage.blocks)
    first = space.sample(random)
    genes = np.repeat(first[None], count, axis=0)
    for gene, choices in enumerate(space.genes):
        if gene not in _common(space):
            genes[:, gene] = _fair(choices, count, random)
    return [space.candidate(genome) for genome in genes]


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
    """The genes that the networks of a step have in common: resolution, output, stem stride, strides and depths."""
    found, position = {0, 1, 4}, 6
    for stage in space.stages:
        found |= {position + 1, position + 2}
        position += 3 + 3 * len(stage.blocks)
    return found
