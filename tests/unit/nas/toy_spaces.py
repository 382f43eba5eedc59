"""A small search space whose accuracies and costs are known, for tests of searches."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.genomes import Genome, crossed, mutated, sampled
from fingerpost.tasks.nas.history import Evaluation, Request
from fingerpost.tasks.nas.limits import CandidateCosts


@dataclass(frozen=True)
class Point:
    """A candidate: whole numbers."""

    values: tuple[int, ...]

    @property
    def text(self) -> str:
        return json.dumps(self.values)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Grid:
    """Points of ``genes``; the last number does not count where the first is 0."""

    genes: tuple[int, ...] = (4, 5, 5, 3)

    @property
    def size(self) -> int:
        rest = int(np.prod(self.genes[1:-1]))
        return rest * (1 + (self.genes[0] - 1) * self.genes[-1])

    def sample(self, random: np.random.Generator) -> Genome:
        return self.canonical(sampled(self.genes, random))

    def mutate(self, genome: Genome, random: np.random.Generator, rate: float = 0.1) -> Genome:
        return mutated(self.genes, genome, random, rate=rate, canonical=self.canonical)

    def crossover(self, first: Genome, second: Genome, random: np.random.Generator) -> Genome:
        return crossed(first, second, random, canonical=self.canonical)

    def canonical(self, genome: Genome) -> Genome:
        found = np.array(genome, dtype=np.int64)
        found[-1] = 0 if found[0] == 0 else found[-1]
        return found

    def candidate(self, genome: Genome) -> Point:
        return Point(tuple(int(gene) for gene in self.canonical(genome)))

    def parse(self, text: str) -> Point:
        return Point(tuple(json.loads(text)))

    def genome_of(self, candidate: Point) -> Genome:
        genome = np.array(candidate.values, dtype=np.int64)
        if len(genome) != len(self.genes) or (genome >= self.genes).any():
            raise ValueError("grid: expected one of its points")
        return genome

    def encode(self, genomes: NDArray[np.int64]) -> NDArray[np.float64]:
        return genomes / np.array(self.genes)

    def enumerate(self) -> Iterator[Genome]:
        for index in np.ndindex(*self.genes):
            genome = np.array(index, dtype=np.int64)
            if np.array_equal(self.canonical(genome), genome):
                yield genome


def toy_costs(candidates: Sequence[Point]) -> list[CandidateCosts]:
    """Each step of a number costs a millisecond, of which a tenth is uncertain."""
    totals = [1 + sum(one.values) for one in candidates]
    return [CandidateCosts(float(t), 0.1 * t, 100 * t, 10 * t, 1000 + 64 * (t % 5)) for t in totals]


def accuracy(point: Point) -> float:
    """Larger numbers are better, some of them more than others, and some points by luck."""
    weights = (0.03, 0.01, 0.02, 0.004, 0.015, 0.006)
    noise = int(point.id[:4], 16) / 65536
    return round(0.5 + sum(w * value for w, value in zip(weights, point.values, strict=False)) + 0.02 * noise, 6)


class Evaluator:
    """Evaluates points, and counts what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, requests: Sequence[Request]) -> list[Evaluation]:
        found = []
        for request in requests:
            point = request.proposal.candidate
            assert isinstance(point, Point)
            self.asked.append((request.measure, point.id))
            found.append(evaluation(point, request.measure))
        return found


def evaluation(point: Point, measure: str) -> Evaluation:
    """What the evaluation of a point finds."""
    true = accuracy(point)
    if measure == "training":
        return Evaluation(true)
    if measure == "supernet":
        return Evaluation(true - 0.2)
    return Evaluation(None, {"synflow": 100 * true, "naswot": float(sum(point.values)), "jacobian": -1.0 / true})
