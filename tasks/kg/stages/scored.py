"""Links, candidates and scores as arrays, for the stages that calibrate, decide and measure."""

import numpy as np

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.blocking import LINKS
from fingerpost.tasks.kg.calibration import Calibration
from fingerpost.tasks.kg.judged import Links
from fingerpost.tasks.kg.matches import ChosenThreshold
from fingerpost.tasks.kg.one_to_one import ScoredPairs
from fingerpost.tasks.kg.targets import AlignmentTarget


def read_links(store: Store, ref: Ref, *, within: bool) -> Links:
    """The known pairs; within: whether both are of one graph."""
    table = store.open(ref, contracts.LINKS).read("links")
    left, right = (table[name].to_numpy().astype(np.int64) for name in ("left", "right"))
    splits, sources = (np.array(table[name].to_pylist(), dtype=np.str_) for name in ("split", "source"))
    return Links(left, right, table["label"].to_numpy(), splits, sources, within)


def read_candidates(store: Store, candidates: Ref, scores: Ref) -> ScoredPairs:
    """The candidates that were proposed without the links, with their scores; FingerpostError for scores of others."""
    proposed = store.open(candidates, contracts.CANDIDATES).read("candidates")
    scored = store.open(scores, contracts.SCORES).read("scores")
    columns = {name: scored[name].to_numpy() for name in ("left", "right", "score")}
    if any(not np.array_equal(columns[name], proposed[name].to_numpy()) for name in ("left", "right")):
        raise FingerpostError(
            f"{scores}: expected a score of each candidate of {candidates} in their order, found others; run with"
            " --force score_pairs"
        )
    found = (proposed["sources"].to_numpy() & ~np.uint8(LINKS)) != 0
    left, right = (columns[name][found].astype(np.int64) for name in ("left", "right"))
    return ScoredPairs(left, right, columns["score"][found].astype(np.float64))


def read_labelled(store: Store, labelled: Ref) -> dict[str, ScoredPairs]:
    """The scores of labelled pairs by method."""
    table = store.open(labelled, contracts.LABELLED).read("scores")
    methods = np.array(table["method"].to_pylist(), dtype=np.str_)
    left, right = (table[name].to_numpy().astype(np.int64) for name in ("left", "right"))
    scores = table["score"].to_numpy().astype(np.float64)
    every = ScoredPairs(left, right, scores)
    return {str(method): every.where(methods == method) for method in np.unique(methods)}


def scorer_of(labelled: dict[str, ScoredPairs]) -> ScoredPairs:
    """The scores of the published scorer; no pairs where nothing is labelled."""
    none = np.zeros(0, dtype=np.int64)
    return labelled.get("scorer", ScoredPairs(none, none, np.zeros(0)))


def read_calibration(store: Store, ref: Ref) -> tuple[Calibration, ChosenThreshold]:
    """The calibration, and the threshold that decides."""
    artifact = store.open(ref, contracts.CALIBRATION)
    chosen = next(row for row in artifact.read("thresholds").to_pylist() if row["chosen"])
    target = AlignmentTarget(chosen["target"], chosen["value"])
    return Calibration(tensors_from_arrow(artifact.read("calibration"))), ChosenThreshold(chosen["threshold"], target)
