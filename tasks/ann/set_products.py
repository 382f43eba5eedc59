"""The nearest rows of a set for many queries at once, by a matrix product and exact distances of what may be nearest."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import filtered as kernel
from fingerpost.ext.hnsw import normalise_rows
from fingerpost.tasks.ann.filter_methods import PRODUCT
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.keep import Keep
from fingerpost.tasks.ann.search import Metric, SearchCounters, SearchResult, VectorError, no_direction
from fingerpost.tasks.ann.within import added

#: Queries of one product.
_QUERY_ROWS = 256
#: Values of a set's vectors below which they stay in the caches anyhow.
_SMALL_SET = 65_536


def prepared_rows(rows: NDArray[np.float32], name: str, metric: Metric) -> NDArray[np.float32]:
    """Rows as products need them: for cosine scaled to length one; VectorError for one of zeros."""
    if metric != "cosine":
        return rows
    unit, bad = normalise_rows(rows)
    if bad >= 0:
        raise no_direction(name, bad)
    return unit


def nearest_of_set(
    queries: NDArray[np.float32],
    held: NDArray[np.float32],
    rows: NDArray[np.int64],
    k: int,
    metric: Metric,
) -> SearchResult:
    """The k nearest of a set's rows for each query (q, d), bit for bit as the kernels of a search compare them.

    queries, held (m, d): prepared. rows: their numbers int64 (m,), ascending.
    """
    least = min(k, len(rows))
    if not least:
        return _nothing(len(queries), k)
    ids = np.empty((len(queries), k), dtype=np.uint32)
    distances = np.empty((len(queries), k), dtype=np.float32)
    compared = len(queries) * len(rows)
    for begin in range(0, len(queries), _QUERY_ROWS):
        part = slice(begin, begin + _QUERY_ROWS)
        asked = queries[part]
        compared += kernel.nearest_screened(
            asked @ held.T, asked, held, rows, metric, least, ids[part], distances[part]
        )
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
    if sets.sets == 1:
        return product(queries, sets.rows(0)) if methods[0] == PRODUCT else search(queries, sets)
    owners = sets.owners(len(queries))
    small = sets.sets == len(queries) or int(sets.counts.max()) * queries.shape[1] < _SMALL_SET
    if small and not (methods[owners] == PRODUCT).any():
        return search(queries, sets)
    # Queries of a set one after the other, while the caches hold its rows.
    order = np.argsort(owners, kind="stable")
    grouped = Keep(sets.size, sets.bits, owners[order])
    try:
        found = _by_sets_in_order(queries[order], grouped, methods, k, product, search)
    except VectorError as problem:
        # It names a row of a group.
        lengths = np.einsum("ij,ij->i", queries, queries, dtype=np.float64)
        raise no_direction("queries", int(lengths.argmin())) from problem
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return SearchResult(found.ids[back], found.distances[back], found.counters)


def _by_sets_in_order(
    queries: NDArray[np.float32],
    sets: Keep,
    methods: NDArray[np.uint8],
    k: int,
    product: Callable[[NDArray[np.float32], NDArray[np.int64]], SearchResult],
    search: Callable[[NDArray[np.float32], Keep], SearchResult],
) -> SearchResult:
    """As :func:`by_sets`, for queries in the order of their sets."""
    owners, nothing = sets.owners(len(queries)), _nothing(len(queries), k)
    ids, distances, work = nothing.ids, nothing.distances, nothing.counters
    bounds = np.searchsorted(owners, np.arange(sets.sets + 1))
    for number in np.flatnonzero((methods == PRODUCT) & (np.diff(bounds) > 0)).tolist():
        some = slice(bounds[number], bounds[number + 1])
        part = product(queries[some], sets.rows(number))
        ids[some], distances[some], work = part.ids, part.distances, added(work, part.counters)
    others = np.flatnonzero(methods[owners] != PRODUCT)
    if len(others):
        part = search(queries[others], Keep(sets.size, sets.bits, owners[others]))
        ids[others], distances[others], work = part.ids, part.distances, added(work, part.counters)
    return SearchResult(ids, distances, work)


def _nothing(queries: int, k: int) -> SearchResult:
    ids = np.full((queries, k), NONE, dtype=np.uint32)
    return SearchResult(ids, np.full((queries, k), np.inf, dtype=np.float32), SearchCounters())
