"""The stage that embeds entities by their texts, and what reads the vectors."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import dense_from_arrow, dense_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.kg.embeddings import EmbeddingParams, frequencies
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.stored_embedder import embedder_of
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards, shards_of
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.VECTORS)
def embed_entities(run: StageRun, graph: Ref, other: Ref, *, params: EmbeddingParams, rows_per_shard: int) -> None:
    """Vectors of the entities of a graph, their n-grams weighted by their rarity in both; ``other`` may be ``graph``."""
    counts, texts = np.zeros(params.buckets, dtype=np.int64), 0
    for side in dict.fromkeys((graph, other)):
        shards = row_shards(len(GraphTables.open(run.store, side)), rows_per_shard)
        counts += sum(run.gather(_count_shard, shards, graph=side, params=params))
        texts += shards[-1].stop
    table = tensors_to_arrow({"frequencies": counts, "texts": np.array([texts])})
    run.write("frequencies", table)
    entities = len(GraphTables.open(run.store, graph))
    shards = row_shards(entities, rows_per_shard)
    figures = run.map_shards(_embed_shard, shards, graph=graph, counts=table, params=params)
    run.quality = {
        "entities": entities,
        "dimensions": params.dimensions,
        "empty": sum(f["empty"] for f in figures),
    }


def _count_shard(store: Store, shard: Shard, *, graph: Ref, params: EmbeddingParams) -> NDArray[np.int64]:
    tables = GraphTables.open(store, graph)
    texts, around = _texts(tables, shard, params)
    return frequencies([f"{one} {other}" for one, other in zip(texts, around, strict=True)], params)


def _texts(tables: GraphTables, shard: Shard, params: EmbeddingParams) -> tuple[list[str], list[str]]:
    """The texts of a shard's entities, and those around them."""
    texts = tables.texts(shard.start, shard.stop)
    if not has_contexts(tables, params):
        return texts, [""] * len(texts)
    return texts, tables.around(shard.start, shard.stop, most=params.neighbors)


def has_contexts(tables: GraphTables, params: EmbeddingParams) -> bool:
    """Whether the entities of a graph have contexts beside their own vectors."""
    return tables.has_relations and params.neighbors > 0 and params.neighbor_weight > 0


def _embed_shard(store: Store, shard: Shard, *, graph: Ref, counts: pa.Table, params: EmbeddingParams) -> ShardOutput:
    tables, embedder = GraphTables.open(store, graph), embedder_of(counts, params)
    texts, around = _texts(tables, shard, params)
    vectors = embedder.vectors(texts)
    found = {"vectors": vectors}
    if has_contexts(tables, params):
        found["contexts"] = embedder.contexts(texts, around)
    empty = int((~list(found.values())[-1].any(axis=1)).sum())
    return ShardOutput({name: dense_to_arrow(rows) for name, rows in found.items()}, {"empty": empty})


def read_contexts(artifact: Artifact, begin: int = 0, end: int | None = None) -> NDArray[np.float32]:
    """The vectors that candidates are found by, float32 (entities, dimensions): contexts, where there are any.

    begin, end: of the entities from one to another (exclusive), whose files alone are read.
    """
    table = "contexts" if artifact.rows("contexts") else "vectors"
    if end is None:
        return np.ascontiguousarray(dense_from_arrow(artifact.read(table))[begin:])
    chosen = [one for one in shards_of(artifact.entries(table)) if one.stop > begin and one.start < end]
    if not chosen:
        return dense_from_arrow(artifact.read(table))[:0]
    rows = np.concatenate([dense_from_arrow(artifact.read(table, shard=one.index)) for one in chosen])
    return np.ascontiguousarray(rows[begin - chosen[0].start : end - chosen[0].start])
