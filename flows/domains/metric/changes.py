"""Changes of classes, rates by class, embedders and thresholds between two versions. Imports no Prefect."""

from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.flows.domains.corpus.changes import vector_changes
from fingerpost.flows.ops.compare.causes import difference_of, lineage, shown
from fingerpost.flows.ops.compare.changes import (
    DataChange,
    figure_changes,
    moved_most,
    row_changes,
    rows_in,
    tables_of,
)
from fingerpost.schemas import metric
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.figures import significant
from fingerpost.schemas.matrices import dense_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.metric.calibrated import CANARY_TOLERANCE
from fingerpost.tasks.metric.open import LABELLED, read_labelled


def embeddings(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Embeddings that were added, removed or changed."""
    return [row_changes(store, before, after, metric.EMBEDDINGS, "embeddings")]


def images(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Images that were added, removed or changed."""
    return [row_changes(store, before, after, metric.IMAGES, "images")]


def vectors(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Distances that vectors of rows in both versions moved, where both have the same embedder or input."""
    return vector_changes(store, before, after, metric.VECTORS, _labelled_behind)


def _labelled_behind(store: Store, ref: Ref) -> pa.Table:
    """The embeddings, images or documents that an artifact's vectors belong to."""
    artifacts = lineage(store, ref)
    return read_labelled(
        store, next(artifacts[contract.name][0] for contract in LABELLED if contract.name in artifacts)
    )


def rows(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Classes that were added or removed, and those whose group changed."""
    changes = [row_changes(store, before, after, metric.ROWS, "names", key="name", about="classes")]
    return changes + _if_any(store, before, after, metric.ROWS, "groups", about="groups of classes")


def assessment(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics, the classes whose rates changed most, and the thresholds of groups."""
    changes = [figure_changes(store, before, after, metric.ASSESSMENT)]
    changes += moved_most(store, before, after, metric.ASSESSMENT, "classes", ("far", "frr", "utility"), key="name")
    changes.append(_roles(store, before, after))
    return changes + _if_any(store, before, after, metric.ASSESSMENT, "groups", about="groups of classes")


def retrieval(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of retrieval within classes."""
    return [figure_changes(store, before, after, metric.RETRIEVAL)]


def margins(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Trials with other results, and the margins of the training."""
    chosen = [
        ", ".join(_margins(row) for row in table.to_pylist() if row["role"] == "chosen") or "none"
        for table in tables_of(store, before, after, metric.MARGINS, "trials")
    ]
    trials = row_changes(store, before, after, metric.MARGINS, "trials", key="place", about="trials of margins")
    return [trials, DataChange("margins trained with", {"before": chosen[0], "after": chosen[1]})]


def embedders(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Embedders with another seed, margin or number of steps."""
    return [row_changes(store, before, after, metric.EMBEDDERS, "embedders", key="place")]


def comparison(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The selected embedder, metrics of each on validation classes, and metrics on test classes."""
    selected = [
        next((row["embedder"] for row in table.to_pylist() if row["role"] == "taken"), None)
        for table in tables_of(store, before, after, metric.COMPARISON, "validation")
    ]
    columns = ("opis", "worst_opis", "frr", "recall_at_1", "map_at_r")
    changes = [DataChange("selected embedder", {"before": selected[0], "after": selected[1]})]
    changes += moved_most(store, before, after, metric.COMPARISON, "validation", columns, key="embedder")
    return [*changes, figure_changes(store, before, after, metric.COMPARISON)]


def threshold(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """The threshold with its interval, target and model, those of groups, and the distances that the canaries moved."""
    tables = tables_of(store, before, after, metric.THRESHOLD, "threshold")
    old, new = (table.to_pylist()[0] for table in tables)
    figures: dict[str, Any] = {}
    examples = []
    for name in old:
        if old[name] == new[name]:
            figures[name] = old[name]
            continue
        move = difference_of(old[name], new[name])
        examples.append(
            f"{name}: {shown(old[name])} → {shown(new[name])}{'' if move is None else f' ({significant(move, 6, signed=True)})'}"
        )
    changes = [DataChange("threshold", figures, examples)]
    changes += _if_any(store, before, after, metric.THRESHOLD, "groups", about="thresholds of groups")
    return [*changes, _canaries(store, before, after)]


def _canaries(store: Store, before: Ref, after: Ref) -> DataChange:
    """Distances that the canaries in both versions moved, as fractions of their lengths."""
    left, right = tables_of(store, before, after, metric.THRESHOLD, "canaries")
    earlier_rows = rows_in(left, right)
    common = np.flatnonzero(earlier_rows >= 0)
    figures: dict[str, Any] = {"before": left.num_rows, "after": right.num_rows, "in both": len(common)}
    if not len(common):
        return DataChange("canaries", figures, note="whether the same model made both is unknown")
    old, new = (np.asarray(dense_from_arrow(table), dtype=np.float64) for table in (left, right))
    if old.shape[1] != new.shape[1]:
        return DataChange("canaries", figures, note=f"another model: {old.shape[1]} and {new.shape[1]} dimensions")
    old, new = old[earlier_rows[common]], new[common]
    moves = np.linalg.norm(new - old, axis=1) / np.maximum(np.linalg.norm(old, axis=1), 1e-30)
    figures["largest move"] = round(float(moves.max()), 6)
    farthest = int(moves.argmax())
    beyond = moves[farthest] > CANARY_TOLERANCE
    keys = right["id"].take(common).to_pylist()
    examples = (
        [f"moved most: {keys[farthest]}, by {significant(moves[farthest])} of its length"] if moves[farthest] else []
    )
    return DataChange("canaries", figures, examples, "the vectors are of another model" if beyond else "")


def _roles(store: Store, before: Ref, after: Ref) -> DataChange:
    """Changes of the classes with the worst utility."""
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
    """The rows by name of a table that is written only if it has rows."""
    changes = row_changes(store, before, after, contract, table, key="name", about=about)
    return [changes] if changes.figures["before"] or changes.figures["after"] else []


def _margins(row: dict[str, Any]) -> str:
    """The margins of a trial, human-readable."""
    if row["weight"] is None:
        return "without TCM"
    return f"m⁺ {significant(row['positive_margin'], 6)}, m⁻ {significant(row['negative_margin'], 6)}, weight {significant(row['weight'], 6)}"
