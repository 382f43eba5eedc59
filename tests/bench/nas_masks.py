"""Segmentation and digits for the benchmark of advice: examples, networks before any search, trainings and costs."""

import multiprocessing
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from fingerpost.tasks.nas.accelerator import Accelerator
from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.canvas import compose_images
from fingerpost.tasks.nas.canvas_params import CanvasParams
from fingerpost.tasks.nas.costing import estimated_costs
from fingerpost.tasks.nas.evolution import Costing
from fingerpost.tasks.nas.history import Evaluation, Request
from fingerpost.tasks.nas.image_params import SPLITS
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.latency import fit_latency_estimator
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.measuring import measure_device
from fingerpost.tasks.nas.networks import loaded, network
from fingerpost.tasks.nas.resizing import resized
from fingerpost.tasks.nas.score_params import ScoreParams
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.spaces import reference_for_images
from fingerpost.tasks.nas.training import judged, train
from fingerpost.tasks.nas.training_params import Examples, TrainingParams
from fingerpost.tasks.nas.zero_shot import scores
from tests.data import data_file

#: Digits for training, validation and tests.
COUNTS = {"training": 3000, "validation": 2000, "test": 5000}
#: Canvases: digits of 20 × 20 pixels on 40 × 40 ones, with clutter.
DIGIT = 20
CANVAS = CanvasParams(size=40, training=2000, validation=1000, test=1000)
#: A network of inverted bottlenecks made without a thought for the device, for digits and for canvases: that of digits is the
#: default reference, the other keeps 10 × 10 pixels before its masks are enlarged.
DIGITS_NETWORK = reference_for_images(28, 1, 10)
_TWO = (Block("ibn", 3, 4),) * 2
MASKS_NETWORK = Architecture(
    40,
    1,
    2,
    12,
    2,
    (NetworkStage(12, 1, _TWO), NetworkStage(20, 2, _TWO), NetworkStage(36, 1, _TWO)),
    task="segmentation",
    output=40,
)


@lru_cache(maxsize=1)
def _labelled() -> LabelledImages:
    """MNIST: the first training images, the last ones for validation, and the first test images."""
    with np.load(data_file("mnist784", "mnist784.npz")) as files:
        rows = {
            "training": (files["train"][: COUNTS["training"]], files["train_labels"][: COUNTS["training"]]),
            "validation": (files["train"][-COUNTS["validation"] :], files["train_labels"][-COUNTS["validation"] :]),
            "test": (files["test"][: COUNTS["test"]], files["test_labels"][: COUNTS["test"]]),
        }
    pixels = np.concatenate([rows[split][0] for split in SPLITS]).reshape(-1, 28, 28)
    labels = np.concatenate([rows[split][1] for split in SPLITS]).astype(np.int64)
    splits = np.repeat(SPLITS, [len(rows[split][0]) for split in SPLITS])
    ids = np.array([f"{number:06d}" for number in range(len(labels))])
    return LabelledImages(ids, pixels, labels, splits, tuple("0123456789"))


@lru_cache(maxsize=1)
def digits() -> Mapping[str, Examples]:
    """Digits with their classes by split."""
    parts = {split: _labelled().part(split) for split in SPLITS}
    return {split: Examples(part.pixels, part.labels) for split, part in parts.items()}


@lru_cache(maxsize=1)
def canvases() -> Mapping[str, Examples]:
    """Cluttered canvases with masks of their digits by split."""
    whole = _labelled()
    small = np.round(resized(whole.pixels, DIGIT)).astype(np.uint8)
    images = LabelledImages(whole.ids, small, whole.labels, whole.splits, whole.classes)
    composed = compose_images(images, params=CANVAS)
    found = {}
    for split in SPLITS:
        part = composed.part(split)
        assert part.masks is not None
        found[split] = Examples(part.pixels, part.masks)
    return found


@dataclass(frozen=True)
class World:
    """A task: its name, its examples, and the network before any search."""

    name: str
    examples: Mapping[str, Examples]
    reference: Architecture


def worlds() -> tuple[World, World]:
    """Classification of digits, and segmentation of canvases."""
    return World("digits", digits(), DIGITS_NETWORK), World("masks", canvases(), MASKS_NETWORK)


#: What is trained: the name of a world, the text of an architecture, epochs, seed, and the split that it is judged with.
Job = tuple[str, str, int, int, str]


@dataclass
class Pool:
    """Processes that train networks, each in one thread; a result depends on its job alone.

    ``seconds``: CPU seconds of the processes so far; ``count``: trainings.
    """

    processes: int = 2
    seconds: float = field(default=0.0, init=False)
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._executor = ProcessPoolExecutor(self.processes, mp_context=multiprocessing.get_context("spawn"))

    def __call__(self, jobs: Iterable[Job]) -> list[float]:
        """Accuracies, or mean intersections over union, of jobs in their order."""
        found = list(self._executor.map(_done, jobs))
        self.seconds += sum(seconds for _, seconds in found)
        self.count += len(found)
        return [score for score, _ in found]

    def close(self) -> None:
        """Ends the processes."""
        self._executor.shutdown()


@dataclass
class Trainings:
    """Trains candidates of a search of a world for some epochs."""

    world: World
    epochs: int
    pool: Pool

    def __call__(self, requests: Sequence[Request]) -> list[Evaluation]:
        """The accuracies, or intersections over union, on validation examples; scores without training."""
        networks = [request.proposal.candidate for request in requests]
        chosen = [row for row, request in enumerate(requests) if request.measure != "scores"]
        jobs = [(self.world.name, networks[row].text, self.epochs, 0, "validation") for row in chosen]
        accuracies = dict(zip(chosen, self.pool(jobs), strict=True))
        for row, accuracy in accuracies.items():
            costs = requests[row].proposal.costs
            print(f"  {self.world.name}: {accuracy:.4f} at {costs.latency_ms:.4f} ms: {networks[row].text}", flush=True)
        found = []
        for row, network_ in enumerate(networks):
            assert isinstance(network_, Architecture)
            scored = {} if row in accuracies else {"synflow": synflow(network_)}
            found.append(Evaluation(accuracies.get(row), scored))
        return found


def _done(job: Job) -> tuple[float, float]:
    """The result of a job, and its CPU seconds."""
    name, text, epochs, seed, split = job
    start = time.process_time()
    world = next(one for one in worlds() if one.name == name)
    return trained(world, Architecture.parse(text), epochs, seed, split), time.process_time() - start


def synflow(architecture: Architecture) -> float:
    """The logarithm of the untrained network's synaptic flow."""
    size = architecture.resolution
    images = np.zeros((2, architecture.inputs, size, size), dtype=np.float32)
    params = ScoreParams(names=("synflow",))
    found = scores(network(architecture), images, np.zeros(2, dtype=np.int64), params)
    return float(np.log(found["synflow"]))


def trained(world: World, architecture: Architecture, epochs: int, seed: int, split: str) -> float:
    """The accuracy, or mean intersection over union, on a split after a training."""
    found = train(architecture, world.examples["training"], None, TrainingParams(epochs=epochs), seed=seed)
    return float(judged(loaded(network(architecture), found.weights), world.examples[split]))


def accelerator_costs(space: SearchSpace, given: Architecture) -> Costing:
    """The costs of a space's networks on the simulated accelerator, as its estimator says."""
    device = Accelerator()
    measured = measure_device(device, space, MeasuringParams(), given=[given], advance=lambda done: None)
    estimator = fit_latency_estimator(
        measured, LatencyParams(), parallelism=device.parallelism, bytes_per_value=device.bytes_per_value
    )
    return estimated_costs(estimator)
