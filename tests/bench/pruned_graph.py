"""A graph of other construction than ours: nearest neighbours, pruned as HNSW prunes, and the reverse edges."""

import numpy as np

from fingerpost.ext.hnsw import SOURCE_HASH, normalise_rows
from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import Graph, from_adjacency
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import Metric
from tests.bench.ann_sets import built_graph, cache_folder, digest

#: Nearest rows that are looked at, how many of them are kept at most, and the width of the search that finds them.
NEAR, KEPT, WIDTH = 48, 16, 256
#: Rows that are pruned together.
PRUNED_ROWS = 256


def pruned_graph(vectors: np.ndarray, metric: Metric) -> Graph:
    """The nearest of each row, without those nearer to a kept one than to the row; with reverse edges, on one level."""
    rows = normalise_rows(vectors)[0] if metric == "cosine" else vectors
    near = nearest_rows(vectors, metric)
    kept = np.concatenate([_kept(rows, near, begin, metric) for begin in range(0, len(rows), PRUNED_ROWS)])
    nodes, places = np.nonzero(kept)
    others = near[nodes, places]
    size = np.int64(len(rows))
    edges = np.unique(np.concatenate([nodes * size + others, others * size + nodes]))
    counts = np.bincount(edges // size, minlength=len(rows))
    return from_adjacency(np.concatenate([[0], np.cumsum(counts)]), edges % size)


def nearest_rows(vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """The NEAR nearest other rows of each, int64 (n, NEAR), nearest first: by a wide search, which misses few; kept."""
    path = cache_folder() / f"nearest-{digest(vectors, metric, NEAR, WIDTH, SOURCE_HASH)}.npy"
    if not path.is_file():
        _, graph = built_graph(vectors, HnswParams(metric=metric))
        index = PackedIndex.pack(vectors, graph, metric, codes=fit_codes(vectors, metric))
        ids = index.search(vectors, NEAR + 1, ef=WIDTH).ids.astype(np.int64)
        own = ids == np.arange(len(vectors))[:, None]
        # Of many equal rows a row itself may not be among those found.
        own[~own.any(axis=1), -1] = True
        np.save(path, ids[~own].reshape(len(vectors), NEAR))
    return np.asarray(np.load(path))


def true_fraction(vectors: np.ndarray, near: np.ndarray, metric: Metric, *, sample: int = 200) -> float:
    """The fraction of nearest rows that are exact ones or as near, over some rows."""
    nodes = np.linspace(0, len(vectors) - 1, sample).astype(np.int64)
    exact = ExactIndex(vectors, metric).search(vectors[nodes], NEAR + 1)
    true = [np.isin(near[node], ids).mean() for node, ids in zip(nodes, exact.ids.astype(np.int64), strict=True)]
    return float(np.mean(true))


def _kept(rows: np.ndarray, near: np.ndarray, begin: int, metric: Metric) -> np.ndarray:
    """Which of their nearest rows some nodes keep, bool (m, NEAR)."""
    blocks, own = rows[near[begin : begin + PRUNED_ROWS]], rows[begin : begin + PRUNED_ROWS, None]
    between = blocks @ blocks.transpose(0, 2, 1)
    if metric == "l2":
        norms = np.einsum("nii->ni", between).copy()
        between = norms[:, :, None] + norms[:, None] - 2 * between
        to_node = ((blocks - own) ** 2).sum(axis=2)
    else:
        between, to_node = 1 - between, 1 - (blocks @ own.transpose(0, 2, 1))[:, :, 0]
    kept = np.zeros(to_node.shape, dtype=np.bool_)
    for i in range(NEAR):
        # Of those kept so far none may be nearer to it than the node is.
        far = (between[:, i] >= to_node[:, i, None]) | ~kept
        kept[:, i] = far.all(axis=1) & (kept.sum(axis=1) < KEPT)
    return kept
