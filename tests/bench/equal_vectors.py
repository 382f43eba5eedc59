"""Sets with many equal vectors: ``python -m tests.bench.equal_vectors [--quick]``.

A third of the rows at one point, at ten points, and in tight clusters of more rows than a node has neighbours, among SIFT
descriptors. Recall of the others at ef 100: the fraction found of those of the true ten neighbours that are in no crowd. A
ratio is our recall over the rival's.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.tasks.ann.search import Index, SearchResult
from tests.bench.ann_contenders import Ours, coded, finger, plain
from tests.bench.ann_options import Rows, run_part
from tests.bench.ann_peers import Peer
from tests.bench.ann_sets import DATASETS, Dataset, K, exact_answers
from tests.bench.peers import peer_python

EF = 100
PEERS = ("hnswlib", "faiss", "usearch")
#: Rows of a tight cluster: more than the 32 neighbours that a node has on level 0.
CLUSTER = 150


@dataclass(frozen=True)
class World:
    """Rows float32 (n, d), and which of them belong to a crowd, bool (n,)."""

    rows: np.ndarray
    crowded: np.ndarray


def one_point(rows: np.ndarray, rng: np.random.Generator) -> World:
    """A third of the rows are one vector."""
    return _shuffled(rows, np.repeat(rows[:1], len(rows) // 2, axis=0), rng)


def ten_points(rows: np.ndarray, rng: np.random.Generator) -> World:
    """A third of the rows are ten vectors."""
    return _shuffled(rows, np.repeat(rows[:10], len(rows) // 20, axis=0), rng)


def tight_clusters(rows: np.ndarray, rng: np.random.Generator) -> World:
    """A third of the rows lie in clusters of CLUSTER rows, a thousandth of the spread apart."""
    centres = np.repeat(rows[: len(rows) // 2 // CLUSTER], CLUSTER, axis=0)
    noise = rng.standard_normal(centres.shape) * rows.std() / 1000
    return _shuffled(rows, (centres + noise).astype(np.float32), rng)


WORLDS: dict[str, Callable[[np.ndarray, np.random.Generator], World]] = {
    "a third at one point": one_point,
    "a third at ten points": ten_points,
    f"clusters of {CLUSTER}": tight_clusters,
}


def measure(*, quick: bool, seeds: int) -> Rows:
    """Recall of all contenders in all worlds, mean of the seeds."""
    vectors, queries = DATASETS["sift128"][1](4_000 if quick else 40_000, 500 if quick else 2_000)
    rows: Rows = []
    for world, crowd in WORLDS.items():
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            made = crowd(vectors, np.random.default_rng(seed))
            data = Dataset(f"sift128, {world}", "l2", made.rows, queries, exact_answers(made.rows, queries, "l2"))
            for name, value in recalls(data, made.crowded, seed):
                found.setdefault(name, []).append(value)
        rows += [_row(data, name, values, found.get("hnswlib")) for name, values in found.items()]
    return rows


def recalls(data: Dataset, crowded: np.ndarray, seed: int) -> Iterator[tuple[str, float]]:
    """Recall by contender."""
    for name, index in our_indexes(data, seed):
        yield name, recall_of_others(index.search(data.queries, K, ef=EF), data.exact, crowded)
    python = peer_python("ann")
    with tempfile.TemporaryDirectory() as folder:
        for name in PEERS if python else ():
            peer = Peer(name, data, Path(folder), python)
            peer.build(seed)
            yield name, recall_of_others(peer.search(EF)[1], data.exact, crowded)
            peer.close()


def our_indexes(data: Dataset, seed: int) -> Iterator[tuple[str, Index]]:
    """Our searches on one graph, by name."""
    for name, wrap in {"hnsw": plain, "packed": coded, "finger": finger("low_rank")}.items():
        ours = Ours(name, data, wrap)
        ours.build(seed)
        yield name, ours.index


def _shuffled(rows: np.ndarray, more: np.ndarray, rng: np.random.Generator) -> World:
    order = rng.permutation(len(rows) + len(more))
    return World(np.concatenate([rows, more])[order], order >= len(rows))


def recall_of_others(found: SearchResult, exact: SearchResult, crowded: np.ndarray) -> float:
    """The fraction of true neighbours outside crowds that were found, over all queries; ties may be broken either way."""
    last = exact.distances[:, -1:]
    # Equal rows outside crowds are few: an answer at the distance of the last counts as one of the true ones.
    counted = [
        np.count_nonzero(~crowded[np.minimum(one.ids, len(crowded) - 1)] & (one.distances <= last), axis=1)
        for one in (found, exact)
    ]
    wanted = counted[1]
    return float(np.minimum(*counted).sum() / wanted.sum())


def _row(data: Dataset, name: str, values: list[float], rival: list[float] | None) -> dict[str, Any]:
    mean = statistics.mean(values)
    row: dict[str, Any] = {"dataset": data.name, "contender": name, "setting": f"ef={EF}", "recall_of_others": mean}
    if rival and name not in PEERS:
        row |= {"ratio": mean / statistics.mean(rival), "rival": "hnswlib"}
    return row


if __name__ == "__main__":
    run_part(measure, "equal_vectors", __doc__, whole=True)
