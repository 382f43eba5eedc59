"""Shards of candidates: several files of them together, since each shard reads the texts of what its pairs name."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.blocking import LINKS
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.shards import Shard


def pair_shards(store: Store, candidates: Ref, params: PairShards) -> list[Shard]:
    """Shards whose start and stop count files of candidates."""
    entries = store.open(candidates, contracts.CANDIDATES).entries("candidates")
    ends, rows = [], 0
    for number, entry in enumerate(entries, start=1):
        rows += entry.rows
        if rows >= params.pairs_per_shard or number == len(entries):
            ends.append(number)
            rows = 0
    return [Shard(index, start, stop) for index, (start, stop) in enumerate(zip([0, *ends], ends, strict=False))]


def read_pairs(store: Store, candidates: Ref, shard: Shard, *, proposed: bool = False) -> NDArray[np.int64]:
    """The pairs of a shard, int64 (m, 2), in order; ``proposed``: without those by known links alone."""
    artifact = store.open(candidates, contracts.CANDIDATES)
    entries = artifact.entries("candidates")[shard.start : shard.stop]
    rows = pa.concat_tables([artifact.read("candidates", shard=entry.shard) for entry in entries])
    pairs = np.stack([rows[side].to_numpy() for side in ("left", "right")], axis=1).astype(np.int64)
    return pairs[rows["sources"].to_numpy() != LINKS] if proposed else pairs
