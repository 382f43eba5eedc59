"""From candidate pairs to an alignment's scores, decisions and measurements, as parts of the flow that aligns."""

from collections.abc import Mapping

from fingerpost.flows.domains.kg.blocking import blocked, both
from fingerpost.flows.domains.kg.gates import unmeasured
from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.domains.kg.settings import neural_installed
from fingerpost.flows.domains.kg.sources import may_have_relations
from fingerpost.flows.domains.kg.versions import clusters_before
from fingerpost.flows.run.runtime import Run, scoped
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.stages.aligner import train_aligner
from fingerpost.tasks.kg.stages.clusters import identify_entities
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer, score_labelled, train_baseline
from fingerpost.tasks.kg.stages.decisions import calibrate_alignment, decide_matches
from fingerpost.tasks.kg.stages.evaluation import evaluate_alignment
from fingerpost.tasks.kg.stages.joining import join_graphs
from fingerpost.tasks.kg.stages.labels import label_pairs
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.review import queue_review
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scores import score_pairs
from fingerpost.tasks.kg.stages.terms import weigh_attributes

#: The note of a run without an aligner because a package is missing.
NO_NEURAL = (
    "No aligner of neighbourhoods is trained: the extra neural (torch) is not installed; pairs are scored by attributes,"
    " rivals, neighbours and structure"
)


def align(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """Everything up to the scores of all candidates, and their calibration, by role."""
    own, made = run.settings.kg, blocked(run, inputs)
    made |= compared(run, inputs, made)
    labels = made["labels"]
    # Under a part's name, as what others of the same contract were made of is no reason for a rerun.
    with scoped(run, "baseline"):
        made["baseline"] = train_baseline(made["features"], labels, params=own.baseline)
    aligner = trained_aligner(run, inputs, made)
    parts, roles = tuple(aligner.values()), tuple(aligner)
    made["scorer"] = fit_scorer(made["features"], labels, *parts, roles=roles, params=own.scorer)
    made["labelled"] = score_labelled(made["features"], labels, made["baseline"], made["scorer"], *parts, roles=roles)
    looked_at = {role: ref for role, ref in aligner.items() if role not in inputs.roles}
    more = {"structure": made["structure"], **looked_at}
    texts = (made["terms"], made["candidates"], made["rivals"], labels)
    made["scores"] = score_pairs(
        *inputs.both, *texts, made["scorer"], *more.values(), roles=tuple(more), params=own.pairs
    )
    scored = (made["candidates"], made["scores"], made["labelled"], labels)
    made |= looked_at
    made["calibration"] = calibrate_alignment(*inputs.both, *scored, params=own.calibration, assignment=own.assignment)
    return made


def compared(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """What pairs are compared by, the pairs that something is learned from, and their features, by role."""
    own, candidates = run.settings.kg, made["candidates"]
    new = {"terms": weigh_attributes(*inputs.both, params=own.terms, rows_per_shard=own.rows_per_shard)}
    new["rivals"] = find_rivals(*inputs.both, new["terms"], candidates, inputs.links, params=own.pairs)
    texts = (new["terms"], candidates, new["rivals"])
    with scoped(run, "labels"):
        new["labels"] = label_pairs(*inputs.both, *texts, inputs.links, params=own.labels, splits=own.linking)
    new["features"] = compare_pairs(*inputs.both, *texts, new["labels"], made["structure"], params=own.features)
    return new


def trained_aligner(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """The aligner and what it looks at, by role; empty where none is trained."""
    own = run.settings.kg
    if not wants_aligner(run, inputs):
        if own.aligner.on == "auto" and not neural_installed():
            run.note(NO_NEURAL)
        return {}
    sampled = {}
    for side, graph in inputs.sides.items():
        with scoped(run, side):
            sampled[f"{side}_neighborhoods"] = sample_neighborhoods(
                graph, params=own.sampling, rows_per_shard=own.rows_per_shard
            )
    given = (*both(sampled, "neighborhoods"), *both(made, "vectors"), made["candidates"], made["labels"])
    model = train_aligner(*inputs.both, *given, params=own.aligner.params)
    vectors = {role: made[role] for role in ("left_vectors", "right_vectors") if role in made}
    return {"aligner": model, **inputs.sides, **sampled, **vectors}


def wants_aligner(run: Run, inputs: Inputs) -> bool:
    """Whether an aligner is trained; a plan without the graphs assumes that they have relations where they may."""
    chosen, store = run.settings.kg.aligner.on, run.env.store
    if chosen == "off":
        return False
    if not neural_installed():
        if chosen == "on":
            raise SettingsError(
                "kg.aligner.on: expected the extra neural with it, found no torch; install it (pip install"
                " 'fingerpost[neural]'), or set kg.aligner.on=off"
            )
        return False
    known = [store.manifest(graph).quality for graph in inputs.sides.values() if store.has(graph)]
    if chosen == "on":
        return True
    if not known:
        return may_have_relations(run.settings, run.flow)
    return any(quality["relations"] for quality in known)


def decide(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """The matches, the ids of what they join, and the joined graph, by role."""
    own = run.settings.kg
    scored = (made["candidates"], made["scores"], inputs.links, made["calibration"])
    matches = decide_matches(*inputs.both, *scored, params=own.assignment)
    before = clusters_before(run, *inputs.both, matches)
    clusters = identify_entities(
        *inputs.both, matches, made["scores"], made["calibration"], inputs.links, *before, params=own.clusters
    )
    joined = join_graphs(*inputs.both, clusters, params=own.joining)
    return {"matches": matches, "clusters": clusters, "joined": joined}


def judge(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """Metrics on test pairs, and the pairs whose review helps most, by role."""
    own = run.settings.kg
    scored = (made["candidates"], made["scores"], made["labelled"], made["labels"], made["calibration"])
    evaluation = evaluate_alignment(
        *inputs.both, *scored, made["structure"], roles=("structure",), params=own.evaluation, assignment=own.assignment
    )
    asked = (made["candidates"], made["scores"], made["labels"], made["calibration"], made["matches"])
    review = queue_review(
        *inputs.both, *asked, made["structure"], roles=("structure",), params=own.review, assignment=own.assignment
    )
    return {"evaluation": evaluation, "review": review}


def note_estimates(run: Run, alignment: Ref) -> None:
    """Notes in the run and its report what of an alignment was not measured or is an estimate."""
    if not run.env.planning and (words := unmeasured(run.env.store.manifest(alignment))):
        run.note(words)
