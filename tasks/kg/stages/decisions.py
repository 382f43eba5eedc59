"""The stages that turn scores into probabilities, and probabilities into matches."""

from dataclasses import asdict

import pyarrow as pa

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.calibrated_scores import CalibratedAlignment, CalibrationParams, calibrate
from fingerpost.tasks.kg.matches import Decision, decide
from fingerpost.tasks.kg.one_to_one import AssignmentParams
from fingerpost.tasks.kg.stages.scored import read_calibration, read_candidates, read_labelled, read_links, scorer_of
from fingerpost.tasks.kg.targets import AlignmentThreshold
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.CALIBRATION)
def calibrate_alignment(
    run: StageRun,
    left: Ref,
    right: Ref,
    candidates: Ref,
    scores: Ref,
    labelled: Ref,
    links: Ref,
    *,
    params: CalibrationParams,
    assignment: AssignmentParams,
) -> None:
    """Fits probabilities to the validation links, and chooses a threshold for each target on them.

    Without validation links of both labels, or candidates that stand for these, scores are taken as log odds and the
    thresholds are estimates; ``estimated`` says so.
    """
    known = read_links(run.store, links, within=left == right)
    scored = read_candidates(run.store, candidates, scores)
    try:
        found = calibrate(known, scored, scorer_of(read_labelled(run.store, labelled)), params, assignment)
    except ValueError as problem:
        raise FingerpostError(f"{links}: {problem}") from problem
    run.write("calibration", tensors_to_arrow(found.calibration.tensors))
    run.write("thresholds", _thresholds_table(found.thresholds))
    run.quality = _calibration_quality(found)


def _thresholds_table(thresholds: list[AlignmentThreshold]) -> pa.Table:
    rows = []
    for number, found in enumerate(thresholds):
        row = asdict(found) | {"target": found.target.name, "value": found.target.value, "chosen": number == 0}
        rows.append(row)
    names = [field.name for field in contracts.CALIBRATION.table("thresholds").fields]
    return pa.table({name: pa.array([row[name] for row in rows]) for name in names})


def _calibration_quality(found: CalibratedAlignment) -> dict[str, object]:
    """The chosen threshold, and what it is worth on the pairs that it was chosen on."""
    chosen = found.thresholds[0]
    names = ("threshold", "precision", "precision_low", "precision_high", "recall")
    return {
        "method": found.calibration.kind,
        "population": chosen.population,
        "estimated": found.estimated,
        "judged": found.judged,
        "matches": found.matches,
        "kept": chosen.kept,
    } | {name: round(float(getattr(chosen, name)), 6) for name in names}


@stage(contracts.MATCHES)
def decide_matches(
    run: StageRun,
    left: Ref,
    right: Ref,
    candidates: Ref,
    scores: Ref,
    links: Ref,
    calibration: Ref,
    *,
    params: AssignmentParams,
) -> None:
    """Accepts candidates over the threshold, at most one of each entity unless the assignment is many or of one table.

    Links with label 1 are matches of probability 1, those with label 0 are none, whatever their scores.
    """
    known = read_links(run.store, links, within=left == right)
    fitted, threshold = read_calibration(run.store, calibration)
    found = decide(known, read_candidates(run.store, candidates, scores), fitted, threshold, params)
    run.write("matches", _matches_table(found))
    run.quality = {
        "matches": len(found.left),
        "known": found.known,
        "threshold": round(threshold.threshold, 6),
        "expected_precision": round(found.expected_precision, 6),
        "estimated": run.store.manifest(calibration).quality["estimated"],
    }


def _matches_table(found: Decision) -> pa.Table:
    return pa.table(
        {
            "left": pa.array(found.left, pa.uint32()),
            "right": pa.array(found.right, pa.uint32()),
            "probability": pa.array(found.probabilities, pa.float32()),
        }
    )
