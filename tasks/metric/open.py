"""From committed metric artifacts to objects, without Prefect or Dask."""

import numpy as np

from schemas.matrices import tensors_from_arrow
from schemas.store import Artifact
from tasks.metric.pairs import PairHistograms
from tasks.metric.partial_counts import histograms_of
from tasks.metric.scores import Measure, ScoreBins

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
