"""Committed graphs, links and everything up to the candidates, by the stages."""

from collections.abc import Iterable
from typing import Any

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import GraphBatch, table_of
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.blocking import BlockingParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.search import SearchParams
from fingerpost.tasks.kg.stages.blocking import propose_pairs
from fingerpost.tasks.kg.stages.embeddings import embed_entities
from fingerpost.tasks.kg.stages.search import index_entities, search_entities
from fingerpost.tasks.kg.stages.shared_neighbors import share_neighbors
from tests.support.suggestion_artifacts import committed

SIDES = ("left", "right")


def graphs_of(store: Store, left: GraphBatch, right: GraphBatch) -> tuple[Ref, Ref]:
    """Two graphs, committed; one where they are the same object."""
    first = committed(store, kg.GRAPH, left.tables(), side="left")
    return first, first if left is right else committed(store, kg.GRAPH, right.tables(), side="right")


def links_of(store: Store, rows: Iterable[tuple[int, int, int, str, str]] = (), name: str = "links") -> Ref:
    """Links, committed: left, right, label, split and source of each."""
    return committed(store, kg.LINKS, {"links": table_of(kg.LINKS.tables[0], sorted(rows))}, name=name)


def blocked(
    env: Environment,
    left: Ref,
    right: Ref,
    links: Ref,
    *structure: Ref,
    embedding: EmbeddingParams = EmbeddingParams(),
    search: SearchParams = SearchParams(),
    blocking: BlockingParams = BlockingParams(),
    rows_per_shard: int = 4096,
) -> dict[str, Ref]:
    """The artifacts up to the candidates, by role."""
    sides, made = {"left": left, "right": right}, dict[str, Ref]()
    shards: dict[str, Any] = {"rows_per_shard": rows_per_shard}
    other = {"left": "right", "right": "left"}
    for side in SIDES:
        pair = sides[side], sides[other[side]]
        made[f"{side}_vectors"] = embed_entities.execute(env, *pair, params=embedding, **shards)
        made[f"{side}_index"] = index_entities.execute(env, pair[0], made[f"{side}_vectors"], params=search)
    for side in SIDES:
        found = (
            made[f"{side}_vectors"],
            sides[other[side]],
            made[f"{other[side]}_vectors"],
            made[f"{other[side]}_index"],
        )
        made[f"{side}_nearest"] = search_entities.execute(env, sides[side], *found, params=search, **shards)
    for side in SIDES if left != right else SIDES[:1]:
        nearest = made[f"{side}_nearest"], made[f"{other[side]}_nearest"]
        pair = sides[side], sides[other[side]]
        made[f"{side}_shared"] = share_neighbors.execute(
            env, *pair, *nearest, links, side=side, params=blocking, **shards
        )
    made.setdefault("right_shared", made["left_shared"])
    inputs = [made[f"{side}_{role}"] for role in ("vectors", "nearest", "shared") for side in SIDES]
    made["candidates"] = propose_pairs.execute(env, left, right, *inputs, links, *structure, params=blocking, **shards)
    return made


def rows_of(store: Store, candidates: Ref) -> list[tuple[Any, ...]]:
    """left, right, similarity and sources of all candidates."""
    table = store.open(candidates, kg.CANDIDATES).read("candidates")
    return list(zip(*(table[name].to_pylist() for name in ("left", "right", "similarity", "sources")), strict=True))
