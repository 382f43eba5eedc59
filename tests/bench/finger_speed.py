"""FINGER over our own plain float32 search of the same graph: ``python -m tests.bench.finger_speed [--quick]``.

Deferred: coded residuals, the frontier ordered by estimates. Screened: FINGER as the release before searched. Besides
our HNSW graph one of other construction: exact nearest neighbours, pruned as HNSW prunes and with reverse edges; both at
two sizes, as a search of few rows is short beside what FINGER prepares for it. All ways are measured in turns on one
graph.
"""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import edge_blocks
from fingerpost.tasks.ann.edge_codes import fit_edge_codes
from fingerpost.tasks.ann.finger_tables import compared_rows
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Index
from tests.bench.ann_contenders import finger, plain
from tests.bench.ann_curves import Curve, rate_at
from tests.bench.ann_options import run_part
from tests.bench.ann_sets import Dataset, K, built_graph, exact_answers
from tests.bench.pruned_graph import pruned_graph
from tests.bench.results import cpu_seconds

WIDTHS = (14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 420)
LEVELS = (0.95, 0.98, 0.99)
#: Rows of which both graphs are measured; that of exact neighbours takes a product of all pairs.
SIZES = (10_000, 60_000)
RIVAL = "hnsw"


def deferred(data: Dataset, graph: Graph) -> Index:
    """Search with deferred distances, directions and bits as the fit chooses them."""
    coder = fit_edge_codes(compared_rows(data.vectors, graph, data.metric), graph, data.metric)
    return DeferredIndex(data.vectors, graph, edge_blocks(data.vectors, graph, data.metric, coder), data.metric)


def curves_of(data: Dataset, indexes: dict[str, Index], repeats: int) -> dict[str, Curve]:
    """Recall and seconds by width, all indexes in turns."""
    curves = {name: Curve() for name in indexes}
    for ef in WIDTHS:
        for _ in range(repeats):
            for name, index in indexes.items():
                search = partial(index.search, data.queries, K, ef=ef)
                seconds, found = cpu_seconds(search)
                curves[name].seconds.setdefault(ef, []).append(seconds)
                curves[name].recalls[ef] = [recall(found, data.exact)]
                curves[name].distances[ef] = found.counters.distances / len(data.queries)
    return curves


def rows_of(data: Dataset, setting: str, curves: dict[str, Curve]) -> list[dict[str, Any]]:
    """Queries per second at recalls, and the ratio to plain search."""
    rows = []
    for name, curve in curves.items():
        for level in LEVELS:
            own, its = (rate_at(one, level, len(data.queries)) for one in (curve, curves[RIVAL]))
            if own is None or its is None:
                continue
            row = {"dataset": data.name, "contender": name, "setting": f"{setting}, recall={level}"}
            ratio = {} if name == RIVAL else {"ratio": own / its, "rival": RIVAL}
            rows.append(row | {"queries_per_second": own} | ratio)
    return rows


def measure(data: Dataset, *, seeds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of our graph, mean of seeds, and of both graphs at some sizes."""
    ways: dict[str, Callable[[Dataset, Graph], Index]] = {
        RIVAL: plain,
        "finger deferred": deferred,
        "finger screened": finger("low_rank"),
    }

    def found_on(some: Dataset, graph: Graph, setting: str) -> list[dict[str, Any]]:
        curves = curves_of(some, {name: way(some, graph) for name, way in ways.items()}, repeats)
        return rows_of(some, f"{setting} of {len(some.vectors):,} rows", curves)

    by_row: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for seed in range(seeds):
        _, graph = built_graph(data.vectors, HnswParams(metric=data.metric, seed=seed))
        for row in found_on(data, graph, "own graph"):
            by_row.setdefault((row["contender"], row["setting"]), []).append(row)
    rows = [_mean(found) for found in by_row.values()]
    for size in sorted({min(size, len(data.vectors)) for size in SIZES}):
        few = data.vectors[:size]
        some = Dataset(data.name, data.metric, few, data.queries, exact_answers(few, data.queries, data.metric))
        if size < len(data.vectors):
            rows += found_on(some, built_graph(few, HnswParams(metric=data.metric))[1], "own graph")
        rows += found_on(some, pruned_graph(few, data.metric), "pruned graph")
    return rows


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = {
        name: statistics.mean(row[name] for row in rows) for name in ("queries_per_second", "ratio") if name in rows[0]
    }
    return rows[0] | numbers


if __name__ == "__main__":
    run_part(measure, "finger_speed", __doc__)
