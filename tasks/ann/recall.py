"""Recall of an approximate search: the fraction of true nearest neighbours found."""

import numpy as np

from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import SearchResult


def recall_per_query(found: SearchResult, exact: SearchResult) -> np.ndarray:
    """Fraction of the true neighbours found, float64 (q,).

    Both results have the same queries; ``exact`` sets k, and the first k columns of ``found`` count. A neighbour counts
    if it is one of the true ones or no farther than the last of them: ties may be broken either way. Distances must
    come from the same kernels, as those of this package's indexes do. ValueError for different numbers of queries.
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
    """Mean of :func:`recall_per_query`; recall_at_10 if ``exact`` has ten columns."""
    return float(recall_per_query(found, exact).mean()) if len(exact.ids) else 1.0
