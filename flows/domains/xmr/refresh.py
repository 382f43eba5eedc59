"""Refresh of the live ranker instead of a full training, as part of the flow that trains one.

The base of a refresh is the last full training: the live ranker's own artifacts, or those of the release it names as
base. It is an input of the stages, so the same base and interactions give the same ranker whenever they run.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fingerpost.flows.domains.xmr.features import features_of
from fingerpost.flows.domains.xmr.settings import XmrSettings
from fingerpost.flows.domains.xmr.steps import HELD, steps_of
from fingerpost.flows.run.bases import BASE, Base, NoBaseError, base_behind, check_age
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.corpus import DOCUMENTS, FEATURES, NGRAMS, VOCABULARY
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.figures import percent
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.open import FINAL, member_roles, numbered
from fingerpost.tasks.xmr.refresh import RefreshParams
from fingerpost.tasks.xmr.stages.refresh import refresh_rankers, refresh_tree

#: The roles that a base must have.
_MEMBERS: dict[str, tuple[Contract, ...]] = {
    "interactions": (contracts.INTERACTIONS,),
    "queries": (contracts.QUERIES, DOCUMENTS),  # documents of version 0.1
    "ngrams": (NGRAMS,),
    "vocabulary": (VOCABULARY,),
    "features": (FEATURES,),
    "label_features": (contracts.LABEL_FEATURES,),
    "tree": (contracts.TREE,),
    "model": (contracts.MODEL,),
}


_NUMBERED = re.compile(rf"(tree|model)_\d+|{FINAL}(interactions|model(_\d+)?)")


def refreshed(run: Run, interactions: Ref) -> dict[str, Ref]:
    """The live ranker refreshed with the interactions: features, tree, weights and base, by role.

    Empty where the ranker is to be trained fully: refresh is off, no base is usable, or the drift exceeds a
    limit. The reason is then shown, logged, and stored with every computed stage, including the release's.
    """
    if run.settings.xmr.refresh.mode == "off":
        return {}
    try:
        base = base_of(run, interactions)
        run.env.because = f"refreshed from {base.release}"
        artifacts = _made_from(run, interactions, base)
        _check_drift(run, _models(artifacts))
    except NoBaseError as why:
        run.env.because = f"trained fully: {why}"
        run.progress.say(f"ranker {run.env.because}")
        return {}
    run.progress.say(f"ranker {run.env.because}{_share(run, _models(artifacts))}")
    return artifacts


def refresh_params(xmr: XmrSettings, clusters: ClusterParams) -> RefreshParams:
    """The refresh parameters for a clustering: those of training, except for the negatives."""
    chosen = xmr.refresh
    return RefreshParams(
        training=replace(xmr.training, negatives=chosen.negatives),
        embedding=xmr.embedding,
        max_leaf_size=clusters.max_leaf_size,
        leaf_growth=chosen.leaf_growth,
        label_gain=chosen.label_gain,
        node_gain=chosen.node_gain,
        warm=chosen.warm,
    )


def _made_from(run: Run, interactions: Ref, base: Base) -> dict[str, Ref]:
    """The artifacts of a refresh; its features use the vocabulary and the term weights of the base."""
    xmr, old = run.settings.xmr, base.members
    artifacts = features_of(run, interactions, vocabulary=old["vocabulary"])
    kept = {"label_features": old["label_features"], BASE: base.release}
    for member, clusters in enumerate(xmr.ensemble.clusterings(xmr.clusters)):
        params, (tree, model) = refresh_params(xmr, clusters), (numbered(role, member) for role in ("tree", "model"))
        # Trees and weights of a full training are recorded in another scope than these, which other stages make.
        with scoped(run, numbered("refreshed", member)):
            artifacts[tree] = refresh_tree(
                interactions,
                artifacts["features"],
                old["interactions"],
                old["label_features"],
                old[tree],
                params=params,
                rows=xmr.rows,
            )
            artifacts[model] = refresh_rankers(
                interactions,
                artifacts["features"],
                artifacts["held_features"],
                artifacts[tree],
                old["interactions"],
                old[tree],
                old[model],
                params=params,
                rows=xmr.rows,
                blocks=xmr.blocks,
                limits=xmr.refresh.limits,
            )
    return artifacts | kept


def refreshed_finally(
    run: Run, artifacts: Mapping[str, Ref], interactions: Ref, features: Ref
) -> Callable[[int, ClusterParams], Ref] | None:
    """How the weights that the base trained on all its queries are refreshed with all queries of a refreshed ranker.

    A function of a member of the ensemble and its clustering; None for a ranker that was trained fully.
    """
    if BASE not in artifacts:
        return None
    xmr, old = run.settings.xmr, read_members(run.env.store, artifacts[BASE])

    def refreshed_member(member: int, clusters: ClusterParams) -> Ref:
        tree, model = numbered("tree", member), numbered("model", member)
        return refresh_rankers(
            interactions,
            features,
            artifacts[f"{HELD}features"],
            artifacts[tree],
            old[f"{FINAL}interactions"],
            old[tree],
            old[FINAL + model],
            params=refresh_params(xmr, clusters),
            rows=xmr.rows,
            blocks=xmr.blocks,
            limits=xmr.refresh.limits,
        )

    return refreshed_member


def base_of(run: Run, interactions: Ref) -> Base:
    """The last full training behind the live ranker; NoBaseError if it is not usable as a base."""
    thoroughly = not run.env.planning
    base = base_behind(
        run,
        contracts.RANKER.name,
        "ranker",
        needed=lambda _: _MEMBERS,
        check=lambda store, base: _check_whole(store, base, thoroughly=thoroughly),
    )
    if base.members["interactions"].identity == interactions.identity:
        raise NoBaseError(f"the interactions are those of the base {base.release}")
    check_age(run, base, days=run.settings.xmr.refresh.base_days)
    if why := _otherwise(run, base):
        raise NoBaseError(f"base {base.release} was trained differently: {why}")
    return base


def _check_whole(store: Store, base: Base, *, thoroughly: bool) -> None:
    """CorruptArtifactError, ForeignArtifactError or MissingArtifactError where the base is not what it was.

    ``thoroughly``: every file of its lineage is read, as when it is published; otherwise only sizes are checked.
    """
    contracts_by_role = _MEMBERS | {
        role: _MEMBERS[role.removeprefix(FINAL).split("_")[0]] for role in base.members if _NUMBERED.fullmatch(role)
    }
    for role, readable in contracts_by_role.items():
        manifest = store.open(base.members[role], *readable).manifest
        if not store.intact(manifest):
            raise CorruptArtifactError(
                f"artifact {base.members[role]}: expected its files, found one missing or of another size"
            )
    if thoroughly:
        store.verify(base.release)


def _otherwise(run: Run, base: Base) -> str:
    """How a full training now would differ from the base's, human-readable; empty if it would not."""
    env, xmr, members = run.env, run.settings.xmr, base.members
    if xmr.embedding.method != "pifa":
        return f"xmr.embedding.method: expected pifa, the only one that can be refreshed, got {xmr.embedding.method}"
    clusterings = xmr.ensemble.clusterings(xmr.clusters)
    rankers = sum(numbered("tree", member) in members for member in range(len(members)))
    if rankers != len(clusterings):
        return f"xmr.ensemble: {len(clusterings)} ranker(s), the base has {rankers}"
    if xmr.interactions.trained_again and f"{FINAL}model" not in members:
        return "xmr.interactions.final: all, the base was not trained on the queries held out"
    differences = []
    for role, (stage, parameters) in steps_of(run.settings, run.flow).items():
        if role.startswith(HELD):
            continue
        why = "forced" if stage.name in env.forced else stage.differs(env, members[role], **parameters)
        if why:
            differences.append(f"{stage.name}: {why}")
    return "; ".join(differences)


def _models(artifacts: Mapping[str, Ref]) -> list[Ref]:
    """The refreshed weights of each member of the ensemble."""
    return [artifacts[numbered("model", member)] for member in range(len(member_roles(artifacts)))]


def _check_drift(run: Run, models: Sequence[Ref]) -> None:
    """NoBaseError if refreshed weights require a full training; a plan without them assumes that they do not."""
    store = run.env.store
    for model in filter(store.has, models):
        if why := store.manifest(model).quality["must_retrain"]:
            raise NoBaseError(f"the refresh exceeds a limit: {why}")


def _share(run: Run, models: Sequence[Ref]) -> str:
    if not run.env.store.has(models[0]):
        return ""
    drift = run.env.store.manifest(models[0]).quality["drift"]
    return (
        f": {percent(drift['solved_share'])} of {drift['labels']:,} labels re-solved, {percent(drift['new_share'])} new"
    )
