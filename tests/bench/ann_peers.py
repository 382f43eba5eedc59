"""Nearest-neighbour libraries of the peers' environment as contenders of a benchmark."""

from pathlib import Path

import numpy as np

from fingerpost.ext.hnsw import gather_distances, normalise_rows
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import SearchCounters, SearchResult
from tests.bench.ann_sets import Dataset, K
from tests.bench.peers import PeerProcess


class Peer:
    """A library in the peers' environment."""

    def __init__(self, name: str, data: Dataset, folder: Path, python: Path) -> None:
        self.name, self._data, self._out = name, data, folder / f"{name}.npy"
        np.save(folder / "train.npy", data.vectors)
        np.save(folder / "test.npy", data.queries)
        script = Path(__file__).with_name("peer_ann.py")
        self._process = PeerProcess(
            python, script, name, str(folder / "train.npy"), str(folder / "test.npy"), data.metric
        )
        self.version = self._process.ask({"do": "probe"})["version"]
        self._rows, self._asked = data.vectors, data.queries
        if data.metric == "cosine":
            self._rows, self._asked = normalise_rows(data.vectors)[0], normalise_rows(data.queries)[0]

    def build(self, seed: int) -> float:
        request = {"do": "build", "seed": seed, "max_neighbors": 16, "ef_construction": 200}
        return float(self._process.ask(request)["seconds"])

    def search(self, ef: int) -> tuple[float, SearchResult]:
        seconds = self._process.ask({"do": "search", "ef": ef, "k": K, "out": str(self._out)})["seconds"]
        ids = np.load(self._out)
        # Distances by our kernels, so that ties are judged alike.
        known = np.where(ids == NONE, 0, ids).astype(np.uint32)
        indptr = np.arange(len(ids) + 1, dtype=np.int64) * K
        distances = gather_distances(self._asked, self._rows, indptr, known.ravel(), self._data.metric).reshape(
            ids.shape
        )
        return seconds, SearchResult(ids, np.where(ids == NONE, np.inf, distances), SearchCounters())

    def close(self) -> None:
        self._process.close()
