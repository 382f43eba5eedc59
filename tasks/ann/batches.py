"""Batches of queries as callers give them: vectors with names, and the rows that each query may find."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.keep import Keep, KeepLike, keep_rows
from fingerpost.tasks.ann.unit_rows import unit_rows

#: Conditions for all queries, or for each of them.
Filters = str | Sequence[str | None] | None


def query_vector(given: Any, *, columns: int, metric: str) -> NDArray[np.float32]:
    """One vector (d,) as an index of a metric compares it, float32 (1, d).

    ValueError for another length, for zeros, and for values that float32 cannot hold or that are not finite.
    """
    row = np.asarray(real_values(given))
    if row.dtype == np.float32 and row.shape == (columns,) and metric != "cosine" and _ordinary(row):
        return np.ascontiguousarray(row)[None]
    wide = np.asarray(row, dtype=np.float64).reshape(1, -1)
    if metric == "cosine" and np.isfinite(wide).all():
        wide = unit_rows(wide).astype(np.float64)
    with np.errstate(over="ignore"):
        made = wide.astype(np.float32)
    if made.shape[1] != columns or not np.isfinite(made).all() or not made.any():
        raise ValueError(
            f"vector: expected {columns} finite numbers, not all 0, got {made.shape[1]} numbers; compute it with the model"
            " of the documents' vectors"
        )
    return made


def _ordinary(row: NDArray[np.float32]) -> bool:
    """Whether the squared length of a row is a number above 0; then its values are finite, and not all 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(0 < float(np.dot(row, row)) < np.inf)


def batch_vectors(given: Any, *, columns: int, metric: str) -> tuple[list[str], NDArray[np.float32]]:
    """Names and vectors (q, d) of queries as an index of a metric compares them.

    given: an array, a column of vectors, or a table with a column ``vector`` and, as names, ``id``; by default queries are
    numbered from 0.
    ValueError for another number of columns, and naming the first row of zeros or with values that are not finite.
    """
    names, values = _named(given)
    values = real_values(values)
    if isinstance(values, np.ndarray) and values.dtype == np.float32 and values.ndim == 2 and metric != "cosine":
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", values, values)
        if values.shape[1] == columns and bool(((squares > 0) & (squares < np.inf)).all()):
            return names if names is not None else [str(row) for row in range(len(values))], values
    try:
        wide = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        wide = np.empty(0)
    if wide.ndim != 2 or wide.shape[1] != columns:
        raise ValueError(
            f"vectors: expected numbers (q, {columns}), got {wide.shape if wide.size else 'others'}; compute them with the"
            " model of the documents' vectors"
        )
    finite = np.asarray(np.isfinite(wide).all(axis=1), dtype=np.bool_)
    held = np.where(finite[:, None], wide, 1.0)
    with np.errstate(over="ignore"):
        rows = unit_rows(held) if metric == "cosine" else held.astype(np.float32)
    bad = np.flatnonzero(~finite | ~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1))
    if len(bad):
        raise ValueError(
            f"vectors, row {bad[0]}: expected finite numbers of float32, not all 0, got others; leave the row out"
        )
    return names if names is not None else [str(row) for row in range(len(rows))], rows


def batch_keep(
    queries: int,
    size: int,
    filters: Filters,
    keep: KeepLike | Sequence[Sequence[str]] | None,
    *,
    mask: Callable[[str], NDArray[np.bool_]],
    rows: Callable[[Sequence[str]], Sequence[int | None]],
) -> Keep | None:
    """The rows of ``size`` that each query may find; None where all may find all.

    filters, keep: see `LiveIndex.search_batch`. mask: the rows that pass a condition. rows: of documents by their ids.
    ValueError for another number of conditions or lists than of queries, and for unknown ids.
    """
    chosen = None
    if filters:
        each = list(conditions(filters, queries))
        distinct = list(dict.fromkeys(each))
        if any(distinct):
            masks = np.stack([mask(text) if text else np.ones(size, np.bool_) for text in distinct])
            number = {text: place for place, text in enumerate(distinct)}
            made = keep_rows(masks, size=size, queries=len(distinct))
            owners = made.owners(len(distinct))
            chosen = Keep(size, made.bits, owners[[number[text] for text in each]])
    if keep is None:
        return chosen
    allowed = keep_rows(_numbered(keep, rows), size=size, queries=queries)
    return allowed if chosen is None else chosen.both(allowed, queries)


def conditions(filters: Filters, queries: int) -> Sequence[str | None]:
    """A condition, or none, for each query; ValueError for another number of them."""
    if filters is None or isinstance(filters, str):
        return [filters or None] * queries
    if len(filters) != queries:
        raise ValueError(f"filters: expected one for each of {queries} queries, got {len(filters)}; give as many")
    return [text or None for text in filters]


def real_values(values: Any) -> Any:
    """Values of an array, NaN where they are masked; ValueError for complex numbers and times, which would be cut to numbers."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    if getattr(getattr(values, "dtype", None), "kind", "f") in "cmM":
        raise ValueError(f"vectors: expected real numbers, got {values.dtype}; convert them")
    return values


def _named(given: Any) -> tuple[list[str] | None, Any]:
    """The names of queries in a table, and its vectors; those of a column, and anything else as it is."""
    held = getattr(given, "column_names", None)
    held = list(held if held is not None else getattr(given, "columns", []))
    if not held:
        is_column = hasattr(given, "to_pylist") or hasattr(given, "to_list")
        return None, _listed(given) if is_column else given
    if "vector" not in held:
        raise ValueError(f"vectors: expected a column vector, got {', '.join(map(str, held))}; name it so")
    try:
        vectors, ids = (_listed(given[name]) if name in held else None for name in ("vector", "id"))
    except TypeError as problem:  # a plan of a table, as those of Polars and DuckDB are
        kind = type(given).__name__
        raise ValueError(
            f"vectors: expected a table with its rows, got {kind}; collect it, or fetch its rows"
        ) from problem
    return None if ids is None else [str(name) for name in ids], vectors


def _listed(column: Any) -> list[Any]:
    return list(column.to_pylist() if hasattr(column, "to_pylist") else column)


def _numbered(keep: Any, rows: Callable[[Sequence[str]], Sequence[int | None]]) -> Any:
    """Lists of rows in place of lists of ids."""
    if isinstance(keep, Keep | np.ndarray):
        return keep
    lists = []
    for number, listed in enumerate(keep):
        named = list(listed)
        keys = [key for key in named if isinstance(key, str)]
        known = dict(zip(keys, rows(keys), strict=True)) if keys else {}
        unknown = [key for key in keys if known[key] is None]
        if unknown:
            raise ValueError(
                f"keep of query {number}: expected ids of documents, got {unknown[0]!r}; leave it out, or correct it"
            )
        numbers = [known[key] if isinstance(key, str) else key for key in named]
        lists.append(np.array(numbers, dtype=None if numbers else np.int64))
    return lists
