"""The stage that counts suggestions and their followers."""

import numpy as np

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.followers import DISTANCES, follower_arrays
from fingerpost.tasks.autocomplete.followers import count_followers as count
from fingerpost.tasks.autocomplete.sessions import TRAINING
from fingerpost.tasks.autocomplete.stages.pair_tables import PairTable, query_keys, suggestion_rows
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.FOLLOWERS)
def count_followers(run: StageRun, sessions: Ref, suggestions: Ref, pairs: Ref) -> None:
    """Counts, over training pairs, which suggestions follow a suggestion, right after it and one later."""
    table = PairTable.of(run.store.open(pairs, contracts.PAIRS), TRAINING, suggested=True)
    suggested = run.store.open(suggestions, contracts.SUGGESTIONS).read("suggestions")
    keys = suggested["key"].to_pylist()
    rows = suggestion_rows(query_keys(run.store.open(sessions, contracts.SESSIONS)), keys)
    following, weights, found = table.column("suggestion"), table.column("weight"), []
    for distance in range(DISTANCES):
        found.append(count(_before(table, rows, distance), following, weights, len(keys)))
    run.write("followers", tensors_to_arrow(follower_arrays(keys, suggested["weight"].to_numpy(), found)))
    run.quality = {
        "suggestions": len(keys),
        "pairs": len(table),
        "followed": int((np.diff(found[0].start) > 0).sum()),
        "followers": sum(len(followers.rows) for followers in found),
    }


def _before(table: PairTable, rows: np.ndarray, distance: int) -> np.ndarray:
    """The suggestion at a distance before each pair, int32 (p,); -1 where there is none."""
    indptr, previous = table.previous
    has = np.diff(indptr) > distance
    found = np.full(len(table), -1, dtype=np.int32)
    found[has] = rows[previous[indptr[:-1][has] + distance]]
    return found
