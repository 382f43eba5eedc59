"""From features to a ranker's trees, weights and measurements, as parts of the flow that trains it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from fingerpost.flows.domains.xmr.gates import unmeasured
from fingerpost.flows.domains.xmr.refresh import refreshed_finally
from fingerpost.flows.domains.xmr.steps import HELD, maker
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.xmr.open import FINAL, member_roles, numbered, served_roles
from fingerpost.tasks.xmr.stages.final import include_held_out, join_features
from fingerpost.tasks.xmr.stages.packed import pack_ranker
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


def finish(run: Run, artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """The weights trained, or refreshed, once more on all queries after they were measured, by role.

    Tree, vocabulary, pruning and probabilities are those of the measured ones. Empty where no queries are held out, or
    the measured weights are to be published.
    """
    xmr, new = run.settings.xmr, {}
    if not xmr.interactions.trained_again:
        return {}
    with scoped(run, "final"):
        new[f"{FINAL}interactions"] = every = include_held_out(artifacts["interactions"])
        new[f"{FINAL}features"] = features = join_features(
            artifacts["interactions"],
            artifacts["features"],
            artifacts[f"{HELD}features"],
            rows_per_shard=run.settings.corpus.imports.rows_per_shard,
        )
    make, again = maker(run), refreshed_finally(run, artifacts, every, features)
    for member, clusters in enumerate(xmr.ensemble.clusterings(xmr.clusters)):
        tree, model, pruned = (numbered(role, member) for role in ("tree", "model", "pruned"))
        with scoped(run, numbered("final-member", member) if member else "final"):
            trained = again(member, clusters) if again else make(model, every, features, artifacts[tree])
            new[FINAL + model] = trained
            if "sweep" in artifacts and pruned in artifacts:
                new[FINAL + pruned] = prune_rankers(artifacts["sweep"], trained)
    return new


def pack(artifacts: Mapping[str, Ref]) -> dict[str, Ref]:
    """The ranker in the form that answers, by role."""
    members = (artifacts[role] for pair in served_roles(artifacts) for role in pair)
    return {"packed": pack_ranker(artifacts["interactions"], artifacts["vocabulary"], *members)}


def note_unmeasured(run: Run, ranker: Ref) -> None:
    """Notes in the run and its report that a ranker's quality was not measured, if it was not."""
    if not run.env.planning and (words := unmeasured(run.env.store.manifest(ranker))):
        run.note(words)


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
