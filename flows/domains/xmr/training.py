"""From features to a ranker's trees, weights and measurements, as parts of the flow that trains it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from fingerpost.flows.domains.xmr.steps import maker
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.xmr.open import member_roles, numbered
from fingerpost.tasks.xmr.stages.release import (
    calibrate_scores,
    combine_predictions,
    evaluate_ranker,
    predict_labels,
    prune_rankers,
    sweep_ranker,
)


def train(run: Run, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """Trees and weights by role, from interactions and features; one of each per member of the ensemble."""
    make, interactions, features = maker(run), artifacts["interactions"], artifacts["features"]
    new = {"label_features": make("label_features", interactions, features)}
    for member in range(len(run.settings.xmr.ensemble.clusterings(run.settings.xmr.clusters))):
        tree, model = numbered("tree", member), numbered("model", member)
        with _member(run, member):
            new[tree] = make(tree, new["label_features"])
            new[model] = make(model, interactions, features, new[tree])
    return new


def measure(run: Run, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """Sweep and selected weights, predictions, calibration to probabilities and evaluation, by role."""
    xmr, interactions = run.settings.xmr, artifacts["interactions"]
    new = _swept(run, artifacts)
    members = _predictions(run, dict(artifacts) | new)
    if len(members) > 1:
        new |= {f"predictions_{member}": ref for member, ref in enumerate(members, start=1)}
        new["predictions"] = combine_predictions(*members, combination=xmr.ensemble.combination)
    else:
        new["predictions"] = members[0]
    new["calibration"] = calibrate_scores(interactions, new["predictions"], k=xmr.calibrated)
    new["evaluation"] = evaluate_ranker(interactions, new["predictions"], *(members if len(members) > 1 else ()))
    return new


def _swept(run: Run, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """The sweep where it is on and, where a limit is set, the weights of each member at the selected setting."""
    xmr, new, roles = run.settings.xmr, {}, member_roles(artifacts)
    if xmr.sweep.on or xmr.sweep.picks:
        pairs = (artifacts[role] for pair in roles for role in pair)
        new["sweep"] = sweep_ranker(
            artifacts["interactions"],
            artifacts["held_features"],
            *pairs,
            params=xmr.sweep,
            beam=xmr.beam,
            combination=xmr.ensemble.combination,
        )
    if xmr.sweep.picks:
        for member, (_, model) in enumerate(roles):
            with _member(run, member):
                new[numbered("pruned", member)] = prune_rankers(new["sweep"], artifacts[model])
    return new


def _predictions(run: Run, artifacts: Mapping[str, Ref]) -> list[Ref]:
    """The ranking of each member of the ensemble for the held-out queries."""
    xmr, predictions = run.settings.xmr, []
    for member, (tree, model) in enumerate(member_roles(artifacts)):
        with _member(run, member):
            predictions.append(
                predict_labels(
                    artifacts["interactions"],
                    artifacts["held_features"],
                    artifacts[tree],
                    artifacts[model],
                    k=xmr.predicted,
                    beam=xmr.beam,
                    blocks=xmr.blocks,
                )
            )
    return predictions


def _member(run: Run, member: int) -> AbstractContextManager[None]:
    """A scope for the stages of a further member of the ensemble."""
    return scoped(run, f"member-{member + 1}") if member else nullcontext()
