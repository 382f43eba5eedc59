"""Changes of suggestions, pairs and metrics between two completers. Imports no Prefect.

Of what one user asked only counts are shown: names are those of suggestions, which enough users asked.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.flows.ops.compare.changes import (
    DataChange,
    counted,
    figure_changes,
    listed,
    moved_most,
    row_changes,
    rows_in,
    share,
    tables_of,
)
from fingerpost.schemas import autocomplete
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


def suggestions(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Suggestions that appeared and vanished, the most popular first, and those whose popularity moved most."""
    left, right = tables_of(store, before, after, autocomplete.SUGGESTIONS, "suggestions")
    earlier = rows_in(left, right, "key")
    new, gone = np.flatnonzero(earlier < 0), np.setdiff1d(np.arange(left.num_rows), earlier)
    written = _texts(left, earlier[earlier >= 0]) != _texts(right, np.flatnonzero(earlier >= 0))
    figures: dict[str, Any] = {
        "before": left.num_rows,
        "after": right.num_rows,
        "appeared": len(new),
        "vanished": len(gone),
        "written otherwise": int(written.sum()),
    }
    named = (("appeared", right, new), ("vanished", left, gone))
    examples = [f"{what}: {listed(_popular(table, rows))}" for what, table, rows in named if len(rows)]
    moved = moved_most(store, before, after, autocomplete.SUGGESTIONS, "suggestions", ("weight", "users"), key="query")
    return [DataChange("suggestions", figures, examples), *moved]


def _texts(table: pa.Table, rows: np.ndarray) -> np.ndarray:
    return np.asarray(table["query"].take(pa.array(rows)).to_pylist(), dtype=object)


def _popular(table: pa.Table, rows: np.ndarray) -> list[str]:
    """The texts of suggestions by falling popularity, ties by key."""
    order = np.argsort(-table["weight"].to_numpy()[rows], kind="stable")
    texts: list[str] = table["query"].take(pa.array(rows[order])).to_pylist()
    return texts


def pairs(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Numbers of pairs by split, and of those whose next query can be suggested."""
    sides = tables_of(store, before, after, autocomplete.PAIRS, "pairs")
    figures: dict[str, Any] = {}
    for when, table in zip(("before", "after"), sides, strict=True):
        figures[when] = table.num_rows
        figures |= {f"{split} {when}": count for split, count in sorted(counted(table["split"].to_pylist()).items())}
        suggested = pc.sum(pc.greater_equal(table["suggestion"], 0)).as_py() or 0
        figures[f"share with a suggestion as next {when}"] = share(suggested, table.num_rows)
    return [DataChange("pairs", figures)]


def evaluation(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of the completer and of popularity and bigrams."""
    return [figure_changes(store, before, after, autocomplete.EVALUATION)]


def comparison(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of the completer and of the baselines that take training."""
    return [figure_changes(store, before, after, autocomplete.COMPARISON)]


def weak_prefixes(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Frequent prefixes that came to lack a good answer, or got one."""
    return [row_changes(store, before, after, autocomplete.WEAK_PREFIXES, "prefixes", key="prefix")]
