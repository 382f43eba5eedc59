"""From committed metric artifacts to objects, without Prefect or Dask."""

import numpy as np

from schemas.matrices import dense_from_arrow, tensors_from_arrow
from schemas.store import Artifact
from tasks.metric.calibrated import CalibratedThreshold
from tasks.metric.pairs import PairHistograms
from tasks.metric.partial_counts import histograms_of
from tasks.metric.scores import Measure, ScoreBins
from tasks.metric.thresholds import Target

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
