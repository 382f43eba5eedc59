"""The stages that carry what is known of unchanged entities over from the last full alignment, and add what is not."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import dense_from_arrow, dense_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.kg.changes import Changes
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.refresh import KnownBefore, known_before, other_labels, places_of_pairs
from fingerpost.tasks.kg.stages.changes import read_changes
from fingerpost.tasks.kg.stages.embeddings import has_contexts, read_contexts
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.scoring_inputs import pairs_of
from fingerpost.tasks.kg.stages.stored_embedder import read_embedder
from fingerpost.tasks.shards import row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.VECTORS)
def refresh_vectors(
    run: StageRun, graph: Ref, changes: Ref, old_vectors: Ref, *, params: EmbeddingParams, rows_per_shard: int
) -> None:
    """Vectors of a graph: those of unchanged entities as they were, others with the n-grams' weights of the old ones.

    ``params``: those that the old ones were made with.
    """
    artifact, tables = run.store.open(old_vectors, contracts.VECTORS), GraphTables.open(run.store, graph)
    found, embedder = read_changes(run.store, changes), read_embedder(run.store, old_vectors)
    rows = np.flatnonzero(found.changed)
    texts = tables.texts_of(rows)
    run.write("frequencies", artifact.read("frequencies"))
    old = dense_from_arrow(artifact.read("vectors"))
    empty = _write_rows(run, "vectors", old, embedder.vectors(texts), found, rows_per_shard)
    if has_contexts(tables, params):
        contexts = embedder.contexts(texts, tables.around_of(rows, most=params.neighbors))
        empty = _write_rows(run, "contexts", read_contexts(artifact), contexts, found, rows_per_shard)
    run.quality = {"entities": len(tables), "dimensions": params.dimensions, "empty": empty, "made": len(rows)}


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
        changed = changes.changed[mine]
        rows = np.empty((shard.stop - shard.start, made.shape[1]), dtype=np.float32)
        rows[changed], rows[~changed] = made[place[mine][changed]], old[changes.origin[mine][~changed]]
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


@stage(contracts.LINKS)
def refresh_labels(
    run: StageRun, links: Ref, left_changes: Ref, right_changes: Ref, old_links: Ref, old_labels: Ref
) -> None:
    """The known pairs in the splits that they were in, and pairs that were assumed and of which nothing is known now."""
    sides, within = (
        (read_changes(run.store, left_changes), read_changes(run.store, right_changes)),
        left_changes == right_changes,
    )
    now, before, assumed = (
        run.store.open(ref, contracts.LINKS).read("links") for ref in (links, old_links, old_labels)
    )
    known = known_before(pairs_of(before), before["label"].to_numpy(), sides, within=within)
    assumed = assumed.filter(pc.equal(assumed["source"], "assumed"))
    added = _added(assumed, known_before(pairs_of(assumed), assumed["label"].to_numpy(), sides, within=within), now)
    found = pa.concat_tables([_in_their_splits(now, known, before), added])
    run.write("links", found.sort_by([("left", "ascending"), ("right", "ascending")]))
    labels, others = found["label"].to_numpy(), other_labels(pairs_of(now), now["label"].to_numpy(), known)
    run.quality = {
        "links": len(found),
        "positives": int((labels == 1).sum()),
        "negatives": int((labels == 0).sum()),
        "assumed": len(added),
        "changed_share": round(others / max(len(before), 1), 6),
    }


def _in_their_splits(now: pa.Table, known: KnownBefore, before: pa.Table) -> pa.Table:
    """The known pairs, those of before in the splits of then: what was trained on is not tested on."""
    pairs = pairs_of(now)
    place = places_of_pairs(pairs[:, 0], pairs[:, 1], (known.pairs[:, 0], known.pairs[:, 1]))
    then = before["split"].take(pa.array(known.places)).combine_chunks()
    split = (
        pc.if_else(pa.array(place >= 0), then.take(pa.array(np.maximum(place, 0))), now["split"].combine_chunks())
        if len(then)
        else now["split"]
    )
    return now.set_column(now.schema.get_field_index("split"), "split", split)


def _added(assumed: pa.Table, moved: KnownBefore, now: pa.Table) -> pa.Table:
    """The pairs assumed before, under their rows now, of which nothing is known now."""
    pairs = pairs_of(now)
    new = places_of_pairs(moved.pairs[:, 0], moved.pairs[:, 1], (pairs[:, 0], pairs[:, 1])) < 0
    rows = assumed.take(pa.array(moved.places[new]))
    for at, side in enumerate(("left", "right")):
        column = pa.array(moved.pairs[new, at].astype(np.uint32))
        rows = rows.set_column(rows.schema.get_field_index(side), side, column)
    return rows
