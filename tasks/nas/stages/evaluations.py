"""The evaluation of candidates by shards: each is kept as soon as it is done, and shared with other searches by the cache."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.evaluation_cache import EvaluationCache
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.code import code_hash
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.candidates import Protocol, evaluate_candidate
from fingerpost.tasks.nas.history import Evaluation, Measure, Request
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.open import read_images
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage_run import StageRun


@dataclass(frozen=True)
class Task:
    """What an evaluation needs: artifacts, the space, the protocol, and the code by which the cache knows it.

    fresh: nothing is taken from the cache.
    """

    images: Ref
    supernet: Ref | None
    space: SearchSpace
    protocol: Protocol
    code: str
    fresh: bool

    def key(self, text: str, measure: Measure) -> dict[str, Any]:
        """Everything that an evaluation of a candidate depends on."""
        needs: dict[str, dict[str, Any]] = {
            "scores": {"scores": asdict(self.protocol.scores)},
            "training": {"training": asdict(self.protocol.training), "seed": self.protocol.seed},
            "supernet": {"supernet": self.supernet.identity if self.supernet else ""},
        }
        return {
            "architecture": text,
            "measure": measure,
            "images": self.images.identity,
            "code": self.code,
            "torch": importlib.metadata.version("torch"),
            **needs[measure],
        }


class Evaluations:
    """Evaluates the requests of a search in their order; one shard each, numbered from 0.

    trainings: candidates that were trained for this search, by whichever of its runs; cached: those whose accuracy another
    search had found.
    """

    def __init__(
        self, run: StageRun, images: Ref, supernet: Ref | None, space: SearchSpace, protocol: Protocol
    ) -> None:
        self.run = run
        self.task = Task(images, supernet, space, protocol, code_hash(evaluate_shard), run.replace)
        self.asked = self.trainings = self.cached = 0

    def __call__(self, requests: Sequence[Request]) -> list[Evaluation]:
        """The evaluations of a batch."""
        batch = [(request.proposal.candidate.text, request.measure) for request in requests]
        shards = [Shard(self.asked + place, place, place + 1) for place in range(len(batch))]
        self.asked += len(batch)
        found = self.run.map_further_shards(evaluate_shard, shards, task=self.task, batch=batch)
        for request, figures in zip(requests, found, strict=True):
            self._check(request, figures)
            if request.measure == "training":
                self.cached += figures["cached"]
                self.trainings += not figures["cached"]
        return [Evaluation(figures["accuracy"], figures["scores"]) for figures in found]

    def _check(self, request: Request, figures: Mapping[str, Any]) -> None:
        """FingerpostError for the result of another request, as another version of a library could have asked for."""
        expected = (request.proposal.candidate.id, request.measure)
        if (figures["architecture"], figures["measure"]) != expected:
            raise FingerpostError(
                f"search_networks: expected the interrupted search to go on with candidate {expected[0]}, found"
                f" {figures['architecture']} in its place; begin it again with --force search_networks"
            )


def evaluate_shard(store: Store, shard: Shard, *, task: Task, batch: Sequence[tuple[str, Measure]]) -> ShardOutput:
    """The evaluation of one candidate, from the cache if it is there."""
    text, measure = batch[shard.start]
    architecture = Architecture.parse(text)
    try:
        key = task.key(text, measure)
        cache = EvaluationCache(store)
        found = None if task.fresh else cache.get(key)
        if known := found is not None:
            result = Evaluation(found["accuracy"], found["scores"])
        else:
            result = _evaluated(store, task, architecture, measure)
            cache.put(key, accuracy=result.accuracy, scores=result.scores)
    except (ImportError, importlib.metadata.PackageNotFoundError) as problem:
        raise FingerpostError(
            f"search_networks: expected torch, found {problem.name} missing; install the extra nas (pip install"
            " 'fingerpost[nas]')"
        ) from problem
    except ValueError as problem:
        raise FingerpostError(str(problem)) from problem
    figures = {"accuracy": result.accuracy, "scores": dict(result.scores), "cached": known}
    return ShardOutput({}, {"architecture": architecture.id, "measure": measure, **figures})


def _evaluated(store: Store, task: Task, architecture: Architecture, measure: Measure) -> Evaluation:
    root = store.files.root if store.files.local else store.url
    images = _images(root, task.images)
    supernet = _weights(root, task.supernet) if measure == "supernet" and task.supernet else None
    return evaluate_candidate(architecture, measure, images, task.protocol, space=task.space, supernet=supernet)


# A process evaluates many candidates of one search.
@lru_cache(maxsize=1)
def _images(store: str, ref: Ref) -> LabelledImages:
    return read_images(Store(store), ref)


@lru_cache(maxsize=1)
def _weights(store: str, ref: Ref) -> dict[str, NDArray[np.generic]]:
    return tensors_from_arrow(Store(store).open(ref, contracts.SUPERNET).read("weights"))
