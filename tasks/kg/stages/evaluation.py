"""The stage that measures an alignment on the links that are held out for the test."""

import numpy as np

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.evaluation import AlignmentEvaluationParams, Tested
from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs
from fingerpost.tasks.kg.stages.scored import read_calibration, read_candidates, read_labelled, read_links
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.EVALUATION)
def evaluate_alignment(
    run: StageRun,
    left: Ref,
    right: Ref,
    candidates: Ref,
    scores: Ref,
    labelled: Ref,
    links: Ref,
    calibration: Ref,
    *more: Ref,
    roles: tuple[str, ...] = (),
    params: AlignmentEvaluationParams,
    assignment: AssignmentParams,
) -> None:
    """Measures blocking, each part's scores and the decisions on test links, over all types and each of them.

    more: by ``roles`` the pairs by structure, if there are any. Decisions are repeated here, from training links alone.
    """
    fitted, threshold = read_calibration(run.store, calibration)
    tested = Tested(
        read_links(run.store, links, within=left == right),
        read_candidates(run.store, candidates, scores),
        read_labelled(run.store, labelled),
        read_structure(run.store, dict(zip(roles, more, strict=True))),
        read_types(run.store, left),
        fitted,
        threshold,
        str(run.store.manifest(calibration).quality["population"]),
        assignment,
        params,
    )
    rows = tested.rows()
    run.write("figures", figures_to_arrow(rows))
    run.quality = dict(tested.quality(rows))
    run.measured = {ref.name: _cost(run.store, ref) for ref in (candidates, scores, labelled, *more)}


def _cost(store: Store, ref: Ref) -> dict[str, float]:
    """What an artifact took: seconds, CPU seconds and peak memory in MB."""
    about = store.manifest(ref).run
    return {name: about[name] for name in ("seconds", "cpu_seconds", "peak_mb") if name in about}


def read_structure(store: Store, by_role: dict[str, Ref]) -> ScoredPairs | None:
    """The pairs by structure, if it is among the roles; their scores are probabilities."""
    if "structure" not in by_role:
        return None
    table = store.open(by_role["structure"], contracts.STRUCTURE).read("pairs")
    left, right = (table[name].to_numpy().astype(np.int64) for name in ("left", "right"))
    return ScoredPairs(left, right, table["probability"].to_numpy().astype(np.float64))


def read_types(store: Store, graph: Ref) -> np.ndarray:
    """The type of each entity of a graph."""
    return np.array(store.open(graph, contracts.GRAPH).read("entities")["type"].to_pylist(), dtype=np.str_)
