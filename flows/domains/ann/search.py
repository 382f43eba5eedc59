"""The stages that choose and measure how texts are answered, as the artifacts of a run allow."""

from fingerpost.flows.domains.ann.evaluation import retrieval_params
from fingerpost.flows.domains.ann.inputs import judged_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.stages.judging import judge_search
from fingerpost.tasks.ann.stages.search import evaluate_retrieval, tune_search

#: The roles of what answers texts: words, and vectors where these are computed from them.
_WORDS = ("documents", "analyzer", "lexicon", "field_weights", "postings")
_VECTORS = ("features", "projection", "vectors", "graph", "neighbors")


def tune_and_measure(run: Run) -> None:
    """Chooses how texts are answered, and measures it; nothing where there are no texts."""
    refs, ann = run.refs, run.settings.ann
    if "postings" not in refs:
        if ann.judged.queries:
            run.note(f"Judged queries are not used, since the documents have no texts: {ann.judged.queries}")
        return
    metric = ann.hnsw.metric
    judged = judged_of(run, refs["documents"])
    parts = _answering(refs) | ({"judged": judged} if judged is not None else {})
    refs |= {"judged": judged} if judged is not None else {}
    refs["tuning"] = tune_search(*parts.values(), roles=tuple(parts), metric=metric, params=ann.tuning)
    parts = _answering(refs) | {"tuning": refs["tuning"]}
    refs["retrieval"] = evaluate_retrieval(
        *parts.values(), roles=tuple(parts), metric=metric, hnsw=ann.hnsw, params=retrieval_params(run.settings)
    )
    if judged is not None:
        refs["judgement"] = judge_search(
            judged,
            refs["documents"],
            *parts.values(),
            roles=tuple(parts),
            metric=metric,
            params=ann.judged.intervals,
        )


def _answering(refs: dict[str, Ref]) -> dict[str, Ref]:
    """What answers texts, by role."""
    roles = (*_WORDS, *_VECTORS) if "projection" in refs else _WORDS
    return {role: refs[role] for role in roles}
