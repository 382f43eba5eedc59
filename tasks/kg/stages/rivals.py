"""The stage that finds, for every entity, its most similar candidates by each text."""

from collections.abc import Mapping

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.pair_scorer import FeatureParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.stages.pair_shards import pair_shards, read_pairs
from fingerpost.tasks.kg.stages.scoring_inputs import best_two, open_comparer, rivals_table
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.RIVALS)
def find_rivals(
    run: StageRun, left: Ref, right: Ref, terms: Ref, candidates: Ref, links: Ref, *, params: PairShards
) -> None:
    """Compares the texts of all candidates, and keeps the two most similar partners of every entity."""
    members = {"left": left, "right": right, "terms": terms, "links": links}
    shards = pair_shards(run.store, candidates, params)
    figures = run.map_shards(_best_shard, shards, members=members, candidates=candidates)
    run.quality = {"pairs": sum(of_shard["pairs"] for of_shard in figures)}


def _best_shard(store: Store, shard: Shard, *, members: Mapping[str, Ref], candidates: Ref) -> ShardOutput:
    """The most similar candidates of the entities of a shard of candidates, those by links alone left out."""
    comparer = open_comparer(store, members, FeatureParams(neighbors=False))
    pairs = read_pairs(store, candidates, shard, proposed=True)
    within = members["left"] == members["right"]
    left, right = best_two(comparer, pairs, within=within)
    table = rivals_table({"left": left} if within else {"left": left, "right": right})
    return ShardOutput({"rivals": table}, {"pairs": len(pairs)})
