"""From candidate pairs to an alignment's scores, decisions and measurements, as parts of the flow that aligns."""

from collections.abc import Mapping

from fingerpost.flows.domains.kg.blocking import blocked, both
from fingerpost.flows.domains.kg.gates import unmeasured
from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.domains.kg.versions import clusters_before
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.stages.clusters import identify_entities
from fingerpost.tasks.kg.stages.comparison import compare_pairs, fit_scorer, score_labelled, train_baseline
from fingerpost.tasks.kg.stages.decisions import calibrate_alignment, decide_matches
from fingerpost.tasks.kg.stages.joining import join_graphs
from fingerpost.tasks.kg.stages.labels import label_pairs
from fingerpost.tasks.kg.stages.rivals import find_rivals
from fingerpost.tasks.kg.stages.scores import score_pairs
from fingerpost.tasks.kg.stages.terms import weigh_attributes


def align(run: Run, inputs: Inputs) -> dict[str, Ref]:
    """Everything up to the scores of all candidates, and their calibration, by role."""
    own, made = run.settings.kg, blocked(run, inputs)
    made |= compared(run, inputs, made)
    labels = made["labels"]
    made["baseline"] = train_baseline(made["features"], labels, params=own.baseline)
    aligner = {}
    parts, roles = tuple(aligner.values()), tuple(aligner)
    made["scorer"] = fit_scorer(made["features"], labels, *parts, roles=roles, params=own.scorer)
    made["labelled"] = score_labelled(made["features"], labels, made["baseline"], made["scorer"], *parts, roles=roles)
    more = {"structure": made["structure"], **aligner}
    texts = (made["terms"], made["candidates"], made["rivals"], labels)
    made["scores"] = score_pairs(
        *inputs.both, *texts, made["scorer"], *more.values(), roles=tuple(more), params=own.pairs
    )
    scored = (made["candidates"], made["scores"], made["labelled"], labels)
    made["calibration"] = calibrate_alignment(
        *inputs.both, *scored, params=own.calibration, assignment=own.assignment
    )
    return made


def compared(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """What pairs are compared by, the pairs that something is learned from, and their features, by role."""
    own, candidates = run.settings.kg, made["candidates"]
    new = {"terms": weigh_attributes(*inputs.both, params=own.terms, rows_per_shard=own.rows_per_shard)}
    new["rivals"] = find_rivals(*inputs.both, new["terms"], candidates, inputs.links, params=own.pairs)
    texts = (new["terms"], candidates, new["rivals"])
    new["labels"] = label_pairs(*inputs.both, *texts, inputs.links, params=own.labels, splits=own.linking)
    new["features"] = compare_pairs(*inputs.both, *texts, new["labels"], made["structure"], params=own.features)
    return new


def decide(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """The matches, the ids of what they join, and the joined graph, by role."""
    own = run.settings.kg
    scored = (made["candidates"], made["scores"], inputs.links, made["calibration"])
    matches = decide_matches(*inputs.both, *scored, params=own.assignment)
    before = clusters_before(run, *inputs.both, matches)
    clusters = identify_entities(
        *inputs.both, matches, made["scores"], made["calibration"], *before, params=own.clusters
    )
    joined = join_graphs(*inputs.both, clusters, params=own.joining)
    return {"matches": matches, "clusters": clusters, "joined": joined}


def judge(run: Run, inputs: Inputs, made: Mapping[str, Ref]) -> dict[str, Ref]:
    """Metrics on test pairs, and the pairs whose review helps most, by role."""
    return {}


def note_estimates(run: Run, alignment: Ref) -> None:
    """Notes in the run and its report what of an alignment was not measured or is an estimate."""
    if not run.env.planning and (words := unmeasured(run.env.store.manifest(alignment))):
        run.note(words)
