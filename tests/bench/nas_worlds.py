"""What the benchmarks of architecture search share: digits, the network before any search, devices and trainings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.costing import estimated_costs
from fingerpost.tasks.nas.devices import Device
from fingerpost.tasks.nas.evolution import Costing
from fingerpost.tasks.nas.history import Evaluation, Request
from fingerpost.tasks.nas.latency import fit_latency_estimator
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measuring import measure_device
from fingerpost.tasks.nas.networks import as_input, loaded, network
from fingerpost.tasks.nas.score_params import ScoreParams
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.training import judged, train
from fingerpost.tasks.nas.training_params import Examples, TrainingParams
from fingerpost.tasks.nas.zero_shot import scores
from tests.bench.results import results_folder
from tests.data import data_file

IBN = Block("ibn", 3, 6)
#: MobileNetV2 scaled to digits: its expansion of 6, two and three blocks a stage; 16, 24 and 40 channels, of which the last
#: two are no multiples of 16.
REFERENCE = Architecture(
    28,
    1,
    10,
    16,
    1,
    (NetworkStage(16, 2, (IBN,) * 2), NetworkStage(24, 2, (IBN,) * 3), NetworkStage(40, 2, (IBN,) * 3)),
)
TRAINING, VALIDATION, TEST = 5000, 2500, 10_000
#: Images that zero-shot scores look at.
SCORED = 32


@lru_cache(maxsize=1)
def digits() -> Mapping[str, Examples]:
    """MNIST: the first training images, the last ones for validation, and all test images."""
    with np.load(data_file("mnist784", "mnist784.npz")) as files:
        images = {name: files[name].reshape(-1, 28, 28) for name in ("train", "test")}
        labels = {name: files[f"{name}_labels"].astype(np.int64) for name in ("train", "test")}
    return {
        "training": Examples(images["train"][:TRAINING], labels["train"][:TRAINING]),
        "validation": Examples(images["train"][-VALIDATION:], labels["train"][-VALIDATION:]),
        "test": Examples(images["test"][:TEST], labels["test"][:TEST]),
    }


def accuracy(architecture: Architecture, epochs: int, seed: int, split: str) -> float:
    """The accuracy on a split after a training of some epochs; kept in ``bench-results/nas_trainings.jsonl``."""
    job = [architecture.text, epochs, seed, split, len(digits()["training"]), len(digits()[split])]
    path = results_folder() / "nas_trainings.jsonl"
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    if done := [one["accuracy"] for one in known if one["job"] == job]:
        return float(done[-1])
    found = train(architecture, digits()["training"], None, TrainingParams(epochs=epochs), seed=seed)
    net = network(architecture)
    loaded(net, found.weights)
    value = float(judged(net, digits()[split]))
    with path.open("a") as file:
        file.write(json.dumps({"job": job, "accuracy": value}) + "\n")
    return value


@lru_cache(maxsize=20_000)
def synflow(architecture: Architecture) -> float:
    """The logarithm of the untrained network's synaptic flow."""
    batch = digits()["training"].of(np.arange(SCORED))
    found = scores(
        network(architecture), as_input(batch.images).numpy(), batch.targets, ScoreParams(names=("synflow",))
    )
    return float(np.log(found["synflow"]))


@dataclass
class Evaluator:
    """Evaluates the requests of a search on digits; ``trainings`` counts those that were trained."""

    epochs: int
    seed: int = 0
    trainings: int = field(default=0, init=False)

    def __call__(self, requests: Sequence[Request]) -> list[Evaluation]:
        """The results of requests."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Evaluation:
        architecture = request.proposal.candidate
        assert isinstance(architecture, Architecture)
        if request.measure == "scores":
            return Evaluation(None, {"synflow": synflow(architecture)})
        self.trainings += 1
        return Evaluation(accuracy(architecture, self.epochs, self.seed, "validation"))


def costing(device: Device, space: SearchSpace, params: MeasuringParams) -> Costing:
    """The costs of a space's networks by an estimator of the device."""
    measured = measure_device(device, space, params, given=[REFERENCE], advance=lambda done: None)
    estimator = fit_latency_estimator(
        measured, LatencyParams(), parallelism=device.parallelism, bytes_per_value=device.bytes_per_value
    )
    return estimated_costs(estimator)


def fastest(space: SearchSpace, costs: Costing) -> float:
    """The lowest upper bound of a latency that changes of single genes lead to from the smallest network, in milliseconds."""

    def bounds(genomes: Sequence[NDArray[np.int64]]) -> list[float]:
        found = costs([space.candidate(genome) for genome in genomes])
        return [one.latency_ms + one.latency_spread_ms for one in found]

    current = space.genome_of(space.smallest())
    best = bounds([current])[0]
    while True:
        near = [
            space.canonical(np.where(np.arange(len(current)) == gene, choice, current))
            for gene, count in enumerate(space.genes)
            for choice in range(count)
        ]
        found = bounds(near)
        if min(found) >= best:
            return best
        best, current = min(found), near[int(np.argmin(found))]


def fused_fraction(architecture: Architecture, stages: Sequence[int]) -> float:
    """The fraction of fused blocks in some stages, from 0."""
    kinds = [block.kind for stage in stages for block in architecture.stages[stage].blocks]
    return kinds.count("fused") / len(kinds)
