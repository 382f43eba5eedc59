"""The stages that index the vectors of one side, and that find the nearest entities in it for those of the other."""

import time
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswBuilder
from fingerpost.tasks.kg.search import EntitySearcher, Nearest, SearchParams, graph_arrays, graph_of, rows_by_type
from fingerpost.tasks.kg.stages.embeddings import read_contexts
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.recent import Recent
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Rows inserted between two looks at the clock, and seconds between checkpoints: the most that a kill loses.
_STEP_ROWS, _CHECKPOINT_SECONDS = 4096, 30.0


@stage(contracts.INDEX)
def index_entities(run: StageRun, graph: Ref, vectors: Ref, *, params: SearchParams) -> None:
    """Builds an HNSW graph over the vectors of each large type, the same for any number of threads; resumes after a kill."""
    rows = read_contexts(run.store.open(vectors, contracts.VECTORS))
    by_type = rows_by_type(rows, GraphTables.open(run.store, graph).types)
    large = [len(of) >= params.exact_below and params.searches(name) for name, of in by_type.items()]
    builds = {number: of for number, (of, is_large) in enumerate(zip(by_type.values(), large, strict=True)) if is_large}
    run.write("graphs", tensors_to_arrow(_built(run, rows, builds, params)))
    columns = {"type": list(by_type), "entities": [len(of) for of in by_type.values()], "indexed": large}
    kinds = {one.name: one.type for one in contracts.INDEX.table("types").fields}
    run.write("types", pa.table({name: pa.array(column, kinds[name]) for name, column in columns.items()}))
    run.quality = {"types": len(large), "indexed_types": sum(large), "indexed": sum(map(len, builds.values()))}


def _built(
    run: StageRun, rows: NDArray[np.float32], builds: Mapping[int, NDArray[np.uint32]], params: SearchParams
) -> dict[str, NDArray[np.generic]]:
    """The arrays of all graphs, prefixed by the number of their type; saves checkpoints between steps."""
    state = run.workspace.newest_arrays()
    made = {name: array for name, array in state.items() if not name.startswith("state_")}
    going = {name.removeprefix("state_"): array for name, array in state.items() if name.startswith("state_")}
    done, last = 0, time.monotonic()
    run.begin(sum(map(len, builds.values())))
    for number, chosen in builds.items():
        prefix = f"{number:05d}_"
        if not any(name.startswith(prefix) for name in made):
            own = rows[chosen]
            builder = HnswBuilder.restore(own, params.hnsw, going) if going else HnswBuilder(own, params.hnsw)
            going = {}
            while builder.inserted < builder.size:
                builder.insert_until(builder.inserted + _STEP_ROWS, threads=run.threads)
                run.advance(done + builder.inserted)
                if time.monotonic() - last >= _CHECKPOINT_SECONDS and builder.inserted < builder.size:
                    kept = made | {f"state_{name}": array for name, array in builder.state().items()}
                    run.workspace.save_arrays(done + builder.inserted, kept)
                    last = time.monotonic()
            made |= {prefix + name: array for name, array in graph_arrays(builder.graph()).items()}
        done += len(chosen)
    return made


def read_graphs(artifact: Artifact) -> dict[str, Graph]:
    """The graph of each type that has one."""
    arrays, types = tensors_from_arrow(artifact.read("graphs")), artifact.read("types")
    found = {}
    for number, (name, indexed) in enumerate(zip(types["type"].to_pylist(), types["indexed"].to_pylist(), strict=True)):
        if indexed:
            prefix = f"{number:05d}_"
            own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
            found[name] = graph_of(own)
    return found


@stage(contracts.NEAREST)
def search_entities(
    run: StageRun,
    graph: Ref,
    vectors: Ref,
    other: Ref,
    other_vectors: Ref,
    other_index: Ref,
    *,
    params: SearchParams,
    rows_per_shard: int,
) -> None:
    """Finds the nearest entities of ``other`` for every entity of ``graph``, shard by shard; they may be one graph."""
    shards = row_shards(len(GraphTables.open(run.store, graph)), rows_per_shard)
    inputs = {"graph": graph, "vectors": vectors, "other": other, "other_vectors": other_vectors, "index": other_index}
    figures = run.map_shards(_search_shard, shards, **inputs, params=params, threads=run.threads_of(shards))
    _searchers.clear()
    run.quality = {
        "entities": shards[-1].stop,
        "found": sum(f["found"] for f in figures),
        "without": sum(f["without"] for f in figures),
        "distances": sum(f["distances"] for f in figures),
    }


def _search_shard(
    store: Store,
    shard: Shard,
    *,
    graph: Ref,
    vectors: Ref,
    other: Ref,
    other_vectors: Ref,
    index: Ref,
    params: SearchParams,
    threads: int,
) -> ShardOutput:
    searcher = _searchers.get(
        (store.url, other, other_vectors, index), lambda: _opened(store, other, other_vectors, index)
    )
    found = searcher.nearest(
        read_contexts(store.open(vectors, contracts.VECTORS), shard.start, shard.stop),
        GraphTables.open(store, graph).types[shard.start : shard.stop],
        params,
        own=np.arange(shard.start, shard.stop) if graph == other else None,
        threads=threads,
    )
    figures = {
        "found": len(found.rows),
        "without": int((np.diff(found.indptr) == 0).sum()),
        "distances": found.distances,
    }
    return ShardOutput({"nearest": nearest_table(found)}, figures)


def _opened(store: Store, graph: Ref, vectors: Ref, index: Ref) -> EntitySearcher:
    rows = read_contexts(store.open(vectors, contracts.VECTORS))
    return EntitySearcher(rows, GraphTables.open(store, graph).types, read_graphs(store.open(index, contracts.INDEX)))


#: Opened for the first shard of a process, and used for its others.
_searchers: Recent[tuple[str, Ref, Ref, Ref], EntitySearcher] = Recent()


def nearest_table(found: Nearest) -> pa.Table:
    """A row per entity: the entities found and how similar they are."""
    starts = pa.array(found.indptr.astype(np.int32))
    columns = {"entities": found.rows, "similarities": found.similarities}
    return pa.table({name: pa.ListArray.from_arrays(starts, pa.array(column)) for name, column in columns.items()})


def read_nearest(table: pa.Table) -> Nearest:
    """The entities found, of the rows of a table of them."""
    lists = table["entities"].combine_chunks(), table["similarities"].combine_chunks()
    sizes = np.asarray(lists[0].value_lengths(), dtype=np.int64)
    return Nearest(
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        lists[0].flatten().to_numpy(zero_copy_only=False).astype(np.uint32),
        lists[1].flatten().to_numpy(zero_copy_only=False).astype(np.float32),
    )
