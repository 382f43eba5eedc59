"""The stages that carry what is known of unchanged entities over from the last full alignment, and add what is not."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import dense_from_arrow, dense_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.changes import Changes
from fingerpost.tasks.kg.stages.changes import read_changes
from fingerpost.tasks.kg.stages.embeddings import has_contexts, read_contexts, read_embedder
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.shards import row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.VECTORS)
def refresh_vectors(run: StageRun, graph: Ref, changes: Ref, old_vectors: Ref, *, rows_per_shard: int) -> None:
    """Vectors of a graph: those of unchanged entities as they were, others with the n-grams' weights of the old ones."""
    artifact, tables = run.store.open(old_vectors, contracts.VECTORS), GraphTables.open(run.store, graph)
    found, embedder = read_changes(run.store, changes), read_embedder(run.store, old_vectors)
    rows = np.flatnonzero(found.changed)
    texts = tables.texts_of(rows)
    run.write("frequencies", artifact.read("frequencies"))
    searched = _write_rows(
        run, "vectors", dense_from_arrow(artifact.read("vectors")), embedder.vectors(texts), found, rows_per_shard
    )
    if has_contexts(tables, embedder.params):
        contexts = embedder.contexts(texts, tables.around_of(rows, most=embedder.params.neighbors))
        searched = _write_rows(run, "contexts", read_contexts(artifact), contexts, found, rows_per_shard)
    run.quality = {"entities": len(tables), "dimensions": embedder.params.dimensions, "empty": searched}


def _write_rows(
    run: StageRun,
    table: str,
    old: NDArray[np.float32],
    made: NDArray[np.float32],
    changes: Changes,
    rows_per_shard: int,
) -> int:
    """Writes rows, the changed ones as ``made``; returns how many are zeros."""
    place, empty = np.cumsum(changes.changed) - 1, 0
    for shard in row_shards(len(changes.origin), rows_per_shard):
        mine = slice(shard.start, shard.stop)
        rows = (
            old[np.maximum(changes.origin[mine], 0)]
            if len(old)
            else np.zeros((shard.stop - shard.start, made.shape[1]), np.float32)
        )
        changed = changes.changed[mine]
        rows[changed] = made[place[mine][changed]]
        run.write(table, dense_to_arrow(rows), shard=shard.index)
        empty += int((~rows.any(axis=1)).sum())
    return empty


@stage(contracts.STRUCTURE)
def refresh_structure(run: StageRun, left_changes: Ref, right_changes: Ref, old_structure: Ref) -> None:
    """The pairs of the old structure whose entities are there, under their rows now; nothing is propagated again."""
    artifact = run.store.open(old_structure, contracts.STRUCTURE)
    rows = artifact.read("pairs")
    left, right = (
        read_changes(run.store, changes).becomes[np.asarray(rows[name].to_numpy())]
        for name, changes in (("left", left_changes), ("right", right_changes))
    )
    kept = np.flatnonzero((left >= 0) & (right >= 0))
    if left_changes == right_changes:
        left, right = np.minimum(left, right), np.maximum(left, right)
    kept = kept[np.lexsort((right[kept], left[kept]))]
    columns = {"left": pa.array(left[kept].astype(np.uint32)), "right": pa.array(right[kept].astype(np.uint32))}
    run.write("pairs", pa.table({**columns, "probability": rows["probability"].take(pa.array(kept))}))
    run.quality = dict(artifact.quality) | {"carried": len(kept)}
