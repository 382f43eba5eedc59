"""Searches of a space whose accuracies are known, by each method."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from fingerpost.tasks.nas.evolution import InfeasibleError
from fingerpost.tasks.nas.history import History
from fingerpost.tasks.nas.limits import CandidateCosts, LimitParams
from fingerpost.tasks.nas.search import search
from fingerpost.tasks.nas.search_params import METHODS, Method, SearchParams
from fingerpost.tasks.nas.search_results import best_so_far, found_so_far, quality_of, rows_of, scores_by_name
from fingerpost.tasks.nas.strategies import ask
from tests.unit.nas.toy_spaces import Evaluator, Grid, Point, accuracy, toy_costs

REFERENCE = Point((3, 4, 4, 2))
LIMITS = LimitParams(latency_ms=11)


def _searched(method: Method, *, space: Grid = Grid(), limits: LimitParams = LIMITS, **params: int) -> History:
    asked = SearchParams(method=method, **{"evaluations": 20, **params})  # type: ignore[arg-type]
    return search(space, Evaluator(), toy_costs, limits, asked, reference=REFERENCE)[1]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_evaluated_twice_and_the_limits_are_kept(method: Method) -> None:
    evaluator, params = Evaluator(), SearchParams(method=method, evaluations=20)
    problem, history = search(Grid(), evaluator, toy_costs, LIMITS, params, reference=REFERENCE)
    assert len(set(evaluator.asked)) == len(evaluator.asked) == history.asked
    assert len({one.id for one in history.evaluated}) == len(history.evaluated)
    assert all(one.feasible for one in history.evaluated if one.proposal.origin != "given")
    assert all(problem.limits.keeps(one.costs) == one.feasible for one in history.evaluated)
    others = [one for one in history.trained if one.proposal.origin != "given"]
    assert len(others) == params.trained
    assert history.evaluated[0].proposal.candidate == REFERENCE
    assert history.evaluated[0].trained
    assert not history.evaluated[0].feasible
    assert Counter(measure for measure, _ in evaluator.asked)["training"] == params.trained + 1
    assert history.asked <= params.requests


@pytest.mark.parametrize("method", METHODS)
def test_what_is_asked_is_a_function_of_the_history_the_parameters_and_the_seed(method: Method) -> None:
    params = SearchParams(method=method, evaluations=20, seed=3)
    seen: list[History] = []
    problem, last = search(
        Grid(),
        Evaluator(),
        toy_costs,
        LIMITS,
        params,
        reference=REFERENCE,
        watch=lambda _, history: seen.append(history),
    )
    again, same = search(Grid(), Evaluator(), toy_costs, LIMITS, params, reference=REFERENCE)
    assert same == last
    asked = [[(one.id, one.proposal.origin) for one in history.evaluated] for history in seen]
    for before, after in zip(seen, asked[1:], strict=False):
        # From a problem that has seen nothing yet, as after a kill.
        fresh = type(again)(again.space, again.costs, again.limits)
        wanted = {request.proposal.candidate.id for request in ask(fresh, before, params)}
        assert {name for name, _ in after[len(before.evaluated) :]} <= wanted
    assert ask(problem, last, params) == []
    other = _searched(method, seed=4)
    assert [one.id for one in other.evaluated] != [one.id for one in last.evaluated]


@pytest.mark.parametrize("method", METHODS)
def test_small_spaces_are_exhausted_and_the_search_ends(method: Method) -> None:
    space = Grid((2, 2, 2))
    params = {"evaluations": 50, "finalists": 50}
    history = _searched(method, space=space, limits=LimitParams(), **params)
    assert space.size == 6
    assert len(history.evaluated) == 1 + space.size
    assert len(history.trained) == 1 + space.size
    best = best_so_far(history, SearchParams(method=method))
    assert best is not None
    assert (
        best.accuracy == max(accuracy(space.candidate(genome)) for genome in space.enumerate())
        or best.id == REFERENCE.id
    )


def test_evolution_and_surrogate_find_better_ones_than_random_search() -> None:
    space = Grid((6, 8, 8, 6, 8, 5))
    means = {}
    for method in ("random", "multishot", "surrogate"):
        found = []
        for seed in range(5):
            params = SearchParams(method=method, evaluations=40, seed=seed)  # type: ignore[arg-type]
            limits = LimitParams(latency_ms=20)
            _, history = search(space, Evaluator(), toy_costs, limits, params)
            best = best_so_far(history, params)
            assert best is not None
            assert best.accuracy is not None
            found.append(best.accuracy)
        means[method] = float(np.mean(found))
    assert means["multishot"] > means["random"] + 0.005
    assert means["surrogate"] > means["random"] + 0.005


def test_a_space_of_which_almost_nothing_keeps_the_limits_is_entered_by_descent() -> None:
    space = Grid((20, 20, 20, 20))
    history = _searched("multishot", space=space, limits=LimitParams(latency_ms=3.4), evaluations=6, attempts=50)
    others = history.evaluated[1:]
    assert len(others) == 6
    assert all(one.feasible and one.costs.latency_ms <= 3 for one in others)


def test_limits_that_nothing_keeps_are_named_with_the_smallest_values_found() -> None:
    with pytest.raises(InfeasibleError) as told:
        _searched("multishot", limits=LimitParams(latency_ms=0.5, parameters=5))
    text = str(told.value)
    assert "latency_ms of at most 0.5 (the smallest found: 1.1)" in text
    assert "parameters of at most 5 (the smallest found: 10)" in text
    assert "raise nas.limits.latency_ms to at least 1.1 and nas.limits.parameters to at least 10" in text
    assert "standard deviations of its estimate" in text


def test_limits_that_exclude_each_other_are_named_together() -> None:
    # The memory is least where the latency is a multiple of five.
    with pytest.raises(InfeasibleError, match="latency_ms, memory_bytes together"):
        _searched("random", limits=LimitParams(latency_ms=4.4, memory_bytes=1000))


def test_a_reference_that_alone_keeps_the_limits_is_the_result() -> None:
    reference = Point((0, 0, 0, 9))
    limits = LimitParams(parameters=5)

    def costs(points: Sequence[Point]) -> list[CandidateCosts]:
        free = CandidateCosts(1.0, 0.0, 1, 1, 1)
        return [free if one == reference else cost for one, cost in zip(points, toy_costs(points), strict=True)]

    _, history = search(Grid(), Evaluator(), costs, limits, SearchParams(evaluations=5), reference=reference)
    assert [one.proposal.candidate for one in history.evaluated] == [reference]


def test_finalists_are_the_best_by_what_needs_no_training() -> None:
    history = _searched("single-shot")
    shared = {one.id: one.scores["supernet"] for one in history.evaluated if "supernet" in one.scores and one.feasible}
    trained = {one.id for one in history.trained if one.feasible}
    assert trained == set(sorted(shared, key=shared.__getitem__)[-4:])
    assert all(one.accuracy == pytest.approx(one.scores["supernet"] + 0.2) for one in history.trained if one.feasible)


def test_rows_rank_trained_candidates_before_others() -> None:
    params = SearchParams(method="zero-shot", evaluations=20)
    problem, history = search(Grid(), Evaluator(), toy_costs, LIMITS, params, reference=REFERENCE)
    rows = rows_of(problem, history, params)
    assert [row["number"] for row in rows] == list(range(21))
    trained = [row["front"] for row in rows if row["trained"] and row["feasible"]]
    others = [row["front"] for row in rows if not row["trained"]]
    assert rows[0]["front"] == -1
    assert min(trained) == 0
    assert max(trained) < min(others)
    assert all(0 < row["score"] <= 1 and row["accuracy"] is None for row in rows if not row["trained"])
    assert all(row["score"] == row["accuracy"] for row in rows if row["trained"])
    names = {(row["architecture"], row["name"]) for row in scores_by_name(history)}
    assert names == {(row["architecture"], name) for row in rows for name in ("synflow", "naswot", "jacobian")}
    quality = quality_of(problem, history, params)
    assert quality["accuracy"] == max(row["accuracy"] for row in rows if row["trained"] and row["feasible"])
    assert (quality["evaluated"], quality["trained"], quality["front"]) == (21, 5, len(history.front()))
    assert quality["latency_limit_ms"] == 11
    assert quality["memory_limit_bytes"] is None
    assert quality["reference_accuracy"] == accuracy(REFERENCE)


def test_the_front_is_of_accuracy_latency_and_memory() -> None:
    history = _searched("random")
    front = history.front()
    for one in history.trained:
        dominated = any(
            other.accuracy >= one.accuracy  # type: ignore[operator]
            and other.costs.latency_ms <= one.costs.latency_ms
            and other.costs.memory_bytes <= one.costs.memory_bytes
            and (other.accuracy, other.costs) != (one.accuracy, one.costs)
            for other in history.trained
            if other.feasible
        )
        assert (one in front) == (one.feasible and not dominated)
    assert history.hypervolume(REFERENCE_COSTS) > 0


REFERENCE_COSTS = toy_costs([REFERENCE])[0]


def test_a_weight_of_the_latency_prefers_faster_candidates() -> None:
    fast = SearchParams(method="random", evaluations=40, latency_weight=1.0)
    problem, history = search(Grid(), Evaluator(), toy_costs, LimitParams(), fast, reference=REFERENCE)
    best, plain = best_so_far(history, fast), best_so_far(history, SearchParams())
    assert best is not None
    assert plain is not None
    assert best.costs.latency_ms < plain.costs.latency_ms
    rows = rows_of(problem, history, fast)
    assert rows[0]["score"] == rows[0]["accuracy"]
    factor = REFERENCE_COSTS.latency_ms / best.costs.latency_ms
    assert rows[history.rows[best.id]]["score"] == pytest.approx((best.accuracy or 0) * factor)


def test_progress_is_told_in_words() -> None:
    said: list[str] = []
    params = SearchParams(evaluations=6, population=3, generation=3)
    search(
        Grid(),
        Evaluator(),
        toy_costs,
        LIMITS,
        params,
        reference=REFERENCE,
        watch=lambda _, history: said.append(found_so_far(history, params)),
    )
    assert len(said) == 2
    assert said[0].startswith("generation 1, 3 of 6 evaluations left, best so far 0.")
    assert said[0].endswith(f"reference {accuracy(REFERENCE):.4f} at 14 ms")
    assert said[1].startswith("generation 2, 0 of 6 evaluations left, ")


def test_parameters_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="a method of multishot"):
        SearchParams(method="bandit")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="evaluations of at least 1, got 0"):
        SearchParams(evaluations=0)
    with pytest.raises(ValueError, match="mutation from 0 to 1, got 2"):
        SearchParams(mutation=2)
    with pytest.raises(ValueError, match="scores among"):
        SearchParams(scores=("luck",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected scores for zero-shot"):
        SearchParams(method="zero-shot", scores=())
