"""Strategies of search: each chooses the next candidates from the history, the parameters and the seed alone.

So a search that was interrupted goes on by asking again from the start: the same candidates in the same order, whose results
are known already. How many are asked for at a time depends on the parameters, never on who evaluates them.

Multishot: Real et al., "Regularized Evolution for Image Classifier Architecture Search" (AAAI 2019). Single-shot: Guo et al.,
"Single Path One-Shot Neural Architecture Search" (ECCV 2020). Zero-shot: the evolution of Lin et al., "Zen-NAS" (ICCV 2021),
by an aggregate of several scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fingerpost.tasks.nas.evolution import Draws, Problem, offspring
from fingerpost.tasks.nas.history import Evaluated, History, Measure, Proposal, Request
from fingerpost.tasks.nas.search_params import Method, SearchParams
from fingerpost.tasks.nas.search_scores import Scores, aggregated, rewards, shared_rewards
from fingerpost.tasks.nas.surrogate_search import predicted, promising

Strategy = Callable[[Problem, History, SearchParams, Draws, int], list[Request]]

#: How each method evaluates the candidates that are counted.
MEASURES: dict[Method, Measure] = {
    "multishot": "training",
    "single-shot": "supernet",
    "zero-shot": "scores",
    "surrogate": "training",
    "random": "training",
}


def ask(problem: Problem, history: History, params: SearchParams, reference: Proposal | None = None) -> list[Request]:
    """The next batch of evaluations; empty at the end of the search.

    The reference comes first of all. InfeasibleError if no candidate keeps the limits.
    """
    random = np.random.default_rng([params.seed, history.generations])
    draws = Draws(problem, history, random, attempts=params.attempts)
    first: list[Request] = []
    if reference is not None and not history.asked:
        first = _given(reference, params)
        draws.take(reference, feasible=problem.limits.keeps(reference.costs))
    return first + _STRATEGIES[params.method](problem, history, params, draws, evaluations_left(history, params))


def evaluations_left(history: History, params: SearchParams) -> int:
    """How many candidates may still be evaluated; none once finalists are trained."""
    others = [one for one in history.evaluated if one.proposal.origin != "given"]
    measure = MEASURES[params.method]
    if measure != "training" and any(one.trained for one in others):
        return 0
    return max(params.evaluations - sum(measure in one.measures for one in others), 0)


def scores_of(problem: Problem, history: History, params: SearchParams) -> Scores:
    """What the search maximises, float64 (n,).

    Of a trained candidate the reward of its accuracy; of others what the method knows instead: the accuracy with the
    supernet's weights, the aggregate of zero-shot scores, or what the surrogate expects.
    """
    found = rewards(history, params)
    if not (unknown := np.isnan(found)).any():
        return found
    known = predicted(problem.space, history, params) if params.method == "surrogate" else aggregated(history, params)
    return np.where(unknown, known, found)


def _given(reference: Proposal, params: SearchParams) -> list[Request]:
    """The requests for the reference, which is trained, and evaluated as others are where that is possible."""
    found = [Request(reference, "training")]
    if params.method in ("zero-shot", "surrogate"):
        found.insert(0, Request(reference, "scores"))
    elif params.method == "single-shot" and reference.genome is not None:
        found.insert(0, Request(reference, "supernet"))
    return found


def _requests(proposals: Sequence[Proposal], measure: Measure) -> list[Request]:
    return [Request(one, measure) for one in proposals]


def _random(problem: Problem, history: History, params: SearchParams, draws: Draws, left: int) -> list[Request]:
    """The control: random candidates, all of them trained."""
    return _requests(draws.random_ones(min(params.generation, left)), "training")


def _multishot(problem: Problem, history: History, params: SearchParams, draws: Draws, left: int) -> list[Request]:
    """Ageing evolution of candidates that are trained."""
    return _requests(_evolved(problem, history, params, draws, left), "training")


def _single_shot(problem: Problem, history: History, params: SearchParams, draws: Draws, left: int) -> list[Request]:
    """Ageing evolution with the weights of a supernet; at the end the best are trained."""
    found = _requests(_evolved(problem, history, params, draws, left), "supernet")
    return found or _finalists(history, params, shared_rewards(history, params))


def _evolved(problem: Problem, history: History, params: SearchParams, draws: Draws, left: int) -> list[Proposal]:
    """A random population, then children of the best ``population`` of the youngest ``lifetime`` candidates.

    Ageing alone forgets good candidates too soon where there are some dozens; without it one that was lucky in its training
    would have children for ever.
    """
    measure = MEASURES[params.method]
    known = [row for row, one in enumerate(history.evaluated) if _may_breed(one) and measure in one.measures]
    if left == params.evaluations or not known:
        return draws.random_ones(min(params.population, -(-left // 2)))
    found = rewards(history, params) if measure == "training" else shared_rewards(history, params)
    rows = sorted(known[-params.lifetime :], key=lambda row: -found[row])[: params.population]
    draw = offspring(problem, [history.evaluated[row] for row in rows], found[rows], draws.random, params)
    return draws.children(draw, min(params.generation, left))


def _zero_shot(problem: Problem, history: History, params: SearchParams, draws: Draws, left: int) -> list[Request]:
    """Mutations of the ``population`` candidates with the best scores; at the end the best are trained."""
    scores = aggregated(history, params)
    rows = [row for row in np.argsort(-scores, kind="stable") if _may_breed(history.evaluated[row])]
    parents = [history.evaluated[row] for row in rows[: params.population]]
    if len(parents) < params.population:
        found = draws.random_ones(min(params.population - len(parents), left))
    else:
        mutating = replace(params, tournament=1, crossover=0.0)
        draw = offspring(problem, parents, np.zeros(len(parents)), draws.random, mutating)
        found = draws.children(draw, min(params.generation, left))
    return _requests(found, "scores") or _finalists(history, params, scores)


def _surrogate(problem: Problem, history: History, params: SearchParams, draws: Draws, left: int) -> list[Request]:
    """Scores for a pool of candidates, then training of the most promising of all; in turns.

    At most a quarter is trained before the surrogate has a say.
    """
    first = left == params.evaluations
    count = min(params.population, -(-left // 4)) if first else min(params.generation, left)
    if history.last != "scores":
        found = (
            draws.random_ones(params.pool * count)
            if first
            else _pool(problem, history, params, draws, params.pool * count)
        )
        if found:
            return _requests(found, "scores")
    rows = promising(problem.space, history, params, draws.random, count)
    return _requests([history.evaluated[row].proposal for row in rows], "training")


def _pool(problem: Problem, history: History, params: SearchParams, draws: Draws, count: int) -> list[Proposal]:
    """Children of the best trained candidates, and a quarter of random ones."""
    found = rewards(history, params)
    rows = [
        row
        for row in np.argsort(-found, kind="stable")
        if _may_breed(history.evaluated[row]) and history.evaluated[row].trained
    ]
    if not rows or count <= 0:
        return draws.random_ones(count)
    best = rows[: params.population]
    draw = offspring(problem, [history.evaluated[row] for row in best], found[best], draws.random, params)
    drawn = draws.random_ones(count // 4)
    return drawn + draws.children(draw, count - len(drawn))


def _finalists(history: History, params: SearchParams, scores: Scores) -> list[Request]:
    """The best candidates that were not trained."""
    done = sum(one.trained for one in history.evaluated if one.proposal.origin != "given")
    order = np.argsort(-scores, kind="stable")
    rows = [row for row in order if history.evaluated[row].feasible and not history.evaluated[row].trained]
    return _requests([history.evaluated[row].proposal for row in rows[: max(params.finalists - done, 0)]], "training")


def _may_breed(one: Evaluated) -> bool:
    """Whether a candidate keeps the limits and is in the space."""
    return one.feasible and one.genome is not None


_STRATEGIES: dict[Method, Strategy] = {
    "multishot": _multishot,
    "single-shot": _single_shot,
    "zero-shot": _zero_shot,
    "surrogate": _surrogate,
    "random": _random,
}
