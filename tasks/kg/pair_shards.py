"""How many candidate pairs are compared together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PairShards:
    """pairs_per_shard: candidates that are compared in one shard, at least, but for the last one."""

    pairs_per_shard: int = 2**20
