"""The stage that searches networks for a device."""

from typing import Any

import pyarrow as pa

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.candidates import Protocol
from fingerpost.tasks.nas.costing import estimated_costs
from fingerpost.tasks.nas.evolution import Costing, Problem
from fingerpost.tasks.nas.history import History
from fingerpost.tasks.nas.limits import LimitParams
from fingerpost.tasks.nas.score_params import ScoreParams
from fingerpost.tasks.nas.search import Evaluate, search
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.search_results import found_so_far, quality_of, rows_of, scores_by_name
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.spaces import reference_of
from fingerpost.tasks.nas.stages.evaluations import Evaluations
from fingerpost.tasks.nas.stages.latency_tables import read_latency
from fingerpost.tasks.nas.stages.networks import check_exporter
from fingerpost.tasks.nas.training_params import TrainingParams
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.SEARCH)
def search_networks(
    run: StageRun,
    images: Ref,
    latency: Ref,
    *others: Ref,
    roles: tuple[str, ...],
    space: SearchSpace,
    reference: str,
    params: SearchParams,
    limits: LimitParams,
    training: TrainingParams,
) -> None:
    """Searches networks that keep limits on a device; one shard per evaluation, so that a search resumes after a kill.

    others: further artifacts by role; the method single-shot needs ``supernet``. reference: the text of the architecture
    that the search starts from and compares with; "" for that of the space. training: of candidates.
    """
    supernet = dict(zip(roles, others, strict=True)).get("supernet")
    if params.method == "single-shot" and supernet is None:
        raise FingerpostError("search_networks: expected a supernet for the method single-shot, got none; train one")
    protocol = Protocol(training, ScoreParams(params.scores, seed=params.seed), params.seed)
    evaluations = Evaluations(run, images, supernet, space, protocol)
    given = Architecture.parse(reference) if reference else reference_of(space)
    problem, history = _searched(
        run, space, evaluations, estimated_costs(read_latency(run.store, latency)), limits, params, given
    )
    _write(run, "evaluated", rows_of(problem, history, params))
    _write(run, "scores", scores_by_name(history))
    run.quality = quality_of(problem, history, params)
    run.measured = {"trainings": evaluations.trainings, "cached": evaluations.cached}


def _searched(
    run: StageRun,
    space: SearchSpace,
    evaluate: Evaluate,
    costs: Costing,
    limits: LimitParams,
    params: SearchParams,
    reference: Architecture,
) -> tuple[Problem, History]:
    """The search, with its progress shown; FingerpostError where it cannot be done, or its result not be exported."""
    check_exporter()
    run.begin(params.requests)
    watch = lambda _, history: run.tell(found_so_far(history, params))  # noqa: E731
    try:
        return search(space, evaluate, costs, limits, params, reference=reference, watch=watch)
    except ValueError as problem:
        raise FingerpostError(str(problem)) from problem


def _write(run: StageRun, table: str, rows: list[dict[str, Any]]) -> None:
    fields = [pa.field(field.name, field.type) for field in contracts.SEARCH.table(table).fields]
    run.write(table, pa.Table.from_pylist(rows, pa.schema(fields)))
