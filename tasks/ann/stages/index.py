"""The stages of the ann domain. Each reads artifacts, calls a pure function and writes its result."""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.matrices import figures_to_arrow, fixed_lists
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.tensors import tensors_table
from fingerpost.tasks.ann.build_cost import TimeLeft, check_memory
from fingerpost.tasks.ann.evaluation import EvaluationParams, evaluate_searches
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswIndex, HnswParams
from fingerpost.tasks.ann.neighbors import NeighborParams, row_neighbors
from fingerpost.tasks.ann.open import kernel_metric, open_deferred, open_packed, read_graph
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.shards import Shard, ShardOutput, available_memory, release_memory, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Rows inserted between two checks of the clock.
STEP_ROWS = 4096
#: Seconds between checkpoints of a build: the maximum that a kill loses.
CHECKPOINT_SECONDS = 30.0
#: Seconds between two estimates of the time left.
TELL_SECONDS = 10.0


@stage(contracts.GRAPH)
def build_graph(run: StageRun, vectors: Ref, *, params: HnswParams) -> None:
    """Builds the HNSW graph over all vectors, identical for any number of threads; resumes after a kill."""
    rows = read_vectors(run.store.open(vectors, corpus.VECTORS))
    # What reading took would stay beside the lists.
    release_memory()
    builder = _inserted(run, rows, kernel_params(params))
    graph, distances, dimensions = builder.graph(), builder.counters.distances, rows.shape[1]
    # Before the graph is written, which takes as much memory again.
    del builder, rows
    run.write("graph", tensors_table(graph_arrays(graph)))
    run.quality = graph_figures(graph, dimensions, params.metric, distances)


def _inserted(run: StageRun, rows: np.ndarray, kernel: HnswParams) -> HnswBuilder:
    """A builder with all rows inserted, from the newest checkpoint if there is one; saves checkpoints."""
    memory = check_memory(len(rows), rows.shape[1], kernel, available_memory())
    builder = _begun(rows, kernel, run.workspace.newest_arrays(), run.threads)
    run.begin(builder.size)
    left, start = TimeLeft(builder.size), time.monotonic()
    last = told = start
    while builder.inserted < builder.size:
        builder.insert_until(builder.inserted + STEP_ROWS, threads=run.threads)
        run.advance(builder.inserted)
        now = time.monotonic()
        left.add(builder.inserted, now - start)
        if now - told >= TELL_SECONDS and (seconds := left.seconds()):
            run.tell(f"about {max(seconds, 1):,.0f} s left; up to {memory.total / 1e6:,.0f} MB beside the vectors")
            told = now
        if now - last >= CHECKPOINT_SECONDS and builder.inserted < builder.size:
            run.workspace.save_arrays(builder.inserted, builder.state())
            last = time.monotonic()
    return builder


def _begun(rows: np.ndarray, kernel: HnswParams, saved: Mapping[str, np.ndarray], threads: int) -> HnswBuilder:
    """A builder that goes on from what was saved, if anything was; the caller keeps nothing of it."""
    if not saved:
        return HnswBuilder(rows, kernel, threads=threads)
    return HnswBuilder.restore(rows, kernel, saved, threads=threads)


@stage(contracts.NEIGHBORS)
def find_neighbors(run: StageRun, vectors: Ref, packed: Ref, *, params: NeighborParams) -> None:
    """Finds the nearest neighbours of every document with the index, one shard per range of documents."""
    shards = row_shards(run.store.open(vectors, corpus.VECTORS).rows("vectors"), params.rows_per_shard)
    figures = run.map_shards(_neighbor_shard, shards, vectors=vectors, packed=packed, params=params)
    run.quality = {
        "documents": sum(f["rows"] for f in figures),
        "k": params.k,
        "distances": sum(f["distances"] for f in figures),
    }


def _neighbor_shard(store: Store, shard: Shard, *, vectors: Ref, packed: Ref, params: NeighborParams) -> ShardOutput:
    rows = read_vectors(store.open(vectors, corpus.VECTORS), shard.start, shard.stop)
    result = row_neighbors(open_packed(store, packed), rows, shard.start, params.k, ef=params.ef)
    table = pa.table({"neighbors": fixed_lists(result.ids), "distances": fixed_lists(result.distances)})
    return ShardOutput({"neighbors": table}, {"rows": table.num_rows, "distances": result.counters.distances})


@stage(contracts.EVALUATION)
def evaluate_index(
    run: StageRun,
    vectors: Ref,
    graph: Ref,
    *finger: Ref,
    metric: str,
    params: EvaluationParams,
) -> None:
    """Measures recall, work and speed of plain search and, given its codes and blocks, FINGER's against exact search."""
    rows = read_vectors(run.store.open(vectors, corpus.VECTORS))
    rows.setflags(write=False)
    adjacency = read_graph(run.store.open(graph, contracts.GRAPH))
    release_memory()
    plain = HnswIndex(rows, adjacency, kernel_metric(metric))
    estimated = open_deferred(run.store, rows, adjacency, finger[0], finger[1], metric) if finger else None
    result = evaluate_searches(plain, estimated, params, clock=time.perf_counter)
    run.write("figures", figures_to_arrow(result.figures))
    run.quality, run.measured = result.quality, result.measured


@stage(contracts.INDEX)
def assemble_index(run: StageRun, *members: Ref, roles: tuple[str, ...]) -> None:
    """Lists the artifacts that make up a searchable index, with the quality values that its gates check."""
    run.write(
        "members",
        pa.table(
            {"role": pa.array(list(roles), pa.string()), "ref": pa.array([str(ref) for ref in members], pa.string())}
        ),
    )
    by_role = dict(zip(roles, members, strict=True))
    documents = run.store.manifest(by_role["documents"])
    evaluation = run.store.manifest(by_role["evaluation"])
    run.quality = {
        "documents": documents.quality["documents"],
        "quarantine_share": documents.quality["quarantine_share"],
        "recall_at_10": evaluation.quality["recall_at_10"],
        "metric": run.store.manifest(by_role["graph"]).quality["metric"],
    }
    for role in ("certificate", "retrieval", "judgement"):
        if role in by_role:
            run.quality |= run.store.manifest(by_role[role]).quality
    run.measured = {"finger_speedup": evaluation.run["measured"]["finger_speedup"]}


def graph_figures(graph: Graph, dimensions: int, metric: str, distances: int) -> dict[str, object]:
    """What the quality of a graph says, and of its build the number of distances."""
    return {
        "nodes": graph.size,
        "edges": len(graph.indices),
        "levels": 1 + len(graph.upper),
        "mean_degree": round(float(graph.degrees.mean()), 3),
        "dimensions": dimensions,
        "metric": metric,
        "build_distances": distances,
    }


def kernel_params(params: HnswParams) -> HnswParams:
    """The build's parameters with the kernels' metric."""
    return replace(params, metric=kernel_metric(params.metric))


def graph_arrays(graph: Graph) -> dict[str, np.ndarray]:
    """A graph as named arrays."""
    arrays: dict[str, np.ndarray] = {
        "indptr": graph.indptr,
        "indices": graph.indices,
        "entry_points": graph.entry_points,
    }
    for number, level in enumerate(graph.upper, start=1):
        arrays |= {f"upper_{number:02d}_{name}": array for name, array in vars(level).items()}
    return arrays
