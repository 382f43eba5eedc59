"""What more labels cost: ``python -m tests.bench.bench_xmr_growth [--labels 10000 100000 1000000] [--train 2000 8000 16000]``.

Prediction: trees of the default shape over label sets of any size, with weights sampled from the columns of a model trained on
debian12, asked debian12's test rows at beam 10. Training: debian12 with some of its labels, each in a process of its own.
CPU seconds of one thread.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import sparse  # noqa: E402

from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels, tree_of_leaves  # noqa: E402
from fingerpost.tasks.xmr.label_blocks import BlockParams, parent_blocks  # noqa: E402
from fingerpost.tasks.xmr.label_features import embed_labels  # noqa: E402
from fingerpost.tasks.xmr.memory import ProblemShape, clustering_need, embedding_need, memory_need  # noqa: E402
from fingerpost.tasks.xmr.model import Chunk, ChunkBlock, RankerModel, join_chunks  # noqa: E402
from fingerpost.tasks.xmr.ranking import Ranker  # noqa: E402
from fingerpost.tasks.xmr.sparse_rows import checked_rows  # noqa: E402
from fingerpost.tasks.xmr.tree import LabelTree  # noqa: E402
from tests.bench.bench_xmr import task_folder  # noqa: E402
from tests.bench.results import ROOT, cpu_seconds, print_table, results_folder, write_rows  # noqa: E402
from tests.support.rankers import train_blocks, train_ranker  # noqa: E402

DATASET = "debian12"
#: How far sampled weights are from those they are sampled from: the deviation of the logarithm of their ratio.
_SPREAD = 0.25


def plain_tree(labels: int) -> LabelTree:
    """The tree of the default shape over labels in the order of their numbers."""
    params = ClusterParams()
    bounds = np.linspace(0, labels, 2 ** params.splits(labels) + 1).astype(np.int64)
    return tree_of_leaves(np.arange(labels, dtype=np.uint32), np.diff(bounds), params)


class Source:
    """The chunks of a trained model by level, counted from the labels up, to draw others from."""

    def __init__(self, model: RankerModel, seed: int = 0) -> None:
        depth = model.tree.depth
        self.features = model.features
        self._weights = [model.weights(depth - 1 - height) for height in range(depth)]
        self._bias = [model.bias(depth - 1 - height) for height in range(depth)]
        self._children = [model.tree.children(depth - 1 - height) for height in range(depth)]
        self._patterns: dict[tuple[int, int, int], Chunk] = {}
        self._rng = np.random.default_rng(seed)
        self._factors = np.exp(_SPREAD * self._rng.standard_normal(1 << 22, dtype=np.float32))

    def draw(self, height: int, place: float, count: int) -> Chunk:
        """A chunk of ``count`` columns: the pattern of the trained chunk at the same place (0 to 1), other weights.

        Above the trained model's top, its top. So a path down the sampled tree stays with one topic, as a trained one does.
        """
        height = min(height, len(self._weights) - 1)
        key = (height, int(place * (len(self._children[height].start) - 1)), count)
        if key not in self._patterns:
            self._patterns[key] = self._pattern(*key)
        features, start, columns, values, bias = self._patterns[key]
        begin = self._rng.integers(0, len(self._factors) - len(values))
        return features, start, columns, values * self._factors[begin : begin + len(values)], bias

    def _pattern(self, height: int, at: int, count: int) -> Chunk:
        """``count`` columns of the trained chunk, and of those next to it where it has fewer."""
        children, found = self._children[height], np.empty(0, np.uint32)
        while len(found) < count:
            found = np.concatenate([found, self._rng.permutation(children.of(at % (len(children.start) - 1)))])
            at += 1
        chosen = found[:count]
        part = self._weights[height][:, chosen]
        columns = np.repeat(np.arange(count, dtype=np.uint8), np.diff(part.indptr))
        order = np.argsort(part.indices, kind="stable")
        features, sizes = np.unique(part.indices[order], return_counts=True)
        start = np.concatenate(([0], np.cumsum(sizes))).astype(np.uint32)
        return features.astype(np.uint32), start, columns[order], part.data[order], self._bias[height][chosen]


def sampled_model(source: Source, tree: LabelTree) -> RankerModel:
    """A model of that tree with sampled weights, in blocks as a training leaves them."""
    levels: list[tuple[ChunkBlock, ...]] = []
    for level in range(tree.depth):
        children, parents = tree.children(level), tree.width(level - 1)
        blocks: list[ChunkBlock] = []
        for start, stop in parent_blocks(tree, level, BlockParams()):
            ids = [children.of(parent) for parent in range(start, stop)]
            chunks = [
                source.draw(tree.depth - 1 - level, parent / parents, len(mine))
                for parent, mine in zip(range(start, stop), ids, strict=True)
            ]
            blocks.append(join_chunks(np.arange(start, stop, dtype=np.uint32), chunks, ids))
        levels.append(tuple(blocks))
    return RankerModel(source.features, tree, tuple(levels), True)


def describe_levels(model: RankerModel) -> list[dict[str, float]]:
    """Nodes, weights a column, features a chunk and weights a feature of each level."""
    rows = []
    for level, blocks in enumerate(model.levels):
        entries = sum(len(block.values) for block in blocks)
        features = sum(len(block.features) for block in blocks)
        nodes, chunks = model.tree.width(level), model.tree.width(level - 1)
        row = {"nodes": nodes, "weights_a_column": entries / nodes, "features_a_chunk": features / chunks}
        rows.append(row | {"weights_a_feature": entries / features, "bytes": sum(block.nbytes for block in blocks)})
    return rows


def trained_model() -> RankerModel:
    """A ranker of the training rows at the defaults."""
    x, y = (read(task_folder(DATASET), part) for part in ("X_train", "Y_train"))
    return train_ranker(x, y, cluster_labels(embed_labels(x, y))).model


def level_microseconds(model: RankerModel, queries: sparse.csr_array) -> list[float]:
    """Microseconds a query from the root down to each level."""
    partial = (Ranker(model, levels=level + 1) for level in range(model.tree.depth - 1))
    return [1e6 * cpu_seconds(lambda one=one: one.rank(queries, 10))[0] / queries.shape[0] for one in partial]


def prediction_rows(labels: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Microseconds a query, in one call and row by row, of a trained model and of sampled ones, in turns."""
    trained, queries = trained_model(), read(task_folder(DATASET), "X_test")
    source = Source(trained)
    named = [("trained", trained), ("sampled, same tree", sampled_model(source, trained.tree))]
    named += [("sampled", sampled_model(source, plain_tree(count))) for count in labels]
    rankers = [Ranker(model) for _, model in named]
    single = [queries[row : row + 1] for row in range(queries.shape[0])]
    taken: list[tuple[list[float], list[float]]] = [([], []) for _ in rankers]
    for _ in range(repeats + 1):
        for ranker, (batch, rowwise) in zip(rankers, taken, strict=True):
            batch.append(cpu_seconds(lambda ranker=ranker: ranker.rank(queries, 10))[0])
            rowwise.append(cpu_seconds(lambda ranker=ranker: [ranker.rank(row, 10) for row in single])[0])
    repeated = checked_rows(queries[np.repeat(np.arange(0, queries.shape[0], 20), 20)], "queries")
    rows: list[dict[str, Any]] = []
    for (name, model), ranker, (batch, rowwise) in zip(named, rankers, taken, strict=True):
        counters = ranker.rank(queries, 10).counters
        asked = queries.shape[0]
        rows.append(
            {
                "dataset": DATASET,
                "contender": name,
                "setting": "predict",
                "labels": model.tree.labels,
                "depth": model.tree.depth,
                # The same rows twenty times in a row find their weights in the cache: what is left is arithmetic.
                "cached_us": 1e6 * cpu_seconds(lambda ranker=ranker: ranker.rank(repeated, 10))[0] / repeated.shape[0],
                "batch_us": 1e6 * statistics.median(batch[1:]) / asked,
                "single_us": 1e6 * statistics.median(rowwise[1:]) / asked,
                "chunks": (counters.march + counters.binary + counters.hash + counters.dense) / asked,
                "hits": counters.hits / asked,
                "model_mb": model.nbytes / 2**20,
                "lookup_mb": ranker.lookup_bytes / 2**20,
                "levels": describe_levels(model),
                "us_to_level": level_microseconds(model, queries),
            }
        )
    first = next((row for row in rows if row["contender"] == "sampled"), rows[0])
    for row in rows:
        row["batch_growth"], row["single_growth"] = (
            row["batch_us"] / first["batch_us"],
            row["single_us"] / first["single_us"],
        )
    return rows


def read(folder: Path, part: str) -> sparse.csr_array:
    """A matrix of a folder."""
    return checked_rows(sparse.load_npz(folder / f"{part}.npz").tocsr(), part)


def write_part(folder: Path, labels: int, seed: int = 0) -> None:
    """A sample of the labels, and the training rows that have one of them, as ``X`` and ``Y``."""
    x, y = (read(task_folder(DATASET), part) for part in ("X_train", "Y_train"))
    chosen: NDArray[np.int64] = np.sort(np.random.default_rng(seed).choice(y.shape[1], labels, replace=False))
    part = checked_rows(y[:, chosen], "labels")
    kept = np.flatnonzero(np.diff(part.indptr))
    for name, matrix in (("X", x[kept]), ("Y", part[kept])):
        sparse.save_npz(folder / f"{name}.npz", matrix, compressed=False)


def status(name: str) -> int:
    """A figure of this process in bytes."""
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024


def measure_training(folder: Path) -> dict[str, float]:
    """Seconds and memory of one training in this process, beside what the loaded program takes."""
    before = status("VmRSS")
    x, y = read(folder, "X"), read(folder, "Y")
    plain = ProblemShape.of(x, y)
    embedded = embed_labels(x, y)
    # Rows stay in memory here while labels are clustered; a stage has only the label features then.
    rows = 8 * (plain.entries + plain.pairs) + 16 * plain.rows
    clustering = clustering_need(embedded.shape[0], embedded.nnz, embedded.shape[1]).total + rows
    tree_stated = max(embedding_need(plain).total, clustering)
    del embedded
    tree_seconds, tree = cpu_seconds(lambda: cluster_labels(embed_labels(x, y)))
    tree_peak = status("VmHWM") - before
    Path("/proc/self/clear_refs").write_text("5")  # the most memory counts from here on
    shape = ProblemShape.of(x, y, tree)
    stated = memory_need(shape)
    blocks: list[ChunkBlock] = []
    seconds, _ = cpu_seconds(lambda: train_blocks(x, y, tree, stated, take=lambda _, block: blocks.append(block)))
    peak, labels = status("VmHWM") - before, y.shape[1]
    return {
        "labels": labels,
        "rows": shape.rows,
        "pairs": shape.pairs,
        "depth": tree.depth,
        "tree_seconds": tree_seconds,
        "seconds": tree_seconds + seconds,
        "ms_a_label": 1e3 * (tree_seconds + seconds) / labels,
        "us_a_pair": 1e6 * (tree_seconds + seconds) / shape.pairs,
        "tree_peak_mb": tree_peak / 2**20,
        "tree_stated_mb": tree_stated / 2**20,
        "peak_mb": peak / 2**20,
        "stated_mb": stated.total / 2**20,
        "peak_kb_a_label": peak / 1024 / labels,
        "model_kb_a_label": sum(block.nbytes for block in blocks) / 1024 / labels,
        "weights_a_label": sum(len(block.values) for block in blocks) / labels,
    }


def training_rows(labels: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each number of labels."""
    rows = []
    for count in labels:
        with tempfile.TemporaryDirectory() as folder:
            write_part(Path(folder), count)
            command = [sys.executable, "-m", "tests.bench.bench_xmr_growth", "--measure", folder]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        rows.append({"dataset": DATASET, "contender": "fingerpost", "setting": "train"} | json.loads(done.stdout))
    return rows


def plot(predicted: Sequence[dict[str, Any]], trained: Sequence[dict[str, Any]], path: Path) -> None:
    """Time a query, training time and memory by the number of labels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 4))
    sampled = [row for row in predicted if row["contender"] == "sampled"]
    curves = (
        (left, sampled, {"batch_us": "in one call", "single_us": "row by row"}, "µs a query, beam 10"),
        (middle, trained, {"ms_a_label": "tree and rankers"}, "ms of training a label"),
        (right, trained, {"stated_mb": "stated", "peak_mb": "met"}, "MiB of training"),
    )
    for axes, rows, names, title in curves:
        for name, label in names.items():
            axes.plot([row["labels"] for row in rows], [row[name] for row in rows], marker="o", label=label)
        axes.set(xscale="log", xlabel="labels", title=title, ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    if sampled:
        left.axhline(3 * sampled[0]["batch_us"], color="grey", linestyle=":")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Measure, print, plot and write ``bench-results/xmr_growth.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--train", type=int, nargs="*", default=[2_000, 8_000, 16_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure_training(options.measure)))
        return
    os.chdir(ROOT)
    trained = training_rows(options.train)
    print_table(trained, "Training as labels grow")
    predicted = prediction_rows(options.labels, options.repeats)
    print_table([{**row, "levels": None, "us_to_level": None} for row in predicted], "Prediction as labels grow")
    plot(predicted, trained, results_folder() / "xmr_growth.svg")
    print(f"written to {write_rows('xmr_growth', [*predicted, *trained])} and xmr_growth.svg beside it")


if __name__ == "__main__":
    main()
