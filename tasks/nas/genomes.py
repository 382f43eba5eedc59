"""Genomes: candidates of a search space as small vectors of choices, and what evolution does with them."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

#: int64 (g,): the index of the choice made for each gene.
Genome = NDArray[np.int64]


class Candidate(Protocol):
    """What a search chooses: an architecture or a cell."""

    @property
    def text(self) -> str:
        """Its canonical text; equal for equal candidates alone."""
        ...

    @property
    def id(self) -> str:
        """Its canonical id, a hash of its text."""
        ...


Chosen = TypeVar("Chosen", bound=Candidate)


class Space(Protocol[Chosen]):
    """A search space. Two genomes of one candidate have the same canonical genome; every genome returned is canonical."""

    @property
    def genes(self) -> tuple[int, ...]:
        """The number of choices for each gene, 1 or more."""
        ...

    @property
    def size(self) -> int:
        """The number of distinct candidates."""
        ...

    def sample(self, random: np.random.Generator) -> Genome:
        """A random genome, each gene uniform among its choices."""
        ...

    def mutate(self, genome: Genome, random: np.random.Generator, rate: float = 0.1) -> Genome:
        """Another candidate: each gene changed with probability ``rate``, at least one changed where there is another."""
        ...

    def crossover(self, first: Genome, second: Genome, random: np.random.Generator) -> Genome:
        """The first parent's genes up to a random point, the second parent's from there."""
        ...

    def canonical(self, genome: Genome) -> Genome:
        """The canonical genome of its candidate."""
        ...

    def candidate(self, genome: Genome) -> Chosen:
        """The candidate that a genome stands for."""
        ...

    def parse(self, text: str) -> Chosen:
        """The candidate of a canonical text; ValueError for any other text."""
        ...

    def genome_of(self, candidate: Chosen) -> Genome:
        """The canonical genome of a candidate; ValueError if it is not in the space."""
        ...

    def encode(self, genomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Features (n, d) of genomes (n, g), equal for equal candidates, columns may be constant."""
        ...

    def enumerate(self) -> Iterator[Genome]:
        """All canonical genomes, each once, in an order that is always the same."""
        ...


Canonical = Callable[[Genome], Genome]


def sampled(genes: tuple[int, ...], random: np.random.Generator) -> Genome:
    """A genome whose genes are uniform among their choices."""
    return random.integers(0, np.array(genes, dtype=np.int64), dtype=np.int64)


def mutated(
    genes: tuple[int, ...], genome: Genome, random: np.random.Generator, *, rate: float, canonical: Canonical
) -> Genome:
    """The canonical genome after each gene changed with probability ``rate``.

    Where that leaves the candidate as it is, one gene is changed so that it does not; only the one genome of a space
    of one candidate comes back unchanged.
    """
    before = canonical(genome)
    counts = np.array(genes, dtype=np.int64)
    changes = (random.random(len(genes)) < rate) & (counts > 1)
    shifts = random.integers(1, np.maximum(counts, 2), dtype=np.int64)
    after = canonical(np.where(changes, (before + shifts) % counts, before))
    if not np.array_equal(after, before):
        return after
    for gene in random.permutation(np.flatnonzero(counts > 1)):
        for shift in random.permutation(np.arange(1, counts[gene])):
            changed = before.copy()
            changed[gene] = (before[gene] + shift) % counts[gene]
            after = canonical(changed)
            if not np.array_equal(after, before):
                return after
    return before


def crossed(first: Genome, second: Genome, random: np.random.Generator, *, canonical: Canonical) -> Genome:
    """One-point crossover: at least one gene of each parent where there are two genes."""
    point = int(random.integers(1, max(len(first), 2)))
    return canonical(np.concatenate([first[:point], second[point:]]))
