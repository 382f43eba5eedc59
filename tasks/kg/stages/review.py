"""The stage that lists the pairs whose review by a person helps most."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.calibrated_scores import exclusive
from fingerpost.tasks.kg.calibration import log_odds_of, probabilities_of
from fingerpost.tasks.kg.judged import Links, open_pairs
from fingerpost.tasks.kg.lookups import pair_keys
from fingerpost.tasks.kg.one_to_one import AssignmentParams, ScoredPairs
from fingerpost.tasks.kg.review import CAUSES, Doubts, ReviewParams, doubts
from fingerpost.tasks.kg.stages.evaluation import read_structure
from fingerpost.tasks.kg.stages.scored import read_calibration, read_candidates, read_links
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.REVIEW, observes=True)
def queue_review(
    run: StageRun,
    left: Ref,
    right: Ref,
    candidates: Ref,
    scores: Ref,
    links: Ref,
    calibration: Ref,
    matches: Ref,
    *more: Ref,
    roles: tuple[str, ...] = (),
    params: ReviewParams,
    assignment: AssignmentParams,
) -> None:
    """Lists doubtful candidates that no person has labelled, each with a human-readable reason and the texts of both entities.

    more: by ``roles`` the pairs by structure, if there are any.
    """
    fitted, chosen = read_calibration(run.store, calibration)
    known = read_links(run.store, links, within=left == right)
    opened = read_candidates(run.store, candidates, scores)
    opened = opened.where(_to_be_reviewed(known, opened, assignment))
    pairs = ScoredPairs(opened.left, opened.right, fitted.log_odds(opened.scores))
    accepted = np.isin(pair_keys(pairs.left, pairs.right), _keys(run.store, matches))
    sides = [run.store.open(ref, contracts.GRAPH).read("entities") for ref in (left, right)]
    names = sides[0]["name"].to_pylist(), sides[1]["name"].to_pylist()
    types = sides[0]["type"].combine_chunks().dictionary_encode().indices.to_numpy()
    structure = read_structure(run.store, dict(zip(roles, more, strict=True)))
    threshold, estimated = float(log_odds_of(chosen.threshold)), run.store.manifest(calibration).quality["estimated"]
    found = doubts(pairs, accepted, threshold, structure, names, types, params, unlabelled=estimated)
    texts = (entity_texts(run.store, left, found.left, params), entity_texts(run.store, right, found.right, params))
    run.write("pairs", _review_table(found, sides, texts, chosen.threshold))
    counts = np.bincount(found.causes, minlength=len(CAUSES)).tolist()
    run.quality = {"pairs": len(found.left), **dict(zip(CAUSES, counts, strict=True))}


def _to_be_reviewed(links: Links, candidates: ScoredPairs, assignment: AssignmentParams) -> np.ndarray:
    """The candidates that no person has labelled, and that no label of a person excludes."""
    return open_pairs(links.known(), candidates, exclusive=exclusive(links, assignment))


def _keys(store: Store, matches: Ref) -> np.ndarray:
    table = store.open(matches, contracts.MATCHES).read("matches")
    return pair_keys(table["left"].to_numpy(), table["right"].to_numpy())


def entity_texts(store: Store, graph: Ref, rows: np.ndarray, params: ReviewParams) -> Mapping[int, str]:
    """The name and the attributes of some entities, as a person reads them, by their rows."""
    artifact = store.open(graph, contracts.GRAPH)
    wanted = pa.array(np.unique(rows), pa.uint32())
    names = artifact.read("entities")["name"].take(wanted).to_pylist()
    attributes = artifact.read("attributes")
    of_wanted = attributes.filter(pc.is_in(attributes["entity"], value_set=wanted))
    parts: dict[int, list[str]] = {
        row: [name] if name else [] for row, name in zip(wanted.to_pylist(), names, strict=True)
    }
    for entity, key, value in zip(*(of_wanted[name].to_pylist() for name in ("entity", "key", "value")), strict=True):
        if value.strip() and value not in parts[entity]:
            parts[entity].append(f"{key}: {value}")
    return {row: _shortened("; ".join(some), params.longest) for row, some in parts.items()}


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _review_table(
    found: Doubts, sides: list[pa.Table], texts: tuple[Mapping[int, str], Mapping[int, str]], threshold: float
) -> pa.Table:
    probabilities = probabilities_of(found.log_odds)
    return pa.table(
        {
            "left": sides[0]["id"].take(pa.array(found.left)),
            "right": sides[1]["id"].take(pa.array(found.right)),
            "left_name": pa.array([texts[0][row] for row in found.left.tolist()], pa.string()),
            "right_name": pa.array([texts[1][row] for row in found.right.tolist()], pa.string()),
            "probability": pa.array(probabilities, pa.float32()),
            "accepted": pa.array(found.accepted),
            "reason": pa.array([_reason(found, row, threshold) for row in range(len(found.left))], pa.string()),
        }
    )


def _reason(found: Doubts, row: int, threshold: float) -> str:
    """Why a pair is doubtful, in plain words."""
    probability, detail = float(probabilities_of(found.log_odds[row])), float(found.detail[row])
    accepted = bool(found.accepted[row])
    cause = CAUSES[int(found.causes[row])]
    if cause == "threshold":
        side = "just accepted" if accepted else "just refused" if probability < threshold else "over the threshold"
        return f"{side}: its probability of {probability:.2f} is near the threshold of {threshold:.2f}"
    if cause == "rival":
        return (
            f"probable ({probability:.2f}), but one of the two is matched to another ({detail:.2f}), and an entity has one"
            " match at most"
        )
    if cause == "structure" and accepted:
        return f"accepted, but by its neighbours one of the two belongs to another ({detail:.2f})"
    if cause == "structure":
        return f"refused at {probability:.2f}, but its neighbours say that it is a match ({detail:.2f})"
    if cause == "name":
        return f"refused at {probability:.2f}, but both have the same name and no other match"
    return f"no label is known of pairs of about this probability ({probability:.2f})"
