"""Recall, work and speed of plain and FINGER search over one graph, against exact search."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.neighbors import without_self
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Index, SearchResult

#: One measured value: (method, setting, metric, value).
Figure = tuple[str, str, str, float]


@dataclass(frozen=True)
class EvaluationParams:
    """Parameters of the evaluation.

    queries: number of sampled documents used as queries.
    k: number of neighbours that recall is measured over.
    ef: search widths that are measured.
    gate_ef: the search width that gates check.
    seed: seed of the sample of queries.
    repeats: timed passes per width and method.
    """

    queries: int = 1_000
    k: int = 10
    ef: tuple[int, ...] = (20, 40, 80, 160)
    gate_ef: int = 100
    seed: int = 0
    repeats: int = 3


@dataclass(frozen=True)
class Evaluation:
    """``figures`` and ``quality`` depend on the data only; ``measured`` holds timings."""

    figures: list[Figure]
    quality: dict[str, float]
    measured: dict[str, object]


def sample_rows(rows: int, count: int, *, seed: int) -> NDArray[np.int64]:
    """A sample of up to ``count`` distinct rows, int64 ascending."""
    if rows <= count:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(rows, size=count, replace=False))


def evaluate_searches(
    plain: Index, finger: Index | None, params: EvaluationParams, *, clock: Callable[[], float]
) -> Evaluation:
    """Searches the neighbours of sampled documents, excluding themselves, at every width with both methods.

    ``plain`` and ``finger`` (None where there are no tables) share vectors, graph and metric. Distances per query include
    the upper levels. Queries per second are the median of ``repeats`` interleaved passes on one thread.
    ``finger_speedup`` is FINGER's queries per second over those of plain search, at equal recall by interpolation between
    widths; 0 without FINGER.
    """
    rows = sample_rows(len(plain.vectors), params.queries, seed=params.seed)
    queries = np.ascontiguousarray(plain.vectors[rows])
    exact = without_self(ExactIndex(plain.vectors, plain.metric).search(queries, params.k + 1), rows)
    methods = {"hnsw": plain} | ({"finger": finger} if finger is not None else {})
    figures: list[Figure] = []
    speeds: dict[str, dict[str, list[float]]] = {}
    for ef in sorted({*params.ef, params.gate_ef}):
        times: dict[str, list[float]] = {name: [] for name in methods}
        for _ in range(params.repeats):
            for name, index in methods.items():
                started = clock()
                result = index.search(queries, params.k + 1, ef=ef)
                times[name].append(clock() - started)
                if len(times[name]) == 1:
                    figures += _figures(name, ef, without_self(result, rows), exact)
        speeds[str(ef)] = {name: [len(rows) / float(np.median(seconds))] for name, seconds in times.items()}
    curves = {name: _curve(figures, speeds, name) for name in methods}
    names = {"hnsw": "recall", "finger": "finger_recall"}
    quality = {f"{names[name]}_at_{params.k}": _figure(figures, name, params.gate_ef, "recall") for name in methods}
    speedup = speed_ratio(curves["finger"], curves["hnsw"]) if finger is not None else 0.0
    speed = {ef: {name: round(value[0], 1) for name, value in by_name.items()} for ef, by_name in speeds.items()}
    return Evaluation(
        figures,
        quality,
        {"queries_per_second": speed, "finger_speedup": round(speedup, 3)},
    )


def speed_ratio(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> float:
    """Median ratio of queries per second at equal recall, over the recalls that both (recall, speed) curves reach."""
    low, high = max(ours[0][0], theirs[0][0]), min(ours[-1][0], theirs[-1][0])
    points = np.linspace(low, high, 9) if high > low else np.array([high])
    logs = [np.interp(points, [p[0] for p in curve], np.log([p[1] for p in curve])) for curve in (ours, theirs)]
    return float(np.exp(np.median(logs[0] - logs[1])))


def _figures(name: str, ef: int, result: SearchResult, exact: SearchResult) -> list[Figure]:
    queries = max(len(result.ids), 1)
    work = {
        "distances": result.counters.distances,
        "estimates": result.counters.estimates,
        "expansions": result.counters.expansions,
    }
    values = {"recall": round(recall(result, exact), 6), "short": float((result.ids == NONE).sum())} | {
        key: value / queries for key, value in work.items()
    }
    return [(name, f"ef={ef}", metric, float(value)) for metric, value in values.items()]


def _figure(figures: list[Figure], method: str, ef: int, metric: str) -> float:
    return next(value for name, setting, key, value in figures if (name, setting, key) == (method, f"ef={ef}", metric))


def _curve(figures: list[Figure], speeds: dict[str, dict[str, list[float]]], name: str) -> list[tuple[float, float]]:
    points = [(_figure(figures, name, int(ef), "recall"), by_name[name][0]) for ef, by_name in speeds.items()]
    return sorted(points)
