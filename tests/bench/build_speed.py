"""Builds beside hnswlib: ``python -m tests.bench.build_speed [--quick]``.

One thread: CPU seconds of the graph, and with codes and packing, or with FINGER's codes and blocks. Two threads: seconds by the
clock over those of one, in turns. The graphs of 1, 2 and 4 threads must be the same.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswParams, build
from tests.bench.ann_contenders import coded
from tests.bench.ann_options import run_part
from tests.bench.ann_peers import Peer
from tests.bench.ann_sets import Dataset, digest
from tests.bench.finger_speed import deferred
from tests.bench.peers import peer_python
from tests.bench.results import cpu_seconds

RIVAL = "hnswlib"


def measure(data: Dataset, *, seeds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of builds of one data set, medians of the seeds."""
    times: dict[str, list[float]] = {}
    python = peer_python("ann")
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(RIVAL, data, Path(folder), python) if python else None
        for seed in range(seeds):
            params = HnswParams(metric=data.metric, seed=seed)
            if peer:
                times.setdefault(RIVAL, []).append(peer.build(seed))
            graph_seconds, (graph, _) = cpu_seconds(lambda params=params: build(data.vectors, params))
            times.setdefault("graph", []).append(graph_seconds)
            packing, _ = cpu_seconds(lambda graph=graph: coded(data, graph))
            times.setdefault("graph, codes, packing", []).append(graph_seconds + packing)
            tables, _ = cpu_seconds(lambda graph=graph: deferred(data, graph))
            times.setdefault("graph, codes, packing, FINGER", []).append(graph_seconds + packing + tables)
        if peer:
            peer.close()
    rows = [_row(data, name, statistics.median(found), times.get(RIVAL)) for name, found in times.items()]
    return [*rows, *_by_threads(data, repeats=min(repeats, 3))]


def _row(data: Dataset, name: str, seconds: float, rival: list[float] | None) -> dict[str, Any]:
    row = {"dataset": data.name, "contender": name, "setting": "one thread", "cpu_seconds": seconds}
    row["microseconds_per_vector"] = seconds / len(data.vectors) * 1e6
    return row | ({"ratio": statistics.median(rival) / seconds, "rival": RIVAL} if rival and name != RIVAL else {})


def _by_threads(data: Dataset, *, repeats: int) -> list[dict[str, Any]]:
    params, clocks, graphs = HnswParams(metric=data.metric), dict[int, list[float]](), dict[int, str]()
    for _ in range(repeats):
        for threads in (1, 2):
            start = time.perf_counter()
            graph, _ = build(data.vectors, params, threads=threads)
            clocks.setdefault(threads, []).append(time.perf_counter() - start)
            graphs[threads] = _digest(graph)
    graphs[4] = _digest(build(data.vectors, params, threads=4)[0])
    one, two = (statistics.median(clocks[threads]) for threads in (1, 2))
    return [
        {
            "dataset": data.name,
            "contender": "graph",
            "setting": "two threads",
            "seconds": two,
            "ratio": one / two,
            "rival": "one thread",
            "same_graph_of_1_2_4_threads": len(set(graphs.values())) == 1,
        }
    ]


def _digest(graph: Graph) -> str:
    upper: list[np.ndarray] = [part for level in graph.upper for part in (level.nodes, level.indptr, level.indices)]
    return digest(graph.indptr, graph.indices, graph.entry_points, *upper)


if __name__ == "__main__":
    run_part(measure, "build_speed", __doc__)
