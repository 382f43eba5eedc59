"""The stages that train embedders with and without TCM, compare them, and embed rows with the selected one."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import (
    dense_to_arrow,
    figures_to_arrow,
    tensors_from_bytes,
    tensors_to_arrow,
    tensors_to_bytes,
)
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.metric.classes import ClassParams, chosen_rows
from fingerpost.tasks.metric.comparison import ComparisonParams, Scored, on_validation, scored, selected_embedder
from fingerpost.tasks.metric.embedders import BackboneParams, Check, Embedder, TrainingParams
from fingerpost.tasks.metric.margin_search import MarginParams, Trial, candidates, chosen, is_acceptable
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.open import open_vectors, read_embedder, read_labelled, selected_index, texts_of
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Seconds between checkpoints of a training: the maximum that a kill loses.
CHECKPOINT_SECONDS = 20.0

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """Classes, inputs, network and parameters of a training.

    shape: shape of one input, empty for vectors. code: a digest of the source of a user's module, so that a change of
    it is detected.
    """

    classes: ClassParams
    shape: tuple[int, ...]
    backbone: BackboneParams
    training: TrainingParams
    code: str = ""


@dataclass(frozen=True)
class _Sides:
    """Rows and class names of training, validation and test classes."""

    rows: dict[str, Rows]
    names: dict[str, NDArray[np.str_]]

    def of(self, side: str) -> tuple[Rows, NDArray[np.str_]]:
        """Rows and names of one side."""
        return self.rows[side], self.names[side]


def _sides(store: Store, vectors: Ref, documents: Ref, recipe: Recipe, *wanted: str) -> _Sides:
    labels = texts_of(read_labelled(store, documents), recipe.classes.column)
    inputs = shaped(read_vectors(open_vectors(store, vectors)), recipe.shape, vectors)
    label_of = np.array(labels, dtype=str)
    rows, names = {}, {}
    for side in wanted:
        try:
            selected = chosen_rows(labels, replace(recipe.classes, part=side))  # type: ignore[arg-type]
        except ValueError as problem:
            raise FingerpostError(f"{documents}: {problem}") from problem
        rows[side], names[side] = inputs[selected], label_of[selected]
    return _Sides(rows, names)


def shaped(rows: Rows, shape: tuple[int, ...], what: object) -> Rows:
    """Rows (n, d) reshaped to inputs (n, *shape); FingerpostError if d is another number of values."""
    if not shape:
        return rows
    if rows.shape[1] != int(np.prod(shape)):
        raise FingerpostError(
            f"{what}: expected {int(np.prod(shape))} values per row for images of shape {shape}, found"
            f" {rows.shape[1]}; correct metric.images.size and .channels"
        )
    return rows.reshape(len(rows), *shape)


@stage(contracts.MARGINS)
def search_margins(
    run: StageRun, vectors: Ref, documents: Ref, *, recipe: Recipe, params: MarginParams, compared: ComparisonParams
) -> None:
    """Trains briefly without TCM and with each candidate margin, and selects margins on validation classes.

    One shard per trial.
    """
    short = replace(
        recipe, training=replace(recipe.training, steps=min(params.steps, recipe.training.steps), patience=0)
    )
    shared = {"vectors": vectors, "documents": documents, "recipe": short, "compared": compared, "work": run.ref}
    first = run.map_shards(_trial_shard, [Shard(0, 0, 1)], tried=[None], margins=params, **shared)
    tried: list[TcmParams | None] = [None, *(TcmParams(*margins) for margins in first[0]["candidates"])]
    shards = [Shard(index, index, index + 1) for index in range(1, len(tried))]
    figures = first + run.map_shards(_trial_shard, shards, tried=tried, margins=None, **shared)
    trials = [Trial(tcm, **part["trial"]) for tcm, part in zip(tried, figures, strict=True)]
    best = chosen(trials, params)
    roles = [
        "will do" if index and is_acceptable(trial, trials[0], params) else "" for index, trial in enumerate(trials)
    ]
    acceptable = sum(role != "" for role in roles)
    roles[best] = "chosen"
    run.write("trials", _trials_table(trials, roles))
    run.quality = {"trials": len(trials), "will_do": acceptable} | _margins_quality(trials[best], trials[0])


def _trials_table(trials: Sequence[Trial], roles: list[str]) -> pa.Table:
    """The trials and the role of each."""
    numbers = pa.array(range(len(trials)), pa.int64())
    tried = _tried_columns([trial.tcm for trial in trials])
    return pa.table({"place": numbers, **tried, **_judged_columns(trials), "role": roles})


def _margins_quality(best: Trial, without: Trial) -> dict[str, float]:
    """The selected margins, and their metrics compared with those without TCM."""
    tcm = best.tcm
    assert tcm is not None
    return {
        "positive_margin": tcm.positive_margin,
        "negative_margin": tcm.negative_margin,
        "weight": tcm.positive_weight,
        "opis": best.opis,
        "opis_without": without.opis,
        "recall_at_1": best.recall_at_1,
        "recall_at_1_without": without.recall_at_1,
    }


def _trial_shard(
    store: Store,
    shard: Shard,
    *,
    vectors: Ref,
    documents: Ref,
    recipe: Recipe,
    compared: ComparisonParams,
    work: Ref,
    tried: list[TcmParams | None],
    margins: MarginParams | None,
) -> ShardOutput:
    sides = _sides(store, vectors, documents, recipe, "training", "validation")
    tcm = tried[shard.start]
    embedder = _trained(store, work, shard, sides, recipe, tcm, vectors)
    rows, names = sides.of("validation")
    from fingerpost.tasks.metric.trainer import embed

    trial, pairs = on_validation(embed(embedder, rows), names, tcm, compared)
    metrics = {name: getattr(trial, name) for name in ("opis", "worst_opis", "frr", "recall_at_1", "map_at_r")}
    figures: dict[str, Any] = {"trial": metrics}
    if margins is not None:
        figures["candidates"] = [
            [tcm.positive_margin, tcm.negative_margin, tcm.positive_weight, tcm.negative_weight]
            for tcm in candidates(pairs, margins)
        ]
    return ShardOutput({"checks": _checks_table(shard.index, embedder.checks)}, figures)


@stage(contracts.EMBEDDERS)
def train_embedders(
    run: StageRun,
    vectors: Ref,
    documents: Ref,
    *margins: Ref,
    recipe: Recipe,
    variants: tuple[str, ...],
    seeds: int,
    tcm: TcmParams,
) -> None:
    """Trains embedders ``without`` and ``with`` TCM for several seeds, one shard each; resumes after a kill.

    margins: the artifact of a margin search; without one, the margins are ``tcm``.
    """
    with_tcm = _searched(run.store, margins[0]) if margins else tcm
    first = recipe.training.seed
    jobs = [(first + seed, with_tcm if variant == "with" else None) for variant in variants for seed in range(seeds)]
    figures = run.map_shards(
        _embedder_shard,
        even_shards(len(jobs), 1),
        vectors=vectors,
        documents=documents,
        recipe=recipe,
        jobs=jobs,
        work=run.ref,
    )
    run.write("embedders", _embedders_table(jobs, figures))
    run.write("shape", tensors_to_arrow({"shape": np.array(figures[0]["shape"], dtype=np.int64)}))
    run.quality = {
        "embedders": len(jobs),
        "classes": figures[0]["classes"],
        "rows": figures[0]["rows"],
        "validation_map_at_r": round(float(np.mean([f["map_at_r"] for f in figures])), 6),
    }


def _searched(store: Store, margins: Ref) -> TcmParams:
    """The margins that a search selected."""
    quality = store.open(margins, contracts.MARGINS).quality
    weight = quality["weight"]
    return TcmParams(quality["positive_margin"], quality["negative_margin"], weight, weight)


def _embedders_table(jobs: list[tuple[int, TcmParams | None]], figures: list[dict[str, Any]]) -> pa.Table:
    """Seed and margins of each embedder, the step of its weights, and the number of steps trained."""
    return pa.table(
        {
            "place": pa.array(range(len(jobs)), pa.int64()),
            "seed": pa.array([seed for seed, _ in jobs], pa.int64()),
            **_tried_columns([margins for _, margins in jobs]),
            "step": pa.array([f["step"] for f in figures], pa.int64()),
            "steps": pa.array([f["steps"] for f in figures], pa.int64()),
        }
    )


def _embedder_shard(
    store: Store,
    shard: Shard,
    *,
    vectors: Ref,
    documents: Ref,
    recipe: Recipe,
    jobs: list[tuple[int, TcmParams | None]],
    work: Ref,
) -> ShardOutput:
    seed, tcm = jobs[shard.start]
    sides = _sides(store, vectors, documents, recipe, "training", "validation")
    seeded = replace(recipe, training=replace(recipe.training, seed=seed))
    embedder = _trained(store, work, shard, sides, seeded, tcm, vectors)
    best = embedder.checks[embedder.best]
    figures = {
        "step": best.step,
        "steps": embedder.checks[-1].step,
        "map_at_r": best.map_at_r,
        "shape": list(embedder.shape),
        "classes": len(np.unique(sides.names["training"])),
        "rows": len(sides.rows["training"]),
    }
    tables = {"weights": tensors_to_arrow(embedder.weights), "checks": _checks_table(shard.index, embedder.checks)}
    return ShardOutput(tables, figures)


def _trained(
    store: Store, work: Ref, shard: Shard, sides: _Sides, recipe: Recipe, tcm: TcmParams | None, vectors: Ref
) -> Embedder:
    """Trains one embedder, from the newest checkpoint of its shard if there is one."""
    try:
        from fingerpost.tasks.metric.trainer import EmbedderTrainer, train_embedder
    except ImportError as problem:
        raise FingerpostError(
            f"metric.training: expected torch and pytorch-metric-learning, found {problem.name} missing; install the"
            " extra neural (pip install 'fingerpost[neural]'), or leave metric.training.on false"
        ) from problem
    workspace = Workspace(store, work, part=shard.index)
    saved = workspace.newest_checkpoint()
    last = time.monotonic()

    def save(step: int, state: Callable[[], Mapping[str, NDArray[np.generic]]]) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECKPOINT_SECONDS:
            workspace.save_checkpoint(step, tensors_to_bytes(state()))
            last = time.monotonic()

    (rows, names), (held, held_names) = sides.of("training"), sides.of("validation")
    try:
        trainer = EmbedderTrainer(rows, names, held, held_names, recipe.backbone, recipe.training, tcm)
        return train_embedder(trainer, state=tensors_from_bytes(saved[1]) if saved else None, save=save)
    except ValueError as problem:
        raise FingerpostError(f"{vectors}: {problem}") from problem


@stage(contracts.COMPARISON)
def compare_embedders(
    run: StageRun, vectors: Ref, documents: Ref, embedders: Ref, *, recipe: Recipe, params: ComparisonParams
) -> None:
    """Measures every embedder on validation and test classes, one shard each, and selects one on validation classes."""
    table = run.store.open(embedders, contracts.EMBEDDERS).read("embedders").to_pylist()
    parts = run.gather(
        _score_shard,
        even_shards(len(table), 1),
        vectors=vectors,
        documents=documents,
        embedders=embedders,
        recipe=recipe,
        params=params,
    )
    trials = [part.validation for part in parts]
    selected = selected_embedder(trials, params)
    roles = ["taken" if row == selected else "" for row in range(len(trials))]
    numbers = pa.array(range(len(trials)), pa.int64())
    run.write("validation", pa.table({"embedder": numbers, **_judged_columns(trials), "role": roles}))
    run.write("figures", figures_to_arrow(_test_figures(parts, [row["seed"] for row in table])))
    run.write("curves", tensors_to_arrow(_curves(parts)))
    run.quality = {"embedders": len(parts), "taken": selected, "tcm": trials[selected].tcm is not None} | _means(parts)


def _test_figures(parts: Sequence[Scored], seeds: Sequence[int]) -> list[tuple[str, str, str, float]]:
    """Metrics of each embedder on test classes."""
    return [
        ("with" if part.validation.tcm else "without", f"seed {seed}", metric, value)
        for part, seed in zip(parts, seeds, strict=True)
        for metric, value in part.test.items()
    ]


def _score_shard(
    store: Store,
    shard: Shard,
    *,
    vectors: Ref,
    documents: Ref,
    embedders: Ref,
    recipe: Recipe,
    params: ComparisonParams,
) -> Scored:
    from fingerpost.tasks.metric.trainer import embed

    sides = _sides(store, vectors, documents, recipe, "validation", "test")
    embedder = read_embedder(store.open(embedders, contracts.EMBEDDERS), shard.start)
    validation, test = ((embed(embedder, rows), names) for rows, names in (sides.of("validation"), sides.of("test")))
    return scored(validation, test, embedder.tcm, params)


def _curves(parts: Sequence[Scored]) -> dict[str, NDArray[np.generic]]:
    """Curves of utility by class of the first embedder without and the first with TCM, as far as there are such."""
    out: dict[str, NDArray[np.generic]] = {}
    for part in parts:
        side = "with" if part.validation.tcm else "without"
        for name, values in part.assessment.curves.items():
            out.setdefault(f"{side}_{name}", values)
        out.setdefault(f"{side}_far", np.array(part.assessment.classes["far"], dtype=np.float64))
        out.setdefault(f"{side}_frr", np.array(part.assessment.classes["frr"], dtype=np.float64))
    return out


def _means(parts: Sequence[Scored]) -> dict[str, float]:
    """Means over seeds of the metrics on test classes, without and with TCM."""
    out = {}
    for side in ("without", "with"):
        mine = [part.test for part in parts if (part.validation.tcm is not None) == (side == "with")]
        for name in ("opis", "worst_opis", "recall_at_1", "far", "far_spread") if mine else ():
            out[f"{name}_{side}"] = round(float(np.mean([metrics[name] for metrics in mine])), 8)
    return out


@stage(contracts.VECTORS)
def embed_rows(
    run: StageRun, vectors: Ref, embedders: Ref, comparison: Ref, *, shape: tuple[int, ...], rows_per_shard: int
) -> None:
    """Embeds all rows with the selected embedder, one shard per range of rows."""
    index = selected_index(run.store.open(comparison, contracts.COMPARISON))
    shards = row_shards(open_vectors(run.store, vectors).rows("vectors"), rows_per_shard)
    figures = run.map_shards(_embed_shard, shards, vectors=vectors, embedders=embedders, index=index, shape=shape)
    run.quality = {
        "rows": sum(f["rows"] for f in figures),
        "dimensions": figures[0]["dimensions"],
        "embedder": index,
    }


def _embed_shard(
    store: Store, shard: Shard, *, vectors: Ref, embedders: Ref, index: int, shape: tuple[int, ...]
) -> ShardOutput:
    from fingerpost.tasks.metric.trainer import embed

    rows = shaped(read_vectors(open_vectors(store, vectors))[shard.start : shard.stop], shape, vectors)
    embeddings = embed(read_embedder(store.open(embedders, contracts.EMBEDDERS), index), rows)
    figures = {"rows": len(embeddings), "dimensions": embeddings.shape[1]}
    return ShardOutput({"vectors": dense_to_arrow(embeddings)}, figures)


def _tried_columns(tried: Sequence[TcmParams | None]) -> dict[str, pa.Array]:
    def column(name: str) -> pa.Array:
        return pa.array([getattr(tcm, name) if tcm else None for tcm in tried], pa.float64())

    names = {"positive_margin": "positive_margin", "negative_margin": "negative_margin", "weight": "positive_weight"}
    return {ours: column(theirs) for ours, theirs in names.items()}


def _judged_columns(trials: Sequence[Trial]) -> dict[str, pa.Array]:
    names = ("opis", "worst_opis", "frr", "recall_at_1", "map_at_r")
    return {name: pa.array([getattr(trial, name) for trial in trials], pa.float64()) for name in names}


def _checks_table(embedder: int, checks: Sequence[Check]) -> pa.Table:
    names = ("loss", "map_at_r", "recall_at_1")
    return pa.table(
        {
            "embedder": pa.array([embedder] * len(checks), pa.int64()),
            "step": pa.array([check.step for check in checks], pa.int64()),
        }
        | {name: pa.array([getattr(check, name) for check in checks], pa.float64()) for name in names}
    )
