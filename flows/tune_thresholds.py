"""From embeddings or images and their labels to a published threshold."""

from typing import Literal

from prefect import flow

from fingerpost.flows.domains.metric.embedders import embedded
from fingerpost.flows.domains.metric.inputs import Labelled, labelled, note_warnings
from fingerpost.flows.domains.metric.sources import classes_of
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import Run, named, running, scoped
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.metric.assessment import AssessmentParams
from fingerpost.tasks.metric.stages.thresholds import (
    arrange_classes,
    assess_threshold,
    count_class_pairs,
    measure_retrieval,
    merge_pair_counts,
    release_threshold,
)

#: The note of a run whose built-in sample has no embedder because packages are missing.
NO_NEURAL = (
    "No embedder is trained: the extra neural (torch, pytorch-metric-learning) is not installed; the threshold is"
    " tuned on the documents' own vectors"
)


@flow(name="tune_thresholds", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def tune_thresholds(request: RunRequest = RunRequest()) -> None:
    """Chooses one threshold for all classes, tests it on classes that it was not chosen on, and publishes it."""
    with running("tune_thresholds", request) as run:
        metric, inputs = run.settings.metric, labelled(run, request)
        if metric.trains:
            inputs = embedded(run, inputs)
        elif metric.lacks_neural:
            run.note(NO_NEURAL)
        artifacts = _counted(run, inputs, "validation") | _counted(run, inputs, "test")
        params = AssessmentParams(
            metric.target, metric.over, metric.opis, metric.level, least_group_classes=metric.least_group_classes
        )
        artifacts["assessment"] = assess_threshold(
            artifacts["validation_pairs"],
            artifacts["test_pairs"],
            artifacts["validation_rows"],
            artifacts["test_rows"],
            params=params,
        )
        artifacts["retrieval"] = measure_retrieval(artifacts["test_rows"], queries=metric.queries)
        members = {role: artifacts[role] for role in ("validation_rows", "test_rows", "test_pairs")} | dict(
            inputs.trained
        )
        artifacts["release"] = threshold = release_threshold(
            artifacts["validation_pairs"],
            inputs.vectors,
            inputs.documents,
            artifacts["assessment"],
            artifacts["retrieval"],
            *members.values(),
            roles=tuple(members),
            target=metric.target,
            model=inputs.model,
            canaries=metric.canaries,
        )
        run.refs |= {f"threshold_{role}": ref for role, ref in artifacts.items()}
        note_warnings(run, threshold)
        make_live(run, threshold)


def _counted(run: Run, inputs: Labelled, side: Literal["validation", "test"]) -> dict[str, Ref]:
    """The rows of the classes on one side of the split, and the histograms of their pairs' scores."""
    metric = run.settings.metric
    classes = classes_of(metric, inputs.column, side, inputs.group)
    # Only distances have outliers; without the parameter, artifacts of cosines stay what they are.
    spread = {"outliers": False} if metric.measure == "euclidean" else {}
    with scoped(run, side):
        rows = arrange_classes(
            inputs.vectors,
            inputs.documents,
            measure=metric.measure,
            bins=metric.bins,
            memory_mb=metric.memory_mb,
            classes=classes,
            rows_per_shard=metric.rows_per_shard,
            **spread,
        )
        pairs = merge_pair_counts(rows, count_class_pairs(rows))
    return {f"{side}_rows": rows, f"{side}_pairs": pairs}
