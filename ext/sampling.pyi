"""Neighbours of nodes drawn without replacement (Efraimidis and Spirakis, IPL 97, 2006)."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def sample_neighbors(
    run_ranges: NDArray[np.int64],
    relations: NDArray[np.uint32],
    starts: NDArray[np.int64],
    neighbors: NDArray[np.uint32],
    nodes: NDArray[np.uint32],
    *,
    cap: int,
    seed: int,
    weighted: bool,
    threads: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32]]:
    """Up to ``cap`` neighbours of each of ``nodes`` (m,), all of them where it has no more.

    The arrays are those of a graph whose neighbours are grouped by relation: node v has the runs of
    run_ranges[v:v + 2], run t the relation relations[t] and the neighbours of starts[t:t + 2].

    weighted: the probability to be drawn next is proportional to 1 / the number of neighbours of the same run, so that
    every relation has the same total; otherwise it is the same for every neighbour.

    Returns indptr int64 (m + 1,), neighbours and relations uint32, those of a node ascending by relation and
    neighbour. A node's sample depends on seed, node and its own neighbours, not on the other nodes or on ``threads``, and
    that of a smaller ``cap`` is a part of it. ValueError for a cap below 1 and nodes out of range.
    """
