"""OPIS of many embeddings beside numpy: ``python -m tests.bench.bench_metric [--quick]``.

Embeddings are drawn: a centre for each class, and rows around it. Every measurement has a process of its own (memory is the
most it takes beyond what it starts with, embeddings included), one thread, CPU seconds. Rivals:

* ``blocked product``: the float32 products of the same pairs of blocks, each block of the result dropped;
* ``blocked product and bincount``: the same, then bins and ``np.bincount`` by class for both ends of each pair;
* ``per class, 101 thresholds``: each class against all rows, compared with all thresholds at once in numpy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.metric.histograms import BLOCK_ROWS, block_pairs, pair_histograms
from fingerpost.tasks.metric.opis import CalibrationRange, opis
from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.scores import ScoreBins
from tests.bench.results import ROOT, cpu_seconds, print_table, results_folder, write_rows

DIM, ROWS_A_CLASS = 128, 20
BINS = ScoreBins.cosine(2048)
RANGE = CalibrationRange(0.01, 0.1)
Rows = NDArray[np.float32]
Numbers = NDArray[np.int64]


def draw(rows: int) -> tuple[Rows, Numbers]:
    """Unit rows float32 (rows, 128) of rows // 20 classes of unlike spread, and their classes, ascending."""
    random, classes = np.random.default_rng(0), rows // ROWS_A_CLASS
    labels = np.arange(rows) * classes // rows
    vectors = random.standard_normal((classes, DIM), dtype=np.float32)[labels]
    vectors += random.uniform(1.0, 3.0, classes).astype(np.float32)[labels, None] * random.standard_normal(
        (rows, DIM), dtype=np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return vectors, labels


def ours(vectors: Rows, labels: Numbers) -> dict[str, float]:
    """Histograms, then OPIS with its intervals."""
    seconds, pairs = cpu_seconds(lambda: pair_histograms(vectors, labels, BINS))
    report_seconds, report = cpu_seconds(lambda: opis(pairs, RANGE))
    assert report.opis_interval is not None
    return {"opis": report.opis, "histogram_seconds": seconds, "report_seconds": report_seconds}


def blocks(count: int) -> list[tuple[slice, slice]]:
    """The pairs of blocks that hold every pair of rows."""
    starts = [slice(begin, min(begin + BLOCK_ROWS, count)) for begin in range(0, count, BLOCK_ROWS)]
    return [(starts[i], starts[j]) for i, j in block_pairs(len(starts))]


def product(vectors: Rows, labels: Numbers) -> dict[str, float]:
    """The products alone."""
    out = np.empty((BLOCK_ROWS, BLOCK_ROWS), dtype=np.float32)
    for left, right in blocks(len(vectors)):
        a, b = vectors[left], vectors[right]
        np.matmul(a, b.T, out=out[: len(a), : len(b)])
    return {}


def counted(bins: NDArray[np.integer[Any]], classes: Numbers, into: Numbers) -> None:
    """Adds the bins (m, k) of rows whose classes (m,) ascend to counts (classes, bins)."""
    first, count = classes[0], classes[-1] - classes[0] + 1
    flat = ((classes - first)[:, None] * BINS.count + bins).ravel()
    into[first : first + count] += np.bincount(flat, minlength=count * BINS.count).reshape(count, BINS.count)


def product_and_bincount(vectors: Rows, labels: Numbers) -> dict[str, float]:
    """The same histograms in numpy, and OPIS of them."""
    classes = int(labels[-1]) + 1
    ends, inside = (np.zeros((classes, BINS.count), dtype=np.int64) for _ in range(2))
    for left, right in blocks(len(vectors)):
        scores = vectors[left] @ vectors[right].T
        scores *= np.float32(1 / BINS.width)
        np.floor(scores, out=scores)
        bins = np.clip(scores.astype(np.int32) + BINS.offset, 0, BINS.count - 1)
        same = labels[left][:, None] == labels[right]
        if left == right:
            # A block against itself counts each pair from both sides, and rows with themselves.
            np.fill_diagonal(same, False)
            own = np.diagonal(bins)
            np.add.at(ends, (labels[left], own), -1)
            counted(bins, labels[left], ends)
            row, column = np.nonzero(np.triu(same))
        else:
            counted(bins, labels[left], ends)
            counted(bins.T, labels[right], ends)
            row, column = np.nonzero(same)
        np.add.at(inside, (labels[left][row], bins[row, column]), 1)
    pairs = PairHistograms(BINS, np.arange(classes), inside, ends - 2 * inside)
    return {"opis": opis(pairs, RANGE).opis}


def per_class(vectors: Rows, labels: Numbers) -> dict[str, float]:
    """OPIS from each class's rows against all, compared with 101 thresholds; the thresholds are given."""
    sample = np.random.default_rng(0).integers(0, len(vectors), (2, 200_000))
    scores = np.einsum("ij,ij->i", vectors[sample[0]], vectors[sample[1]])[labels[sample[0]] != labels[sample[1]]]
    thresholds = np.linspace(*np.quantile(scores, [0.9, 0.99]), 101).astype(np.float32)
    utilities = []
    for name in range(int(labels[-1]) + 1):
        own = labels == name
        found = vectors[own] @ vectors.T
        inside, outside = found[:, own].ravel(), found[:, ~own].ravel()
        size = int(own.sum())
        itself = np.eye(size, dtype=bool).ravel()
        phi = (inside[~itself][None] >= thresholds[:, None]).sum(axis=1) / (size * (size - 1))
        psi = (outside[None] < thresholds[:, None]).sum(axis=1) / len(outside)
        utilities.append(2 * phi * psi / np.maximum(phi + psi, 1e-12))
    utility = np.array(utilities)
    return {"opis": float(((utility - utility.mean(axis=0)) ** 2).mean())}


CONTENDERS: dict[str, Callable[[Rows, Numbers], dict[str, float]]] = {
    "fingerpost": ours,
    "blocked product": product,
    "blocked product and bincount": product_and_bincount,
    "per class, 101 thresholds": per_class,
}


def peak_mb() -> float:
    """The most memory this process has taken, MiB."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def measure(contender: str, rows: int) -> dict[str, Any]:
    """One contender in this process."""
    warm, names = draw(ROWS_A_CLASS * 10)
    CONTENDERS[contender](warm, names)
    before = peak_mb()
    vectors, labels = draw(rows)
    seconds, found = cpu_seconds(lambda: CONTENDERS[contender](vectors, labels))
    figures = {"seconds": seconds, "ns_a_pair": 1e9 * seconds / (rows * (rows - 1) / 2), "peak_mb": peak_mb() - before}
    return {"rows": rows, "classes": rows // ROWS_A_CLASS} | figures | found


def in_process(contender: str, rows: int, repeats: int) -> dict[str, Any]:
    """The median of some processes by seconds, and the spread between them."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "tests.bench.bench_metric", "--measure", contender, "--rows", str(rows)]
    found = []
    for _ in range(repeats):
        done = subprocess.run(command, cwd=ROOT, env=os.environ | threads, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    found.sort(key=lambda row: row["seconds"])
    middle = statistics.median_low([row["seconds"] for row in found])
    row = next(row for row in found if row["seconds"] == middle)
    return {"dataset": "drawn", "contender": contender, "setting": "cosine"} | row


def compared(rows: int, rivals: list[str], repeats: int) -> list[dict[str, Any]]:
    """Ours and rivals at one size; a ratio above 1 is in our favour."""
    mine = in_process("fingerpost", rows, repeats)
    found = [mine]
    for rival in rivals:
        theirs = in_process(rival, rows, repeats)
        found += [theirs, mine | {"ratio": theirs["seconds"] / mine["seconds"], "rival": rival}]
        if "opis" in theirs and rival != "per class, 101 thresholds":
            assert abs(theirs["opis"] - mine["opis"]) < 1e-6, (theirs, mine)
    return found


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Time a pair by the number of embeddings."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name in ("fingerpost", "blocked product"):
        mine = sorted(
            (row["rows"], row["ns_a_pair"]) for row in rows if row["contender"] == name and "rival" not in row
        )
        axes.plot(*zip(*mine, strict=True), marker="o", label=name)
    axes.set(xscale="log", xlabel="embeddings", ylabel="ns a pair, one thread", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Measure, print, plot and write ``bench-results/metric.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, once")
    parser.add_argument("--measure", choices=sorted(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rows)))
        return
    part, repeats = (10, 1) if options.quick else (1, 3)
    rows = []
    for size in (25_000, 50_000, 100_000, 200_000):
        rivals = ["blocked product"] + (["blocked product and bincount"] if size == 25_000 else [])
        rows += compared(size // part, rivals, repeats if size < 100_000 else 1)
    rows += compared(20_000 // part, ["per class, 101 thresholds"], repeats)
    print_table(rows, f"OPIS, {DIM} dimensions, {BINS.count} bins")
    plot(rows, results_folder() / "metric_growth.svg")
    print(f"written to {write_rows('metric', rows, quick=options.quick)} and metric_growth.svg beside it")


if __name__ == "__main__":
    main()
