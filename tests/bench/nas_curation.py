"""Curated against uncurated: the same evolution with as many evaluations, from the same seeds.

Both spaces hold the networks around the reference, with fused blocks or not: one with channels at multiples of the parallelism
factor and widths, the other with each number of channels in the same range. The evolution seeks the lowest latency of
networks whose synaptic flow is not below the reference's; what is below it is punished. The target is the median latency
that the uncurated searches end with.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.genomes import Candidate
from fingerpost.tasks.nas.history import Evaluation, History, Request
from fingerpost.tasks.nas.limits import CandidateCosts, LimitParams
from fingerpost.tasks.nas.search import search
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.spaces import space_around
from tests.bench.nas_worlds import REFERENCE, synflow

#: Candidates that each search evaluates.
BUDGET = 100


@dataclass(frozen=True)
class Run:
    """The lowest latency so far among networks with enough synaptic flow, after each evaluation, in milliseconds."""

    best_ms: tuple[float, ...]

    def evaluations_to(self, target_ms: float) -> int:
        """Evaluations until a latency was reached; one more than all if it was not."""
        return next(
            (number for number, ms in enumerate(self.best_ms, start=1) if ms <= target_ms), len(self.best_ms) + 1
        )


def exact_costs(candidates: Sequence[Candidate]) -> list[CandidateCosts]:
    """Costs on the simulated accelerator, latency measured."""
    networks = [one for one in candidates if isinstance(one, Architecture)]
    counted = [costs_of(one) for one in networks]
    return [
        CandidateCosts(ms, 0.0, costs.macs, costs.parameters, costs.peak_values)
        for ms, costs in zip(Accelerator().measure_networks(networks).ms.tolist(), counted, strict=True)
    ]


def evaluated(requests: Sequence[Request]) -> list[Evaluation]:
    """1 for networks with at least the synaptic flow of the reference, less for others."""
    found = []
    for request in requests:
        network = request.proposal.candidate
        assert isinstance(network, Architecture)
        found.append(Evaluation(math.exp(min(0.0, synflow(network) - synflow(REFERENCE)))))
    return found


def one_run(aligned: bool, seed: int) -> Run:
    """A search of the curated (aligned) or the uncurated space."""
    space = space_around(REFERENCE, Accelerator().parallelism, aligned=aligned)
    params = SearchParams(method="multishot", evaluations=BUDGET, latency_weight=1.0, seed=seed)
    _, history = search(space, evaluated, exact_costs, LimitParams(), params, reference=REFERENCE)
    return Run(_best_so_far(history))


def _best_so_far(history: History) -> tuple[float, ...]:
    candidates = [one for one in history.evaluated if one.proposal.origin != "given"]
    ms = [one.costs.latency_ms if (one.accuracy or 0.0) >= 1.0 else math.inf for one in candidates]
    return tuple(np.minimum.accumulate(ms).tolist())


def curation_rows(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Evaluations until the same latency, and what each ends with, over seeds."""
    seeds = list(seeds)
    runs = {name: [one_run(name == "curated", seed) for seed in seeds] for name in ("uncurated", "curated")}
    reference = exact_costs([REFERENCE])[0].latency_ms
    target = float(np.median([run.best_ms[-1] for run in runs["uncurated"]]))
    rows = []
    for name, some in runs.items():
        counts = np.array([run.evaluations_to(target) for run in some])
        ends = 100 * (1 - np.array([run.best_ms[-1] for run in some]) / reference)
        rows.append(
            {
                "dataset": "accelerator",
                "contender": name,
                "setting": f"{len(seeds)} seeds, {BUDGET} evaluations",
                "target_ms": target,
                "reached": int((counts <= BUDGET).sum()),
                "evaluations_median": float(np.median(counts)),
                "evaluations_deviation": float(counts.std()),
                "saved_percent": float(ends.mean()),
                "saved_deviation": float(ends.std()),
            }
        )
    return rows
