"""The stages that train the chosen network and evaluate it on test images."""

import hashlib
import importlib.util
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import figures_to_arrow, tensors_from_bytes, tensors_to_arrow, tensors_to_bytes
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.chosen import best_row
from fingerpost.tasks.nas.evaluation_params import EvaluationParams
from fingerpost.tasks.nas.finished import (
    Tested,
    examples_of,
    onnx_difference,
    onnx_of,
    tested_network,
    trained_network,
)
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.open import read_images, read_network
from fingerpost.tasks.nas.training_params import Epoch, TrainedNetwork, TrainingParams
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Seconds between checkpoints of a training: the maximum that a kill loses.
CHECKPOINT_SECONDS = 10.0


@contextmanager
def torch_needed(what: object) -> Iterator[None]:
    """FingerpostError for a package that is missing, and for a ValueError, which ``what`` is named for."""
    try:
        yield
    except ImportError as problem:
        raise FingerpostError(
            f"nas: expected torch, onnx and onnxscript, found {problem.name} missing; install the extra nas (pip install"
            " 'fingerpost[nas]')"
        ) from problem
    except ValueError as problem:
        raise FingerpostError(f"{what}: {problem}") from problem


def check_exporter() -> None:
    """FingerpostError where a network could be trained but not be exported, which hours of searching would end with."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise FingerpostError(
            f"nas: expected torch, onnx and onnxscript, found {' and '.join(missing)} missing; install the extra nas (pip"
            " install 'fingerpost[nas]')"
        )


def saving(workspace: Workspace) -> Callable[[int, Callable[[], Mapping[str, NDArray[np.generic]]]], None]:
    """A function that saves a checkpoint at a position if the last one is ``CHECKPOINT_SECONDS`` ago."""
    last = time.monotonic()

    def save(position: int, state: Callable[[], Mapping[str, NDArray[np.generic]]]) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECKPOINT_SECONDS:
            workspace.save_checkpoint(position, tensors_to_bytes(state()))
            last = time.monotonic()

    return save


@stage(contracts.TRAINED)
def train_network(run: StageRun, images: Ref, search: Ref, *, params: TrainingParams, seed: int = 0) -> None:
    """Trains the chosen network of a search, on a worker, and exports it; resumes after a kill."""
    chosen = Architecture.parse(_chosen(run.store, search)["description"])
    run.quality = run.map_shards(
        _train_shard, even_shards(1, 1), images=images, architecture=chosen, params=params, seed=seed, work=run.ref
    )[0]


def _chosen(store: Store, search: Ref) -> dict[str, Any]:
    """The row of the network that a search chose."""
    rows: list[dict[str, Any]] = store.open(search, contracts.SEARCH).read("evaluated").to_pylist()
    with torch_needed(search):
        return rows[best_row(rows)]


def _train_shard(
    store: Store, shard: Shard, *, images: Ref, architecture: Architecture, params: TrainingParams, seed: int, work: Ref
) -> ShardOutput:
    found = read_images(store, images)
    trained = _trained(store, shard, found, architecture, params, seed, work)
    if trained.diverged:
        raise FingerpostError(
            f"{images}: expected a finite loss, got another in epoch {len(trained.epochs)} of {params.epochs}; lower"
            " nas.training.rate"
        )
    size = found.pixels.shape[1]
    with torch_needed(images), _quiet_exporter():
        model = onnx_of(trained, size, found.classes)
    figures = {
        "architecture": architecture.id,
        "size": size,
        "validation": round(trained.validation, 6),
        "epochs": len(trained.epochs),
        "onnx_bytes": len(model),
    }
    return ShardOutput(_tables(trained, model, found.classes), figures)


def _trained(
    store: Store,
    shard: Shard,
    images: LabelledImages,
    architecture: Architecture,
    params: TrainingParams,
    seed: int,
    work: Ref,
) -> TrainedNetwork:
    """Trains a network, from the newest checkpoint of its shard if there is one."""
    workspace = Workspace(store, work, part=shard.index)
    saved = workspace.newest_checkpoint()
    state = tensors_from_bytes(saved[1]) if saved else None
    with torch_needed(work):
        return trained_network(architecture, images, params, seed=seed, state=state, save=saving(workspace))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silences what the exporter logs below errors, such as that torchvision is not installed."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _tables(trained: TrainedNetwork, model: bytes, classes: tuple[str, ...]) -> dict[str, pa.Table]:
    architecture = trained.architecture
    return {
        "architecture": pa.table({"architecture": [architecture.id], "description": [architecture.text]}),
        "classes": pa.table({"name": pa.array(classes, pa.string())}),
        "weights": tensors_to_arrow(trained.weights),
        "onnx": pa.table(
            {"model": pa.array([model], pa.large_binary()), "sha256": [hashlib.sha256(model).hexdigest()]}
        ),
        "epochs": epochs_table(trained.epochs),
    }


def epochs_table(epochs: tuple[Epoch, ...]) -> pa.Table:
    """The epochs of a training, numbered from 1."""
    return pa.table(
        {
            "epoch": pa.array(range(1, len(epochs) + 1), pa.int64()),
            "loss": pa.array([epoch.loss for epoch in epochs], pa.float64()),
            "validation": pa.array([epoch.validation for epoch in epochs], pa.float64()),
        }
    )


@stage(contracts.EVALUATION)
def evaluate_network(
    run: StageRun, images: Ref, trained: Ref, measured: Ref, search: Ref, *, params: EvaluationParams
) -> None:
    """Evaluates the chosen network, and beside it the reference network trained in the same way, on test images."""
    given = _reference(run.store, search)
    rivals = 2 if params.reference and given.id != read_network(run.store, trained).architecture.id else 1
    arguments = {"images": images, "trained": trained, "reference": given, "params": params, "work": run.ref}
    found = run.map_shards(_test_shard, even_shards(rivals, 1), **arguments)
    costs = _costs(run.store, trained, measured, search)
    run.write("figures", figures_to_arrow(_figures(found, costs)))
    chosen, other = found[0], found[-1] if params.reference else None
    run.quality = {
        **{name: chosen[name] for name in ("tested", "accuracy", "accuracy_low", "accuracy_high", "onnx_difference")},
        "reference_accuracy": other["accuracy"] if other else None,
        **costs,
    }


def _reference(store: Store, search: Ref) -> Architecture:
    rows = store.open(search, contracts.SEARCH).read("evaluated").to_pylist()
    return Architecture.parse(next(row["description"] for row in rows if row["number"] == 0))


def _test_shard(
    store: Store,
    shard: Shard,
    *,
    images: Ref,
    trained: Ref,
    reference: Architecture,
    params: EvaluationParams,
    work: Ref,
) -> ShardOutput:
    """Shard 0 tests the chosen network; shard 1 trains the reference network as that was, and tests it."""
    found, chosen = read_images(store, images), read_network(store, trained)
    tests, difference = examples_of(found, "test"), None
    with torch_needed(images):
        if shard.start == 0:
            tested = tested_network(chosen.architecture, chosen.weights, tests, params)
            difference = onnx_difference(chosen.architecture, chosen.weights, chosen.onnx, found.part("test").pixels)
        else:
            given = store.manifest(trained).identity["parameters"]
            training = TrainingParams(**given["params"])
            network = _trained(store, shard, found, reference, training, given["seed"], work)
            tested = tested_network(reference, network.weights, tests, params)
            if network.diverged:
                tested = Tested(0.0, 0.0, 0.0, (math.nan,) * len(found.classes))
    each = zip(found.classes, tested.by_class, strict=True)
    figures = {
        "tested": len(tests),
        "accuracy": round(tested.accuracy, 6),
        "accuracy_low": round(tested.low, 6),
        "accuracy_high": round(tested.high, 6),
        "onnx_difference": difference,
        "by_class": {name: value for name, value in each if math.isfinite(value)},
    }
    return ShardOutput({}, figures)


def _costs(store: Store, trained: Ref, measured: Ref, search: Ref) -> dict[str, Any]:
    """What the chosen network costs: its latency as measured, or else as estimated, memory, parameters, bytes."""
    chosen = read_network(store, trained)
    rows = store.open(measured, contracts.MEASURED).read("networks").to_pylist()
    own = next(row for row in rows if row["role"] == "chosen" and row["architecture"] == chosen.architecture.id)
    evaluated = store.open(search, contracts.SEARCH).read("evaluated").to_pylist()
    row = next(row for row in evaluated if row["architecture"] == chosen.architecture.id)
    return {
        "latency_ms": own["predicted_ms"] if own["measured_ms"] is None else own["measured_ms"],
        "memory_bytes": row["memory_bytes"],
        "parameters": row["parameters"],
        "bytes": len(chosen.onnx),
    }


def _figures(found: list[dict[str, Any]], costs: Mapping[str, Any]) -> list[tuple[str, str, str, float]]:
    rows = []
    for method, tested in zip(("chosen", "reference"), found, strict=False):
        rows += [(method, "all", name, float(tested[name])) for name in ("accuracy", "accuracy_low", "accuracy_high")]
        rows += [(method, f"class {name}", "accuracy", float(value)) for name, value in tested["by_class"].items()]
    rows += [("chosen", "all", name, float(value)) for name, value in costs.items()]
    if found[0]["onnx_difference"] is not None:
        rows.append(("chosen", "all", "onnx_difference", float(found[0]["onnx_difference"])))
    return rows
