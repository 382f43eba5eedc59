"""Embedders trained with and without TCM, as part of the flow that tunes a threshold."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

from flows.domains.metric.inputs import Labelled
from flows.domains.metric.settings import MetricSettings
from flows.domains.metric.sources import classes_of
from flows.run.runtime import Run
from flows.run.section import SettingsError
from schemas.refs import digest_of
from tasks.metric.assessment import AssessmentParams
from tasks.metric.comparison import ComparisonParams
from tasks.metric.stages.embedders import Recipe, compare_embedders, embed_rows, search_margins, train_embedders


def embedded(run: Run, given: Labelled) -> Labelled:
    """Trains embedders on the training classes and takes one; its embeddings of all rows instead of what was given."""
    metric, made = run.settings.metric, {}
    training, compared = metric.training, _comparison(metric)
    recipe = Recipe(
        classes_of(metric, given.column, "training"),
        metric.images.array if metric.kind == "images" else (),
        training.backbone,
        training.params,
        module_digest(training.backbone.module),
    )
    if "with" in training.variants and training.margins.search:
        made["margins"] = search_margins(
            given.vectors, given.documents, recipe=recipe, params=training.margins, compared=compared
        )
    made["embedders"] = train_embedders(
        given.vectors,
        given.documents,
        *made.values(),
        recipe=recipe,
        variants=training.variants,
        seeds=training.seeds,
        tcm=training.tcm,
    )
    made["comparison"] = compare_embedders(
        given.vectors, given.documents, made["embedders"], recipe=recipe, params=compared
    )
    vectors = embed_rows(
        given.vectors, made["embedders"], made["comparison"], shape=recipe.shape, rows_per_shard=metric.rows_per_shard
    )
    run.refs |= {f"threshold_{role}": ref for role, ref in made.items()} | {"threshold_embeddings": vectors}
    # A threshold of the embedder holds neither for what it was given nor for another embedder's vectors.
    return replace(given, trained=made, vectors=vectors, model=f"{given.model}+{made['embedders'].fingerprint[:12]}")


def _comparison(metric: MetricSettings) -> ComparisonParams:
    assessment = AssessmentParams(metric.target, metric.over, metric.opis, metric.level)
    training = metric.training
    return ComparisonParams(assessment, training.taken, training.margins.recall_loss, metric.bins, metric.queries)


def module_digest(name: str) -> str:
    """A digest of the source file of the module that "package.module:Name" names, empty without one; what it imports does not
    count. SettingsError where there is none.
    """
    if not name:
        return ""
    place = name.partition(":")[0]
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.origin or not Path(found.origin).is_file():
        raise SettingsError(
            f"metric.training.backbone.module: expected an importable module before ':', got {name!r}; install it, or"
            f" add its folder to PYTHONPATH (now {len(sys.path)} folders are searched)"
        )
    return digest_of(Path(found.origin).read_text())
