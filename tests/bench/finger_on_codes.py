"""What FINGER could save where distances come from codes: ``python -m tests.bench.finger_on_codes [--quick]``.

One graph, one set of codes; the packed search, the same with its coded distances played back from memory (which no
estimate can beat: the ceiling), and two searches that estimate each neighbour from a bit a direction kept with the edge
(finger_on_codes.cpp): screened, which looks at the codes of those alone that may be near, and deferred, whose frontier
is in the order of estimates. Codes as they are fitted, and 8 bits for every dimension. Needs a C++ compiler and AVX-512
with VNNI; nothing of this is in the package.
"""

import ctypes
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.ext import packed as kernel
from fingerpost.tasks.ann.codes import CodeParams, Codes, fit_codes, lines_of
from fingerpost.tasks.ann.finger_tables import compared_rows
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.packed import PackedIndex, aligned
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import SearchCounters, SearchResult
from tests.bench.ann_curves import Curve, rate_at
from tests.bench.ann_options import run_part
from tests.bench.ann_sets import Dataset, K, built_graph, cache_folder, digest
from tests.bench.results import ROOT, cpu_seconds

WIDTHS = (12, 16, 24, 32, 48, 64, 96, 128)
LEVELS = (0.98, 0.99)
RIVAL = "packed"
#: Numbers of finger_on_codes.cpp.
WAYS = {RIVAL: 0, "screened": 4, "deferred": 5}
RECORDED, PLAYED, UNRANKED = 1, 2, 3
#: Standard deviations by which estimates are lowered; of 0, 0.3, 0.7 and 1 the best on sift128.
MARGINS = {RIVAL: 0.0, "screened": 0.7, "deferred": 0.3}
FLAGS = ("-O3", "-std=c++17", "-ffp-contract=off", "-fno-math-errno", "-pthread", "-w", "-shared", "-fPIC")


class Map(ctypes.Structure):
    """A map of codes, as in finger_on_codes.cpp."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("positions", "bits")] + [
        (name, ctypes.c_void_p) for name in ("matrix", "shift", "low", "step")
    ]


class Parts(ctypes.Structure):
    """An index and its edges, as in finger_on_codes.cpp."""

    _fields_ = (
        [(name, ctypes.c_uint64) for name in ("nodes", "dim", "metric", "stride", "upper_count", "upper_stride")]
        + [(name, ctypes.c_uint64) for name in ("top_level", "entry_count", "keeping", "store_stride")]
        + [(name, ctypes.c_void_p) for name in ("links", "upper_nodes", "upper_start", "upper_links", "entries")]
        + [(name, ctypes.c_void_p) for name in ("store", "codes", "store_low", "store_step")]
        + [("code", Map), ("edge", Map), ("groups", ctypes.c_void_p)]
        + [("own_edge_map", ctypes.c_uint64), ("margin", ctypes.c_float)]
    )


class Work(ctypes.Structure):
    """What searches did."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("coded", "edges", "expansions")]


class Searches:
    """The searches of one data set, graph and codes."""

    def __init__(self, data: Dataset, graph: Graph, codes: Codes, edges: Codes) -> None:
        self._library, self._queries = ctypes.CDLL(str(_library())), np.ascontiguousarray(data.queries)
        self.index = PackedIndex.pack(data.vectors, graph, data.metric, codes=codes)
        header, arrays = self.index.header, self.index.arrays()
        parts = self._parts = Parts(nodes=header.size, dim=header.dim, top_level=header.top_level)
        parts.metric, parts.stride = ("l2", "ip", "cosine").index(data.metric), arrays["links"].shape[1]
        parts.upper_count, parts.upper_stride = len(arrays["upper_nodes"]), arrays["upper_links"].shape[1]
        parts.entry_count, parts.store_stride = len(arrays["entries"]), arrays["store"].shape[1]
        parts.keeping = ("float32", "integers", "bits12").index(header.keeping)
        for name in ("links", "upper_nodes", "upper_start", "upper_links", "entries", "store", "codes"):
            setattr(parts, name, arrays[name].ctypes.data)
        parts.store_low, parts.store_step = arrays["store_low"].ctypes.data, arrays["store_step"].ctypes.data
        self._kept = [arrays, edges]
        parts.code, parts.edge = (
            _map(arrays, header.bits),
            _map(edges.arrays() | {"shift": edges.query_shift}, edges.bits),
        )
        parts.own_edge_map = edges is not codes
        rows = compared_rows(data.vectors, graph, data.metric)
        groups = -(-parts.stride // 16) * (2 + parts.edge.positions // 32)
        self._groups = aligned((header.size, groups * 64), np.dtype(np.uint8))
        parts.groups = self._groups.ctypes.data
        padded = np.zeros((header.size, -(-header.dim // 16) * 16), dtype=np.float32)
        padded[:, : header.dim] = rows
        mapped = kernel.map_rows(rows, edges.matrix, edges.shift)
        self._library.fill_edges(ctypes.byref(parts), _at(padded), _at(mapped))

    @property
    def edge_bytes(self) -> float:
        """Bytes of an edge."""
        return self._groups.shape[1] / (-(-self._parts.stride // 16) * 16)

    def search(self, way: int, ef: int, *, margin: float = 0.0) -> tuple[float, SearchResult, Work]:
        """CPU seconds, what is found and the work of all queries."""
        count, work = len(self._queries), Work()
        self._parts.margin = margin
        ids, distances = np.empty((count, K), dtype=np.uint32), np.empty((count, K), dtype=np.float32)
        numbers = [ctypes.c_uint64(number) for number in (count, K, ef, max(self.index.header.rerank, ef // 2))]
        seconds, _ = cpu_seconds(
            lambda: self._library.search(
                ctypes.byref(self._parts),
                _at(self._queries),
                *numbers,
                way,
                _at(ids),
                _at(distances),
                ctypes.byref(work),
            )
        )
        return seconds, SearchResult(ids, distances, SearchCounters()), work


def measure(data: Dataset, *, seeds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of both kinds of codes on one data set, one seed; none for inner products and without VNNI."""
    if data.metric == "ip" or "avx512_vnni" not in Path("/proc/cpuinfo").read_text():
        return []
    _, graph = built_graph(data.vectors, HnswParams(metric=data.metric))
    fitted, dim = fit_codes(data.vectors, data.metric), data.vectors.shape[1]
    edges = fit_codes(data.vectors, data.metric, CodeParams(lines=1))
    if fitted.matrix.shape == edges.matrix.shape:
        edges = fitted
    whole = fit_codes(data.vectors, data.metric, CodeParams(bits=8, lines=lines_of(dim, 8)))
    rows = []
    for codes in (fitted, whole):
        searches = Searches(data, graph, codes, edges)
        # What is compared is what the package does.
        own = searches.index.search(data.queries, K, ef=WIDTHS[0])
        assert np.array_equal(searches.search(WAYS[RIVAL], WIDTHS[0])[1].ids, own.ids)
        rows += _rows(data, searches, codes, repeats)
    return rows


def _rows(data: Dataset, searches: Searches, codes: Codes, repeats: int) -> list[dict[str, Any]]:
    curves, count = {name: Curve() for name in WAYS}, len(data.queries)
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in WAYS}
    for ef in WIDTHS:
        searches.search(RECORDED, ef)
        passes: dict[int, list[float]] = {PLAYED: [], UNRANKED: []}
        for _ in range(repeats):
            for name, way in WAYS.items():
                seconds, found, work = searches.search(way, ef, margin=MARGINS[name])
                curves[name].seconds.setdefault(ef, []).append(seconds)
                curves[name].recalls[ef] = [recall(found, data.exact)]
                if len(curves[name].seconds[ef]) == 1:
                    figures[name].setdefault("coded", []).append(work.coded / count)
                    figures[name].setdefault("edges", []).append(work.edges / count)
            for way, times in passes.items():
                times.append(searches.search(way, ef)[0])
        total = statistics.median(curves[RIVAL].seconds[ef])
        played, unranked = (statistics.median(passes[way]) for way in (PLAYED, UNRANKED))
        parts = {"ceiling": total / played, "code_share": 1 - played / total, "exact_share": 1 - unranked / total}
        for part, value in parts.items():
            figures[RIVAL].setdefault(part, []).append(value)
    setting = f"{codes.bits} bits, {codes.row_bytes} bytes a code, {searches.edge_bytes:.0f} an edge"
    rows = []
    for level in LEVELS:
        own = rate_at(curves[RIVAL], level, count)
        for name, curve in curves.items():
            rate = rate_at(curve, level, count)
            if rate is None or own is None:
                continue
            reached = [curve.recalls[ef][0] for ef in WIDTHS]
            row: dict[str, Any] = {"dataset": data.name, "contender": name, "setting": f"{setting}, recall={level}"}
            row |= {"queries_per_second": rate}
            row |= {part: float(np.interp(level, reached, values)) for part, values in figures[name].items()}
            rows.append(row | ({} if name == RIVAL else {"ratio": rate / own, "rival": RIVAL}))
    return rows


def _map(arrays: dict[str, Any], bits: int) -> Map:
    found = Map(positions=len(arrays["shift"]), bits=bits)
    for name in ("matrix", "shift", "low", "step"):
        setattr(found, name, arrays[name].ctypes.data)
    return found


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _library() -> Path:
    source = Path(__file__).with_suffix(".cpp")
    headers = [path.read_bytes() for path in sorted((ROOT / "ext").glob("*.hpp"))]
    path = cache_folder() / f"finger_on_codes-{digest(source.read_bytes(), headers)}.so"
    if not path.is_file():
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, *FLAGS, f"-I{ROOT / 'ext'}", str(source), "-o", str(path)], check=True)
    return path


if __name__ == "__main__":
    run_part(measure, "finger_on_codes", __doc__)
