"""Recall against speed of several contenders on one data set, measured in turns."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import SearchResult
from tests.bench.ann_sets import Dataset
from tests.bench.results import results_folder


@dataclass
class Curve:
    """What one contender reached: per width one list over seeds and repeats."""

    build_seconds: list[float] = field(default_factory=list)
    recalls: dict[int, list[float]] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    distances: dict[int, float] = field(default_factory=dict)


class Contender(Protocol):
    """One library on one data set."""

    name: str

    def build(self, seed: int) -> float: ...
    def search(self, ef: int) -> tuple[float, SearchResult]: ...


def measure_curves(
    data: Dataset, contenders: Sequence[Contender], *, seeds: int, repeats: int, widths: Sequence[int]
) -> list[Curve]:
    """The curves of all contenders, measured in turns."""
    curves = [Curve() for _ in contenders]
    for seed in range(seeds):
        for contender, curve in zip(contenders, curves, strict=True):
            curve.build_seconds.append(contender.build(seed))
        for ef in widths:
            for _ in range(repeats):
                for contender, curve in zip(contenders, curves, strict=True):
                    seconds, found = contender.search(ef)
                    curve.seconds.setdefault(ef, []).append(seconds)
            for contender, curve in zip(contenders, curves, strict=True):
                found = contender.search(ef)[1]
                curve.recalls.setdefault(ef, []).append(recall(found, data.exact))
                curve.distances[ef] = found.counters.distances / len(data.queries)
    return curves


def rate_at(curve: Curve, level: float, queries: int) -> float | None:
    """Queries per second at a recall, between the two widths around it (log rate over recall); None outside."""
    points = sorted(
        (statistics.mean(curve.recalls[ef]), np.log(queries / statistics.median(curve.seconds[ef])))
        for ef in curve.recalls
    )
    recalls, rates = np.array(points).T
    return float(np.exp(np.interp(level, recalls, rates))) if recalls[0] <= level <= recalls[-1] else None


def plot(data: Dataset, names: Sequence[str], curves: Sequence[Curve], *, part: str = "") -> Path:
    """Recall against queries per second as a picture in the results' folder, named by data set and part."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, curve in zip(names, curves, strict=True):
        recalls = [statistics.mean(values) for values in curve.recalls.values()]
        rates = [len(data.queries) / statistics.median(values) for values in curve.seconds.values()]
        axes.plot(recalls, rates, marker="o", label=name)
    axes.set(xlabel="recall@10", ylabel="queries per second, one thread", yscale="log")
    axes.set_title(f"{data.name}: {len(data.vectors):,} × {data.vectors.shape[1]}, {data.metric}")
    axes.grid(alpha=0.3)
    axes.legend()
    path = results_folder() / f"ann-{data.name}{part and '-'}{part}.png"
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return path
