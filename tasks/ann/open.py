"""Searchable objects from committed ann artifacts, without Prefect or Dask.

``live()`` opens the published index::

    from fingerpost.tasks.ann.open import live
    answers = live().query("return a sorted copy of an array")
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store, parameters_of
from fingerpost.tasks.ann.answers import WORDS, Answer, Answers, Radius, radius_of, within_of
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.finger_basis import FingerBasis
from fingerpost.tasks.ann.finger_search import FingerIndex
from fingerpost.tasks.ann.finger_tables import FingerTables, join_ranges
from fingerpost.tasks.ann.graph import NONE, Graph, UpperLevel
from fingerpost.tasks.ann.hnsw import HnswIndex
from fingerpost.tasks.ann.search import Index
from fingerpost.tasks.ann.unit_rows import unit_rows
from fingerpost.tasks.ann.within import rows_within
from fingerpost.tasks.answer_count import checked_count
from fingerpost.tasks.corpus.by_words import best_by_words
from fingerpost.tasks.corpus.open import read_components, read_features, read_featurizer, read_vectors
from fingerpost.tasks.corpus.rerank import RerankParams
from fingerpost.tasks.corpus.sentences import first_sentence
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.tfidf import Featurizer

PRODUCT = contracts.INDEX.name


def kernel_metric(metric: str) -> Any:
    """The metric of the kernels: stored vectors already have norm 1, and inner product also accepts rows of zeros."""
    return "ip" if metric == "cosine" else metric


def read_graph(artifact: Artifact) -> Graph:
    """The graph of an artifact, its structure checked."""
    arrays = tensors_from_arrow(artifact.read("graph"))
    levels = sorted({name[:8] for name in arrays if name.startswith("upper_")})
    upper = tuple(
        UpperLevel(*(arrays[f"{level}_{part}"] for part in ("nodes", "indptr", "indices"))) for level in levels
    )
    return Graph(arrays["indptr"], arrays["indices"], upper, arrays["entry_points"])


def read_basis(artifact: Artifact) -> FingerBasis:
    """The FINGER basis of an artifact."""
    return FingerBasis.from_arrays(tensors_from_arrow(artifact.read("basis")))


def open_searcher(store: Store, vectors: Ref, graph: Ref, metric: str) -> HnswIndex:
    """Plain search over committed vectors and graph."""
    return HnswIndex(
        read_vectors(store.open(vectors, corpus.VECTORS)),
        read_graph(store.open(graph, contracts.GRAPH)),
        kernel_metric(metric),
    )


def open_finger(
    store: Store, vectors: np.ndarray, graph: Graph, finger_basis: Ref, finger_tables: Ref, metric: str
) -> FingerIndex:
    """FINGER search over vectors, their graph and its committed tables."""
    basis = read_basis(store.open(finger_basis, contracts.FINGER_BASIS))
    tables = store.open(finger_tables, contracts.FINGER_TABLES)
    parts = [
        FingerTables(basis=basis, **tensors_from_arrow(tables.read("tables", shard=entry.shard)))
        for entry in tables.entries("tables")
    ]
    return FingerIndex(vectors, graph, join_ranges(parts), kernel_metric(metric))


class LiveIndex:
    """An index release whose parts are loaded when queries need them.

    method: "finger", "hnsw", or "auto": FINGER if it was measured to be faster on this index. Every file is verified
    against its checksum when it is read. FingerpostError for another method.
    """

    def __init__(self, store: Store, ref: Ref, *, method: str = "auto") -> None:
        self.store, self.ref = store, ref
        release = store.open(ref, contracts.INDEX)
        self.members = read_members(store, ref)
        self.manifest: Manifest = release.manifest
        self.metric: str = release.figure("metric", str)
        speedup = release.measured("finger_speedup")
        if method not in {"auto", "finger", "hnsw"}:
            raise FingerpostError(f"method: expected auto, finger or hnsw, got {method!r}; choose one of them")
        self.method = method if method != "auto" else "finger" if speedup >= 1 else "hnsw"

    @cached_property
    def documents(self) -> pa.Table:
        """The documents, one per row of the index."""
        return self._open("documents", corpus.DOCUMENTS).read("documents")

    @cached_property
    def vectors(self) -> np.ndarray:
        """The dense vectors, float32 (n, d)."""
        return read_vectors(self._open("vectors", corpus.VECTORS))

    @cached_property
    def index(self) -> Index:
        """The graph search over the vectors."""
        graph = read_graph(self._open("graph", contracts.GRAPH))
        if self.method == "finger":
            return open_finger(
                self.store,
                self.vectors,
                graph,
                self.members["finger_basis"],
                self.members["finger_tables"],
                self.metric,
            )
        return HnswIndex(self.vectors, graph, kernel_metric(self.metric))

    @cached_property
    def featurizer(self) -> Featurizer:
        """The featurizer of the documents, for query texts."""
        return read_featurizer(
            self.store, **{role: self._member(role) for role in ("vocabulary", "ngrams", "features")}
        )

    @cached_property
    def components(self) -> np.ndarray:
        """The projection of features to vectors, float32 (columns, d)."""
        return read_components(self._open("projection", corpus.PROJECTION))

    @cached_property
    def features(self) -> Any:
        """The documents' sparse features, CSR (n, columns)."""
        return read_features(self._open("features", corpus.FEATURES))

    @cached_property
    def engine(self) -> Engine:
        """The engine of text queries, with the parameters that the release was evaluated with."""
        retrieval = self.members["retrieval"]
        params = parameters_of(self.store, retrieval, lambda given: RerankParams(**given["params"]["rerank"]))
        return Engine(self.featurizer, self.components, self.features, self.index, params)

    def load(self, *parts: str) -> None:
        """Loads and verifies several parts concurrently; each part is loaded once."""
        missing = [part for part in parts if part not in vars(self)]
        if missing:
            with ThreadPoolExecutor(len(missing)) as pool:
                for loaded in [pool.submit(getattr, self, part) for part in missing]:
                    loaded.result()

    def query(
        self, text: str, *, k: int = 10, kind: str | None = None, package: str | None = None, within: Radius = None
    ) -> Answers:
        """The documents nearest to a text: dense candidates from the index, re-ranked by sparse similarity.

        Where the vectors were given with the documents, a text has none of theirs: all documents are then ranked by
        sparse similarity, and ``within`` is an error.

        k: maximum number of answers, at least 0. kind, package: only documents with these values. within: only documents whose
        dense vectors have at least this similarity (l2: at most this distance), for example
        ``threshold_for(index).threshold`` of fingerpost.tasks.metric.open; without it the number of candidates is
        fixed.
        """
        checked_count(k)
        if "features" in self.members and "projection" not in self.members:
            return self._by_words(text, k, kind, package, within)
        self.load("featurizer", "features", "components", "documents", "index")
        radius = self._radius(within)
        queries = self.featurizer.transform([text])
        if not queries.nnz:
            return Answers([], 0, 0, 0, self.method, None if radius is None else within_of(radius, self.metric))
        keep = self._filter(kind, package)
        if radius is not None:
            most = max(k, self.engine.params.candidates)
            near = rows_within(self.index, project(queries, self.components)[0], radius, most=most, keep=keep)
            rows, similarities, work = near.rows[None], (1.0 - near.distances[None]).astype(np.float32), near.counters
        else:
            nearest = self.engine.candidates(queries)
            rows = np.where((nearest.rows >= 0) & keep[nearest.rows], nearest.rows, -1)
            similarities, work = nearest.similarities, nearest.counters
        order, scores = self.engine.ordered(queries, rows, similarities)
        chosen = [(int(row), float(score)) for row, score in zip(order[0], scores[0], strict=True) if row >= 0]
        candidates = int(((rows if radius is not None else nearest.rows) >= 0).sum())
        answers = self._answers(chosen[:k], candidates, work.distances, work.estimates)
        if radius is None:
            return answers
        return replace(answers, within=within_of(radius, self.metric), more=not near.complete or len(chosen) > k)

    def _by_words(self, text: str, k: int, kind: str | None, package: str | None, within: Radius) -> Answers:
        if within is not None:
            raise FingerpostError(
                f"within: expected a document or vector to compare the vectors of {self.ref} with, which were given, got"
                " a text; query with --like ID or --vectors FILE, or leave --within out"
            )
        self.load("featurizer", "features", "documents")
        query, keep = self.featurizer.transform([text]), self._filter(kind, package)
        rows, scores, matched = best_by_words(query, self.features, keep, k)
        chosen = list(zip(rows.tolist(), map(float, scores), strict=True))
        if not chosen:
            return Answers([], matched, 0, 0, WORDS)
        return replace(self._answers(chosen, matched, 0, 0), method=WORDS)

    def similar(
        self,
        key: str,
        *,
        k: int = 10,
        ef: int = 100,
        kind: str | None = None,
        package: str | None = None,
        within: Radius = None,
    ) -> Answers:
        """The documents nearest to the one with this id, excluding itself; ``within`` as in `query`.

        FingerpostError for an unknown id.
        """
        row = pc.index(self.documents["id"], key).as_py()
        if row < 0:
            raise FingerpostError(
                f"id: expected one of the {self.documents.num_rows} documents of {self.ref}, got {key!r}; find it with"
                " a text query"
            )
        return self._nearest(self.vectors[row : row + 1], k, ef, kind, package, within, without=row)

    def search(
        self,
        vector: ArrayLike,
        *,
        k: int = 10,
        ef: int = 100,
        kind: str | None = None,
        package: str | None = None,
        within: Radius = None,
    ) -> Answers:
        """The documents nearest to a vector (d,) of the documents' own space; ``within`` as in `query`.

        FingerpostError for a vector of another length, of zeros, or with values that are not finite.
        """
        given = np.asarray(vector, dtype=np.float64).reshape(1, -1)
        if self.metric == "cosine" and np.isfinite(given).all():
            given = unit_rows(given).astype(np.float64)
        with np.errstate(over="ignore"):
            row = given.astype(np.float32)
        if row.shape[1] != self.vectors.shape[1] or not np.isfinite(row).all() or not row.any():
            raise FingerpostError(
                f"vector: expected {self.vectors.shape[1]} finite numbers, not all 0, got {row.shape[1]} numbers;"
                " compute it with the model of the documents' vectors"
            )
        return self._nearest(row, k, ef, kind, package, within, without=-1)

    def _nearest(
        self, row: np.ndarray, k: int, ef: int, kind: str | None, package: str | None, within: Radius, *, without: int
    ) -> Answers:
        checked_count(k)
        keep = self._filter(kind, package)
        if without >= 0:
            keep[without] = False
        score: Callable[[float], float] = (lambda d: -d) if self.metric == "l2" else (lambda d: 1.0 - d)
        if (radius := self._radius(within)) is not None:
            near = rows_within(self.index, row[0], radius, most=max(k, 1), keep=keep, ef=ef)
            chosen = [(int(i), score(float(d))) for i, d in zip(near.rows, near.distances, strict=True)]
            answers = self._answers(chosen[:k], len(chosen), near.counters.distances, near.counters.estimates)
            more = not near.complete or len(chosen) > k
            return replace(answers, within=within_of(radius, self.metric), more=more)
        width = max(ef, k + 1) if keep.sum() >= len(keep) - 1 else min(max(ef, 1000), len(self.vectors))
        result = self.index.search(row, min(width, len(self.vectors)), ef=width)
        if not np.isfinite(result.distances[result.ids != NONE]).all():
            raise FingerpostError(
                f"vector: expected one whose {self.metric} distances float32 can hold, got one of length"
                f" {np.linalg.norm(row.astype(np.float64)):.2g}; scale it like the documents' vectors"
            )
        pairs = [
            (int(i), score(float(d)))
            for i, d in zip(result.ids[0], result.distances[0], strict=True)
            if i != NONE and keep[i]
        ]
        return self._answers(pairs[:k], len(pairs), result.counters.distances, result.counters.estimates)

    def _radius(self, within: Radius) -> float | None:
        return None if within is None else radius_of(float(within), self.metric)

    def _filter(self, kind: str | None, package: str | None) -> np.ndarray:
        keep = np.ones(self.documents.num_rows, dtype=bool)
        for column, wanted in (("kind", kind), ("package", package)):
            if wanted is not None:
                keep &= pc.equal(self.documents[column], wanted).to_numpy()
                if not keep.any():
                    examples = sorted(set(self.documents[column].to_pylist()))[:12]
                    raise FingerpostError(
                        f"{column}: expected one that documents have, got {wanted!r}; choose from {', '.join(examples)}"
                    )
        return keep

    def _answers(self, chosen: list[tuple[int, float]], candidates: int, distances: int, estimates: int) -> Answers:
        rows = self.documents.take(pa.array([row for row, _ in chosen], pa.int64())).to_pylist()
        answers = [
            Answer(
                row["id"],
                row["title"],
                row["kind"],
                row["package"],
                round(score, 6),
                first_sentence(row["text"]),
            )
            for row, (_, score) in zip(rows, chosen, strict=True)
        ]
        return Answers(answers, candidates, distances, estimates, self.method)

    def _open(self, role: str, contract: Any) -> Artifact:
        return self.store.open(self._member(role), contract)

    def _member(self, role: str) -> Ref:
        if role not in self.members:
            raise FingerpostError(
                f"index {self.ref}: expected {role} in an index of texts, found an index of imported vectors; query it"
                " with --like ID or --vectors FILE"
            )
        return self.members[role]


def live(collection: str | None = None, *, store: str | None = None, method: str = "auto") -> LiveIndex:
    """The published index of a collection, ready for queries.

    collection: by default the only one with a published index (or ``python-docs``). store: a folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above. Raises MissingArtifactError if
    nothing is live.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveIndex(opened, Pointer(opened, chosen, PRODUCT).required().artifact, method=method)
