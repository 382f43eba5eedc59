"""Searches of a small space over scikit-learn's digits for the simulated accelerator: what they need, and what they make; and, run
as a program, in children that die in the middle.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import files
from fingerpost.schemas import nas as contracts
from fingerpost.schemas.inputs.labelled_images import image_source
from fingerpost.schemas.matrices import figures_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.nas.accelerator import Accelerator, AcceleratorParams
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.history import Evaluation, Measure
from fingerpost.tasks.nas.image_params import ImageParams
from fingerpost.tasks.nas.latency import LatencyEstimator, fit_latency_estimator
from fingerpost.tasks.nas.latency_params import LatencyParams
from fingerpost.tasks.nas.limits import LimitParams
from fingerpost.tasks.nas.measurements import Measurements, OperatorMeasurements
from fingerpost.tasks.nas.operator_arrays import operator_rows
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.spaces import reference_of
from fingerpost.tasks.nas.stages import evaluations
from fingerpost.tasks.nas.stages.images import import_labelled_images
from fingerpost.tasks.nas.stages.search import search_networks
from fingerpost.tasks.nas.training_params import TrainingParams
from fingerpost.tasks.shards import Executor, SerialExecutor
from tests.support.suggestion_artifacts import committed
from tests.support.whole_runs import serve
from tests.unit.nas.small_spaces import SMALL
from tests.worlds import DAY

#: Nine trainings, of two epochs of few images.
PARAMS = SearchParams(evaluations=8, generation=2, population=4, finalists=2, pool=2)
TRAINING = TrainingParams(epochs=2, batch=16)


@cache
def estimator() -> LatencyEstimator:
    """An estimator of the operators of random networks of the space."""
    random, device = np.random.default_rng(0), Accelerator(AcceleratorParams())
    networks = [SMALL.candidate(SMALL.sample(random)) for _ in range(60)] + [reference_of(SMALL)]
    operators = tuple(dict.fromkeys(one for network in networks for one in operators_of(network)))
    ms = device.measure_operators(operators).ms
    zeros = np.zeros(len(ms), dtype=np.int64)
    measured = OperatorMeasurements(
        operator_rows(operators), ms, zeros * 0.0, zeros, zeros, random.random(len(ms)) < 0.2
    )
    return fit_latency_estimator(Measurements(measured), LatencyParams(trees=5), bytes_per_value=1.0)


@dataclass
class SearchWorld:
    """A store with images and an estimator, in which searches run."""

    store: Store
    executor: Executor = field(default_factory=SerialExecutor)
    forced: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.store.prepare()
        self.env = Environment(self.store, "digits", DAY, self.executor)
        self.images = import_labelled_images.execute(
            self.env,
            image_source("digits"),
            params=ImageParams(training=120, validation=100, test=50),
            channels=1,
            imports=ImportParams(),
        )
        model = estimator()
        tables = {
            "model": tensors_to_arrow(model.arrays()),
            "figures": figures_to_arrow([]),
            "kinds": pa.table({"name": list(model.kinds)}),
        }
        self.latency = committed(self.store, contracts.LATENCY, tables)

    def search(self, params: SearchParams = PARAMS, supernet: Ref | None = None, **others: Any) -> Ref:
        """The artifact of a search."""
        given: dict[str, Any] = {
            "roles": ("supernet",) if supernet else (),
            "space": SMALL,
            "reference": "",
            "limits": LimitParams(latency_share=0.9),
            "training": TRAINING,
        }
        inputs = [self.images, self.latency, *([supernet] if supernet else [])]
        return search_networks.execute(self.env, *inputs, params=params, **{**given, **others})

    def rows(self, ref: Ref) -> list[dict[str, Any]]:
        """Its candidates."""
        return self.store.open(ref, contracts.SEARCH).read("evaluated").to_pylist()

    def measured(self, ref: Ref) -> Mapping[str, int]:
        """What its run counted."""
        found: Mapping[str, int] = self.store.manifest(ref).run["measured"]
        return found


def world(folder: Path, executor: Executor | None = None) -> SearchWorld:
    """A world in a folder."""
    return SearchWorld(Store(str(folder)), executor or SerialExecutor())


def _log_trainings(log: Path) -> None:
    """Writes down each candidate whose evaluation was finished, before anything is kept of it."""
    evaluate = evaluations.evaluate_candidate

    def logged(architecture: Architecture, measure: Measure, *given: Any, **named: Any) -> Evaluation:
        found = evaluate(architecture, measure, *given, **named)
        with log.open("a") as file:
            file.write(f"{measure} {architecture.id}\n")
        return found

    evaluations.evaluate_candidate = logged  # type: ignore[assignment]


def _die_at(point: str, count: int) -> None:
    """Ends this process by SIGKILL when a point of the store is reached for the ``count``-th time."""
    seen = 0

    def reached(name: str) -> None:
        nonlocal seen
        seen += name == point
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)

    files.reached = reached


def _child(case: Mapping[str, Any]) -> list[StageRecord]:
    """A search in a folder that dies where the case says."""
    made = world(Path(case["folder"]))
    _log_trainings(Path(case["log"]))
    if case["point"]:
        _die_at(case["point"], case["count"])
    made.search(replace(PARAMS, method=case["method"]))
    return made.env.records


if __name__ == "__main__":
    serve(_child, "torch")
