"""Training of embedders with and without TCM, as part of the flow that tunes a threshold."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

from fingerpost.flows.domains.metric.inputs import Labelled
from fingerpost.flows.domains.metric.settings import MetricSettings
from fingerpost.flows.domains.metric.sources import classes_of
from fingerpost.flows.run.runtime import Run
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.refs import digest_of
from fingerpost.tasks.metric.assessment import AssessmentParams
from fingerpost.tasks.metric.comparison import ComparisonParams
from fingerpost.tasks.metric.stages.embedders import (
    Recipe,
    compare_embedders,
    embed_rows,
    search_margins,
    train_embedders,
)


def embedded(run: Run, rows: Labelled) -> Labelled:
    """Trains embedders on the training classes and selects one; returns the rows with its embeddings as vectors."""
    metric, artifacts = run.settings.metric, {}
    training, compared = metric.training, _comparison(metric)
    recipe = Recipe(
        classes_of(metric, rows.column, "training"),
        metric.images.array if metric.kind == "images" else (),
        training.backbone,
        training.params,
        module_digest(training.backbone.module),
    )
    if "with" in training.variants and training.margins.search:
        artifacts["margins"] = search_margins(
            rows.vectors, rows.documents, recipe=recipe, params=training.margins, compared=compared
        )
    artifacts["embedders"] = train_embedders(
        rows.vectors,
        rows.documents,
        *artifacts.values(),
        recipe=recipe,
        variants=training.variants,
        seeds=training.seeds,
        tcm=training.tcm,
    )
    artifacts["comparison"] = compare_embedders(
        rows.vectors, rows.documents, artifacts["embedders"], recipe=recipe, params=compared
    )
    vectors = embed_rows(
        rows.vectors,
        artifacts["embedders"],
        artifacts["comparison"],
        shape=recipe.shape,
        rows_per_shard=metric.rows_per_shard,
    )
    run.refs |= {f"threshold_{role}": ref for role, ref in artifacts.items()} | {"threshold_embeddings": vectors}
    # The threshold of an embedder is valid neither for its input vectors nor for another embedder's.
    return replace(
        rows, trained=artifacts, vectors=vectors, model=f"{rows.model}+{artifacts['embedders'].fingerprint[:12]}"
    )


def _comparison(metric: MetricSettings) -> ComparisonParams:
    assessment = AssessmentParams(metric.target, metric.over, metric.opis, metric.level)
    training = metric.training
    return ComparisonParams(assessment, training.taken, training.margins.recall_loss, metric.bins, metric.queries)


def module_digest(name: str) -> str:
    """A digest of the source file of the module that "package.module:Name" names, without what it imports.

    Empty for an empty name. SettingsError if the module cannot be imported.
    """
    if not name:
        return ""
    module = name.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise SettingsError(
            f"metric.training.backbone.module: expected an importable module before ':', got {name!r}; install it, or"
            f" add its folder to PYTHONPATH (now {len(sys.path)} folders are searched)"
        )
    return digest_of(Path(spec.origin).read_text())
