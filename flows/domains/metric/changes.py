"""What changed in classes, rates by class, embedders and thresholds. Imports no Prefect."""

from typing import Any

import numpy as np
import pyarrow as pa

from flows.domains.corpus.changes import vector_changes
from flows.ops.compare.causes import difference_of, lineage, shown
from flows.ops.compare.changes import (
    DataChange,
    figure_changes,
    moved_most,
    row_changes,
    rows_in,
    tables_of,
)
from schemas import metric
from schemas.contract import Contract
from schemas.matrices import dense_from_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.metric.calibrated import CANARY_TOLERANCE
from tasks.metric.open import LABELLED, read_labelled


def embeddings(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Embeddings that came, went or changed."""
    return [row_changes(store, before, after, metric.EMBEDDINGS, "embeddings")]


def images(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Images that came, went or changed."""
    return [row_changes(store, before, after, metric.IMAGES, "images")]


def vectors(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """How far the vectors of embeddings or images in both versions moved, where one embedder or one input made both."""
    return vector_changes(store, before, after, metric.VECTORS, _labelled_behind)


def _labelled_behind(store: Store, ref: Ref) -> pa.Table:
    """The embeddings, images or documents that an artifact's vectors are of."""
    made = lineage(store, ref)
    return read_labelled(store, next(made[contract.name][0] for contract in LABELLED if contract.name in made))


def rows(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Classes that came or went, and those that are in another group."""
    found = [row_changes(store, before, after, metric.ROWS, "names", key="name", about="classes")]
    return found + _if_any(store, before, after, metric.ROWS, "groups", about="groups of classes")


def assessment(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Figures, the classes whose rates moved most, and the thresholds of groups."""
    found = [figure_changes(store, before, after, metric.ASSESSMENT)]
    found += moved_most(store, before, after, metric.ASSESSMENT, "classes", ("far", "frr", "utility"), key="name")
    found.append(_roles(store, before, after))
    return found + _if_any(store, before, after, metric.ASSESSMENT, "groups", about="groups of classes")


def retrieval(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Figures of how well rows find those of their class."""
    return [figure_changes(store, before, after, metric.RETRIEVAL)]


def margins(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Trials that gave something else, and the margins that are trained with."""
    chosen = [
        ", ".join(_margins(row) for row in table.to_pylist() if row["role"] == "chosen") or "none"
        for table in tables_of(store, before, after, metric.MARGINS, "trials")
    ]
    trials = row_changes(store, before, after, metric.MARGINS, "trials", key="place", about="trials of margins")
    return [trials, DataChange("margins trained with", {"before": chosen[0], "after": chosen[1]})]


def embedders(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Embedders that are of another seed, margin or number of steps."""
    return [row_changes(store, before, after, metric.EMBEDDERS, "embedders", key="place")]


def comparison(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The embedder that is taken, what validation classes say of each, and figures of test classes."""
    taken = [
        next((row["embedder"] for row in table.to_pylist() if row["role"] == "taken"), None)
        for table in tables_of(store, before, after, metric.COMPARISON, "validation")
    ]
    columns = ("opis", "worst_opis", "frr", "recall_at_1", "map_at_r")
    found = [DataChange("embedder that is taken", {"before": taken[0], "after": taken[1]})]
    found += moved_most(store, before, after, metric.COMPARISON, "validation", columns, key="embedder")
    return [*found, figure_changes(store, before, after, metric.COMPARISON)]


def threshold(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The threshold with its interval, target and model, those of groups, and how far the canaries' vectors moved."""
    tables = tables_of(store, before, after, metric.THRESHOLD, "threshold")
    old, new = (table.to_pylist()[0] for table in tables)
    figures: dict[str, Any] = {}
    examples = []
    for name in old:
        if old[name] == new[name]:
            figures[name] = old[name]
            continue
        move = difference_of(old[name], new[name])
        examples.append(f"{name}: {shown(old[name])} → {shown(new[name])}{'' if move is None else f' ({move:+.6g})'}")
    found = [DataChange("threshold", figures, examples)]
    found += _if_any(store, before, after, metric.THRESHOLD, "groups", about="thresholds of groups")
    return [*found, _canaries(store, before, after)]


def _canaries(store: Store, before: Ref, after: Ref) -> DataChange:
    """How far the vectors of the canaries in both versions moved, as a share of their lengths."""
    left, right = tables_of(store, before, after, metric.THRESHOLD, "canaries")
    there = rows_in(left, right)
    common = np.flatnonzero(there >= 0)
    figures: dict[str, Any] = {"before": left.num_rows, "after": right.num_rows, "in both": len(common)}
    if not len(common):
        return DataChange("canaries", figures, note="whether one model made both is not known here")
    old, new = (np.asarray(dense_from_arrow(table), dtype=np.float64) for table in (left, right))
    if old.shape[1] != new.shape[1]:
        return DataChange("canaries", figures, note=f"another model: {old.shape[1]} and {new.shape[1]} dimensions")
    old, new = old[there[common]], new[common]
    moves = np.linalg.norm(new - old, axis=1) / np.maximum(np.linalg.norm(old, axis=1), 1e-30)
    figures["largest move"] = round(float(moves.max()), 6)
    farthest = int(moves.argmax())
    beyond = moves[farthest] > CANARY_TOLERANCE
    keys = right["id"].take(common).to_pylist()
    examples = [f"moved most: {keys[farthest]}, by {moves[farthest]:.4g} of its length"] if moves[farthest] else []
    return DataChange("canaries", figures, examples, "the vectors are of another model" if beyond else "")


def _roles(store: Store, before: Ref, after: Ref) -> DataChange:
    """Which classes have the worst shares."""
    old, new = (
        [row["name"] for row in table.to_pylist() if row["role"] == "worst"]
        for table in tables_of(store, before, after, metric.ASSESSMENT, "classes")
    )
    figures = {"before": len(old), "after": len(new)}
    examples = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("no longer", [name for name in old if name not in new]),
            ("new", [name for name in new if name not in old]),
        )
        if names
    ]
    return DataChange("classes of the worst utility", figures, examples)


def _if_any(store: Store, before: Ref, after: Ref, contract: Contract, table: str, *, about: str) -> list[DataChange]:
    """The rows of a table that is written only where there are some, by name."""
    found = row_changes(store, before, after, contract, table, key="name", about=about)
    return [found] if found.figures["before"] or found.figures["after"] else []


def _margins(row: dict[str, Any]) -> str:
    """The margins of a trial in words."""
    if row["weight"] is None:
        return "without TCM"
    return f"m⁺ {row['positive_margin']:g}, m⁻ {row['negative_margin']:g}, weight {row['weight']:g}"
