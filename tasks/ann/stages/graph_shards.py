"""The stages that build a graph by ranges of rows, on as many machines as there are, and make one graph of theirs."""

import time

import numpy as np

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.tensors import tensors_table
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.ann.build_cost import check_memory
from fingerpost.tasks.ann.graph_merge import merge_graphs
from fingerpost.tasks.ann.graph_shards import ShardingParams, merging_rounds, shard_bounds, shard_builder
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswParams
from fingerpost.tasks.ann.open import read_graph
from fingerpost.tasks.ann.stages.index import STEP_ROWS, graph_arrays, graph_figures, kernel_params
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.shards import Shard, ShardOutput, available_memory
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Seconds between checkpoints of a shard: the maximum that a kill loses.
CHECKPOINT_SECONDS = 30.0


@stage(contracts.GRAPH_SHARDS)
def build_graph_shards(run: StageRun, vectors: Ref, *, params: HnswParams, shards: int) -> None:
    """Builds the HNSW graphs of ranges of the rows, apart from each other; a killed one resumes."""
    rows = run.store.open(vectors, corpus.VECTORS).rows("vectors")
    parts = [Shard(index, *bounds) for index, bounds in enumerate(shard_bounds(rows, shards))]
    threads = run.threads_of(parts)
    figures = run.map_shards(
        _build_shard, parts, vectors=vectors, work=run.ref, params=kernel_params(params), threads=threads
    )
    run.quality = {
        "graphs": len(parts),
        "nodes": sum(f["nodes"] for f in figures),
        "build_distances": sum(f["distances"] for f in figures),
    }


def _build_shard(
    store: Store, shard: Shard, *, vectors: Ref, work: Ref, params: HnswParams, threads: int
) -> ShardOutput:
    rows = read_vectors(store.open(vectors, corpus.VECTORS), shard.start, shard.stop)
    check_memory(len(rows), rows.shape[1], params, available_memory())
    builder = _inserted(Workspace(store, work, part=shard.index), rows, shard, params, threads)
    graph = builder.graph()
    figures = {"nodes": graph.size, "distances": builder.counters.distances}
    return ShardOutput({"graph": tensors_table(graph_arrays(graph))}, figures)


def _inserted(workspace: Workspace, rows: np.ndarray, shard: Shard, params: HnswParams, threads: int) -> HnswBuilder:
    """A builder with all rows of a shard inserted, from its newest checkpoint if there is one; saves checkpoints."""
    builder = shard_builder(rows, params, start=shard.start, threads=threads, state=workspace.newest_arrays() or None)
    last = time.monotonic()
    while builder.inserted < builder.size:
        builder.insert_until(builder.inserted + STEP_ROWS, threads=threads)
        if time.monotonic() - last >= CHECKPOINT_SECONDS and builder.inserted < builder.size:
            workspace.save_arrays(builder.inserted, builder.state())
            last = time.monotonic()
    return builder


@stage(contracts.GRAPH)
def merge_graph_shards(
    run: StageRun, vectors: Ref, graph_shards: Ref, *, params: HnswParams, build: ShardingParams
) -> None:
    """Makes one HNSW graph of those of all ranges of rows, identical for any number of threads."""
    rows, opened = (
        read_vectors(run.store.open(vectors, corpus.VECTORS)),
        run.store.open(graph_shards, contracts.GRAPH_SHARDS),
    )
    kernel, entries = kernel_params(params), opened.entries("graph")
    check_memory(len(rows), rows.shape[1], kernel, available_memory())
    graphs = [read_graph(opened, shard=entry.shard) for entry in entries]
    rounds = merging_rounds(len(graphs))
    run.begin(rounds)
    graph, work = merge_graphs(
        rows,
        graphs,
        kernel,
        ef=build.merge_ef,
        threads=run.threads,
        after_round=lambda left: run.advance(rounds - merging_rounds(left)),
    )
    run.write("graph", tensors_table(graph_arrays(graph)))
    distances = work.distances + int(opened.quality["build_distances"])
    run.quality = graph_figures(graph, rows.shape[1], params.metric, distances)
