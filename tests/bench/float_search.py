"""Float32 searches beside hnswlib and faiss: ``python -m tests.bench.float_search [--quick]``.

Recall at equal ef and at equal speed; hnswlib is the rival, and our plain search that of FINGER.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fingerpost.tasks.ann.hnsw import HnswParams, build
from tests.bench.ann_contenders import Ours, finger, plain
from tests.bench.ann_curves import Contender, Curve, measure_curves, plot, rate_at
from tests.bench.ann_options import run_part
from tests.bench.ann_peers import Peer
from tests.bench.ann_sets import Dataset
from tests.bench.peers import peer_python

WIDTHS = (10, 20, 40, 80, 160, 320)
LEVELS = (0.9, 0.95, 0.98, 0.99, 0.995)
RIVAL = "hnswlib"
PEERS = ("hnswlib", "faiss")


def rows_of(data: Dataset, names: list[str], curves: list[Curve]) -> list[dict[str, Any]]:
    """Build, equal-ef and equal-recall rows; ratios to hnswlib where it ran, of screened searches also to the plain."""
    size = len(data.queries)
    by_name = dict(zip(names, curves, strict=True))
    rows: list[dict[str, Any]] = []
    for name, curve in by_name.items():
        rival = by_name.get(RIVAL) if name != RIVAL else None
        start: dict[str, Any] = {"dataset": data.name, "contender": name}
        seconds = statistics.median(curve.build_seconds)
        row = start | {"setting": "build", "seconds": seconds}
        rows.append(row | _against(rival and statistics.median(rival.build_seconds) / seconds, RIVAL))
        for ef, recalls in curve.recalls.items():
            seconds, mean = statistics.median(curve.seconds[ef]), statistics.mean(recalls)
            row = start | {"setting": f"ef={ef}", "recall_at_10": mean, "queries_per_second": size / seconds}
            if curve.distances[ef]:
                row["distances_per_query"] = curve.distances[ef]
            if rival:
                row["recall_difference"] = mean - statistics.mean(rival.recalls[ef])
            rows.append(row | _against(rival and statistics.median(rival.seconds[ef]) / seconds, RIVAL))
        for level in LEVELS:
            rate = rate_at(curve, level, size)
            rivals = {RIVAL: rival} | ({"hnsw": by_name["hnsw"]} if name.startswith("finger") else {})
            for other, its in rivals.items():
                other_rate = rate_at(its, level, size) if its else None
                if rate and (other_rate or other == RIVAL):
                    row = start | {"setting": f"recall={level}", "queries_per_second": rate}
                    rows.append(row | _against(other_rate and rate / other_rate, other))
    return rows


def _against(ratio: float | None, rival: str) -> dict[str, Any]:
    return {} if ratio is None else {"ratio": ratio, "rival": rival}


def thread_row(data: Dataset) -> dict[str, Any]:
    """How much sooner two threads end a build than one, by wall time, in turns."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    rows = data.vectors[: min(len(data.vectors), 20_000)]
    for _ in range(3):
        for threads in seconds:
            start = time.perf_counter()
            build(rows, HnswParams(metric=data.metric), threads=threads)
            seconds[threads].append(time.perf_counter() - start)
    one, two = min(seconds[1]), min(seconds[2])
    row = {"dataset": data.name, "contender": "hnsw, 2 threads", "setting": f"build {len(rows):,} rows"}
    return row | {"seconds": two, "ratio": one / two, "rival": "hnsw, 1 thread"}


def measure(data: Dataset, *, seeds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of plain search, FINGER and the peers on one data set; a plot beside."""
    contenders: list[Contender] = [Ours("hnsw", data, plain)]
    contenders += [Ours("finger low_rank", data, finger("low_rank")), Ours("finger signs", data, finger("signs"))]
    python = peer_python("ann")
    with tempfile.TemporaryDirectory() as folder:
        peers = [Peer(name, data, Path(folder), python) for name in PEERS] if python else []
        names = [contender.name for contender in [*contenders, *peers]]
        curves = measure_curves(data, [*contenders, *peers], seeds=seeds, repeats=repeats, widths=WIDTHS)
        for peer in peers:
            peer.close()
    plot(data, names, curves, part="float")
    return [*rows_of(data, names, curves), thread_row(data)]


if __name__ == "__main__":
    run_part(measure, "float_search", __doc__)
