"""From embeddings or images and their labels to a published threshold."""

from typing import Literal

from prefect import flow

from flows.domains.metric.embedders import embedded
from flows.domains.metric.inputs import Labelled, labelled, note_cautions
from flows.domains.metric.sources import classes_of
from flows.run.crashes import tell_when_crashed
from flows.run.publishing import make_live
from flows.run.request import RunRequest
from flows.run.runtime import Run, named, running, scoped
from schemas.refs import Ref
from tasks.metric.assessment import AssessmentParams
from tasks.metric.stages.thresholds import (
    arrange_classes,
    assess_threshold,
    count_class_pairs,
    measure_retrieval,
    merge_pair_counts,
    release_threshold,
)

#: Said where the built-in sample's threshold is that of vectors as they are for want of packages.
NO_NEURAL = (
    "No embedder is trained: the extra neural (torch, pytorch-metric-learning) is not installed; the threshold is that"
    " of the documents' vectors as they are"
)


@flow(name="tune_thresholds", flow_run_name=named, persist_result=False, on_crashed=[tell_when_crashed])
def tune_thresholds(request: RunRequest = RunRequest()) -> None:
    """Chooses one threshold for all classes, tests it on classes that it was not chosen on, and publishes it."""
    with running("tune_thresholds", request) as run:
        metric, given = run.settings.metric, labelled(run, request)
        if metric.trains:
            given = embedded(run, given)
        elif metric.lacks_neural:
            run.note(NO_NEURAL)
        made = _counted(run, given, "validation") | _counted(run, given, "test")
        params = AssessmentParams(
            metric.target, metric.over, metric.opis, metric.level, least_group_classes=metric.least_group_classes
        )
        made["assessment"] = assess_threshold(made["validation_pairs"], made["test_pairs"], params=params)
        made["retrieval"] = measure_retrieval(made["test_rows"], queries=metric.queries)
        members = {role: made[role] for role in ("validation_rows", "test_rows", "test_pairs")} | dict(given.trained)
        made["release"] = threshold = release_threshold(
            made["validation_pairs"],
            given.vectors,
            given.documents,
            made["assessment"],
            made["retrieval"],
            *members.values(),
            roles=tuple(members),
            target=metric.target,
            level=metric.level,
            model=given.model,
            canaries=metric.canaries,
        )
        run.refs |= {f"threshold_{role}": ref for role, ref in made.items()}
        note_cautions(run, threshold)
        make_live(run, threshold)


def _counted(run: Run, given: Labelled, side: Literal["validation", "test"]) -> dict[str, Ref]:
    """The rows of the classes on one side of the split, and what their pairs score."""
    metric = run.settings.metric
    classes = classes_of(metric, given.column, side, given.group)
    with scoped(run, side):
        rows = arrange_classes(
            given.vectors,
            given.documents,
            measure=metric.measure,
            bins=metric.bins,
            memory_mb=metric.memory_mb,
            classes=classes,
            rows_per_shard=metric.rows_per_shard,
        )
        pairs = merge_pair_counts(rows, count_class_pairs(rows))
    return {f"{side}_rows": rows, f"{side}_pairs": pairs}
