"""The stages that compare labelled pairs, train matchers of them, and score these pairs by each part of the model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import dense_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.pair_features import baseline_names
from fingerpost.tasks.kg.pair_scorer import FeatureParams, Stack
from fingerpost.tasks.kg.scorer import ScorerParams, fit_stack, with_aligner
from fingerpost.tasks.kg.stages.labelled_features import LabelledFeatures
from fingerpost.tasks.kg.stages.scoring_inputs import matcher_tables, open_features, pairs_of, read_stack
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.FEATURES)
def compare_pairs(
    run: StageRun,
    left: Ref,
    right: Ref,
    terms: Ref,
    candidates: Ref,
    rivals: Ref,
    links: Ref,
    *structure: Ref,
    params: FeatureParams,
) -> None:
    """Computes the features of all labelled pairs."""
    members = {"left": left, "right": right, "terms": terms, "candidates": candidates, "rivals": rivals, "links": links}
    if structure:
        members["structure"] = structure[0]
    compared = open_features(run.store, members, params)
    rows = run.store.open(links, contracts.LINKS).read("links")
    found = compared.features(pairs_of(rows))
    plain = set(baseline_names(compared.names, compared.comparer.terms.kinds))
    names = {
        "name": pa.array(compared.names, pa.string()),
        "plain": pa.array([name in plain for name in compared.names]),
    }
    run.write("names", pa.table(names))
    run.write("pairs", rows.select(["left", "right"]))
    run.write("features", dense_to_arrow(found))
    run.quality = {"pairs": len(found), "features": len(compared.names), "plain": len(plain)}


@stage(contracts.MATCHER)
def train_baseline(run: StageRun, features: Ref, links: Ref, *, params: BoostingParams) -> None:
    """Trains gradient boosting on TF-IDF, number and length similarities of the entities' own texts alone."""
    given = LabelledFeatures.read(run.store, features, links)
    names = [name for name, plain in zip(given.names, given.plain, strict=True) if plain]
    stack = _trained(given, names, ScorerParams(params, forests=1, line_matches=0))
    _write(run, stack)


@stage(contracts.MATCHER)
def fit_scorer(
    run: StageRun, features: Ref, links: Ref, *aligner: Ref, roles: Sequence[str] = (), params: ScorerParams
) -> None:
    """Trains the published scorer on all features, and weighs an aligner beside it if validation pairs say that it helps.

    aligner: what an aligner needs, by roles; nothing without one.
    """
    given = LabelledFeatures.read(run.store, features, links)
    stack, chosen = _trained(given, given.names, params), given.splits == "validation"
    if aligner and chosen.any():
        logits = given.logits(run.store, dict(zip(roles, aligner, strict=True)), chosen)
        own = stack.of_features(given.features[chosen])
        stack = with_aligner(stack, own, logits, given.labels[chosen], params)
    _write(run, stack)


def _trained(given: LabelledFeatures, names: Sequence[str], params: ScorerParams) -> Stack:
    chosen = given.splits == "training"
    try:
        return fit_stack(tuple(names), given.columns(names)[chosen], given.labels[chosen], params)
    except ValueError as problem:
        raise FingerpostError(f"{given.source}: {problem}") from problem


def _write(run: StageRun, stack: Stack) -> None:
    for name, table in matcher_tables(stack.names, stack.arrays()).items():
        run.write(name, table)
    run.quality = {
        "features": len(stack.names),
        "trees": sum(len(forest.nodes["roots"]) for forest in stack.forests),
        "line": round(stack.share, 6),
        "aligner": round(stack.aligner, 6),
    }


@stage(contracts.LABELLED)
def score_labelled(
    run: StageRun, features: Ref, links: Ref, baseline: Ref, scorer: Ref, *aligner: Ref, roles: Sequence[str] = ()
) -> None:
    """Log odds of the labelled pairs that nothing was trained on: by the baseline, by the aligner if any, as published."""
    given = LabelledFeatures.read(run.store, features, links)
    held = given.splits != "training"
    stack, plain = (read_stack(run.store, ref) for ref in (scorer, baseline))
    scores = {"baseline": plain.log_odds(given.columns(plain.names)[held])}
    logits = None
    if aligner:
        logits = scores["aligner"] = given.logits(run.store, dict(zip(roles, aligner, strict=True)), held)
    scores["scorer"] = stack.log_odds(given.columns(stack.names)[held], logits)
    run.write("scores", _labelled_table(given.pairs[held], scores))
    run.quality = {"pairs": int(held.sum()), "methods": len(scores)}


def _labelled_table(pairs: NDArray[np.int64], scores: Mapping[str, NDArray[np.float64]]) -> pa.Table:
    count = len(pairs)
    columns = {
        side: pa.array(np.tile(pairs[:, place], len(scores)).astype(np.uint32))
        for place, side in enumerate(("left", "right"))
    }
    columns["method"] = pa.array([method for method in scores for _ in range(count)], pa.string())
    columns["score"] = pa.array(np.concatenate(list(scores.values())).astype(np.float32))
    return pa.table(columns)
