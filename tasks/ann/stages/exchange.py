"""The stage that imports the graph of an index that another library built."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.index_files import IndexFile
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.exchanged import ExchangedIndex, ExchangeError
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.imported import ImportedGraph, imported_graph, read_index
from fingerpost.tasks.ann.stages.index import graph_arrays, kernel_params
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.GRAPH)
def import_index_graph(run: StageRun, documents: Ref, vectors: Ref, source: IndexFile, *, params: HnswParams) -> None:
    """Imports the graph of a faiss or hnswlib file for the documents whose ids and vectors are in it.

    Other documents are inserted, other rows of the file taken out, and rows that no search reaches connected.
    """
    now = read_vectors(run.store.open(vectors, corpus.VECTORS))
    try:
        index = read_index(source.content(), metric=params.metric, name=str(source))
        rows = _rows_of(index, run.store.open(documents, corpus.DOCUMENTS).read("documents")["id"])
        made = imported_graph(index, rows, now, kernel_params(params), name=str(source), threads=run.threads)
    except ExchangeError as problem:
        raise InputError(str(problem)) from problem
    run.write("graph", tensors_to_arrow(graph_arrays(made.graph)))
    run.quality = {**_figures(made), "dimensions": now.shape[1], "metric": params.metric}
    if connected := made.counters.connected:
        run.tell(f"{connected:,} rows of {source} that no search reached were connected")


def _rows_of(index: ExchangedIndex, ids: pa.ChunkedArray) -> np.ndarray:
    """The row of the file with each document's id, which is a number there; -1 for none."""
    rows = pc.index_in(ids, value_set=pa.array(index.ids).cast(pa.string()))
    # Numbers below 0 are others without a sign, as some libraries keep them.
    signed = pa.array(index.ids.astype(np.int64)).cast(pa.string())
    rows = pc.coalesce(rows, pc.index_in(ids, value_set=signed))
    found: np.ndarray = pc.fill_null(rows, -1).to_numpy().astype(np.int64)
    return found


def _figures(made: ImportedGraph) -> dict[str, object]:
    """What a graph's quality says, and what was done for it."""
    work = made.counters
    return {
        "nodes": made.graph.size,
        "edges": len(made.graph.indices),
        "levels": 1 + len(made.graph.upper),
        "mean_degree": round(float(made.graph.degrees.mean()), 3),
        "build_distances": work.distances,
        "max_neighbors": made.max_neighbors,
        "kept": work.kept,
        "added": work.added,
        "changed": made.changed,
        "removed": work.removed,
        "repaired": work.repaired,
        "connected": work.connected,
    }
