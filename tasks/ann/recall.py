"""How many of the true nearest neighbours an approximate search found."""

import numpy as np

from tasks.ann.graph import NONE
from tasks.ann.search import SearchResult


def recall_per_query(found: SearchResult, exact: SearchResult) -> np.ndarray:
    """Share of the true neighbours among those found, float64 (q,).

    Both results have the same queries; ``exact`` sets k, and of ``found`` the first k count. A neighbour counts where it
    is one of the true ones or not farther than the last of them: among equal distances any choice is right. Distances
    must come from the same kernels, as those of this package's indexes do.
    """
    if len(found.ids) != len(exact.ids):
        raise ValueError(f"found: expected {len(exact.ids)} queries, got {len(found.ids)}; search the same ones")
    k = exact.ids.shape[1]
    shares = np.ones(len(exact.ids))
    for query, (ids, distances) in enumerate(zip(found.ids[:, :k], found.distances[:, :k], strict=True)):
        real = exact.ids[query] != NONE
        if not real.any():
            continue
        limit = exact.distances[query][real][-1]
        hits = ids[(ids != NONE) & ((distances <= limit) | np.isin(ids, exact.ids[query][real]))]
        shares[query] = min(len(np.unique(hits)), int(real.sum())) / int(real.sum())
    return shares


def recall(found: SearchResult, exact: SearchResult) -> float:
    """Mean of :func:`recall_per_query`; recall_at_10 where ``exact`` has ten columns."""
    return float(recall_per_query(found, exact).mean()) if len(exact.ids) else 1.0
