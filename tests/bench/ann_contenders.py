"""Our own indexes as contenders of a benchmark: one graph, searched in several ways."""

from collections.abc import Callable

from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.finger_basis import Estimator, FingerParams
from fingerpost.tasks.ann.finger_search import FingerIndex
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import Index, SearchResult
from tests.bench.ann_sets import Dataset, K, built_graph
from tests.bench.results import cpu_seconds
from tests.support.graphs import build_tables

Wrap = Callable[[Dataset, Graph], Index]


class Ours:
    """Our graph, searched through what ``wrap`` makes of it; ``graph_seconds`` without that, ``index`` after a build."""

    def __init__(self, name: str, data: Dataset, wrap: Wrap) -> None:
        self.name, self._data, self._wrap = name, data, wrap
        self.index: Index
        self.graph_seconds = 0.0

    def build(self, seed: int) -> float:
        self.graph_seconds, graph = built_graph(self._data.vectors, HnswParams(metric=self._data.metric, seed=seed))
        more, self.index = cpu_seconds(lambda: self._wrap(self._data, graph))
        return self.graph_seconds + more

    def search(self, ef: int) -> tuple[float, SearchResult]:
        return cpu_seconds(lambda: self.index.search(self._data.queries, K, ef=ef))


def plain(data: Dataset, graph: Graph) -> Index:
    """Plain search of float32 vectors."""
    return HnswIndex(data.vectors, graph, data.metric)


def coded(data: Dataset, graph: Graph) -> Index:
    """The packed index with codes of 4 bits; whole numbers are kept as such where the vectors are."""
    return PackedIndex.pack(data.vectors, graph, data.metric, codes=fit_codes(data.vectors, data.metric))


def finger(estimator: Estimator) -> Wrap:
    """FINGER search of float32 vectors."""

    def wrap(data: Dataset, graph: Graph) -> Index:
        tables = build_tables(data.vectors, graph, data.metric, params=FingerParams(estimator=estimator))
        return FingerIndex(data.vectors, graph, tables, data.metric)

    return wrap
