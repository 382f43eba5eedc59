"""Writes ``faiss_graph.npz``: the level-0 adjacency of a faiss HNSW index over :func:`points`, for the tests of foreign graphs.

Run it with an interpreter that has faiss (see tests/bench/RESULTS.md): ``PYTHON tests/golden/make_faiss_graph.py``.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def points(count: int = 600, dimensions: int = 24, seed: int = 5) -> np.ndarray:
    """Clustered points with a decaying spectrum, float32 (count, dimensions); the same from every numpy."""
    random = np.random.RandomState(seed)  # its stream is frozen, unlike that of newer generators
    centres = random.normal(size=(12, dimensions))
    rows = centres[random.randint(0, 12, size=count)] + 0.6 * random.normal(size=(count, dimensions))
    return (rows * 0.85 ** np.arange(dimensions)).astype(np.float32)


def main() -> None:
    """Builds the index and writes its adjacency as CSR (indptr int64, indices uint32) with faiss's version."""
    import faiss

    vectors = points()
    index = faiss.IndexHNSWFlat(vectors.shape[1], 8)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    neighbors = faiss.vector_to_array(index.hnsw.neighbors)
    offsets = faiss.vector_to_array(index.hnsw.offsets)
    width = index.hnsw.nb_neighbors(0)
    lists = [neighbors[begin : begin + width] for begin in offsets[:-1].astype(np.int64)]
    lists = [ids[ids >= 0].astype(np.uint32) for ids in lists]
    indptr = np.concatenate([[0], np.cumsum([len(ids) for ids in lists])]).astype(np.int64)
    np.savez_compressed(
        HERE / "faiss_graph.npz", indptr=indptr, indices=np.concatenate(lists), version=np.array(faiss.__version__)
    )


if __name__ == "__main__":
    main()
