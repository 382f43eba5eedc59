"""Nearest-neighbour search beside its rivals: ``python -m tests.bench.bench_ann [--quick]``.

One thread, CPU seconds, k = 10, M 16 and ef_construction 200 for all. Rivals run in their own environment, and every
setting is measured in turns: us, rival, us, rival. Recall is against exact search, ties by distance, mean of the seeds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fingerpost.ext.hnsw import gather_distances, normalise_rows
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.hnsw import Graph, HnswIndex, HnswParams, build
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Index, SearchCounters, SearchResult
from tests.bench.peers import PeerProcess, peer_python
from tests.bench.results import cpu_seconds, print_table, results_folder, write_rows
from tests.data import data_file

K = 10
WIDTHS = (10, 20, 40, 80, 160, 320)
LEVELS = (0.9, 0.95, 0.98, 0.99, 0.995)
RIVAL = "hnswlib"


@dataclass(frozen=True)
class Dataset:
    """A task: vectors, queries and their exact neighbours."""

    name: str
    metric: Any
    vectors: np.ndarray
    queries: np.ndarray
    exact: SearchResult


@dataclass
class Curve:
    """What one contender reached: per width one list over seeds and repeats."""

    build_seconds: list[float] = field(default_factory=list)
    recalls: dict[int, list[float]] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    distances: dict[int, float] = field(default_factory=dict)


class Contender(Protocol):
    """One library on one data set."""

    name: str

    def build(self, seed: int) -> float: ...
    def search(self, ef: int) -> tuple[float, SearchResult]: ...


class Ours:
    """Our graph, searched plainly or through tables made for it."""

    def __init__(self, name: str, data: Dataset, graphs: dict[int, tuple[float, Graph]], screen: str | None) -> None:
        self.name, self._data, self._graphs, self._screen = name, data, graphs, screen
        self._index: Index

    def build(self, seed: int) -> float:
        if seed not in self._graphs:
            params = HnswParams(metric=self._data.metric, seed=seed)
            self._graphs.clear()
            seconds, (graph, _) = cpu_seconds(lambda: build(self._data.vectors, params))
            self._graphs[seed] = seconds, graph
        seconds, graph = self._graphs[seed]
        more, self._index = cpu_seconds(lambda: self._wrap(graph))
        return seconds + more

    def _wrap(self, graph: Graph) -> Index:
        if self._screen is None:
            return HnswIndex(self._data.vectors, graph, self._data.metric)
        from fingerpost.tasks.ann.finger_basis import FingerParams
        from fingerpost.tasks.ann.finger_search import FingerIndex
        from tests.support.graphs import build_tables

        params = FingerParams(estimator=self._screen)  # type: ignore[arg-type]
        tables = build_tables(self._data.vectors, graph, self._data.metric, params=params)
        return FingerIndex(self._data.vectors, graph, tables, self._data.metric)

    def search(self, ef: int) -> tuple[float, SearchResult]:
        return cpu_seconds(lambda: self._index.search(self._data.queries, K, ef=ef))


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


def images(rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """mnist784: pixels."""
    return _archive("mnist784", rows, queries)


def descriptors(rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """sift128: SIFT descriptors of BSDS500 photographs (not the TEXMEX set)."""
    return _archive("sift128", rows, queries)


def texts(rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """debian12: descriptions as 256 directions of TF-IDF, not normalised; kept in the results' folder once made."""
    kept = results_folder() / "cache-debian12-svd256.npy"
    if not kept.is_file():
        import pandas as pd
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        table = pd.read_parquet(data_file("debian12", "packages.parquet"), columns=["summary", "description"])
        text = (table["summary"].fillna("") + "\n" + table["description"].fillna("")).drop_duplicates()
        features = TfidfVectorizer(min_df=3, ngram_range=(1, 2), sublinear_tf=True).fit_transform(text)
        dense = TruncatedSVD(256, random_state=0).fit_transform(features).astype(np.float32)
        dense = dense[np.abs(dense).sum(axis=1) > 1e-3]
        np.save(kept, dense[np.random.default_rng(0).permutation(len(dense))])
    dense = np.load(kept)
    return dense[queries:][:rows], dense[:queries]


def _archive(name: str, rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    file = np.load(data_file(name, f"{name}.npz"))
    return file["train"][:rows].astype(np.float32), file["test"][:queries].astype(np.float32)


Reader = Callable[[int | None, int], tuple[np.ndarray, np.ndarray]]
DATASETS: dict[str, tuple[str, Reader]] = {
    "mnist784": ("l2", images),
    "sift128": ("l2", descriptors),
    "debian12-cosine": ("cosine", texts),
    "debian12-ip": ("ip", texts),
}


def measure(
    data: Dataset, contenders: list[Contender], seeds: int, repeats: int, widths: tuple[int, ...]
) -> list[Curve]:
    """The curves of all contenders, measured in turns."""
    curves = [Curve() for _ in contenders]
    for seed in range(seeds):
        for contender, curve in zip(contenders, curves, strict=True):
            curve.build_seconds.append(contender.build(seed))
        for ef in widths:
            for _ in range(repeats):
                for contender, curve in zip(contenders, curves, strict=True):
                    seconds, found = contender.search(ef)
                    curve.seconds.setdefault(ef, []).append(seconds)
            for contender, curve in zip(contenders, curves, strict=True):
                found = contender.search(ef)[1]
                curve.recalls.setdefault(ef, []).append(recall(found, data.exact))
                curve.distances[ef] = found.counters.distances / len(data.queries)
    return curves


def rate_at(curve: Curve, level: float, queries: int) -> float | None:
    """Queries per second at a recall, between the two widths around it (log rate over recall); None outside."""
    points = sorted(
        (statistics.mean(curve.recalls[ef]), np.log(queries / statistics.median(curve.seconds[ef])))
        for ef in curve.recalls
    )
    recalls, rates = np.array(points).T
    return float(np.exp(np.interp(level, recalls, rates))) if recalls[0] <= level <= recalls[-1] else None


def rows_of(data: Dataset, names: list[str], curves: list[Curve]) -> list[dict[str, Any]]:
    """Build, equal-ef and equal-recall rows; ratios to hnswlib where it ran, of screened searches also to the plain."""
    size = len(data.queries)
    by_name = dict(zip(names, curves, strict=True))
    rows: list[dict[str, Any]] = []
    for name, curve in by_name.items():
        rival = by_name.get(RIVAL) if name != RIVAL else None
        start: dict[str, Any] = {"dataset": data.name, "contender": name}
        seconds = statistics.median(curve.build_seconds)
        row = start | {"setting": "build", "seconds": seconds}
        rows.append(row | _against(rival and statistics.median(rival.build_seconds) / seconds, RIVAL))
        for ef, recalls in curve.recalls.items():
            seconds, mean = statistics.median(curve.seconds[ef]), statistics.mean(recalls)
            row = start | {"setting": f"ef={ef}", "recall_at_10": mean, "queries_per_second": size / seconds}
            if curve.distances[ef]:
                row["distances_per_query"] = curve.distances[ef]
            if rival:
                row["recall_difference"] = mean - statistics.mean(rival.recalls[ef])
            rows.append(row | _against(rival and statistics.median(rival.seconds[ef]) / seconds, RIVAL))
        for level in LEVELS:
            rate = rate_at(curve, level, size)
            rivals = {RIVAL: rival} | ({"hnsw": by_name["hnsw"]} if name.startswith("finger") else {})
            for other, its in rivals.items():
                other_rate = rate_at(its, level, size) if its else None
                if rate and (other_rate or other == RIVAL):
                    row = start | {"setting": f"recall={level}", "queries_per_second": rate}
                    rows.append(row | _against(other_rate and rate / other_rate, other))
    return rows


def _against(ratio: float | None, rival: str) -> dict[str, Any]:
    return {} if ratio is None else {"ratio": ratio, "rival": rival}


def plot(data: Dataset, names: list[str], curves: list[Curve]) -> Path:
    """Recall against queries per second as a picture in the results' folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, curve in zip(names, curves, strict=True):
        recalls = [statistics.mean(values) for values in curve.recalls.values()]
        rates = [len(data.queries) / statistics.median(values) for values in curve.seconds.values()]
        axes.plot(recalls, rates, marker="o", label=name)
    axes.set(xlabel="recall@10", ylabel="queries per second, one thread", yscale="log")
    axes.set_title(f"{data.name}: {len(data.vectors):,} × {data.vectors.shape[1]}, {data.metric}")
    axes.grid(alpha=0.3)
    axes.legend()
    path = results_folder() / f"ann-{data.name}.png"
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return path


def thread_row(data: Dataset) -> dict[str, Any]:
    """How much sooner two threads end a build than one, by wall time, in turns."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    rows = data.vectors[: min(len(data.vectors), 20_000)]
    for _ in range(3):
        for threads in seconds:
            start = time.perf_counter()
            build(rows, HnswParams(metric=data.metric), threads=threads)
            seconds[threads].append(time.perf_counter() - start)
    one, two = min(seconds[1]), min(seconds[2])
    row = {"dataset": data.name, "contender": "hnsw, 2 threads", "setting": f"build {len(rows):,} rows"}
    return row | {"seconds": two, "ratio": one / two, "rival": "hnsw, 1 thread"}


def run(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All contenders on one data set."""
    metric, reader = DATASETS[name]
    vectors, queries = reader(options.rows, options.queries)
    data = Dataset(name, metric, vectors, queries, ExactIndex(vectors, metric).search(queries, K))
    graphs: dict[int, tuple[float, Graph]] = {}
    contenders: list[Any] = [Ours("hnsw", data, graphs, None)]
    if not options.plain:
        contenders += [Ours(f"finger {screen}", data, graphs, screen) for screen in ("low_rank", "signs")]
    python = peer_python("ann")
    with tempfile.TemporaryDirectory() as folder:
        peers = [Peer(peer, data, Path(folder), python) for peer in options.peers.split(",") if peer and python]
        contenders += peers
        curves = measure(data, contenders, options.seeds, options.repeats, WIDTHS)
        for peer in peers:
            peer.close()
    names = [contender.name for contender in contenders]
    rows = [*rows_of(data, names, curves), thread_row(data)]
    print_table(rows, title=f"{name} ({len(vectors):,} × {vectors.shape[1]}, {metric}, {len(queries):,} queries)")
    print(f"plot: {plot(data, names, curves).relative_to(results_folder().parent)}")
    return rows


def main() -> None:
    """Runs the benchmark and writes ``bench-results/ann.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 rows, 500 queries, one seed")
    parser.add_argument("--plain", action="store_true", help="leave the screened searches out")
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--peers", default="hnswlib,faiss")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.quick:
        options.rows, options.queries, options.seeds = 10_000, 500, 1
    if peer_python("ann") is None:
        print("no peers: expected <FINGERPOST_PEERS>/ann/bin/python; measuring ourselves alone")
    rows: list[dict[str, Any]] = []
    for name in options.datasets.split(","):
        rows += run(name, options)
        # After each data set, so that a run that is stopped leaves what it has measured.
        print(f"rows: {write_rows('ann', rows).relative_to(results_folder().parent)}", flush=True)


if __name__ == "__main__":
    main()
