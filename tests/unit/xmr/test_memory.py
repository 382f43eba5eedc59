"""The stated memory: blocks that fit a budget, refusals that name the figure, and real processes under hard limits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tasks.xmr.clustering import ClusterParams, cluster_labels
from tasks.xmr.label_features import embed_labels
from tasks.xmr.memory import (
    MemoryNeedError,
    ProblemShape,
    block_for,
    level_widths,
    memory_need,
    train_blocks,
)
from tasks.xmr.model import RankerModel
from tasks.xmr.training import SolverParams, TrainingParams, train_ranker
from tests.unit.xmr.worlds import topic_problem

ROOT = Path(__file__).resolve().parents[3]
CLUSTERS = ClusterParams(branching=2, max_leaf_size=10, flat_labels=0)

TRAIN = """
import resource, sys
from pathlib import Path
import numpy as np
from scipy import sparse
from tasks.xmr.clustering import ClusterParams
from tasks.xmr.memory import ProblemShape, memory_need, train_blocks
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.tree import LabelTree

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

folder, stated, share, block, threads = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + int(stated * share),) * 2)
before = status("VmHWM")
x, y = (checked_rows(sparse.load_npz(folder / f"{name}.npz"), name) for name in "xy")
levels = [np.load(folder / f"{level}.npy") for level in range(len(list(folder.glob("*.npy"))))]
clusters = ClusterParams(max_leaf_size=50, flat_labels=0)
statement = memory_need(ProblemShape.of(x, y), clusters=clusters, threads=threads, block=block)
assert statement.total == stated, (statement.total, stated)
weights = sum(len(block.values) for _, block in train_blocks(x, y, LabelTree(tuple(levels)), statement, threads=threads))
print(status("VmHWM") - before, weights)
"""


def world(folder: Path, rows: int, features: int, labels: int) -> ProblemShape:
    """Rows of thirty words that tell their labels, and a tree, as files."""
    rng = np.random.default_rng(0)
    chosen = rng.zipf(1.3, (rows, 3)) % labels
    words = (chosen[:, rng.integers(0, 3, 30)] * 97 + rng.zipf(1.4, (rows, 30))) % features
    x = sparse.csr_array(
        (np.ones(rows * 30, np.float32), words.ravel(), np.arange(rows + 1) * 30), shape=(rows, features)
    )
    y = sparse.csr_array((np.ones(rows * 3, np.float32), chosen.ravel(), np.arange(rows + 1) * 3), shape=(rows, labels))
    for matrix in (x, y):
        matrix.sum_duplicates()
    sparse.save_npz(folder / "x.npz", x, compressed=False)
    sparse.save_npz(folder / "y.npz", y, compressed=False)
    tree = cluster_labels(embed_labels(x, y), ClusterParams(max_leaf_size=50, flat_labels=0, max_iter=2))
    for level, parents in enumerate(tree.parents):
        np.save(folder / f"{level}.npy", parents)
    return ProblemShape.of(x, y)


def train(folder: Path, stated: int, share: float, block: int, threads: int) -> subprocess.CompletedProcess[str]:
    arguments = [str(folder), str(stated), str(share), str(block), str(threads)]
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.run(
        [sys.executable, "-c", TRAIN, *arguments],
        cwd=ROOT,
        env={**os.environ, **single},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("rows", "features", "labels", "block", "threads"),
    [(20_000, 30_000, 2_000, 0, 1), (8_000, 100_000, 4_000, 200, 2), (30_000, 5_000, 500, 100, 1)],
)
def test_a_process_under_a_hard_limit_keeps_what_was_stated(tmp_path, rows, features, labels, block, threads) -> None:
    shape = world(tmp_path, rows, features, labels)
    clusters = ClusterParams(max_leaf_size=50, flat_labels=0)
    stated = memory_need(shape, clusters=clusters, threads=threads, block=block).total
    done = train(tmp_path, stated, 1.1, block, threads)
    assert done.returncode == 0, done.stderr
    peak, weights = map(int, done.stdout.split())
    print(f"stated {stated / 2**20:.1f} MiB, peak {peak / 2**20:.1f} MiB, {weights} weights")
    assert 0 < peak <= stated


def test_the_limit_bites(tmp_path) -> None:
    shape = world(tmp_path, 20_000, 30_000, 2_000)
    stated = memory_need(shape, clusters=ClusterParams(max_leaf_size=50, flat_labels=0)).total
    done = train(tmp_path, stated, 0.05, 0, 1)
    assert done.returncode != 0


def test_blocks_make_the_model_of_the_whole() -> None:
    x, y = topic_problem(0)
    tree = cluster_labels(embed_labels(x, y), CLUSTERS)
    statement = memory_need(ProblemShape.of(x, y), clusters=CLUSTERS, block=10)
    parts = list(train_blocks(x, y, tree, statement))
    assert len(parts) > tree.depth
    assert [level for level, _ in parts] == sorted(level for level, _ in parts)
    levels = tuple(tuple(block for at, block in parts if at == level) for level in range(tree.depth))
    mine, whole = RankerModel(x.shape[1], tree, levels, True), train_ranker(x, y, tree).model
    for level in range(tree.depth):
        assert (mine.weights(level) != whole.weights(level)).nnz == 0
        assert np.array_equal(mine.bias(level), whole.bias(level))


def test_the_tree_is_as_stated() -> None:
    for labels, params in (
        (60, CLUSTERS),
        (5000, ClusterParams()),
        (700, ClusterParams()),
        (3956, ClusterParams(branching=8)),
    ):
        rng = np.random.default_rng(0)
        features = sparse.csr_array(rng.random((labels, 4), dtype=np.float32))
        tree = cluster_labels(features, params)
        assert level_widths(labels, params) == [tree.width(level) for level in range(tree.depth)]


def test_a_budget_makes_blocks_or_a_refusal() -> None:
    shape = ProblemShape(
        50_000, 4_000_000, 200_000, np.sort(np.random.default_rng(0).zipf(1.5, 16_000).clip(max=20_000))[::-1]
    )
    whole = memory_need(shape)
    roomy, tight = block_for(whole.total, shape), block_for(int(0.9 * whole.total), shape)
    assert roomy == whole
    assert tight.total <= 0.9 * whole.total
    assert tight.block < whole.block
    with pytest.raises(
        MemoryNeedError,
        match=r"expected a need of at most 50\.0 MiB, got \d+\.\d MiB with blocks of \d+ labels \(features",
    ):
        block_for(50 * 2**20, shape)
    assert memory_need(shape, threads=2).total > whole.total
    small = TrainingParams(solver=SolverParams(max_nonzeros=50))
    assert memory_need(shape, small).block_weights <= 40 * 50 * 16_000


def test_more_weights_than_stated_are_refused() -> None:
    x, y = topic_problem(0)
    tree = cluster_labels(embed_labels(x, y), CLUSTERS)
    params = TrainingParams(solver=SolverParams(max_nonzeros=1))
    statement = memory_need(ProblemShape.of(x, y), params, CLUSTERS)
    with pytest.raises(MemoryNeedError, match=r"level 0: expected at most \d+ weights as stated, got \d+"):
        list(train_blocks(x, y, tree, statement))
