"""The stage that trains the aligner which looks at neighbourhoods."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import tensors_from_bytes, tensors_to_arrow, tensors_to_bytes
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.kg.aligner_graphs import Matrix, matrices_of
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.labelled_pairs import LabelledPairs
from fingerpost.tasks.kg.negatives import PairSpace
from fingerpost.tasks.kg.stages.graph_tables import GraphTables, is_within
from fingerpost.tasks.kg.stages.stored_aligner import sides_of
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Seconds between checkpoints of a training: the maximum that a kill loses.
CHECKPOINT_SECONDS = 10.0
#: The roles of the inputs, in the order of the stage's arguments.
ROLES = ("left", "right", "left_neighborhoods", "right_neighborhoods", "left_vectors", "right_vectors")


@stage(contracts.MODEL)
def train_aligner(
    run: StageRun,
    left: Ref,
    right: Ref,
    left_neighborhoods: Ref,
    right_neighborhoods: Ref,
    left_vectors: Ref,
    right_vectors: Ref,
    candidates: Ref,
    links: Ref,
    *,
    params: AlignerParams,
) -> None:
    """Trains the aligner, and one more for each fold of the training pairs, one shard each; resumes after a kill."""
    given = (left, right, left_neighborhoods, right_neighborhoods, left_vectors, right_vectors)
    inputs = {"members": dict(zip(ROLES, given, strict=True)), "candidates": candidates, "links": links}
    shards = even_shards(1 + params.folds, 1)
    figures = run.map_shards(_train_shard, shards, **inputs, params=params, work=run.ref)
    run.quality = figures[0]


def _train_shard(
    store: Store,
    shard: Shard,
    *,
    members: Mapping[str, Ref],
    candidates: Ref,
    links: Ref,
    params: AlignerParams,
    work: Ref,
) -> ShardOutput:
    labelled = _labelled(store, links, params)
    fold = shard.start - 1
    held = np.zeros(len(labelled.pairs), dtype=bool)
    if fold >= 0:
        labelled, held = labelled.without_fold(fold, params.folds, seed=params.seed)
        params = replace(params, seed=params.seed + 1 + fold)
        if not np.any(labelled.labels[labelled.training] == 1):
            return ShardOutput({})
    space = _space(store, members, candidates, labelled)
    aligner, epochs, matrices = _trained(
        store, Workspace(store, work, part=shard.index), members, labelled, space, params
    )
    if fold >= 0:
        logits = aligner.logits(labelled.pairs[held])
        return ShardOutput({"crossed": _crossed_table(labelled.pairs[held], logits)})
    best = max(epochs, key=lambda epoch: epoch.validation)
    figures = {
        "pairs": int(labelled.training.sum()),
        "matches": int(np.sum(labelled.labels[labelled.training] == 1)),
        "epochs": len(epochs),
        "validation_prauc": round(best.validation, 6),
        "matrices": len(matrices),
    }
    tables = {
        "epochs": _epochs_table(epochs),
        "matrices": pa.Table.from_pylist([vars(matrix) for matrix in matrices]),
        "weights": tensors_to_arrow(aligner.weights),
    }
    return ShardOutput(tables, figures)


def _trained(
    store: Store,
    workspace: Workspace,
    members: Mapping[str, Ref],
    labelled: LabelledPairs,
    space: PairSpace,
    params: AlignerParams,
) -> tuple[Any, list[Any], tuple[Matrix, ...]]:
    """The aligner of the best epoch, the epochs and the matrices; from the newest checkpoint if there is one."""
    try:
        from fingerpost.tasks.kg.aligner_training import AlignerTrainer
        from fingerpost.tasks.kg.aligner_training import train_aligner as train
    except ImportError as problem:
        raise FingerpostError(
            f"kg.aligner: expected torch, found {problem.name} missing; install the extra neural (pip install"
            " 'fingerpost[neural]'), or set kg.aligner.on to false"
        ) from problem
    sides = sides_of(store, members)
    matrices = matrices_of(*(side.facts for side in sides[: 1 if space.within else 2]), most=params.relations)
    graphs = [side.graph_for(matrices, params) for side in sides[: 1 if space.within else 2]]
    saved, last = workspace.newest_checkpoint(), time.monotonic()

    def save(epoch: int, state: Callable[[], Mapping[str, NDArray[np.generic]]]) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECKPOINT_SECONDS:
            workspace.save_checkpoint(epoch, tensors_to_bytes(state()))
            last = time.monotonic()

    try:
        trainer = AlignerTrainer(graphs[0], graphs[-1], labelled, params, matrices=len(matrices), space=space)
        aligner = train(trainer, state=tensors_from_bytes(saved[1]) if saved else None, save=save)
    except ValueError as problem:
        raise FingerpostError(f"{members['left']}: {problem}") from problem
    return aligner, trainer.epochs, matrices


def _labelled(store: Store, links: Ref, params: AlignerParams) -> LabelledPairs:
    rows = store.open(links, contracts.LINKS).read("links")
    pairs = np.stack([rows[name].to_numpy() for name in ("left", "right")], axis=1).astype(np.int64)
    try:
        return LabelledPairs.of(pairs, rows["label"].to_numpy(), rows["split"].to_pylist(), seed=params.seed)
    except ValueError as problem:
        raise FingerpostError(f"{links}: {problem}") from problem


def _space(store: Store, members: Mapping[str, Ref], candidates: Ref, labelled: LabelledPairs) -> PairSpace:
    """The types of both sides, and the candidates of entities that have a match to train on or to stop by."""
    types = [GraphTables.open(store, members[side]).types for side in ("left", "right")]
    number = {name: place for place, name in enumerate(sorted({*types[0], *types[1]}))}
    rows = store.open(candidates, contracts.CANDIDATES).read("candidates")
    pairs = np.stack([rows[name].to_numpy() for name in ("left", "right")], axis=1).astype(np.int64)
    matches = labelled.pairs[(labelled.labels == 1) & (labelled.training | labelled.validation)]
    kept = np.isin(pairs[:, 0], matches[:, 0]) | np.isin(pairs[:, 1], matches[:, 1])
    left, right = (np.array([number[name] for name in side], np.int64) for side in types)
    return PairSpace(left, right, pairs[kept], is_within(members))


def _epochs_table(epochs: list[Any]) -> pa.Table:
    return pa.table(
        {
            "epoch": pa.array(range(1, len(epochs) + 1), pa.int32()),
            "loss": pa.array([epoch.loss for epoch in epochs], pa.float64()),
            "validation": pa.array([epoch.validation for epoch in epochs], pa.float64()),
        }
    )


def _crossed_table(pairs: NDArray[np.int64], logits: NDArray[np.float64]) -> pa.Table:
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    left, right = (pa.array(pairs[order, side].astype(np.uint32)) for side in (0, 1))
    return pa.table({"left": left, "right": right, "logit": pa.array(logits[order])})
