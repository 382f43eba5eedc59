"""From committed metric artifacts to objects, without Prefect or Dask."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from schemas import corpus
from schemas import metric as contracts
from schemas.matrices import dense_from_arrow, tensors_from_arrow
from schemas.publish import Pointer
from schemas.refs import Ref
from schemas.store import Artifact, Store
from tasks.ann.open import find_store, published_collection, read_vectors
from tasks.metric.calibrated import CalibratedThreshold
from tasks.metric.pairs import PairHistograms
from tasks.metric.partial_counts import histograms_of
from tasks.metric.scores import Measure, ScoreBins
from tasks.metric.thresholds import Target

PRODUCT = contracts.THRESHOLD.name

_MEASURES: tuple[Measure, ...] = ("cosine", "euclidean")


def bins_tensors(bins: ScoreBins) -> dict[str, np.ndarray]:
    """Bins as named arrays; the measure is a number into cosine, euclidean."""
    return {
        "measure": np.array(_MEASURES.index(bins.measure)),
        "width": np.array(bins.width),
        "low": np.array(bins.low),
        "count": np.array(bins.count),
    }


def read_bins(artifact: Artifact) -> ScoreBins:
    """The bins of scores of an artifact that holds them."""
    stored = tensors_from_arrow(artifact.read("bins"))
    return ScoreBins(
        _MEASURES[int(stored["measure"])], float(stored["width"]), float(stored["low"]), int(stored["count"])
    )


def read_names(artifact: Artifact) -> np.ndarray:
    """The names of the classes of an artifact that holds them, in their order."""
    return np.array(artifact.read("names")["name"].to_pylist(), dtype=str)


def read_histograms(artifact: Artifact) -> PairHistograms:
    """The histograms of their artifact."""
    return histograms_of(tensors_from_arrow(artifact.read("histograms")), read_names(artifact), read_bins(artifact))


def read_threshold(artifact: Artifact) -> CalibratedThreshold:
    """The threshold of its artifact; :meth:`CalibratedThreshold.check` vectors before using it on them."""
    row, canaries = artifact.read("threshold").to_pylist()[0], artifact.read("canaries")
    return CalibratedThreshold(
        row["threshold"],
        (row["low"], row["high"]),
        row["measure"],
        Target(row["rate"], row["share"]),
        row["model"],
        tuple(canaries["id"].to_pylist()),
        np.ascontiguousarray(dense_from_arrow(canaries)),
    )


@dataclass(frozen=True)
class LiveThreshold:
    """The published threshold of a collection; :meth:`CalibratedThreshold.check` vectors before using it on them."""

    store: Store
    ref: Ref
    collection: str

    @cached_property
    def artifact(self) -> Artifact:
        """Its artifact, verified as it is read."""
        return self.store.open(self.ref, contracts.THRESHOLD)

    @cached_property
    def threshold(self) -> CalibratedThreshold:
        """What it is, and for which model."""
        return read_threshold(self.artifact)

    @property
    def quality(self) -> dict[str, Any]:
        """What was measured when it was chosen, on these classes and on others."""
        return dict(self.artifact.quality)

    def embeddings(self) -> tuple[list[str], list[str], np.ndarray]:
        """Ids, classes ("" for rows without) and vectors float32 (n, d) of what it was chosen and tested on."""
        identity = self.artifact.manifest.identity
        vectors, documents, pairs = (
            Ref.parse(identity["inputs"][name]["ref"]) for name in ("vectors", "documents", "histograms")
        )
        rows = Ref.parse(self.store.manifest(pairs).identity["inputs"]["rows"]["ref"])
        column = self.store.manifest(rows).identity["parameters"]["classes"]["column"]
        table = self.store.open(documents, corpus.DOCUMENTS).read("documents")
        return (
            table["id"].to_pylist(),
            table[column].to_pylist(),
            read_vectors(self.store.open(vectors, corpus.VECTORS)),
        )


def live(collection: str | None = None, *, store: str | None = None) -> LiveThreshold:
    """The live threshold of a collection, by default of the only one that has one; MissingArtifactError without."""
    opened = Store(store or find_store()).checked()
    name = published_collection(opened, collection, product=PRODUCT)
    return LiveThreshold(opened, Pointer(opened, name, PRODUCT).required().artifact, name)
