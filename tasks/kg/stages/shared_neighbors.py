"""The stage that finds entities of both sides by the neighbours that they share."""

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.blocking import BlockingParams
from fingerpost.tasks.kg.facts import ones
from fingerpost.tasks.kg.shared_neighbors import SharedNeighbors, mutual_nearest
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.known_pairs import known_positives, paired_types
from fingerpost.tasks.kg.stages.search import nearest_table, read_nearest
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

Side = Literal["left", "right"]
_BOTH = ("own", "other")


@stage(contracts.SHARED)
def share_neighbors(
    run: StageRun,
    graph: Ref,
    other: Ref,
    nearest: Ref,
    other_nearest: Ref,
    links: Ref,
    *,
    side: Side,
    params: BlockingParams,
    rows_per_shard: int,
) -> None:
    """Finds the entities of ``other`` that share most rare neighbours with each of ``graph``, which is on ``side``.

    Shared are entities known to be one, or each the other's nearest; within one graph, the neighbours themselves.
    """
    anchors = _anchors(run.store, (graph, other), (nearest, other_nearest), links, side, params)
    table = pa.table({name: pa.array(anchors[:, place].astype(np.uint32)) for place, name in enumerate(_BOTH)})
    shards = row_shards(len(GraphTables.open(run.store, graph)), rows_per_shard)
    inputs = {"graphs": (graph, other), "links": links, "anchors": table, "side": side}
    figures = run.map_shards(_shared_shard, shards, **inputs, params=params)
    run.quality = {
        "entities": shards[-1].stop,
        "anchors": len(anchors),
        "found": sum(f["found"] for f in figures),
        "without": sum(f["without"] for f in figures),
    }


def _anchors(
    store: Store,
    graphs: tuple[Ref, Ref],
    nearest: tuple[Ref, Ref],
    links: Ref,
    side: Side,
    params: BlockingParams,
) -> NDArray[np.int64]:
    """(m, 2): entities of the own and the other graph that count as one where neighbours are compared, sorted."""
    if graphs[0] == graphs[1]:
        return np.repeat(np.arange(len(GraphTables.open(store, graphs[0])))[:, None], 2, axis=1)
    own, their = (read_nearest(store.open(ref, contracts.NEAREST).read("nearest")) for ref in nearest)
    known = known_positives(store, links, split="training")
    known = known if side == "left" else known[:, ::-1]
    close = mutual_nearest(own, their, least=params.anchor_similarity)
    # What is known is not contradicted by what is only similar.
    free = ~(np.isin(close[:, 0], known[:, 0]) | np.isin(close[:, 1], known[:, 1]))
    return np.unique(np.concatenate([known, close[free]]), axis=0)


def _shared_shard(
    store: Store,
    shard: Shard,
    *,
    graphs: tuple[Ref, Ref],
    links: Ref,
    anchors: pa.Table,
    side: Side,
    params: BlockingParams,
) -> ShardOutput:
    left, right = graphs if side == "left" else graphs[::-1]
    types = paired_types(store, left, right, links, chosen=params.types)[1]
    types = types if side == "left" else types[::-1]
    pairs = np.stack([anchors[name].to_numpy() for name in _BOTH], axis=1)
    own, other = (linked_entities(store, ref) for ref in graphs)
    shared = SharedNeighbors(own, other, pairs, most_neighbors=params.most_neighbors)
    within = graphs[0] == graphs[1]
    found = shared.nearest(shard.start, shard.stop, types, most=params.shared, within=within)
    figures = {"found": len(found.rows), "without": int((np.diff(found.indptr) == 0).sum())}
    return ShardOutput({"nearest": nearest_table(found)}, figures)


def linked_entities(store: Store, graph: Ref) -> sparse.csr_array:
    """CSR of ones (entities, entities): which are related, in any way."""
    relations = GraphTables.open(store, graph).relations
    edges = relations.edges()
    return ones(edges[:, 0], edges[:, 2], (relations.nodes, relations.nodes))
