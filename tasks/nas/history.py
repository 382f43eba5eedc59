"""The history of a search: what was asked for and found, from which strategies choose what to ask for next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.genomes import Candidate
from fingerpost.tasks.nas.limits import CandidateCosts
from fingerpost.tasks.nas.pareto import front_ranks, hypervolume

Origin = Literal["given", "random", "mutation", "crossover", "enumeration"]
#: How a candidate is evaluated: by scores without training, with a supernet's weights, or trained.
Measure = Literal["scores", "supernet", "training"]
Measured = TypeVar("Measured", bound=Mapping[str, float])


@dataclass(frozen=True)
class Proposal:
    """A candidate that a search may evaluate; genome: in the search space, None outside of it."""

    candidate: Candidate
    genome: tuple[int, ...] | None
    costs: CandidateCosts
    origin: Origin


@dataclass(frozen=True)
class Request:
    """An evaluation that a strategy asks for."""

    proposal: Proposal
    measure: Measure


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: the accuracy on validation images where it measured one, and scores by name."""

    accuracy: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """A candidate with all that is known of it.

    generation: the one in which it was first asked for. feasible: whether it keeps the limits. accuracy: of its training,
    or else with the supernet's weights. measures: how it was evaluated.
    """

    proposal: Proposal
    generation: int
    feasible: bool
    accuracy: float | None
    measures: frozenset[Measure]
    scores: Mapping[str, float]

    @property
    def trained(self) -> bool:
        """Whether it was trained."""
        return "training" in self.measures

    @property
    def id(self) -> str:
        """The canonical id of the candidate."""
        return self.proposal.candidate.id

    @property
    def costs(self) -> CandidateCosts:
        """Its costs."""
        return self.proposal.costs

    @property
    def genome(self) -> tuple[int, ...] | None:
        """Its genome; None for one outside of the space."""
        return self.proposal.genome


@dataclass(frozen=True)
class History:
    """All candidates in the order in which they were first asked for, and how much was asked for.

    generations: batches of requests. asked: requests in all, by which the next one is numbered. last: how the last batch
    was evaluated.
    """

    evaluated: tuple[Evaluated, ...] = ()
    generations: int = 0
    asked: int = 0
    last: Measure | None = None

    @cached_property
    def rows(self) -> dict[str, int]:
        """The position of each candidate by its id."""
        return {one.id: row for row, one in enumerate(self.evaluated)}

    @property
    def reference(self) -> Evaluated | None:
        """The network that was given."""
        return next((one for one in self.evaluated if one.proposal.origin == "given"), None)

    @cached_property
    def trained(self) -> tuple[Evaluated, ...]:
        """The trained candidates, in order."""
        return tuple(one for one in self.evaluated if one.trained)

    def with_results(
        self, requests: Sequence[Request], results: Sequence[Evaluation], feasible: Sequence[bool]
    ) -> "History":
        """The history after a batch; a candidate that is in it already keeps its place and gains what was found."""
        found = list(self.evaluated)
        rows = dict(self.rows)
        for request, result, keeps in zip(requests, results, feasible, strict=True):
            measures = frozenset([request.measure])
            scores = dict(result.scores)
            if request.measure == "supernet" and result.accuracy is not None:
                scores["supernet"] = result.accuracy
            row = rows.get(request.proposal.candidate.id)
            if row is None:
                rows[request.proposal.candidate.id] = len(found)
                found.append(Evaluated(request.proposal, self.generations, keeps, result.accuracy, measures, scores))
            else:
                before = found[row]
                better = request.measure == "training" or before.accuracy is None
                found[row] = replace(
                    before,
                    accuracy=result.accuracy if better else before.accuracy,
                    measures=before.measures | measures,
                    scores={**before.scores, **scores},
                )
        last = requests[-1].measure if requests else self.last
        return History(tuple(found), self.generations + 1, self.asked + len(requests), last)

    def fronts(self, scores: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        """The rank int64 (n,) of each candidate's Pareto front; -1 for those that exceed a limit.

        Objectives: accuracy up, latency and peak memory down. Trained candidates are ranked first; those without training
        come after them, by ``scores`` (n,), the accuracy where left out, since what is known of them is of another scale.
        """
        ranks = np.full(len(self.evaluated), -1, dtype=np.int64)
        after = 0
        for trained in (True, False):
            rows = [row for row, one in enumerate(self.evaluated) if one.feasible and one.trained == trained]
            if not rows:
                continue
            values = objectives([self.evaluated[row] for row in rows])
            if not trained and scores is not None:
                values[:, 0] = -scores[rows]
            ranks[rows] = front_ranks(values) + after
            after = int(ranks.max()) + 1
        return ranks

    def front(self) -> tuple[Evaluated, ...]:
        """The Pareto front of the trained candidates, fastest first."""
        kept = [one for one, rank in zip(self.evaluated, self.fronts(), strict=True) if rank == 0 and one.trained]
        return tuple(sorted(kept, key=lambda one: (one.costs.latency_ms, one.costs.memory_bytes)))

    def hypervolume(self, worst: CandidateCosts) -> float:
        """The volume that the front dominates, of accuracy and latency and memory as fractions of those of ``worst``."""
        values = objectives(self.front()).reshape(-1, 3)
        scale = np.array([1.0, worst.latency_ms, max(worst.memory_bytes, 1)])
        return hypervolume(values / scale, np.array([0.0, 1.0, 1.0]))


def objectives(candidates: Sequence[Evaluated]) -> NDArray[np.float64]:
    """What fronts compare, smaller is better: minus the accuracy (0 without one), latency, peak memory; float64 (n, 3)."""
    return np.array(
        [(-(one.accuracy or 0.0), one.costs.latency_ms, one.costs.memory_bytes) for one in candidates],
        dtype=np.float64,
    )
