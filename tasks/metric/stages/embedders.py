"""The stages that train embedders with and without TCM, compare them, and embed rows by the one that is taken."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import metric as contracts
from schemas.errors import FingerpostError
from schemas.matrices import dense_to_arrow, figures_to_arrow, tensors_from_bytes, tensors_to_arrow, tensors_to_bytes
from schemas.refs import Ref
from schemas.store import Store
from schemas.workspace import Workspace
from tasks.corpus.open import read_vectors
from tasks.metric.classes import ClassParams, chosen_rows
from tasks.metric.comparison import ComparisonParams, Scored, on_validation, scored, taken_embedder
from tasks.metric.embedders import BackboneParams, Check, Embedder, TrainingParams
from tasks.metric.margin_search import MarginParams, Trial, candidates, chosen, will_do
from tasks.metric.margins import TcmParams
from tasks.metric.open import open_vectors, read_embedder, read_labelled, taken_place, texts_of
from tasks.shards import Shard, ShardOutput, even_shards, row_shards
from tasks.stage import stage
from tasks.stage_run import StageRun

#: A training that takes longer saves its state this often (seconds), and so loses no more than that to a kill.
CHECKPOINT_SECONDS = 20.0

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """What is trained on what.

    classes: of the rows. shape: of one input; empty for vectors. backbone, training: the network and its training.
    code: a digest of the source of a user's module, so that a change of it is noticed.
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
    given = shaped(read_vectors(open_vectors(store, vectors)), recipe.shape, vectors)
    named = np.array(labels, dtype=str)
    rows, names = {}, {}
    for side in wanted:
        try:
            taken = chosen_rows(labels, replace(recipe.classes, part=side))  # type: ignore[arg-type]
        except ValueError as problem:
            raise FingerpostError(f"{documents}: {problem}") from problem
        rows[side], names[side] = given[taken], named[taken]
    return _Sides(rows, names)


def shaped(rows: Rows, shape: tuple[int, ...], what: object) -> Rows:
    """Rows (n, d) as inputs of a shape; FingerpostError where they hold another number of values."""
    if not shape:
        return rows
    if rows.shape[1] != int(np.prod(shape)):
        raise FingerpostError(
            f"{what}: expected {int(np.prod(shape))} numbers a row for images of shape {shape}, found {rows.shape[1]}; "
            "correct metric.images.size and .channels"
        )
    return rows.reshape(len(rows), *shape)


@stage(contracts.MARGINS)
def search_margins(
    run: StageRun, vectors: Ref, documents: Ref, *, recipe: Recipe, params: MarginParams, compared: ComparisonParams
) -> None:
    """Trains shortly without TCM and with each of some margins, a shard per trial; chooses on validation classes."""
    short = replace(
        recipe, training=replace(recipe.training, steps=min(params.steps, recipe.training.steps), patience=0)
    )
    shared = {"vectors": vectors, "documents": documents, "recipe": short, "compared": compared, "work": run.ref}
    first = run.map_shards(_trial_shard, [Shard(0, 0, 1)], tried=[None], margins=params, **shared)
    tried: list[TcmParams | None] = [None, *(TcmParams(*margins) for margins in first[0]["candidates"])]
    shards = [Shard(place, place, place + 1) for place in range(1, len(tried))]
    found = first + run.map_shards(_trial_shard, shards, tried=tried, margins=None, **shared)
    trials = [Trial(tcm, **figures["trial"]) for tcm, figures in zip(tried, found, strict=True)]
    best = chosen(trials, params)
    roles = ["will do" if place and will_do(trial, trials[0], params) else "" for place, trial in enumerate(trials)]
    acceptable = sum(role != "" for role in roles)
    roles[best] = "chosen"
    run.write("trials", _trials_table(trials, roles))
    run.quality = {"trials": len(trials), "will_do": acceptable} | _margins_quality(trials[best], trials[0])


def _trials_table(trials: Sequence[Trial], roles: list[str]) -> pa.Table:
    """Trials, and what became of each."""
    numbers = pa.array(range(len(trials)), pa.int64())
    tried = _tried_columns([trial.tcm for trial in trials])
    return pa.table({"place": numbers, **tried, **_judged_columns(trials), "role": roles})


def _margins_quality(best: Trial, without: Trial) -> dict[str, float]:
    """The margins that were chosen, and what they gain."""
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
    from tasks.metric.trainer import embed

    trial, pairs = on_validation(embed(embedder, rows), names, tcm, compared)
    found = {name: getattr(trial, name) for name in ("opis", "worst_opis", "frr", "recall_at_1", "map_at_r")}
    figures: dict[str, Any] = {"trial": found}
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
    """Trains embedders ``without`` and ``with`` TCM for several seeds, one shard each; taken up again after a kill.

    Margins are those that were searched for, or ``tcm`` where none were.
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
    """The margins that a search chose."""
    quality = store.open(margins, contracts.MARGINS).quality
    weight = quality["weight"]
    return TcmParams(quality["positive_margin"], quality["negative_margin"], weight, weight)


def _embedders_table(jobs: list[tuple[int, TcmParams | None]], figures: list[dict[str, Any]]) -> pa.Table:
    """Seed and margins of each embedder, and the steps that it was trained for and is of."""
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
    made = _trained(store, work, shard, sides, seeded, tcm, vectors)
    kept = made.checks[made.best]
    figures = {
        "step": kept.step,
        "steps": made.checks[-1].step,
        "map_at_r": kept.map_at_r,
        "shape": list(made.shape),
        "classes": len(np.unique(sides.names["training"])),
        "rows": len(sides.rows["training"]),
    }
    tables = {"weights": tensors_to_arrow(made.weights), "checks": _checks_table(shard.index, made.checks)}
    return ShardOutput(tables, figures)


def _trained(
    store: Store, work: Ref, shard: Shard, sides: _Sides, recipe: Recipe, tcm: TcmParams | None, vectors: Ref
) -> Embedder:
    """One embedder, from the newest checkpoint of its shard if there is one."""
    try:
        from tasks.metric.trainer import EmbedderTrainer, train_embedder
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
    """Measures embedders on validation and test classes, one shard each, and takes one by validation classes."""
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
    place = taken_embedder(trials, params)
    roles = ["taken" if row == place else "" for row in range(len(trials))]
    numbers = pa.array(range(len(trials)), pa.int64())
    run.write("validation", pa.table({"embedder": numbers, **_judged_columns(trials), "role": roles}))
    run.write("figures", figures_to_arrow(_test_figures(parts, [row["seed"] for row in table])))
    run.write("curves", tensors_to_arrow(_curves(parts)))
    run.quality = {"embedders": len(parts), "taken": place, "tcm": trials[place].tcm is not None} | _means(parts)


def _test_figures(parts: Sequence[Scored], seeds: Sequence[int]) -> list[tuple[str, str, str, float]]:
    """What test classes get by each embedder."""
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
    from tasks.metric.trainer import embed

    sides = _sides(store, vectors, documents, recipe, "validation", "test")
    made = read_embedder(store.open(embedders, contracts.EMBEDDERS), shard.start)
    validation, test = ((embed(made, rows), names) for rows, names in (sides.of("validation"), sides.of("test")))
    return scored(validation, test, made.tcm, params)


def _curves(parts: Sequence[Scored]) -> dict[str, NDArray[np.generic]]:
    """Utility by class along thresholds of the first embedder without and the first with TCM, where there are such."""
    out: dict[str, NDArray[np.generic]] = {}
    for part in parts:
        side = "with" if part.validation.tcm else "without"
        for name, values in part.assessment.curves.items():
            out.setdefault(f"{side}_{name}", values)
        out.setdefault(f"{side}_far", np.array(part.assessment.classes["far"], dtype=np.float64))
        out.setdefault(f"{side}_frr", np.array(part.assessment.classes["frr"], dtype=np.float64))
    return out


def _means(parts: Sequence[Scored]) -> dict[str, float]:
    """Means over seeds of what test classes get, without and with TCM."""
    out = {}
    for side in ("without", "with"):
        mine = [part.test for part in parts if (part.validation.tcm is not None) == (side == "with")]
        for name in ("opis", "worst_opis", "recall_at_1", "far", "far_spread") if mine else ():
            out[f"{name}_{side}"] = round(float(np.mean([one[name] for one in mine])), 8)
    return out


@stage(contracts.VECTORS)
def embed_rows(
    run: StageRun, vectors: Ref, embedders: Ref, comparison: Ref, *, shape: tuple[int, ...], rows_per_shard: int
) -> None:
    """Embeds all rows by the embedder that was taken, one shard a range of rows."""
    place = taken_place(run.store.open(comparison, contracts.COMPARISON))
    shards = row_shards(open_vectors(run.store, vectors).rows("vectors"), rows_per_shard)
    figures = run.map_shards(_embed_shard, shards, vectors=vectors, embedders=embedders, place=place, shape=shape)
    run.quality = {
        "rows": sum(f["rows"] for f in figures),
        "dimensions": figures[0]["dimensions"],
        "embedder": place,
    }


def _embed_shard(
    store: Store, shard: Shard, *, vectors: Ref, embedders: Ref, place: int, shape: tuple[int, ...]
) -> ShardOutput:
    from tasks.metric.trainer import embed

    rows = shaped(read_vectors(open_vectors(store, vectors))[shard.start : shard.stop], shape, vectors)
    found = embed(read_embedder(store.open(embedders, contracts.EMBEDDERS), place), rows)
    return ShardOutput({"vectors": dense_to_arrow(found)}, {"rows": len(found), "dimensions": found.shape[1]})


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
