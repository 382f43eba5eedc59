"""What an index over an input will cost that was never built, for plans. Imports no Prefect."""

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from fingerpost.flows.domains.corpus.costs import SAMPLE_CHARACTERS, text_size
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.cost_laws import Law, costs_by, machine_slowness, told
from fingerpost.flows.run.expectations import Inputs
from fingerpost.schemas.inputs.outlook import Outlook
from fingerpost.tasks.ann.build_cost import check_memory
from fingerpost.tasks.ann.costs import PROBE_ROWS, IndexWork, Probe, finger_costs, index_costs, probe, with_finger
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.open import kernel_metric
from fingerpost.tasks.ann.unit_rows import unit_rows
from fingerpost.tasks.ledger import Estimate
from fingerpost.tasks.shards import available_memory

#: Processor seconds of a build of the probe's rows of texts' vectors with the default settings.
_TEXT_SECONDS = 0.5
#: Questions of the evaluation of texts by default, at which the laws were measured.
_ITEMS = 2_000
_PROCESS_MB = 560.0
#: Memory that a process keeps of what came before, where it also computed terms and vectors, in MB.
_BESIDE_MB = 220.0
_TEXT_LAWS = {
    "pack_texts": Law("characters", 0.65, held=130, stored=65.2),
    "tune_search": Law("characters", 4.4, fixed=1.0, held=660),
    "evaluate_retrieval": Law("questions", 18.0, fixed=1.5, held=660),
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from vectors to an index, and of those that choose and measure how texts are answered."""
    settings, outlook = inputs.settings, inputs.documents
    size = text_size(inputs)
    if size is None:
        return {}
    rows, characters = size
    given = outlook is not None and outlook.vectors is not None and settings.input.vectors != "computed"
    found: dict[str, Estimate] = {}
    if outlook is not None and outlook.vectors is not None and given:
        found = _of_index(
            settings, outlook.rows, outlook.dimensions, _given_probe(settings, outlook), _whole(settings, outlook)
        )
    else:
        dimensions = settings.corpus.svd.rank
        found = _of_index(
            settings, round(rows), dimensions, _text_probe(settings, dimensions), whole=False, beside=_BESIDE_MB
        )
    if not given or (outlook is not None and outlook.texts):
        units = {"characters": characters, "questions": characters * settings.ann.retrieval.items.queries}
        reference = {"characters": SAMPLE_CHARACTERS, "questions": SAMPLE_CHARACTERS * _ITEMS}
        found |= costs_by(_TEXT_LAWS, units, reference, process_mb=_PROCESS_MB, workers=inputs.workers)
    return found


def check(inputs: Inputs, stages: Collection[str]) -> None:
    """BuildMemoryError where a build of the input's size needs more memory than there is, as the build would say."""
    settings, size = inputs.settings, text_size(inputs)
    if size is None or not {"build_graph", "merge_graph_shards"} & set(stages):
        return
    outlook = inputs.documents
    given = outlook is not None and outlook.vectors is not None and settings.input.vectors != "computed"
    dimensions = outlook.dimensions if outlook is not None and given else settings.corpus.svd.rank
    own = settings.ann.hnsw
    check_memory(round(size[0]), dimensions, replace(own, metric=kernel_metric(own.metric)), available_memory())


def _of_index(
    settings: Settings, rows: int, dimensions: int, probed: Probe, whole: bool, beside: float = 0.0
) -> dict[str, Estimate]:
    own = settings.ann
    work = IndexWork(
        rows,
        dimensions,
        whole,
        own.hnsw,
        settings.threads,
        min(settings.run.workers, os.cpu_count() or 1) or int(bool(settings.run.cluster)),
        own.certificate.asked,
        own.evaluation.queries,
        own.neighbors.k if own.parts.neighbors else 0,
        own.build.shards,
    )
    found = dict(index_costs(work, probed))
    if 0 < rows <= own.parts.finger_documents:
        found = dict(with_finger(found, finger_costs(work, probed, own.finger)))
    return {name: told(cost.seconds, cost.peak, cost.stored, beside_mb=beside) for name, cost in found.items()}


def _given_probe(settings: Settings, outlook: Outlook) -> Probe:
    assert outlook.vectors is not None
    return _probed(_Sample(outlook.vectors), settings.ann.hnsw)


def _whole(settings: Settings, outlook: Outlook) -> bool:
    """Whether the first vectors are of whole numbers of 8 bits."""
    assert outlook.vectors is not None
    bytes_alone = np.clip(np.rint(outlook.vectors), 0, 255)
    return bool(settings.ann.hnsw.metric != "cosine" and (outlook.vectors == bytes_alone).all())


def _text_probe(settings: Settings, dimensions: int) -> Probe:
    """What a build of vectors of texts would take, from one that was measured: these do not exist yet."""
    own = settings.ann.hnsw
    effort = (own.ef_construction / 200) ** 0.8 * (own.max_neighbors / 16) ** 0.4 * (0.3 + 0.7 * dimensions / 256)
    return Probe(PROBE_ROWS, _TEXT_SECONDS * effort * machine_slowness(), min(1.1 * own.max_neighbors, 18.0))


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
