"""Refresh of the live alignment instead of a full one, as part of the flow that aligns.

The base of a refresh is the last full alignment: the live release itself, or the one that it names as base. It is an input
of the stages, so that the same base, graphs and links give the same alignment whenever they run. Terms, matchers, aligner
and calibration are the base's own artifacts.
"""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.kg.base import base_of, of_base
from fingerpost.flows.domains.kg.blocking import both
from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.domains.kg.steps import OF_ALIGNER
from fingerpost.flows.run.bases import BASE, Base, NoBaseError
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.schemas.figures import percent
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.stages.changes import compare_graphs
from fingerpost.tasks.kg.stages.comparison import compare_pairs, score_labelled
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.refresh import refresh_labels, refresh_structure, refresh_vectors
from fingerpost.tasks.kg.stages.refresh_candidates import refresh_candidates
from fingerpost.tasks.kg.stages.refresh_rivals import refresh_rivals
from fingerpost.tasks.kg.stages.refresh_scores import refresh_scores

#: Artifacts of the base that a refreshed alignment uses as they are.
_FROZEN = ("terms", "baseline", "aligner", "scorer", "calibration")
#: The part under which stages of a refresh are recorded that a full alignment has as well.
_PART = "refreshed"


def refreshed(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """The live alignment refreshed with graphs and links: what `align` makes, and the base, by role.

    Empty where the alignment is to be made fully: refresh is off, no base is usable, or too much has changed since. The
    reason is then shown, logged, and stored with every computed stage, including the release's.
    """
    if run.settings.kg.refresh.mode == "off":
        return {}
    try:
        base = base_of(run, inputs)
        run.env.because = f"refreshed from {base.release}"
        made = _changed(run, inputs, base)
        made |= _blocked(run, inputs, base, made)
        made |= _scored(run, inputs, base, made)
    except NoBaseError as why:
        run.env.because = f"made fully: {why}"
        run.progress.say(f"alignment {run.env.because}")
        return {}
    run.progress.say(f"alignment {run.env.because}{_share(run, made)}")
    return made


def _changed(run: Run, inputs: Inputs, base: Base) -> dict[str, Ref]:
    """What changed of the graphs and of the known pairs; NoBaseError where it is too much."""
    made, limits, old = {}, run.settings.kg.refresh, dict(zip(("left", "right"), of_base(base, ""), strict=True))
    for side, graph in inputs.sides.items():
        with scoped(run, side):
            made[f"{side}_changes"] = compare_graphs(graph, old[side], params=limits.changes)
        share = _quality(run, made[f"{side}_changes"]).get("share", 0.0)
        if share > limits.entities:
            raise NoBaseError(
                f"{percent(share)} of the entities of the {side} graph are new, changed or gone since {base.release}, more than"
                f" kg.refresh.entities allows"
            )
    with scoped(run, _PART):
        made["labels"] = refresh_labels(
            inputs.links, *both(made, "changes"), base.members["links"], base.members["labels"]
        )
    share = _quality(run, made["labels"]).get("changed_share", 0.0)
    if share > limits.links:
        raise NoBaseError(
            f"{percent(share)} of the known pairs are new, gone or have another label since {base.release}, more than"
            f" kg.refresh.links allows"
        )
    return made


def _blocked(run: Run, inputs: Inputs, base: Base, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """Vectors, structure and candidates by role; NoBaseError where the candidates do not suffice."""
    own, old, new = run.settings.kg, base.members, dict[str, Ref]()
    for side, graph in inputs.sides.items():
        with scoped(run, f"{_PART}-{side}"):
            new[f"{side}_vectors"] = refresh_vectors(
                graph,
                made[f"{side}_changes"],
                old[f"{side}_vectors"],
                params=own.embedding,
                rows_per_shard=own.rows_per_shard,
            )
    with scoped(run, _PART):
        new["structure"] = refresh_structure(*both(made, "changes"), old["structure"])
        now = (*inputs.both, *both(made, "changes"), *both(new, "vectors"), inputs.links, new["structure"])
        then = (
            *of_base(base, ""),
            *of_base(base, "vectors"),
            *of_base(base, "index"),
            old["links"],
            old["candidates"],
            old["matches"],
        )
        new["candidates"] = refresh_candidates(
            *now, *then, search=own.searched, params=own.blocked, rows_per_shard=own.rows_per_shard
        )
    if why := _quality(run, new["candidates"]).get("must_retrain", ""):
        raise NoBaseError(str(why))
    return new


def _scored(run: Run, inputs: Inputs, base: Base, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """Rivals, features of labelled pairs, and the scores of these and of all candidates; and what is the base's."""
    own, old = run.settings.kg, base.members
    new = {role: old[role] for role in _FROZEN if role in old} | {BASE: base.release}
    changes, texts = both(made, "changes"), (new["terms"], made["candidates"])
    aligner = _aligner(run, inputs, base, made)
    parts, roles = tuple(aligner.values()), tuple(aligner)
    with scoped(run, _PART):
        new["rivals"] = refresh_rivals(
            *inputs.both,
            *texts,
            made["labels"],
            *changes,
            *of_base(base, ""),
            old["candidates"],
            old["rivals"],
            params=own.pairs,
        )
        compared = (*texts, new["rivals"], made["labels"])
        new["features"] = compare_pairs(*inputs.both, *compared, made["structure"], params=own.features)
        new["labelled"] = score_labelled(
            new["features"], made["labels"], new["baseline"], new["scorer"], *parts, roles=roles
        )
        beside = {role: ref for role, ref in aligner.items() if role not in inputs.sides}
        more = {"structure": made["structure"], **beside}
        new["scores"] = refresh_scores(
            *inputs.both,
            *compared,
            new["scorer"],
            *changes,
            old["candidates"],
            old["scores"],
            *more.values(),
            roles=tuple(more),
            params=own.pairs,
        )
    return new | {role: ref for role, ref in aligner.items() if role.endswith("_neighborhoods")}


def _aligner(run: Run, inputs: Inputs, base: Base, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """The base's aligner and what it looks at now, by role; empty without one."""
    own = run.settings.kg
    if "aligner" not in base.members:
        return {}
    found = {"aligner": base.members["aligner"], **inputs.sides}
    for side, graph in inputs.sides.items():
        with scoped(run, f"{_PART}-{side}"):
            found[f"{side}_neighborhoods"] = sample_neighborhoods(
                graph, params=own.sampling, rows_per_shard=own.rows_per_shard
            )
        found[f"{side}_vectors"] = made[f"{side}_vectors"]
    return {role: found[role] for role in OF_ALIGNER if role in found}


def _quality(run: Run, ref: Ref) -> Mapping[str, Any]:
    """The quality of an artifact; empty in a plan, which assumes that what is not there yet suffices."""
    return run.env.store.manifest(ref).quality if run.env.store.has(ref) else {}


def _share(run: Run, made: Mapping[str, Ref]) -> str:
    found = _quality(run, made["scores"])
    return f": {found['scored']:,} of {found['pairs']:,} pairs scored again" if found else ""
