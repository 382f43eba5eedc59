"""Refresh beside a retrain, and pruning to half: ``python -m tests.bench.bench_xmr_refresh`` on debian12.

5 % of the interactions and 2 % of the labels are new; CPU seconds of one thread, in one process, ours alone.
"""

import os
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import sparse  # noqa: E402

from tasks.xmr.clustering import cluster_labels  # noqa: E402
from tasks.xmr.drift import measure_drift, must_retrain  # noqa: E402
from tasks.xmr.label_features import embed_labels  # noqa: E402
from tasks.xmr.metrics import hits, precision_at  # noqa: E402
from tasks.xmr.model import RankerModel, prune  # noqa: E402
from tasks.xmr.ranking import Ranker  # noqa: E402
from tasks.xmr.refresh import Refreshed, Trained, gained_labels, positives_of, refresh_ranker  # noqa: E402
from tasks.xmr.sparse_rows import checked_rows  # noqa: E402
from tasks.xmr.sweep import size_threshold  # noqa: E402
from tasks.xmr.training import train_ranker  # noqa: E402
from tests.bench.bench_xmr import PARTS, task_folder  # noqa: E402
from tests.bench.results import cpu_seconds, print_table, write_rows  # noqa: E402


class Growth:
    """A data set before and after ``share`` new interactions, among them all those of ``labels`` new labels."""

    def __init__(
        self, x: sparse.csr_array, y: sparse.csr_array, *, share: float = 0.05, labels: float = 0.02, seed: int = 0
    ) -> None:
        rng = np.random.default_rng(seed)
        count = y.shape[1]
        new = np.zeros(count, dtype=bool)
        new[rng.choice(count, round(labels * count), replace=False)] = True
        wanted = share * y.nnz - new[y.indices].sum()
        shuffled = rng.permutation(y.shape[0])
        rows = int(np.searchsorted(np.cumsum(np.diff(y.indptr)[shuffled]), max(wanted, 0)))
        order = np.concatenate([np.sort(shuffled[rows:]), np.sort(shuffled[:rows])])
        self.x, self.y = checked_rows(x[order], "features"), checked_rows(y[order], "labels")
        kept = np.flatnonzero(~new)
        self.old_x = checked_rows(self.x[: len(order) - rows], "features")
        self.old_y = checked_rows(self.y[: len(order) - rows][:, kept], "labels")
        self.origin: NDArray[np.int64] = np.full(count, -1, dtype=np.int64)
        self.origin[kept] = np.arange(len(kept))


def trained(x: sparse.csr_array, y: sparse.csr_array) -> Trained:
    """Label features, tree and rankers at the defaults."""
    features = embed_labels(x, y)
    tree = cluster_labels(features)
    return Trained(train_ranker(x, y, tree).model, features, positives_of(tree, y))


def quality(model: RankerModel, held: tuple[sparse.csr_array, sparse.csr_array]) -> dict[str, float]:
    """Percentages at 1, 3, 5."""
    found = hits(Ranker(model).rank(held[0], 5), held[1])
    return {f"p_at_{k}": 100 * precision_at(found, k) for k in (1, 3, 5)}


def measure(dataset: str = "debian12") -> list[dict[str, Any]]:
    """Rows of a retrain, a refresh, and the retrained model pruned to half."""
    folder = task_folder(dataset)
    x, y, *rest = (checked_rows(sparse.load_npz(folder / f"{part}.npz").tocsr(), part) for part in PARTS)
    held = (rest[0], rest[1])
    growth = Growth(x, y)
    before = trained(growth.old_x, growth.old_y)

    def refresh() -> Refreshed:
        gained = gained_labels(growth.y, growth.old_y, growth.origin)
        return refresh_ranker(growth.x, growth.y, gained, growth.origin, before)

    refresh_seconds, after = cpu_seconds(refresh)
    train_seconds, whole = cpu_seconds(lambda: trained(growth.x, growth.y))
    report = measure_drift(before, after, growth.origin, growth.x, growth.y, held)
    share = size_threshold(whole.model)
    half = prune(whole.model, threshold=share)
    named = {"dataset": dataset, "contender": "fingerpost"}
    return [
        named | {"setting": "retrain", "seconds": train_seconds} | quality(whole.model, held),
        named
        | {
            "setting": "refresh",
            "seconds": refresh_seconds,
            "ratio": train_seconds / refresh_seconds,
            "rival": "retrain",
        }
        | {name: value for name, value in vars(report).items() if name != "labels"}
        | {"must_retrain": must_retrain(report)}
        | quality(after.model, held),
        named
        | {"setting": f"pruned at {share:.3g}", "bytes_share": half.nbytes / whole.model.nbytes}
        | quality(half, held),
    ]


def main() -> None:
    """Measure, print and write ``bench-results/xmr_refresh.json``."""
    rows = measure()
    print_table(rows, "Refresh and pruning")
    print(f"written to {write_rows('xmr_refresh', rows)}")


if __name__ == "__main__":
    main()
