"""A search from its beginning to its end, for any space, costs and evaluation."""

from collections.abc import Callable, Sequence

from fingerpost.tasks.nas.evolution import Costing, Problem
from fingerpost.tasks.nas.genomes import Candidate, Space
from fingerpost.tasks.nas.history import Evaluation, History, Request
from fingerpost.tasks.nas.limits import LimitParams, limits_of
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.strategies import ask

#: The results of requests, in their order; each is a function of the candidate alone.
Evaluate = Callable[[Sequence[Request]], Sequence[Evaluation]]
#: Called after each batch with the history so far.
Watch = Callable[[Problem, History], None]


def search(
    space: Space,
    evaluate: Evaluate,
    costs: Costing,
    limits: LimitParams,
    params: SearchParams,
    *,
    reference: Candidate | None = None,
    watch: Watch | None = None,
) -> tuple[Problem, History]:
    """The problem as it was searched, and the history; a function of the arguments alone.

    evaluate: measures a batch of candidates. costs: estimates of candidates. reference: a network to start from and to
    compare with, evaluated first whether it keeps the limits or not. InfeasibleError if nothing keeps the limits;
    ValueError for limits that are fractions without a reference.
    """
    known = costs([reference])[0] if reference is not None else None
    problem = Problem(space, costs, limits_of(limits, known))
    given = problem.given(reference) if reference is not None else None
    history = History()
    while requests := ask(problem, history, params, given):
        feasible = [problem.limits.keeps(request.proposal.costs) for request in requests]
        history = history.with_results(requests, evaluate(requests), feasible)
        if watch is not None:
            watch(problem, history)
    return problem, history
