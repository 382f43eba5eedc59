"""An index that lives: filters, deletes, growth: ``python -m tests.bench.living_index [--quick]``.

Filters are compared with brute force over the rows that pass: numpy products and a partial sort, the rows of each set
known beforehand to both sides, but for lists of queries that are asked one by one. Changed graphs are compared with graphs
that are built of the rows that are left; seconds of builds may be of an earlier run.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.compaction import GuardParams, guard_recall
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.filtered_index import FilteredIndex
from fingerpost.tasks.ann.graph import NONE, Graph
from fingerpost.tasks.ann.growth import changed_graph
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams
from fingerpost.tasks.ann.keep import Keep, packed_mask
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import SearchCounters, SearchResult
from tests.bench.ann_options import run_part
from tests.bench.ann_sets import Dataset, K, built_graph
from tests.bench.results import cpu_seconds

SHARES = (0.5, 0.1, 0.01, 0.001)
#: Rows of the lists of queries that are asked one by one, and how many are asked.
LISTED, ALONE = (60, 600, 6000), 40
#: Queries of a filtered batch, and width of the search.
QUERIES, EF = 200, 64
WIDTHS = (20, 40, 80)
BRUTE = "brute force over what passes"


@dataclass(frozen=True)
class Filter:
    """Sets of rows, and the set of each query."""

    kind: str
    sets: list[np.ndarray]
    owners: np.ndarray

    def keep(self, size: int) -> Keep:
        """The sets as the index takes them."""
        bits = np.zeros((len(self.sets), -(-size // 64)), np.uint64)
        for number, rows in enumerate(self.sets):
            mask = np.zeros((1, size), np.bool_)
            mask[0, rows] = True
            bits[number] = packed_mask(mask)[0]
        return Keep(size, bits, self.owners)


def filters(data: Dataset, share: float, seed: int) -> Iterator[Filter]:
    """Rows at random, other ones for each query or the same for all; and for each query the rows around three others."""
    random, size = np.random.default_rng(seed), len(data.vectors)
    count, each = max(1, int(share * size)), np.arange(QUERIES, dtype=np.int64)
    yield Filter("of each query", [np.sort(random.choice(size, count, replace=False)) for _ in each], each)
    yield Filter("of all", [np.sort(random.choice(size, count, replace=False))], np.zeros(QUERIES, np.int64))
    regions = []
    for _ in range(20):
        centres = data.vectors[random.choice(size, 3, replace=False)]
        products = data.vectors @ centres.T
        distances = np.einsum("ij,ij->i", data.vectors, data.vectors)[:, None] - 2 * products
        distances += np.einsum("ij,ij->i", centres, centres)
        regions.append(np.sort(np.argpartition(distances.min(axis=1), count - 1)[:count]))
    yield Filter("regions", regions, each % len(regions))


def brute(data: Dataset, queries: np.ndarray, given: Filter, norms: np.ndarray) -> SearchResult:
    """The K nearest rows of each query's set by products, one product for the queries of a set."""
    ids = np.full((len(queries), K), NONE, np.uint32)
    near = np.full((len(queries), K), np.inf, np.float32)
    for number, rows in enumerate(given.sets):
        asked = np.flatnonzero(given.owners == number)
        held = data.vectors[rows]
        screen = queries[asked] @ held.T
        screen = norms[rows] - 2 * screen if data.metric == "l2" else -screen
        some = min(K, len(rows))
        chosen = np.argpartition(screen, some - 1, axis=1)[:, :some]
        values = np.take_along_axis(screen, chosen, 1)
        order = np.argsort(values, axis=1)
        ids[asked, :some] = rows[np.take_along_axis(chosen, order, 1)]
        near[asked, :some] = np.take_along_axis(values, order, 1)
    return SearchResult(ids, near, SearchCounters())


def hits(found: SearchResult, exact: SearchResult) -> float:
    """The fraction of the exact answers that were found."""
    pairs = zip(found.ids, exact.ids, strict=True)
    both = sum(len(np.intersect1d(mine[mine != NONE], its[its != NONE])) for mine, its in pairs)
    return both / int((exact.ids != NONE).sum())


def filter_rows(data: Dataset, graph: Graph, seed: int, repeats: int) -> list[dict[str, Any]]:
    """Recall and speed with filters, in turns with brute force."""
    unit = data
    if data.metric == "cosine":
        vectors, queries = (_unit(rows) for rows in (data.vectors, data.queries))
        unit = Dataset(data.name, "ip", vectors, queries, data.exact)
    queries = unit.queries[:QUERIES]
    codes = fit_codes(unit.vectors, unit.metric, seed=seed)
    indexes: dict[str, FilteredIndex | PackedIndex] = {
        "float32": FilteredIndex(unit.vectors, graph, unit.metric),
        "codes": PackedIndex.pack(unit.vectors, graph, unit.metric, codes=codes),
    }
    norms = np.einsum("ij,ij->i", unit.vectors, unit.vectors)
    rows = []
    for share in SHARES:
        for given in filters(unit, share, seed):
            keep = given.keep(len(unit.vectors))
            ways: dict[str, Callable[[], SearchResult]] = {
                name: partial(index.search, queries, K, ef=EF, keep=keep) for name, index in indexes.items()
            }
            ways[BRUTE] = partial(brute, unit, queries, given, norms)
            rows += _compared(data, ways, f"filter {given.kind}", f"{share:.1%} pass", QUERIES, repeats)
    for count in LISTED:
        random = np.random.default_rng(seed)
        lists = [np.sort(random.choice(len(unit.vectors), count, replace=False)) for _ in range(ALONE)]
        ways = {name: partial(_one_by_one, index, queries, lists) for name, index in indexes.items()}
        ways[BRUTE] = partial(_brute_one_by_one, unit, queries, lists, norms)
        rows += _compared(data, ways, "list of one query", f"{count:,} rows", ALONE, repeats)
    return rows


def _compared(
    data: Dataset, ways: dict[str, Callable[[], SearchResult]], kind: str, setting: str, asked: int, repeats: int
) -> list[dict[str, Any]]:
    """Rows of ways of searching, in turns, the last of them brute force."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, SearchResult] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            used, found[name] = cpu_seconds(way)
            seconds[name].append(used)
    exact, other = found.pop(BRUTE), statistics.median(seconds[BRUTE])
    return [
        {
            "dataset": data.name,
            "contender": f"{name}, {kind}",
            "setting": setting,
            "recall_at_10": hits(result, exact),
            "queries_per_second": asked / statistics.median(seconds[name]),
            "ratio": other / statistics.median(seconds[name]),
            "rival": BRUTE,
        }
        for name, result in found.items()
    ]


def _one_by_one(index: FilteredIndex | PackedIndex, queries: np.ndarray, lists: list[np.ndarray]) -> SearchResult:
    """Each query with its list, in a call of its own."""
    return _joined([index.search(queries[i : i + 1], K, ef=EF, keep=[rows]) for i, rows in enumerate(lists)])


def _brute_one_by_one(data: Dataset, queries: np.ndarray, lists: list[np.ndarray], norms: np.ndarray) -> SearchResult:
    each = np.zeros(1, np.int64)
    return _joined([brute(data, queries[i : i + 1], Filter("", [rows], each), norms) for i, rows in enumerate(lists)])


def _joined(results: list[SearchResult]) -> SearchResult:
    ids, distances = (np.concatenate([getattr(one, name) for one in results]) for name in ("ids", "distances"))
    return SearchResult(ids, distances, SearchCounters())


def change_rows(data: Dataset, graph: Graph, params: HnswParams, seed: int) -> list[dict[str, Any]]:
    """Recall after 30 % of the rows were removed, at random and whole regions, and after 20 % were added."""
    random, size = np.random.default_rng(seed), len(data.vectors)
    somewhere = np.zeros(size, np.bool_)
    somewhere[random.choice(size, 3 * size // 10, replace=False)] = True
    regions = np.zeros(size, np.bool_)
    centres = data.vectors[random.choice(size, 30, replace=False)]
    distances = np.einsum("ij,ij->i", data.vectors, data.vectors)[:, None] - 2 * data.vectors @ centres.T
    distances += np.einsum("ij,ij->i", centres, centres)
    regions[np.argpartition(distances.min(axis=1), 3 * size // 10)[: 3 * size // 10]] = True
    rows = []
    for kind, removed in (("at random", somewhere), ("whole regions", regions)):
        left = np.flatnonzero(~removed)
        vectors = data.vectors[left]
        fresh_seconds, fresh = built_graph(vectors, params)
        seconds, (made, _) = cpu_seconds(partial(changed_graph, vectors, graph, left.astype(np.int64), params))
        more = {"ratio": fresh_seconds / seconds, "rival": "build"}
        rows += _recalls(data, vectors, made, fresh, f"30 % removed {kind}", more)
    most = int(size / 1.2)
    first = built_graph(data.vectors[:most], params)[1]
    origin = np.where(np.arange(size) < most, np.arange(size), -1).astype(np.int64)
    whole_seconds, whole = built_graph(data.vectors, params)
    seconds, (grown, _) = cpu_seconds(partial(changed_graph, data.vectors, first, origin, params))
    per_row = (whole_seconds / size) / (seconds / (size - most))
    more = {"ratio": per_row, "rival": "build, by time per vector"}
    return rows + _recalls(data, data.vectors, grown, whole, "20 % added", more)


def _recalls(
    data: Dataset, vectors: np.ndarray, made: Graph, fresh: Graph, contender: str, more: dict[str, Any]
) -> list[dict[str, Any]]:
    exact = ExactIndex(vectors, data.metric).search(data.queries, K)
    changed, built = (HnswIndex(vectors, graph, data.metric) for graph in (made, fresh))
    rows = []
    for ef in WIDTHS:
        mine, its = (recall(index.search(data.queries, K, ef=ef), exact) for index in (changed, built))
        row = {"dataset": data.name, "contender": contender, "setting": f"ef={ef}", "recall_at_10": mine}
        rows.append(row | {"recall_difference": mine - its} | more)
    guard = GuardParams()
    figures = [guard_recall(vectors, graph, data.metric, guard) for graph in (made, fresh)]
    rows[-1] |= {"guard": figures[0], "guard_of_build": figures[1]}
    return rows


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def measure(data: Dataset, *, seeds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of filters, deletes and growth on one data set; each seed's own."""
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        params = HnswParams(metric=data.metric, seed=seed)
        _, graph = built_graph(data.vectors, params)
        found = filter_rows(data, graph, seed, repeats) + change_rows(data, graph, params, seed)
        rows += [row | ({"seed": seed} if seeds > 1 else {}) for row in found]
    return rows


if __name__ == "__main__":
    run_part(measure, "living_index", __doc__)
