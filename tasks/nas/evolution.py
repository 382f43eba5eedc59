"""Drawing candidates that keep the limits: at random, by mutation and crossover, and by descent where few do.

Ageing evolution with tournaments: Real et al., "Regularized Evolution for Image Classifier Architecture Search" (AAAI 2019).
Candidates that exceed a limit are rejected before they cost anything but an estimate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.genomes import Candidate, Genome, Space
from fingerpost.tasks.nas.history import Evaluated, History, Origin, Proposal
from fingerpost.tasks.nas.limits import CandidateCosts, Limits
from fingerpost.tasks.nas.search_params import SearchParams

#: Spaces of at most this many candidates are listed where random draws find nothing new.
LISTED = 20_000
#: Draws whose costs are estimated at once.
_BATCH = 32

Costing = Callable[[Sequence[Candidate]], Sequence[CandidateCosts]]
Draw = Callable[[], tuple[Genome, Origin]]


class InfeasibleError(ValueError):
    """No candidate of the space keeps the limits."""


@dataclass
class Problem:
    """What is searched: a space, the costs of its candidates, and the limits on them.

    costs: estimates for a list of candidates; deterministic. known: estimates so far by the candidate's id.
    """

    space: Space
    costs: Costing
    limits: Limits
    known: dict[str, CandidateCosts] = field(default_factory=dict)

    def proposals(self, drawn: Sequence[tuple[Genome, Origin]]) -> list[Proposal]:
        """Drawn genomes with their candidates and costs."""
        candidates = [self.space.candidate(genome) for genome, _ in drawn]
        unknown = {one.id: one for one in candidates if one.id not in self.known}
        self.known.update(zip(unknown, self.costs(list(unknown.values())), strict=True))
        return [
            Proposal(one, tuple(int(gene) for gene in genome), self.known[one.id], origin)
            for one, (genome, origin) in zip(candidates, drawn, strict=True)
        ]

    def given(self, candidate: Candidate) -> Proposal:
        """A candidate that was given, which may be outside of the space."""
        try:
            genome = tuple(int(gene) for gene in self.space.genome_of(candidate))
        except ValueError:
            genome = None
        return Proposal(candidate, genome, self.costs([candidate])[0], "given")


class Draws:
    """New candidates that keep the limits, none of a history's.

    attempts: draws for each wanted candidate before others are sought.
    """

    def __init__(self, problem: Problem, history: History, random: np.random.Generator, *, attempts: int) -> None:
        self.problem, self.taken, self.random, self.attempts = problem, set(history.rows), random, attempts
        self._feasible = any(one.feasible for one in history.evaluated)
        self._known = [one.genome for one in history.evaluated if one.feasible and one.genome is not None]
        self._closest: Proposal | None = None

    def take(self, proposal: Proposal, *, feasible: bool) -> None:
        """Leaves out a candidate from now on; ``feasible``: it keeps the limits."""
        self.taken.add(proposal.candidate.id)
        self._feasible |= feasible

    def random_ones(self, count: int) -> list[Proposal]:
        """At most ``count`` random candidates; fewer only where the space has no more, or no more were found.

        InfeasibleError if neither the history has a candidate that keeps the limits nor one was found.
        """
        if count <= 0:
            return []
        found = self.drawn(lambda: (self.problem.space.sample(self.random), "random"), count)
        if len(found) < count and self.problem.space.size <= LISTED:
            found += self._listed(count - len(found))
        if not found and not self._feasible:
            found = [self._descended()]
        near = [*self._known, *(one.genome for one in found if one.genome is not None)]
        return found + self._around(near, count - len(found))

    def children(self, draw: Draw, count: int) -> list[Proposal]:
        """``count`` candidates of ``draw``, filled up by random ones where it gives nothing new."""
        found = self.drawn(draw, count)
        return found + (self.random_ones(count - len(found)) if len(found) < count else [])

    def drawn(self, draw: Draw, count: int) -> list[Proposal]:
        """At most ``count`` new candidates of ``draw``, after at most ``attempts`` draws for each."""
        found: list[Proposal] = []
        left = self.attempts * count
        while len(found) < count and left > 0:
            batch = [draw() for _ in range(min(_BATCH, left))]
            left -= len(batch)
            found += self._accepted(self.problem.proposals(batch), count - len(found))
        return found

    def _accepted(self, proposals: Sequence[Proposal], count: int) -> list[Proposal]:
        """The first ``count`` that are new and keep the limits, which are taken from now on."""
        found: list[Proposal] = []
        for one in proposals:
            excess = self.problem.limits.excess(one.costs)
            self._feasible |= excess == 0
            if self._closest is None or excess < self.problem.limits.excess(self._closest.costs):
                self._closest = one
            if len(found) < count and excess == 0 and one.candidate.id not in self.taken:
                self.taken.add(one.candidate.id)
                found.append(one)
        return found

    def _listed(self, count: int) -> list[Proposal]:
        """New candidates out of a list of the whole space, in random order."""
        genomes = list(self.problem.space.enumerate())
        order = self.random.permutation(len(genomes))
        return self._accepted(self.problem.proposals([(genomes[row], "enumeration") for row in order]), count)

    def _around(self, near: Sequence[tuple[int, ...]], count: int) -> list[Proposal]:
        """Mutations of genomes that keep the limits, and of those mutations, for spaces of which a small part does."""
        parents = list(near)

        def draw() -> tuple[Genome, Origin]:
            parent = np.array(parents[int(self.random.integers(len(parents)))], dtype=np.int64)
            return self.problem.space.mutate(parent, self.random, 0.0), "mutation"

        made: list[Proposal] = []
        while parents and len(made) < count and (new := self.drawn(draw, 1)):
            made += new
            parents += [one.genome for one in new if one.genome is not None]
        return made

    def _descended(self) -> Proposal:
        """A candidate that keeps the limits, by descent from the closest one so far; InfeasibleError if it ends before."""
        start = self._closest
        assert start is not None
        found = descend(self.problem, start, self.problem.limits.excess)
        if self.problem.limits.keeps(found.costs):
            self.take(found, feasible=True)
            return found
        raise InfeasibleError(_infeasible(self.problem, found))


def descend(problem: Problem, start: Proposal, cost: Callable[[CandidateCosts], float]) -> Proposal:
    """The candidate with the least ``cost`` that changes of one gene at a time lead to, until none is better."""
    best = start
    while True:
        before = cost(best.costs)
        for gene, choices in enumerate(problem.space.genes):
            rivals = []
            for choice in range(choices):
                genome = np.array(best.genome, dtype=np.int64)
                genome[gene] = choice
                rivals.append((problem.space.canonical(genome), best.origin))
            best = min([best, *problem.proposals(rivals)], key=lambda one: cost(one.costs))
        if cost(best.costs) >= before:
            return best


def _infeasible(problem: Problem, closest: Proposal) -> str:
    """The message for limits that nothing keeps: each that nothing found keeps, with the smallest value found."""
    told, advice = [], []
    for name, largest in problem.limits.largest.items():

        def bound(costs: CandidateCosts, name: str = name) -> float:
            return problem.limits.bounds(costs)[name]

        smallest = bound(descend(problem, closest, bound).costs)
        if smallest > largest:
            told.append(f"{name} of at most {largest:.6g} (the smallest found: {smallest:.6g})")
            advice.append(f"nas.limits.{name} to at least {_rounded_up(smallest)}")
    if told:
        what = f"networks with {' and '.join(told)}"
    else:
        what = f"networks that keep {', '.join(problem.limits.largest)} together, each of which some keep alone"
        advice = [f"nas.limits.{name}" for name in problem.limits.largest]
    spreads = f", each latency with {problem.limits.spreads:g} standard deviations of its estimate added"
    uncertain = spreads if problem.limits.spreads and "latency_ms" in problem.limits.largest else ""
    return (
        f"nas.limits: expected {what}, found none among {len(problem.known):,} candidates{uncertain}; raise"
        f" {' and '.join(advice)}, or allow smaller networks (nas.space)"
    )


def _rounded_up(value: float) -> str:
    """A number of three digits that is not below a value."""
    exponent = int(np.floor(np.log10(value))) - 2
    return f"{np.ceil(value / 10.0**exponent) * 10.0**exponent:.6g}"


def offspring(
    problem: Problem,
    parents: Sequence[Evaluated],
    scores: NDArray[np.float64],
    random: np.random.Generator,
    params: SearchParams,
) -> Draw:
    """A draw of children of tournaments among ``parents``, by their ``scores`` (n,); the later one of equal ones wins."""
    genomes = [np.array(one.genome, dtype=np.int64) for one in parents]
    rivals = min(params.tournament, len(genomes))

    def winner() -> Genome:
        rows = random.choice(len(genomes), size=rivals, replace=False)
        return genomes[max(rows, key=lambda row: (scores[row], row))]

    def draw() -> tuple[Genome, Origin]:
        first = winner()
        if random.random() >= params.crossover:
            return problem.space.mutate(first, random, params.mutation), "mutation"
        child = problem.space.crossover(first, winner(), random)
        changed = random.random() < 0.5
        return (problem.space.mutate(child, random, params.mutation) if changed else child), "crossover"

    return draw
