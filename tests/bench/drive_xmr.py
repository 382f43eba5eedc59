"""One ranker a process, ours or PECOS': JSON lines in, JSON lines out; run by bench_xmr with either interpreter.

``drive_xmr.py LIB FOLDER``: the folder holds X_train, Y_train, X_test, Y_test as scipy CSR files. One thread.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402


def matrix(folder, name):
    """A CSR matrix float32 with ascending indices."""
    found = sparse.load_npz(Path(folder) / f"{name}.npz").tocsr().astype(np.float32)
    found.sort_indices()
    return found


def peak_mb():
    """Most memory of this process; the system's other figure is inherited from the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Ours:
    """This project, in this process, without Prefect and Dask."""

    def __init__(self, folder):
        self.x, self.y = matrix(folder, "X_train"), matrix(folder, "Y_train")

    def train(self, options):
        from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
        from fingerpost.tasks.xmr.label_features import embed_labels
        from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
        from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
        from tests.support.rankers import train_ranker

        beam = BeamParams(post_processor=options["post_processor"]) if "post_processor" in options else BeamParams()
        begin = time.process_time()
        tree = cluster_labels(embed_labels(self.x, self.y), ClusterParams(seed=options.get("seed", 0)))
        solver = SolverParams(**options.get("solver", {}))
        negatives = {"negatives": options["negatives"]} if "negatives" in options else {}
        self.model = train_ranker(self.x, self.y, tree, TrainingParams(solver=solver, **negatives)).model
        seconds = time.process_time() - begin
        self.ranker = Ranker(self.model, beam)
        return seconds, peak_mb(), stored_mb(self.model)

    def rank(self, rows, beam):
        from fingerpost.tasks.xmr.ranking import BeamParams

        return self.ranker.rank(rows, 10, params=BeamParams(beam, self.ranker.params.post_processor))

    def ids(self, ranking):
        return ranking.ids.astype(np.int64)


def stored_mb(model):
    """Size of the weights as Parquet, rising numbers by their differences."""
    import pyarrow as pa
    from pyarrow import parquet

    total = 0
    for block in (block for blocks in model.levels for block in blocks):
        for name, array in vars(block).items():
            sink = pa.BufferOutputStream()
            deltas = name in ("features", "start")
            encoding = {"column_encoding": {name: "DELTA_BINARY_PACKED"}} if deltas else {}
            table = pa.table({name: array.astype(np.int32) if deltas else array})
            parquet.write_table(table, sink, compression="zstd", use_dictionary=False, **encoding)
            total += sink.getvalue().size
    return total / 2**20


class Pecos:
    """libpecos at its defaults."""

    def __init__(self, folder):
        self.x, self.y = matrix(folder, "X_train"), matrix(folder, "Y_train")

    def train(self, options):
        from pecos.xmc import Indexer, LabelEmbeddingFactory
        from pecos.xmc.xlinear.model import XLinearModel

        begin = time.process_time()
        features = LabelEmbeddingFactory.create(self.y, self.x, method="pifa")
        tree = Indexer.gen(features, indexer_type="hierarchicalkmeans", seed=options.get("seed", 0), threads=1)
        model = XLinearModel.train(self.x, self.y, tree, threads=1)
        seconds, peak = time.process_time() - begin, peak_mb()
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            self.model = XLinearModel.load(folder, is_predict_only=True)
        return seconds, peak, size / 2**20

    def rank(self, rows, beam):
        return self.model.predict(rows, beam_size=beam, only_topk=10, threads=1)

    def ids(self, found):
        out = np.full((found.shape[0], 10), 0xFFFFFFFF, dtype=np.int64)
        found = found.tocsr()
        for row in range(found.shape[0]):
            place = slice(found.indptr[row], found.indptr[row + 1])
            order = np.argsort(-found.data[place], kind="stable")
            out[row, : len(order)] = found.indices[place][order]
        return out


def answer(side, test, rows, request):
    """One request: train, or rank the test rows in one call or one by one."""
    if request["do"] == "train":
        seconds, peak, size = side.train(request)
        return {"seconds": seconds, "model_mb": size, "peak_mb": peak}
    if request["do"] == "single":
        begin = time.process_time()
        for row in rows:
            side.rank(row, request["beam"])
        return {"seconds": time.process_time() - begin}
    begin = time.process_time()
    found = side.rank(test, request["beam"])
    seconds = time.process_time() - begin
    np.save(request["out"], side.ids(found))
    return {"seconds": seconds}


def main():
    """Answer requests until the input ends."""
    library, folder = sys.argv[1:]
    side = {"fingerpost": Ours, "pecos": Pecos}[library](folder)
    test = matrix(folder, "X_test")
    rows = [test[row] for row in range(test.shape[0])]
    for line in sys.stdin:
        try:
            print(json.dumps(answer(side, test, rows, json.loads(line))), flush=True)
        except Exception as error:
            print(json.dumps({"error": repr(error)}), flush=True)


if __name__ == "__main__":
    main()
