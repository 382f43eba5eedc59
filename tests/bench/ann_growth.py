"""What more vectors cost: ``python -m tests.bench.ann_growth [--quick]``.

CPU time per vector of a build and per query at recall 0.98, at 10,000, 100,000 and a million SIFT descriptors, one thread, the
exponents of both in the number of vectors, and a plot. Beyond the 250,000 that there are, rows are drawn from them with noise.
"""

import time
from typing import Any

import numpy as np

from tests.bench.ann_contenders import Ours, Wrap, coded, plain
from tests.bench.ann_curves import Curve, measure_curves, rate_at
from tests.bench.ann_options import Rows, run_part
from tests.bench.ann_sets import DATASETS, Dataset, exact_answers
from tests.bench.results import results_folder

SIZES = (10_000, 100_000, 1_000_000)
QUICK = (2_000, 10_000)
LEVEL = 0.98
WIDTHS = (10, 20, 40, 80, 160)
#: Standard deviation of the noise of drawn rows, in units of a component (integers from 0 to 255).
NOISE = 8.0
CONTENDERS: dict[str, Wrap] = {"hnsw": plain, "packed": coded}


def descriptors(rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (rows, 128) float32, all integers from 0 to 255: real ones as far as there are some, then drawn ones."""
    real, asked = DATASETS["sift128"][1](None, queries)
    if rows <= len(real):
        return real[:rows], asked
    rng = np.random.default_rng(1)
    every = np.empty((rows, real.shape[1]), dtype=np.float32)
    every[: len(real)] = real
    for begin in range(len(real), rows, 50_000):
        drawn = real[rng.integers(0, len(real), min(50_000, rows - begin))]
        noisy = drawn + rng.standard_normal(drawn.shape, dtype=np.float32) * NOISE
        every[begin : begin + len(drawn)] = np.clip(np.rint(noisy), 0, 255)
    return every, asked


def measure(*, quick: bool, seeds: int) -> Rows:
    """Rows of every size and contender, then their exponents."""
    rows: Rows = []
    for size in QUICK if quick else SIZES:
        vectors, queries = descriptors(size, 500 if quick else 2_000)
        data = Dataset(f"sift128, {size:,}", "l2", vectors, queries, exact_answers(vectors, queries, "l2"))
        ours = [Ours(name, data, wrap) for name, wrap in CONTENDERS.items()]
        start = time.process_time()
        curves = measure_curves(data, ours, seeds=1, repeats=3, widths=WIDTHS)
        rows += [_row(data, one, curve) for one, curve in zip(ours, curves, strict=True)]
        print(f"{data.name}: {time.process_time() - start:,.0f} CPU seconds", flush=True)
    rows += [_exponent([row for row in rows if row["contender"] == name]) for name in CONTENDERS]
    plot([row for row in rows if "vectors" in row])
    return rows


def _row(data: Dataset, ours: Ours, curve: Curve) -> dict[str, Any]:
    size, rate = len(data.vectors), rate_at(curve, LEVEL, len(data.queries))
    return {
        "dataset": data.name,
        "contender": ours.name,
        "setting": f"recall={LEVEL}",
        "vectors": size,
        "build_microseconds_per_vector": curve.build_seconds[0] / size * 1e6,
        "microseconds_per_query": 1e6 / rate if rate else None,
    }


def _exponent(rows: Rows) -> dict[str, Any]:
    """The slope of log time over log size; None where a size has no time."""
    sizes = np.log([row["vectors"] for row in rows])
    found: dict[str, Any] = {"dataset": "sift128", "contender": rows[0]["contender"], "setting": "exponent"}
    for name in ("build_microseconds_per_vector", "microseconds_per_query"):
        times = [row[name] for row in rows]
        found[name] = float(np.polyfit(sizes, np.log(times), 1)[0]) if all(times) else None
    return found


def plot(rows: Rows) -> None:
    """Time per vector and per query over the number of vectors, as a picture in the results' folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4))
    titles = {"build_microseconds_per_vector": "build, µs per vector", "microseconds_per_query": "µs per query"}
    for axes, (metric, title) in zip(panels, titles.items(), strict=True):
        for name in dict.fromkeys(row["contender"] for row in rows):
            points = [(row["vectors"], row[metric]) for row in rows if row["contender"] == name and row[metric]]
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="vectors", title=title)
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(results_folder() / "ann-growth.png", dpi=120, bbox_inches="tight")
    pyplot.close(figure)


if __name__ == "__main__":
    run_part(measure, "ann_growth", __doc__, whole=True)
