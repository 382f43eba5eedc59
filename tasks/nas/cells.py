"""The cells of NAS-Bench-201: parsing, live edges, canonical form, and their search space.

Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible neural architecture search" (ICLR 2020): four nodes, an
operation on each of six edges, a node is the sum of what comes in. Strings that differ can name one cell, because edges to
nowhere do nothing, additions commute, and a skip connection is what it begins at.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.cell_features import features_of_cells
from fingerpost.tasks.nas.genomes import Genome, crossed, mutated, sampled

#: The edges of a cell in the order of its operations: from node, to node. Node 0 is the input, node 3 the output.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: What an edge can be; its number is its gene.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, POOL = 0, 1, 4

#: A term of a node's sum: operation, the terms that it is applied to, and the edge, which says whose weights it has.
Term = tuple[int, tuple["Term", ...], int]
_INPUT: tuple[Term, ...] = ((-1, (), -1),)


@dataclass(frozen=True)
class Cell:
    """A cell: the numbers of its operations, in the order of ``EDGES``."""

    operations: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES) or not set(self.operations) <= set(range(len(OPERATIONS))):
            raise ValueError(
                f"cell: expected {len(EDGES)} operations from 0 to {len(OPERATIONS) - 1}, got {self.operations}; correct it"
            )

    @property
    def text(self) -> str:
        """Its text as in the benchmark: ``|nor_conv_3x3~0|+|…~0|…~1|+|…~0|…~1|…~2|``."""
        names = [f"{OPERATIONS[one]}~{begin}" for one, (begin, _) in zip(self.operations, EDGES, strict=True)]
        return "+".join(f"|{'|'.join(part)}|" for part in (names[:1], names[1:3], names[3:]))

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the sha256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its operations."""
        return tuple(OPERATIONS[one] for one in self.operations)

    @property
    def connected(self) -> bool:
        """Whether a path leads from its input to its output."""
        return bool(_value(self.operations))

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """The inverse of ``text``; ValueError for anything else."""
        operations = tuple(
            OPERATIONS.index(one) if one in OPERATIONS else -1 for one in re.findall(r"([a-z_0-9]+)~", text)
        )
        if -1 not in operations and len(operations) == len(EDGES) and (found := cls(operations)).text == text:
            return found
        raise ValueError(f"cell: expected six operations as |nor_conv_3x3~0|+|…, got {text[:80]!r}; correct it")


def live_operations(operations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Operations (n, 6) with 0, none, on edges that are on no path from input to output."""
    there = operations != NONE
    first, second, across, _direct, third, last = (there[:, edge] for edge in range(len(EDGES)))
    reached = np.column_stack([np.ones(len(operations), dtype=bool), first, second | (first & across)])
    leading = np.column_stack([third | (across & last), last])
    begins = np.column_stack([reached[:, begin] for begin, _ in EDGES])
    ends = np.column_stack(
        [leading[:, end - 1] if end < 3 else np.ones(len(operations), dtype=bool) for _, end in EDGES]
    )
    found: NDArray[np.int64] = np.where(there & begins & ends, operations, NONE)
    return found


@cache
def canonical_text(operations: tuple[int, ...]) -> str:
    """A text equal for two cells exactly if they compute the same function of the same weights, however these are named.

    Sums are flattened and sorted, a skip connection is what it begins at. Two convolutions of equal form count as one only
    where they are one, so each has the number of its edge, renumbered so that the text is the least one.
    """
    value = _value(operations)
    used = sorted({edge for term in value for edge in _edges(term)})
    groups: dict[str, list[int]] = {}
    for edge in used:
        groups.setdefault(_shape(value, edge), []).append(edge)
    texts = []
    for chosen in product(*(permutations(groups[shape]) for shape in sorted(groups))):
        order = {edge: number for number, edge in enumerate(edge for group in chosen for edge in group)}
        texts.append(_text(value, order))
    return min(texts)


def _value(operations: tuple[int, ...]) -> tuple[Term, ...]:
    """The terms of the output's sum; none without a path."""
    values: list[tuple[Term, ...]] = [_INPUT, (), (), ()]
    for (begin, end), operation, edge in zip(EDGES, operations, range(len(EDGES)), strict=True):
        if operation == NONE or not values[begin]:
            continue
        # Nothing leads to a node after its sum is read: edges are sorted by their end, and then by their begin.
        own = -1 if operation == POOL else edge
        values[end] += values[begin] if operation == SKIP else ((operation, values[begin], own),)
    return values[3]


def _edges(term: Term) -> Iterator[int]:
    """The edges of the convolutions in a term, some of them more than once."""
    if term[2] >= 0:
        yield term[2]
    for inner in term[1]:
        yield from _edges(inner)


def _text(terms: tuple[Term, ...], order: dict[int, int]) -> str:
    """Terms as text, the convolutions' edges renumbered; those without a number show none."""
    parts = [f"{one}{order.get(edge, '')}({_text(inner, order)})" for one, inner, edge in terms]
    return "+".join(sorted(parts))


def _shape(terms: tuple[Term, ...], edge: int) -> str:
    """The text, without numbers, of the term that an edge makes."""
    for term in terms:
        if term[2] == edge:
            return _text((term,), {})
        if found := _shape(term[1], edge):
            return found
    return ""


@cache
def _canonical_operations() -> dict[str, tuple[int, ...]]:
    """For each canonical text the first of the operations that have it."""
    found: dict[str, tuple[int, ...]] = {}
    for operations in product(range(len(OPERATIONS)), repeat=len(EDGES)):
        found.setdefault(canonical_text(operations), operations)
    return found


@dataclass(frozen=True)
class CellSpace:
    """All cells; a genome is the numbers of a cell's operations. Satisfies ``genomes.Space``."""

    @property
    def genes(self) -> tuple[int, ...]:
        return (len(OPERATIONS),) * len(EDGES)

    @property
    def size(self) -> int:
        return len(_canonical_operations())

    def sample(self, random: np.random.Generator) -> Genome:
        return self.canonical(sampled(self.genes, random))

    def mutate(self, genome: Genome, random: np.random.Generator, rate: float = 0.1) -> Genome:
        return mutated(self.genes, genome, random, rate=rate, canonical=self.canonical)

    def crossover(self, first: Genome, second: Genome, random: np.random.Generator) -> Genome:
        return crossed(first, second, random, canonical=self.canonical)

    def canonical(self, genome: Genome) -> Genome:
        text = canonical_text(tuple(int(gene) for gene in genome))
        return np.array(_canonical_operations()[text], dtype=np.int64)

    def candidate(self, genome: Genome) -> Cell:
        return Cell(tuple(int(gene) for gene in self.canonical(genome)))

    def parse(self, text: str) -> Cell:
        return self.candidate(np.array(Cell.parse(text).operations))

    def genome_of(self, candidate: Cell) -> Genome:
        return self.canonical(np.array(candidate.operations))

    def encode(self, genomes: NDArray[np.int64]) -> NDArray[np.float64]:
        canonical = np.array([self.canonical(genome) for genome in genomes], dtype=np.int64).reshape(-1, len(EDGES))
        return features_of_cells(live_operations(canonical))

    def enumerate(self) -> Iterator[Genome]:
        for operations in _canonical_operations().values():
            yield np.array(operations, dtype=np.int64)
