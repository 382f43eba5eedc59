"""Merging of interaction rows to distinct queries, distinct labels and weighted pairs of both."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.forms import QUARANTINE_SCHEMA, Quarantine

QUERY_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("day", pa.string())])
LABEL_SCHEMA = pa.schema([("id", pa.string()), ("name", pa.string()), ("text", pa.string())])
PAIR_SCHEMA = pa.schema([("query", pa.int32()), ("label", pa.int32()), ("weight", pa.float32())])

#: The columns of checked interactions; ``weight`` is above 0, ``query_id`` and ``label`` are not empty.
INTERACTION_SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("label", pa.string()),
        ("weight", pa.float64()),
        ("day", pa.string()),
        ("query_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class InteractionBatch:
    """Distinct queries and labels, and weighted pairs of their row numbers; bad rows with a reason each.

    pairs, negatives: distinct, sorted by query, then label; ``negatives`` are rejected labels, None if there is no
    input of them. quarantined: the bad rows. reasons: number of bad rows by reason. figures: further counts.
    """

    queries: pa.Table
    labels: pa.Table
    pairs: pa.Table
    quarantined: pa.Table = field(default_factory=QUARANTINE_SCHEMA.empty_table)
    reasons: dict[str, int] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)
    negatives: pa.Table | None = None


@dataclass(frozen=True)
class Interactions:
    """Checked rows in the columns of interactions, with their positions in the input (int64)."""

    table: pa.Table
    rows: np.ndarray

    def where(self, good: np.ndarray) -> "Interactions":
        """The rows selected by a mask (bool)."""
        return self if good.all() else Interactions(self.table.filter(pa.array(good)), self.rows[good])


def merged(
    rows: Interactions, labels: pa.Table, *, quarantine: Quarantine, only_labels: bool = False
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Queries, labels and pairs of checked rows, queries and labels in order of first appearance.

    ``labels`` (distinct) come first; with ``only_labels`` rows with another label are quarantined. One ``query_id`` is
    one query, whose text is that of its first row; rows that have another text are quarantined. The day of a query is
    the newest of its rows. Weights of the same query and label are summed in the order of the rows.
    """
    if only_labels:
        rows = _of_labels(rows, labels["id"], quarantine)
    rows = _of_one_text(rows, quarantine)
    table = rows.table
    queries, first, ids = _codes(table["query_id"])
    days = table["day"].take(pa.array(_newest(queries, len(ids), table["day"])))
    query_table = pa.table([ids, table["query"].take(pa.array(first)), days], schema=QUERY_SCHEMA)
    label_codes, _, names = _codes(pa.chunked_array([*labels["id"].chunks, *table["label"].chunks], pa.string()))
    label_table = _with_new(labels, names)
    keys = queries * np.int64(max(len(names), 1)) + label_codes[labels.num_rows :]
    distinct, pair_of = np.unique(keys, return_inverse=True)
    sums = np.bincount(pair_of, weights=table["weight"].to_numpy(), minlength=len(distinct))
    weights = np.minimum(sums, np.finfo(np.float32).max).astype(np.float32)
    columns = [
        (distinct // max(len(names), 1)).astype(np.int32),
        (distinct % max(len(names), 1)).astype(np.int32),
        weights,
    ]
    return query_table, label_table, pa.table([pa.array(column) for column in columns], schema=PAIR_SCHEMA)


def _of_labels(rows: Interactions, known: pa.ChunkedArray, quarantine: Quarantine) -> Interactions:
    good = pc.is_in(rows.table["label"], value_set=known.combine_chunks()).to_numpy()
    for i in np.flatnonzero(~good).tolist():
        detail = f"{rows.table['label'][i].as_py()!r} is not in the labels"
        quarantine.add(int(rows.rows[i]), rows.table["query_id"][i].as_py(), "unknown label", detail)
    return rows.where(good)


def _of_one_text(rows: Interactions, quarantine: Quarantine) -> Interactions:
    codes, first, _ = _codes(rows.table["query_id"])
    texts, _, _ = _codes(rows.table["query"])
    good = texts == texts[first[codes]] if len(codes) else np.ones(0, dtype=bool)
    for i in np.flatnonzero(~good).tolist():
        key, origin = rows.table["query_id"][i].as_py(), int(rows.rows[first[codes[i]]])
        quarantine.add(int(rows.rows[i]), key, "other text", f"row {origin} has another query of this query_id")
    return rows.where(good)


def _codes(values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Each value's code (int64) by first appearance, the first row of each code, and the distinct values."""
    if not len(values):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), pa.array([], pa.string())
    chunks = values.dictionary_encode().chunks  # of one growing dictionary
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in chunks]).astype(np.int64)
    distinct = max((chunk.dictionary for chunk in chunks), key=len)
    first = np.zeros(len(distinct), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last assignment wins
    return codes, first, distinct


def _newest(queries: np.ndarray, count: int, days: pa.ChunkedArray) -> np.ndarray:
    """For each query the row with its newest day (int64)."""
    rows = np.arange(len(queries))
    codes, _, distinct = _codes(days)
    order = np.argsort(np.array(distinct.to_pylist(), dtype=object), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    by_day = np.lexsort((rows, rank[codes])) if len(codes) else rows
    newest = np.zeros(count, dtype=np.int64)
    newest[queries[by_day]] = by_day
    return newest


def _with_new(labels: pa.Table, ids: pa.Array) -> pa.Table:
    """The labels followed by the other ``ids``, which have no text; a label without a name is named by its id."""
    new = ids[labels.num_rows :]
    known = labels.cast(LABEL_SCHEMA)
    names = pc.if_else(pc.equal(known["name"], ""), known["id"], known["name"])
    texts = pa.chunked_array([*known["text"].chunks, pa.array([""] * len(new), pa.string())], pa.string())
    return pa.table([ids, pa.chunked_array([*names.chunks, new], pa.string()), texts], schema=LABEL_SCHEMA)
