"""Answers of faiss and hnswlib from index files, each line of input one question; run by an interpreter that has them.

A line: {"library", "file", "queries" (an .npy file), "k", "ef", and for hnswlib "space"}; the answer: {"ids", "distances"}.
"""

import json
import sys
from typing import Any

import numpy as np


def answered(asked: dict[str, Any]) -> dict[str, Any]:
    """The nearest of each query, by a search of width ``ef``."""
    queries, k, ef = np.load(asked["queries"]), asked["k"], asked["ef"]
    if asked["library"] == "faiss":
        import faiss

        index = faiss.read_index(asked["file"])
        graph = index if isinstance(index, faiss.IndexHNSW) else faiss.downcast_index(index.index)
        graph.hnsw.efSearch = ef
        distances, ids = index.search(queries, k)
    else:
        import hnswlib

        index = hnswlib.Index(space=asked["space"], dim=queries.shape[1])
        index.load_index(asked["file"])
        index.set_ef(max(ef, k))
        ids, distances = index.knn_query(queries, k, num_threads=1)
    return {"ids": ids.tolist(), "distances": distances.tolist()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), flush=True)
