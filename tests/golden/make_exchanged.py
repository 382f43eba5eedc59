"""Writes ``exchanged.npz``: small files of faiss and hnswlib as bytes, and what these libraries answer from them.

Run by hand where both are installed: ``PYTHONPATH=. python tests/golden/make_exchanged.py``.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROWS, DIMENSIONS, K = 120, 6, 5
#: Of hnswlib's index in the space ip: rows that it never returns.
DELETED = (3, 77)


def points(count: int = ROWS, *, seed: int = 5) -> np.ndarray:
    """Small integers, none of them a row of zeros, float32 (count, 6)."""
    return np.random.default_rng(seed).integers(1, 40, size=(count, DIMENSIONS)).astype(np.float32)


def labels() -> np.ndarray:
    """Ids that are not the row numbers, int64 (120,)."""
    return np.arange(ROWS, dtype=np.int64) * 3 + 7


def hashed() -> np.ndarray:
    """Ids as hashes of 64 bits are, some above 2^63, uint64 (120,)."""
    return labels().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def _content(write: Any) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        write(str(path))
        return np.frombuffer(path.read_bytes(), np.uint8)


def made() -> dict[str, np.ndarray]:
    """The files by name, and the ids that each answers with, int64 or uint64 (20, 5)."""
    import faiss
    import hnswlib

    found, queries = dict[str, np.ndarray](), points(20, seed=6)
    l2, ip = faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT
    for name, metric in (("l2", l2), ("ip", ip), ("ids", l2), ("cosine", ip)):
        graph = faiss.IndexHNSWFlat(DIMENSIONS, 4, metric)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 40, ROWS
        scaled = faiss.IndexPreTransform(faiss.NormalizationTransform(DIMENSIONS, 2.0), graph)
        index = {"ids": faiss.IndexIDMap(graph), "cosine": faiss.IndexIDMap2(scaled)}.get(name, graph)
        if name in ("ids", "cosine"):
            index.add_with_ids(points(), labels())
        else:
            index.add(points())
        found[f"faiss_{name}"] = _content(lambda path, index=index: faiss.write_index(index, path))
        found[f"faiss_{name}_answers"] = index.search(queries, K)[1].astype(np.int64)
    for space in ("l2", "ip", "cosine", "hashed"):
        index = hnswlib.Index(space="l2" if space == "hashed" else space, dim=DIMENSIONS)
        index.init_index(max_elements=2 * ROWS, M=4, ef_construction=40, random_seed=1)
        index.add_items(points(), hashed() if space == "hashed" else labels(), num_threads=1)
        for row in DELETED if space == "ip" else ():
            index.mark_deleted(int(labels()[row]))
        index.set_ef(ROWS)
        found[f"hnswlib_{space}"] = _content(index.save_index)
        answers = index.knn_query(queries, K)[0]
        found[f"hnswlib_{space}_answers"] = answers if space == "hashed" else answers.astype(np.int64)
    found["queries"] = queries
    found["versions"] = np.array([f"faiss {faiss.__version__}", "hnswlib 0.8.0"])
    return found


if __name__ == "__main__":
    np.savez_compressed(HERE / "exchanged.npz", **made())
