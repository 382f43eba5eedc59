"""Steps of training in processes of their own under hard limits, to compare met peaks of memory with estimates."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import sparse

from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.memory import ProblemShape

ROOT = Path(__file__).resolve().parents[2]

#: Imports once; then each line, the arguments of a step, is done by a child of its own: its exit status, and what it
#: printed.
STEPS = """
import os, resource, sys, traceback
from pathlib import Path
import numpy as np
from scipy import sparse
from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.memory import ProblemShape, clustering_need, embedding_need, memory_need
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree
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
            levels = range(len(list(folder.glob("*.npy"))))
            tree = LabelTree(tuple(np.load(folder / f"{level}.npy") for level in levels))
            statement = memory_need(ProblemShape.of(x, y, tree), threads=threads, block=block)
            assert statement.total == stated, (statement.total, stated)
            sizes = []
            take = lambda level, block: sizes.append(len(block.values))
            train_blocks(x, y, tree, statement, take=take, threads=threads)
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


def world(folder: Path, rows: int, features: int, labels: int) -> tuple[ProblemShape, ProblemShape, sparse.csr_array]:
    """Rows of thirty words that tell their labels, label features and a tree, as files; the shapes without and with the
    tree.
    """
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
