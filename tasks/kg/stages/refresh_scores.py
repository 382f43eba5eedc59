"""The stages that carry rivals, labels and scores of unchanged entities over, and make those of other pairs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.refresh import old_places
from fingerpost.tasks.kg.stages.changes import read_changes
from fingerpost.tasks.kg.stages.scoring_inputs import open_scorer, pairs_of
from fingerpost.tasks.shards import Shard, even_shards, shards_of
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.SCORES)
def refresh_scores(
    run: StageRun,
    left: Ref,
    right: Ref,
    terms: Ref,
    candidates: Ref,
    rivals: Ref,
    links: Ref,
    scorer: Ref,
    left_changes: Ref,
    right_changes: Ref,
    old_candidates: Ref,
    old_scores: Ref,
    *more: Ref,
    roles: Sequence[str] = (),
    params: PairShards,
) -> None:
    """Log odds of every candidate: as they were where neither entity is new or changed, of the others by the scorer.

    An unchanged pair keeps its score where its rivals are others now; what decides between them are their scores.
    """
    members = {"left": left, "right": right, "terms": terms, "candidates": candidates, "rivals": rivals, "links": links}
    members |= {"scorer": scorer, **dict(zip(roles, more, strict=True))}
    pairs = pairs_of(run.store.open(candidates, contracts.CANDIDATES).read("candidates"))
    old = run.store.open(old_scores, contracts.SCORES).read("scores")
    changes = read_changes(run.store, left_changes), read_changes(run.store, right_changes)
    place = old_places(pairs, pairs_of(old), changes, within=left == right)
    asked = np.flatnonzero(place < 0)
    scores = np.asarray(old["score"].to_numpy())[place] if len(old) else np.zeros(len(pairs), np.float32)
    parts = run.gather(
        _score_some, even_shards(len(asked), params.pairs_per_shard), members=members, pairs=pairs[asked]
    )
    scores[asked] = np.concatenate(parts)
    _write_scores(run, candidates, pairs, scores)
    run.quality = {"pairs": len(pairs), "carried": len(pairs) - len(asked), "scored": len(asked)}


def _score_some(
    store: Store, shard: Shard, *, members: Mapping[str, Ref], pairs: NDArray[np.int64]
) -> NDArray[np.float32]:
    if shard.start == shard.stop:
        return np.zeros(0, np.float32)
    return open_scorer(store, members).scores(pairs[shard.start : shard.stop])


def _write_scores(run: StageRun, candidates: Ref, pairs: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
    """Writes the scores in a file for each file of candidates."""
    for shard in shards_of(run.store.open(candidates, contracts.CANDIDATES).entries("candidates")):
        mine = slice(shard.start, shard.stop)
        columns = {side: pa.array(pairs[mine, at].astype(np.uint32)) for at, side in enumerate(("left", "right"))}
        run.write("scores", pa.table(columns | {"score": pa.array(scores[mine])}), shard=shard.index)
