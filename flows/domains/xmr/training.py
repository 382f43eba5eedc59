"""From features to the artifacts of a ranker that answers, as parts of the flow that trains it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from flows.domains.xmr.steps import maker
from flows.run.runtime import Run, scoped
from schemas.refs import Ref
from tasks.xmr.open import member_roles, numbered
from tasks.xmr.stages.release import (
    calibrate_scores,
    combine_predictions,
    evaluate_ranker,
    predict_labels,
    prune_rankers,
    sweep_ranker,
)


def train(run: Run, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """Trees and the weights over them, by role, of interactions and features; one of each for every member of the ensemble."""
    make, taken, features = maker(run), made["interactions"], made["features"]
    new = {"label_features": make("label_features", taken, features)}
    for place in range(len(run.settings.xmr.ensemble.clusterings(run.settings.xmr.clusters))):
        tree, model = numbered("tree", place), numbered("model", place)
        with _member(run, place):
            new[tree] = make(tree, new["label_features"])
            new[model] = make(model, taken, features, new[tree])
    return new


def measure(run: Run, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """What makes weights a release, by role: the sweep and the weights that it picks, predictions, chances, evaluation."""
    xmr, taken = run.settings.xmr, made["interactions"]
    new = _swept(run, made)
    members = _predictions(run, dict(made) | new)
    if len(members) > 1:
        new |= {f"predictions_{place}": ref for place, ref in enumerate(members, start=1)}
        new["predictions"] = combine_predictions(*members, combination=xmr.ensemble.combination)
    else:
        new["predictions"] = members[0]
    new["calibration"] = calibrate_scores(taken, new["predictions"], k=xmr.calibrated)
    new["evaluation"] = evaluate_ranker(taken, new["predictions"], *(members if len(members) > 1 else ()))
    return new


def _swept(run: Run, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """The sweep where it is asked for, and where a limit is set the weights of each member at the setting that it picks."""
    xmr, new, roles = run.settings.xmr, {}, member_roles(made)
    if xmr.sweep.on or xmr.sweep.picks:
        pairs = (made[role] for pair in roles for role in pair)
        new["sweep"] = sweep_ranker(
            made["interactions"],
            made["held_features"],
            *pairs,
            params=xmr.sweep,
            beam=xmr.beam,
            combination=xmr.ensemble.combination,
        )
    if xmr.sweep.picks:
        for place, (_, model) in enumerate(roles):
            with _member(run, place):
                new[numbered("pruned", place)] = prune_rankers(new["sweep"], made[model])
    return new


def _predictions(run: Run, made: Mapping[str, Ref]) -> list[Ref]:
    """What each member of the ensemble ranks for the queries that were held out."""
    xmr, found = run.settings.xmr, []
    for place, (tree, model) in enumerate(member_roles(made)):
        with _member(run, place):
            found.append(
                predict_labels(
                    made["interactions"],
                    made["held_features"],
                    made[tree],
                    made[model],
                    k=xmr.predicted,
                    beam=xmr.beam,
                    blocks=xmr.blocks,
                )
            )
    return found


def _member(run: Run, place: int) -> AbstractContextManager[None]:
    """Within it the stages of a further member are remembered apart from the first one's."""
    return scoped(run, f"member-{place + 1}") if place else nullcontext()
