"""The stages that bring an earlier index's graph up to date instead of building it again."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.compaction import GuardParams
from fingerpost.tasks.ann.graph_update import RowChanges, UpdatedGraph, row_changes, updated_graph
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.open import read_graph
from fingerpost.tasks.ann.stages.index import graph_arrays, kernel_params
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.CHANGES)
def compare_rows(run: StageRun, documents: Ref, vectors: Ref, old_documents: Ref, old_vectors: Ref) -> None:
    """Finds the documents whose vector is that of the document of the same id in an earlier index."""
    ids, earlier = (_ids(run.store, ref) for ref in (documents, old_documents))
    before = pc.fill_null(pc.index_in(ids, value_set=earlier), -1).to_numpy().astype(np.int64)
    now, then = (read_vectors(run.store.open(ref, corpus.VECTORS)) for ref in (vectors, old_vectors))
    found = row_changes(before, now, then)
    run.write("rows", pa.table({"before": pa.array(found.origin)}))
    run.quality = {
        "documents": len(found.origin),
        "before": found.before,
        "kept": found.kept,
        "added": found.added,
        "removed": found.removed,
        "share": round(found.share, 6),
    }


@stage(contracts.GRAPH)
def update_graph(
    run: StageRun,
    vectors: Ref,
    changes: Ref,
    old_vectors: Ref,
    old_graph: Ref,
    *,
    params: HnswParams,
    guard: GuardParams,
) -> None:
    """Takes rows that are gone out of an earlier graph, repairs the lists that named them, and inserts new rows.

    No trace of removed rows is left. The quality records the recall of both graphs and why a full build is needed, if so.
    """
    now, then = (read_vectors(run.store.open(ref, corpus.VECTORS)) for ref in (vectors, old_vectors))
    earlier, found = read_graph(run.store.open(old_graph, contracts.GRAPH)), _read_changes(run.store, changes)
    made = updated_graph(now, found, then, earlier, kernel_params(params), guard, threads=run.threads)
    run.write("graph", tensors_to_arrow(graph_arrays(made.graph)))
    run.quality = {**_figures(made), "dimensions": now.shape[1], "metric": params.metric}


def _figures(made: UpdatedGraph) -> dict[str, object]:
    """What a graph's quality says, and what was done for it."""
    work = made.counters
    return {
        "nodes": made.graph.size,
        "edges": len(made.graph.indices),
        "levels": 1 + len(made.graph.upper),
        "mean_degree": round(float(made.graph.degrees.mean()), 3),
        "build_distances": work.distances,
        "kept": work.kept,
        "added": work.added,
        "removed": work.removed,
        "repaired": work.repaired,
        "removed_in_graph": 0,
        "guard_recall": round(made.recall, 6),
        "base_recall": round(made.base, 6),
        "must_rebuild": made.must_rebuild,
    }


def _ids(store: Store, documents: Ref) -> pa.ChunkedArray:
    return store.open(documents, corpus.DOCUMENTS).read("documents")["id"]


def _read_changes(store: Store, changes: Ref) -> RowChanges:
    artifact = store.open(changes, contracts.CHANGES)
    origin = np.asarray(artifact.read("rows")["before"].to_numpy(), dtype=np.int64)
    return RowChanges(origin, int(artifact.quality["before"]))
