"""The data sets of the nearest-neighbour benchmarks, and what is kept of them between runs.

Exact answers, graphs and text vectors lie in ``FINGERPOST_BENCH_CACHE``, by default ``bench-results/cache``.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.ext.hnsw import SOURCE_HASH
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import Graph, UpperLevel
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.ann.search import Metric, SearchCounters, SearchResult
from tests.bench.results import cpu_seconds, results_folder
from tests.data import data_file

K = 10
Reader = Callable[[int | None, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Dataset:
    """A task: vectors and queries float32 (rows, dim), and the queries' exact K neighbours."""

    name: str
    metric: Metric
    vectors: np.ndarray
    queries: np.ndarray
    exact: SearchResult


def load(name: str, *, rows: int | None = None, queries: int = 2000) -> Dataset:
    """A data set by name, its first ``rows`` vectors, with exact answers; SystemExit where its file is absent."""
    metric, reader = DATASETS[name]
    vectors, asked = reader(rows, queries)
    return Dataset(name, metric, vectors, asked, exact_answers(vectors, asked, metric))


def exact_answers(vectors: np.ndarray, queries: np.ndarray, metric: Metric) -> SearchResult:
    """Exact K neighbours of queries (q, dim), kept between runs."""
    path = cache_folder() / f"exact-{digest(vectors, queries, metric, K)}.npz"
    if not path.is_file():
        found = ExactIndex(vectors, metric).search(queries, K)
        _keep(path, ids=found.ids, distances=found.distances)
    kept = np.load(path)
    return SearchResult(kept["ids"], kept["distances"], SearchCounters())


def built_graph(vectors: np.ndarray, params: HnswParams) -> tuple[float, Graph]:
    """CPU seconds of a build on one thread, and its graph; kept between runs while the code that builds stays the same."""
    path = cache_folder() / f"graph-{digest(vectors, asdict(params), SOURCE_HASH)}.npz"
    if not path.is_file():
        seconds, (graph, _) = cpu_seconds(lambda: build(vectors, params))
        _keep(path, seconds=np.float64(seconds), levels=np.int64(len(graph.upper)), **_graph_arrays(graph))
    kept = np.load(path)
    upper = tuple(
        UpperLevel(*(kept[f"{name}_{level}"] for name in ("nodes", "indptr", "indices")))
        for level in range(int(kept["levels"]))
    )
    return float(kept["seconds"]), Graph(kept["indptr"], kept["indices"], upper, kept["entry_points"])


def _graph_arrays(graph: Graph) -> dict[str, np.ndarray]:
    arrays = {"indptr": graph.indptr, "indices": graph.indices, "entry_points": graph.entry_points}
    for number, level in enumerate(graph.upper):
        arrays |= {f"{name}_{number}": getattr(level, name) for name in ("nodes", "indptr", "indices")}
    return arrays


def cache_folder() -> Path:
    """Where slow intermediate results are kept; safe to delete."""
    folder = Path(os.environ.get("FINGERPOST_BENCH_CACHE") or results_folder() / "cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(*parts: Any) -> str:
    """A name for arrays and values, by their content."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(repr((part.shape, part.dtype.str)).encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(repr(part).encode())
    return found.hexdigest()


def _keep(path: Path, **arrays: Any) -> None:
    # Written beside and renamed: several runs may share the folder.
    beside = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(beside, **arrays)
    beside.rename(path)


def images(rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """mnist784: pixels."""
    return _archive("mnist784", rows, queries)


def descriptors(rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """sift128: SIFT descriptors of BSDS500 photographs (not the TEXMEX set)."""
    return _archive("sift128", rows, queries)


def texts(rows: int | None, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """debian12: descriptions as 256 directions of TF-IDF, not normalised; kept once made."""
    kept = cache_folder() / "debian12-svd256.npy"
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


DATASETS: dict[str, tuple[Metric, Reader]] = {
    "mnist784": ("l2", images),
    "sift128": ("l2", descriptors),
    "debian12-cosine": ("cosine", texts),
    "debian12-ip": ("ip", texts),
}
