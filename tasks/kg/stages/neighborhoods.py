"""The stage that samples the neighbours of entities."""

import numpy as np
import pyarrow as pa

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.graph import relation_graph
from fingerpost.tasks.kg.neighborhoods import Neighborhoods, SamplingParams, sampled_neighborhoods
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.NEIGHBORHOODS)
def sample_neighborhoods(run: StageRun, graph: Ref, *, params: SamplingParams, rows_per_shard: int) -> None:
    """Samples the neighbours of every entity that has any, so that a neighbourhood is complete however deep."""
    shards = row_shards(run.store.open(graph, contracts.GRAPH).rows("entities"), rows_per_shard)
    figures = run.map_shards(_sample_shard, shards, graph=graph, params=params)
    totals = {name: sum(part[name] for part in figures) for name in ("neighbors", "sampled", "capped", "connected")}
    run.quality = {"entities": shards[-1].stop} | totals


def _sample_shard(store: Store, shard: Shard, *, graph: Ref, params: SamplingParams) -> ShardOutput:
    artifact = store.open(graph, contracts.GRAPH)
    rows = artifact.read("relations")
    triples = np.stack([rows[name].to_numpy() for name in ("head", "relation", "tail")], axis=1)
    # Of those that touch no entity of the shard nothing is needed.
    inside = (triples >= shard.start) & (triples < shard.stop)
    triples = triples[inside[:, 0] | inside[:, 2]]
    related = relation_graph(triples, nodes=artifact.rows("entities"), relations=artifact.rows("relation_names"))
    degrees = related.degrees[shard.start : shard.stop]
    nodes = shard.start + np.flatnonzero(degrees)
    one_hop = SamplingParams(params.cap, 1, params.seed, params.weighted)
    found = sampled_neighborhoods(related, nodes, one_hop)
    figures = {
        "neighbors": int(degrees.sum()),
        "sampled": len(found.neighbors),
        "capped": int((degrees > params.cap).sum()),
        "connected": len(nodes),
    }
    return ShardOutput({"neighborhoods": _table(found)}, figures)


def _table(found: Neighborhoods) -> pa.Table:
    ranges = pa.array(found.indptr.astype(np.int32))
    lists = {
        name: pa.ListArray.from_arrays(ranges, pa.array(values))
        for name, values in (("neighbors", found.neighbors), ("relations", found.relations))
    }
    return pa.table({"entity": pa.array(found.nodes), **lists})
