"""The stage that aligns two graphs by their structure, from known pairs outwards."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.assignment import row_numbers
from fingerpost.tasks.kg.graph import RelationGraph, relation_graph
from fingerpost.tasks.kg.held_out import PropagationParams, name_similarities, propagated, seed_pairs
from fingerpost.tasks.shards import Shard, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.STRUCTURE)
def align_structure(run: StageRun, left: Ref, right: Ref, links: Ref, *, params: PropagationParams) -> None:
    """Finds pairs from the training positives outwards, one shard per run; those of seeds in runs without them.

    There are no pairs, and ``skipped`` says so, within one table, without a training positive and above the number of
    entities that the parameters allow.
    """
    sizes = [run.store.open(ref, contracts.GRAPH).rows("entities") for ref in (left, right)]
    seeds = training_seeds(run.store, links)
    skipped = left == right or not len(seeds) or max(sizes) > params.most_entities
    shards = even_shards(0 if skipped else 1 + min(params.folds, len(seeds)), 1)
    found = [] if skipped else run.gather(_propagate_shard, shards, left=left, right=right, links=links, params=params)
    table = pa.concat_tables([_pairs_table(sparse.csr_array((0, 0))), *found])
    run.write("pairs", table.sort_by([("left", "ascending"), ("right", "ascending")]))
    run.quality = {"skipped": skipped, "seeds": len(seeds), "pairs": table.num_rows}


def training_seeds(store: Store, links: Ref) -> NDArray[np.int64]:
    """int64 (k, 2): the training positives, but those of an entity in several."""
    table = store.open(links, contracts.LINKS).read("links")
    pairs = np.stack([table[name].to_numpy() for name in ("left", "right")], axis=1)
    is_seed = (table["label"].to_numpy() == 1) & (table["split"].to_numpy(zero_copy_only=False) == "training")
    return seed_pairs(pairs[is_seed])


def _propagate_shard(
    store: Store, shard: Shard, *, left: Ref, right: Ref, links: Ref, params: PropagationParams
) -> pa.Table:
    sides = read_sides(store, left, right)
    seeds, prior = training_seeds(store, links), None
    if params.names and all(any(side.names) for side in sides):
        types = sides[0].graph.types, sides[1].graph.types
        prior = name_similarities((sides[0].names, sides[1].names), types, params.naming)
    return _pairs_table(propagated(sides[0].graph, sides[1].graph, seeds, shard.index, params, prior=prior))


def _pairs_table(found: sparse.csr_array) -> pa.Table:
    return pa.table(
        {
            "left": pa.array(row_numbers(found).astype(np.uint32)),
            "right": pa.array(found.indices.astype(np.uint32)),
            "probability": pa.array(np.minimum(found.data, 1.0).astype(np.float32)),
        }
    )


@dataclass(frozen=True)
class Side:
    """A graph with the name of each entity."""

    graph: RelationGraph
    names: list[str]


def read_sides(store: Store, left: Ref, right: Ref) -> tuple[Side, Side]:
    """Both graphs; the numbers of types are the same in both."""
    artifacts = [store.open(ref, contracts.GRAPH) for ref in (left, right)]
    entities = [artifact.read("entities") for artifact in artifacts]
    types = pa.chunked_array([chunk for table in entities for chunk in table["type"].chunks], pa.string())
    numbers = {kind: number for number, kind in enumerate(sorted(types.unique().to_pylist()))}
    sides = []
    for artifact, table in zip(artifacts, entities, strict=True):
        rows = artifact.read("relations")
        graph = relation_graph(
            np.stack([rows[name].to_numpy() for name in ("head", "relation", "tail")], axis=1),
            nodes=table.num_rows,
            relations=artifact.rows("relation_names"),
            types=np.array([numbers[kind] for kind in table["type"].to_pylist()], dtype=np.int64),
        )
        sides.append(Side(graph, table["name"].to_pylist()))
    return sides[0], sides[1]
