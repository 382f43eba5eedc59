"""Drives one nearest-neighbour library in its own environment: ``peer_ann.py LIBRARY TRAIN.npy TEST.npy METRIC``.

Needs numpy and the library alone. Reads one JSON object a line: {"do": "probe"}, {"do": "build", "seed", "max_neighbors",
"ef_construction"} or {"do": "search", "ef", "k", "out"}; answers with a JSON object: seconds (CPU, one thread), version.
Ids go to the .npy file ``out``.
"""

import importlib.metadata
import json
import sys
import time

import numpy as np


class Hnswlib:
    distribution = "hnswlib"

    def build(self, train: np.ndarray, metric: str, seed: int, max_neighbors: int, ef_construction: int) -> None:
        import hnswlib

        self.index = hnswlib.Index(space=metric, dim=train.shape[1])
        self.index.init_index(
            max_elements=len(train), M=max_neighbors, ef_construction=ef_construction, random_seed=seed + 1
        )
        self.index.add_items(train, num_threads=1)

    def search(self, queries: np.ndarray, k: int, ef: int) -> np.ndarray:
        self.index.set_ef(max(ef, k))
        return self.index.knn_query(queries, k=k, num_threads=1)[0]


class Faiss:
    distribution = "faiss-cpu"

    def build(self, train: np.ndarray, metric: str, seed: int, max_neighbors: int, ef_construction: int) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.IndexHNSWFlat(train.shape[1], max_neighbors, kind)
        self.index.hnsw.efConstruction = ef_construction
        self.index.hnsw.rng = faiss.RandomGenerator(seed + 1)
        self.index.add(_unit(train) if metric == "cosine" else train)
        self.cosine = metric == "cosine"

    def search(self, queries: np.ndarray, k: int, ef: int) -> np.ndarray:
        self.index.hnsw.efSearch = ef
        return self.index.search(_unit(queries) if self.cosine else queries, k)[1]


class Usearch:
    distribution = "usearch"

    def build(self, train: np.ndarray, metric: str, seed: int, max_neighbors: int, ef_construction: int) -> None:
        from usearch.index import Index

        kind = {"l2": "l2sq", "ip": "ip", "cosine": "cos"}[metric]
        self.index = Index(
            ndim=train.shape[1], metric=kind, dtype="f32", connectivity=max_neighbors, expansion_add=ef_construction
        )
        # Levels are drawn from a generator without a seed: the order of the rows varies instead.
        order = np.random.default_rng(seed).permutation(len(train))
        self.index.add(order, train[order], threads=1)

    def search(self, queries: np.ndarray, k: int, ef: int) -> np.ndarray:
        self.index.expansion_search = ef
        return np.asarray(self.index.search(queries, k, threads=1).keys).astype(np.int64)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    name, train_file, test_file, metric = sys.argv[1:]
    peer = {"hnswlib": Hnswlib, "faiss": Faiss, "usearch": Usearch}[name]()
    train, test = np.load(train_file), np.load(test_file)
    for line in sys.stdin:
        request = json.loads(line)
        what = request.pop("do")
        answer = {}
        try:
            if what == "probe":
                __import__(name)
                answer["version"] = importlib.metadata.version(peer.distribution)
            start = time.process_time()
            if what == "build":
                peer.build(train, metric, **request)
            elif what == "search":
                ids = peer.search(test, request["k"], request["ef"])
            answer["seconds"] = time.process_time() - start
            if what == "search":
                np.save(request["out"], np.where(ids < 0, 0xFFFFFFFF, ids).astype(np.uint32))
        except Exception as error:
            answer = {"error": f"{name}: {type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
