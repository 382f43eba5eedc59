"""The nearest rows of a set for many queries at once, by a matrix product and exact distances of what may be nearest."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import filtered as kernel
from fingerpost.ext.hnsw import normalise_rows
from fingerpost.tasks.ann.filter_methods import PRODUCT
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.keep import Keep
from fingerpost.tasks.ann.search import Metric, SearchCounters, SearchResult, no_direction
from fingerpost.tasks.ann.within import added

#: Queries of one product.
_QUERY_ROWS = 256


def prepared_rows(rows: NDArray[np.float32], name: str, metric: Metric) -> NDArray[np.float32]:
    """Rows as products need them: for cosine scaled to length one; VectorError for one of zeros."""
    if metric != "cosine":
        return rows
    unit, bad = normalise_rows(rows)
    if bad >= 0:
        raise no_direction(name, bad)
    return unit


def squared_lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared lengths of rows (n, d), float32 (n,)."""
    return np.einsum("ij,ij->i", rows, rows)


def nearest_of_set(
    queries: NDArray[np.float32],
    held: NDArray[np.float32],
    norms: NDArray[np.float32],
    rows: NDArray[np.int64],
    k: int,
    metric: Metric,
) -> SearchResult:
    """The k nearest of a set's rows for each query (q, d), bit for bit as the kernels of a search compare them.

    queries, held (m, d): prepared. norms: squared lengths of held (m,). rows: their numbers int64 (m,), ascending.
    """
    ids = np.full((len(queries), k), NONE, dtype=np.uint32)
    distances = np.full((len(queries), k), np.inf, dtype=np.float32)
    compared, least = len(queries) * len(rows), min(k, len(rows))
    for begin in range(0, len(queries) if least else 0, _QUERY_ROWS):
        part = slice(begin, begin + _QUERY_ROWS)
        screen, slack = _screen(queries[part], held, norms, l2=metric == "l2")
        limits = np.partition(screen, least - 1, axis=1)[:, least - 1] + slack
        places, near, again = kernel.nearest_screened(screen, limits, queries[part], held, metric, least)
        ids[part, :least], distances[part, :least] = rows[places], near
        compared += again
    return SearchResult(ids, distances, SearchCounters(compared))


def by_sets(
    queries: NDArray[np.float32],
    sets: Keep,
    methods: NDArray[np.uint8],
    k: int,
    *,
    product: Callable[[NDArray[np.float32], NDArray[np.int64]], SearchResult],
    search: Callable[[NDArray[np.float32], Keep], SearchResult],
) -> SearchResult:
    """The k nearest of each query in its set, where some sets are searched by a product.

    methods: of each set, uint8 (s,); those of ``PRODUCT`` go to ``product`` with the set's rows, other queries to
    ``search`` together.
    """
    owners = sets.owners(len(queries))
    by_product = methods[owners] == PRODUCT
    if not by_product.any():
        return search(queries, sets)
    ids = np.full((len(queries), k), NONE, dtype=np.uint32)
    distances = np.full((len(queries), k), np.inf, dtype=np.float32)
    work = SearchCounters()
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(sets.sets + 1))
    for number in np.flatnonzero((methods == PRODUCT) & (np.diff(bounds) > 0)).tolist():
        chosen = order[bounds[number] : bounds[number + 1]]
        part = product(queries[chosen], sets.rows(number))
        ids[chosen], distances[chosen], work = part.ids, part.distances, added(work, part.counters)
    others = np.flatnonzero(~by_product)
    if len(others):
        part = search(queries[others], Keep(sets.size, sets.bits, owners[others]))
        ids[others], distances[others], work = part.ids, part.distances, added(work, part.counters)
    return SearchResult(ids, distances, work)


def _screen(
    queries: NDArray[np.float32], held: NDArray[np.float32], norms: NDArray[np.float32], *, l2: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances (q, m) by a product, but for a summand of each query, and twice the bound of their error (q,)."""
    screen = queries @ held.T
    if l2:
        screen *= -2.0
        screen += norms
    else:
        np.negative(screen, out=screen)
    # Bound on the rounding of a float32 product of d terms, in any order, against that of the kernel.
    unit = np.finfo(np.float32).eps * (queries.shape[1] / 4 + 16)
    return screen, (unit * (squared_lengths(queries) + norms.max(initial=0.0) + 1.0)).astype(np.float32)
