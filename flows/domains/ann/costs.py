"""What an index over an input will cost that was never built, for plans. Imports no Prefect."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from fingerpost.flows.domains.settings import Settings
from fingerpost.schemas.inputs.outlook import Outlook
from fingerpost.tasks.ann.costs import PROBE_ROWS, IndexWork, Probe, index_costs, probe
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.open import kernel_metric
from fingerpost.tasks.ann.unit_rows import unit_rows
from fingerpost.tasks.ledger import Estimate


def costs(settings: Settings, outlook: Outlook) -> Mapping[str, Estimate]:
    """The cost of the stages from given vectors to an index; none where vectors are computed from texts."""
    own, vectors = settings.ann, outlook.vectors
    if vectors is None or settings.input.vectors == "computed":
        return {}
    work = IndexWork(
        outlook.rows,
        outlook.dimensions,
        bool(own.hnsw.metric != "cosine" and (vectors == np.clip(np.rint(vectors), 0, 255)).all()),
        own.hnsw,
        settings.threads,
        min(settings.run.workers, os.cpu_count() or 1) or int(bool(settings.run.cluster)),
        own.certificate.asked,
        own.evaluation.queries,
        own.neighbors.k if own.parts.neighbors else 0,
        own.build.shards,
    )
    found = index_costs(work, _probed(_Sample(vectors), own.hnsw))
    return {
        name: Estimate(round(cost.seconds, 1), round(cost.peak / 2**20, 1), round(cost.stored))
        for name, cost in found.items()
    }


class _Sample:
    """Vectors, compared by identity, so that a probe of them is kept."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors
        self._key = (vectors.ctypes.data, vectors.shape)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sample) and other._key == self._key


@cache
def _probed(sample: _Sample, params: HnswParams) -> Probe:
    rows = sample.vectors[:PROBE_ROWS]
    rows = unit_rows(rows) if params.metric == "cosine" else rows
    return probe(rows, replace(params, metric=kernel_metric(params.metric)), clock=time.process_time)
