"""The stage that scores all candidates."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.stages.pair_shards import pair_shards, read_pairs
from fingerpost.tasks.kg.stages.scoring_inputs import open_scorer
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.SCORES)
def score_pairs(
    run: StageRun,
    left: Ref,
    right: Ref,
    terms: Ref,
    candidates: Ref,
    rivals: Ref,
    links: Ref,
    scorer: Ref,
    *more: Ref,
    roles: Sequence[str] = (),
    params: PairShards,
) -> None:
    """Log odds of every candidate, in the order of these; more: structure and what an aligner needs, by roles."""
    members = {"left": left, "right": right, "terms": terms, "candidates": candidates, "rivals": rivals, "links": links}
    members |= {"scorer": scorer, **dict(zip(roles, more, strict=True))}
    shards = pair_shards(run.store, candidates, params)
    figures = run.map_shards(_score_shard, shards, members=members)
    run.quality = {"pairs": sum(of_shard["pairs"] for of_shard in figures)}


def _score_shard(store: Store, shard: Shard, *, members: Mapping[str, Ref]) -> ShardOutput:
    pairs = read_pairs(store, members["candidates"], shard)
    scores = open_scorer(store, members).scores(pairs)
    columns = {side: pa.array(pairs[:, place].astype("uint32")) for place, side in enumerate(("left", "right"))}
    return ShardOutput({"scores": pa.table(columns | {"score": pa.array(scores)})}, {"pairs": len(pairs)})
