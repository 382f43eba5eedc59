"""Random trees with random weights, and all labels of them scored the slow way."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from fingerpost.tasks.xmr.model import ChunkBlock, RankerModel, join_chunks
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.tree import LabelTree
from tests.oracles import tree_scores


def random_tree(rng: np.random.Generator, widths: tuple[int, ...], *, chains: bool = False) -> LabelTree:
    """Levels of these widths; any node may have any number of children, also none."""
    parents, above = [], 1
    for width in widths:
        parents.append(rng.integers(0, above, width).astype(np.int32))
        above = width
    return LabelTree(tuple(parents), chains)


def random_model(
    seed: int,
    widths: tuple[int, ...] = (3, 9, 40),
    features: int = 50,
    density: float = 0.2,
    *,
    tree: LabelTree | None = None,
) -> RankerModel:
    """A tree with empty chunks, parents without children, and chunks cut into two blocks a level."""
    rng = np.random.default_rng(seed)
    tree = tree or random_tree(rng, widths)
    levels: list[tuple[ChunkBlock, ...]] = []
    for level in range(tree.depth):
        children, chunks, ids = tree.children(level), [], []
        parents = np.flatnonzero(~tree.chained(level)).astype(np.uint32)
        for parent in parents.tolist():
            mine = children.of(parent)
            w = sparse.random_array((features, len(mine)), density=density * rng.integers(0, 2), rng=rng, format="csr")
            w.sort_indices()
            kept = np.flatnonzero(np.diff(w.indptr))
            start = np.append(0, w.indptr[1:][kept]).astype(np.uint32)
            values = (2 * w.data - 0.5).astype(np.float32)
            bias = rng.normal(0, 0.5, len(mine)).astype(np.float32)
            chunks.append((kept.astype(np.uint32), start, w.indices.astype(np.uint8), values, bias))
            ids.append(mine)
        cut = len(parents) // 2
        parts = [(parents[:cut], chunks[:cut], ids[:cut]), (parents[cut:], chunks[cut:], ids[cut:])]
        levels.append(tuple(join_chunks(*part) for part in parts if len(part[0])))
    return RankerModel(features, tree, tuple(levels))


def random_queries(seed: int, count: int, features: int = 50, density: float = 0.3) -> sparse.csr_array:
    """Rows (count, features)."""
    rng = np.random.default_rng(seed)
    return checked_rows(sparse.random_array((count, features), density=density, rng=rng, format="csr"), "queries")


def exhaustive(
    model: RankerModel, queries: sparse.csr_array, transform: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Logarithms of all labels' scores, float64 (queries, labels)."""
    chained = [model.tree.chained(level)[parents] for level, parents in enumerate(model.tree.parents)]
    parents = [level.astype(np.int64) for level in model.tree.parents]
    weights = [model.weights(level).toarray().astype(np.float64) for level in range(model.tree.depth)]
    bias = [model.bias(level).astype(np.float64) for level in range(model.tree.depth)]
    return np.stack([tree_scores(row, parents, weights, bias, transform, chained) for row in queries.toarray()])


def hinge(power: int) -> Callable[[np.ndarray], np.ndarray]:
    """The transform of the post-processor of this power."""
    return lambda v: -(np.maximum(0, 1 - v) ** power) - 1e-6 / np.maximum(v, 1)
