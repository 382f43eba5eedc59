"""Numbers of pairs, places in sorted arrays and in ranges, and what pairs connect."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components


def pair_keys(left: NDArray[np.integer], right: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 (n,): left * 2**32 + right."""
    return (np.asarray(left).astype(np.int64) << 32) | np.asarray(right).astype(np.int64)


def looked_up(keys: NDArray[np.generic], wanted: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The place of each wanted value (m,) among ascending keys, and whether it is there; any place where it is not."""
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return place, keys[place] == wanted if len(keys) else np.zeros(len(wanted), dtype=bool)


def spread(first: NDArray[np.integer], sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64: the places of ranges, one range after the other; first, sizes: (n,) of each."""
    return np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)


def components(pairs: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """int64 (count,): the connected component of each of ``count`` nodes, from 0; pairs: (m, 2)."""
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
