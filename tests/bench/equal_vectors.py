"""Sets with many equal vectors: ``python -m tests.bench.equal_vectors [--quick]``.

A third of the rows at one point, at ten points, in tight clusters of other sizes and widths, and 300 rows at the mean,
among SIFT descriptors and digits. Recall of the others at ef 100: the fraction found of those of the true ten neighbours
that are in no crowd. ``compacted``: 30 % of the rows were taken out of the graph again. A ratio is our recall over the
rival's.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.tasks.ann.growth import changed_graph
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams
from fingerpost.tasks.ann.search import Index, SearchResult
from tests.bench.ann_contenders import Ours, coded, finger, plain
from tests.bench.ann_options import Rows, run_part
from tests.bench.ann_peers import Peer
from tests.bench.ann_sets import DATASETS, Dataset, K, built_graph, exact_answers
from tests.bench.peers import peer_python

EF = 100
PEERS = ("hnswlib", "faiss", "usearch")
#: Rows of a tight cluster (a node has 32 neighbours on level 0), and their distance from each other as a part of the spread.
CLUSTERS = ((150, 1e-3), (50, 1e-3), (400, 1e-3), (150, 1e-2), (150, 1e-6))
#: Rows and queries of each data set.
SETS = {"sift128": (40_000, 2_000), "mnist784": (10_000, 1_000)}


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


def at_the_mean(rows: np.ndarray, rng: np.random.Generator) -> World:
    """300 rows are the mean of all, which is nearer to each than most others are."""
    return _shuffled(rows, np.repeat(rows.mean(axis=0, keepdims=True), 300, axis=0), rng)


def clusters(size: int, apart: float, rows: np.ndarray, rng: np.random.Generator) -> World:
    """A third of the rows lie in clusters of ``size`` rows, ``apart`` of the spread from each other."""
    centres = np.repeat(rows[: len(rows) // 2 // size], size, axis=0)
    noise = rng.standard_normal(centres.shape) * rows.std() * apart
    return _shuffled(rows, (centres + noise).astype(np.float32), rng)


WORLDS: dict[str, Callable[[np.ndarray, np.random.Generator], World]] = {
    "a third at one point": one_point,
    "a third at ten points": ten_points,
    "300 at the mean": at_the_mean,
    **{f"clusters of {size}, {apart:g} apart": partial(clusters, size, apart) for size, apart in CLUSTERS},
}


def measure(*, quick: bool, seeds: int) -> Rows:
    """Recall of all contenders in all worlds, mean of the seeds."""
    rows: Rows = []
    for name, (size, asked) in SETS.items():
        vectors, queries = DATASETS[name][1](size // 10 if quick else size, asked // 4 if quick else asked)
        for world, crowd in WORLDS.items():
            found: dict[str, list[float]] = {}
            for seed in range(seeds):
                made = crowd(vectors, np.random.default_rng(seed))
                data = Dataset(f"{name}, {world}", "l2", made.rows, queries, exact_answers(made.rows, queries, "l2"))
                for contender, value in recalls(data, made.crowded, seed):
                    found.setdefault(contender, []).append(value)
            rows += [_row(data, contender, values, found.get("hnswlib")) for contender, values in found.items()]
    return rows


def recalls(data: Dataset, crowded: np.ndarray, seed: int) -> Iterator[tuple[str, float]]:
    """Recall by contender."""
    for name, index in our_indexes(data, seed):
        yield name, recall_of_others(index.search(data.queries, K, ef=EF), data.exact, crowded)
    yield "compacted", compacted_recall(data, crowded, seed)
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


def compacted_recall(data: Dataset, crowded: np.ndarray, seed: int) -> float:
    """Recall of plain search where 30 % of the rows have been taken out of the graph."""
    params = HnswParams(metric=data.metric, seed=seed)
    left = np.flatnonzero(np.random.default_rng(seed).random(len(data.vectors)) >= 0.3)
    graph, _ = changed_graph(data.vectors[left], built_graph(data.vectors, params)[1], left, params)
    exact = exact_answers(data.vectors[left], data.queries, data.metric)
    found = HnswIndex(data.vectors[left], graph, data.metric).search(data.queries, K, ef=EF)
    return recall_of_others(found, exact, crowded[left])


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
