"""Estimates of memory and met peaks, with the bound of labels times features: ``python -m tests.bench.bench_xmr_memory``.

Each step runs in a process of its own under a hard limit of 1.1 times its estimate; MiB beyond the loaded program.
"""

import tempfile
from pathlib import Path

from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.memory import clustering_need, embedding_need, memory_need
from tests.bench.results import print_table
from tests.support.memory_steps import Stepper, world

#: Rows, features, labels, labels solved together (0: all), threads.
SHAPES = (
    (20_000, 30_000, 2_000, 0, 1),
    (8_000, 100_000, 4_000, 200, 2),
    (30_000, 5_000, 500, 100, 1),
    (20_000, 200_000, 10_000, 1_000, 1),
)


def compare(stepper: Stepper, shape: tuple[int, int, int, int, int]) -> list[dict[str, object]]:
    """A row for each step over one shape."""
    rows, features, labels, block, threads = shape
    clusters, table = ClusterParams(max_leaf_size=50, flat_labels=0), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, known, embedded = world(folder, rows, features, labels)
        needs = {
            "label features": embedding_need(plain),
            "tree": clustering_need(embedded.shape[0], embedded.nnz, embedded.shape[1], clusters),
            "training": memory_need(known, threads=threads, block=block),
        }
        for step, need in needs.items():
            code, output = stepper.run(folder, step, need.total, 1.1, block, threads)
            if code:
                raise RuntimeError(f"{step} over {shape}: expected it to end within its estimate, got status {code}")
            together = block or labels if step == "training" else labels
            bound, peak = together * features * 4, output[0]
            table.append(
                {
                    "rows": rows,
                    "features": features,
                    "labels": labels,
                    "labels together": together,
                    "step": step,
                    "met": f"{peak / 2**20:.1f}",
                    "estimated": f"{need.total / 2**20:.1f}",
                    "estimated / met": f"{need.total / peak:.2f}",
                    "bound": f"{bound / 2**20:.1f}",
                    "bound / met": f"{bound / peak:.2f}",
                }
            )
    return table


def main() -> None:
    """Prints the table."""
    stepper = Stepper()
    print_table([row for shape in SHAPES for row in compare(stepper, shape)])
    stepper.close()


if __name__ == "__main__":
    main()
