"""The stated memory: blocks that fit a budget, refusals that name the figure, and real processes under hard limits."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tasks.xmr.clustering import ClusterParams, cluster_labels
from tasks.xmr.label_features import EmbeddingParams, embed_labels
from tasks.xmr.memory import MemoryNeedError, ProblemShape, clustering_need, embedding_need, level_widths, memory_need
from tasks.xmr.model import ChunkBlock, RankerModel
from tasks.xmr.training import SolverParams, TrainingParams
from tests.support.rankers import block_for, train_blocks, train_ranker
from tests.unit.xmr.worlds import topic_problem

ROOT = Path(__file__).resolve().parents[3]
CLUSTERS = ClusterParams(branching=2, max_leaf_size=10, flat_labels=0)

#: Imports once; then each line, the arguments of a step, is done by a child of its own: its exit status, and what it printed.
STEPS = """
import os, resource, sys, traceback
from pathlib import Path
import numpy as np
from scipy import sparse
from tasks.xmr.clustering import ClusterParams, cluster_labels
from tasks.xmr.label_features import embed_labels
from tasks.xmr.memory import ProblemShape, clustering_need, embedding_need, memory_need
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.tree import LabelTree
from tests.support.rankers import train_blocks

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

def read(name):
    return checked_rows(sparse.load_npz(folder / f"{name}.npz"), name)

def run(step, stated, share, block, threads):
    clusters = ClusterParams(max_leaf_size=50, flat_labels=0)
    resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + int(stated * share),) * 2)
    before = status("VmHWM")
    if step == "tree":
        features = read("f")
        assert clustering_need(features.shape[0], features.nnz, features.shape[1], clusters).total == stated
        made = cluster_labels(features, clusters).depth
    else:
        x, y = read("x"), read("y")
        if step == "label features":
            assert embedding_need(ProblemShape.of(x, y)).total == stated
            made = embed_labels(x, y).nnz
        else:
            tree = LabelTree(tuple(np.load(folder / f"{level}.npy") for level in range(len(list(folder.glob("*.npy"))))))
            statement = memory_need(ProblemShape.of(x, y, tree), threads=threads, block=block)
            assert statement.total == stated, (statement.total, stated)
            sizes = []
            train_blocks(x, y, tree, statement, take=lambda level, block: sizes.append(len(block.values)), threads=threads)
            made = sum(sizes)
    return status("VmHWM") - before, made

for line in sys.stdin:
    folder, step, stated, share, block, threads = line.rstrip("\\n").split("\\t")
    folder = Path(folder)
    ends = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = run(step, float(stated), float(share), int(block), int(threads))
            os.write(ends[1], " ".join(map(str, said)).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(ends[1])
    said = os.read(ends[0], 1000).decode()
    os.close(ends[0])
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said, flush=True)
"""


class Stepper:
    """A process that runs steps under hard limits, each in a child of its own."""

    def __init__(self) -> None:
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-c", STEPS],
            cwd=ROOT,
            env={**os.environ, **single},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, folder: Path, step: str, stated: int, share: float, block: int = 0, threads: int = 1
    ) -> tuple[int, list[int]]:
        """The step's exit status; and if it is 0 its peak in bytes, and what it made."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(
            "\t".join([str(folder), step, str(stated), str(share), str(block), str(threads)]) + "\n"
        )
        self._process.stdin.flush()
        code, *said = map(int, self._process.stdout.readline().split())
        return code, said

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


@pytest.fixture(scope="module")
def stepper() -> Iterator[Stepper]:
    found = Stepper()
    yield found
    found.close()


def world(folder: Path, rows: int, features: int, labels: int) -> tuple[ProblemShape, ProblemShape, sparse.csr_array]:
    """Rows of thirty words that tell their labels, label features and a tree, as files; the shapes without and with the tree."""
    rng = np.random.default_rng(0)
    chosen = rng.zipf(1.3, (rows, 3)) % labels
    words = (chosen[:, rng.integers(0, 3, 30)] * 97 + rng.zipf(1.4, (rows, 30))) % features
    x = sparse.csr_array(
        (np.ones(rows * 30, np.float32), words.ravel(), np.arange(rows + 1) * 30), shape=(rows, features)
    )
    y = sparse.csr_array((np.ones(rows * 3, np.float32), chosen.ravel(), np.arange(rows + 1) * 3), shape=(rows, labels))
    for matrix in (x, y):
        matrix.sum_duplicates()
    embedded = embed_labels(x, y)
    for name, matrix in (("x", x), ("y", y), ("f", embedded)):
        sparse.save_npz(folder / f"{name}.npz", matrix, compressed=False)
    tree = cluster_labels(embedded, ClusterParams(max_leaf_size=50, flat_labels=0, max_iter=2))
    for level, parents in enumerate(tree.parents):
        np.save(folder / f"{level}.npy", parents)
    return ProblemShape.of(x, y), ProblemShape.of(x, y, tree), embedded


def stated_by_step(folder: Path, rows: int, features: int, labels: int, block: int, threads: int) -> dict[str, int]:
    """What is stated for each step over such a world."""
    plain, known, embedded = world(folder, rows, features, labels)
    clusters = ClusterParams(max_leaf_size=50, flat_labels=0)
    return {
        "label features": embedding_need(plain).total,
        "tree": clustering_need(embedded.shape[0], embedded.nnz, embedded.shape[1], clusters).total,
        "training": memory_need(known, threads=threads, block=block).total,
    }


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("rows", "features", "labels", "block", "threads"),
    [(20_000, 30_000, 2_000, 0, 1), (8_000, 100_000, 4_000, 200, 2), (30_000, 5_000, 500, 100, 1)],
)
def test_each_step_under_a_hard_limit_keeps_what_was_stated(
    stepper, tmp_path, rows, features, labels, block, threads
) -> None:
    for step, stated in stated_by_step(tmp_path, rows, features, labels, block, threads).items():
        code, said = stepper.run(tmp_path, step, stated, 1.1, block, threads)
        assert code == 0, step
        peak, made = said
        print(f"{step}: stated {stated / 2**20:.1f} MiB, peak {peak / 2**20:.1f} MiB, {made} made")
        assert 0 < peak <= stated
        # A statement that is far from what is met refuses what would fit; small ones are mostly slack.
        assert stated <= 2.5 * peak + 8 * 2**20


def test_the_limit_bites(stepper, tmp_path) -> None:
    for step, stated in stated_by_step(tmp_path, 8_000, 30_000, 2_000, 0, 1).items():
        assert stepper.run(tmp_path, step, stated, 0.05)[0] != 0


def test_blocks_make_the_model_of_the_whole() -> None:
    x, y = topic_problem(0)
    tree = cluster_labels(embed_labels(x, y), CLUSTERS)
    statement = memory_need(ProblemShape.of(x, y), clusters=CLUSTERS, block=10)
    parts: list[tuple[int, ChunkBlock]] = []
    train_blocks(x, y, tree, statement, take=lambda level, block: parts.append((level, block)))
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
    rng = np.random.default_rng(0)
    x = sparse.random_array((2000, 5000), density=0.02, format="csr", dtype=np.float32, rng=rng)
    y = sparse.random_array((2000, 3000), density=0.001, format="csr", dtype=np.float32, rng=rng)
    shape = ProblemShape.of(x, y)
    whole = memory_need(shape)
    roomy, tight = block_for(whole.total, shape), block_for(int(0.8 * whole.total), shape)
    assert roomy == whole
    assert tight.total <= 0.8 * whole.total
    assert tight.block < whole.block
    with pytest.raises(
        MemoryNeedError,
        match=(
            r"expected a need of at most 9\.0 MiB, got \d+\.\d MiB for training with blocks of \d+ labels \(features"
            r" .*; give more memory"
        ),
    ):
        block_for(9 * 2**20, shape)
    assert memory_need(shape, threads=2).total > whole.total
    small = TrainingParams(solver=SolverParams(max_nonzeros=5))
    assert memory_need(shape, small).most_block <= 5 * 3000
    sharp = TrainingParams(solver=SolverParams(threshold=0.3))
    assert memory_need(shape, sharp).most_block < 0.6 * whole.most_block
    assert embedding_need(shape, block=100).total < embedding_need(shape).total
    assert embedding_need(shape, EmbeddingParams("pifa_concatenated"), given=10**6).total > embedding_need(shape).total


def test_what_labels_rows_have_in_common_is_expected_as_drawn() -> None:
    x, y = topic_problem(0)
    shape = ProblemShape.of(x, y)
    sizes = np.diff(x.indptr)
    for label in range(0, 60, 7):
        assert shape.reach[label] == sizes[y[:, [label]].nonzero()[0]].sum()
    share = np.bincount(x.indices, minlength=x.shape[1]) / x.nnz
    for reach in (1.0, 7.5, 300.0):
        assert shape.expected(np.array([reach]))[0] == pytest.approx((1 - np.exp(-share * reach)).sum(), rel=0.05)
    found = embed_labels(x, y).nnz
    assert found <= shape.of_neighbours(60) * 1.05
    assert (
        shape.of_neighbours(20) <= shape.of_labels(20) <= shape.of_labels(60) == pytest.approx(shape.of_neighbours(60))
    )


def test_more_weights_than_stated_are_refused() -> None:
    x, y = topic_problem(0)
    tree = cluster_labels(embed_labels(x, y), CLUSTERS)
    params = TrainingParams(solver=SolverParams(max_nonzeros=1))
    statement = replace(memory_need(ProblemShape.of(x, y), params, CLUSTERS), most_upper=1)
    with pytest.raises(MemoryNeedError, match=r"level 0: expected at most \d+ weights as estimated, got \d+"):
        train_blocks(x, y, tree, statement, take=lambda level, block: None)
