"""Searchable objects from committed ann artifacts, without Prefect or Dask.

``live()`` opens the published index::

    from fingerpost.tasks.ann.open import live
    answers = live().query("return a sorted copy of an array")
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from fingerpost.reader import packed_index
from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.chosen_settings import settings_from_arrow
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, FormerVersionError
from fingerpost.schemas.mapped_arrays import arrays_from_arrow
from fingerpost.schemas.matrices import fixed_matrix, tensors_from_arrow
from fingerpost.schemas.packed_texts import packed_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.records import count
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store, parameters_of
from fingerpost.tasks.ann.answers import DENSE_MEASURES, Answer, Answers, Radius, radius_of, within_of
from fingerpost.tasks.ann.batches import Filters, batch_keep, batch_vectors, conditions
from fingerpost.tasks.ann.certificate import Certificate, CertifiedWidth, UnreachedRecallError
from fingerpost.tasks.ann.dense_side import DenseSide, NeighborTable
from fingerpost.tasks.ann.duplicates import SAME_TERMS, SAME_VECTORS, Distinct, term_likeness, vector_likeness
from fingerpost.tasks.ann.engine import Engine, Question
from fingerpost.tasks.ann.filtered import NOTHING, Nearest, nearest_kept
from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.graph import NONE, Graph, UpperLevel
from fingerpost.tasks.ann.keep import KeepLike
from fingerpost.tasks.ann.matches import Matches, joined_matches, matches_of
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.packed_texts import EmbeddedTexts, PackedTexts
from fingerpost.tasks.ann.search import Index
from fingerpost.tasks.ann.served import Wanted, chosen_places, nearest_answers, ranked_answers
from fingerpost.tasks.ann.unit_rows import unit_rows
from fingerpost.tasks.ann.within import rows_within
from fingerpost.tasks.answer_count import checked_count
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerVersionError
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.missing_words import missing_words, written
from fingerpost.tasks.corpus.open import (
    read_analyzer,
    read_components,
    read_field_weights,
    read_lexicon,
    read_postings,
    read_vectors,
)
from fingerpost.tasks.corpus.postings import Postings
from fingerpost.tasks.corpus.spellings import near_spellings
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights

if TYPE_CHECKING:  # imported where they are used: a query waits for all that is imported here
    from fingerpost.tasks.ann.deferred_search import DeferredIndex
    from fingerpost.tasks.ann.edge_codes import EdgeCoder
    from fingerpost.tasks.ann.filtered_index import FilteredIndex
    from fingerpost.tasks.ann.finger_basis import FingerBasis
    from fingerpost.tasks.ann.finger_search import FingerIndex
    from fingerpost.tasks.corpus.impacts import FieldWeights

PRODUCT = contracts.INDEX.name

#: The width of a search of an index without a certificate.
_WIDTH = 100
#: Factor by which a ranking is continued where near-duplicates leave too few answers.
_DEEPER = 4
#: A member of indexes of texts that versions before 0.2 made, in place of a lexicon and postings.
_FORMER = "vocabulary"


def kernel_metric(metric: str) -> Any:
    """The metric of the kernels: stored vectors already have norm 1, and inner product also accepts rows of zeros."""
    return "ip" if metric == "cosine" else metric


def read_graph(artifact: Artifact, *, shard: int | None = None) -> Graph:
    """The graph of an artifact, or that of one of its shards, its structure checked."""
    arrays = tensors_from_arrow(artifact.read("graph", shard=shard))
    levels = sorted({name[:8] for name in arrays if name.startswith("upper_")})
    upper = tuple(
        UpperLevel(*(arrays[f"{level}_{part}"] for part in ("nodes", "indptr", "indices"))) for level in levels
    )
    return Graph(arrays["indptr"], arrays["indices"], upper, arrays["entry_points"])


def read_basis(artifact: Artifact) -> "FingerBasis":
    """The FINGER basis of an artifact."""
    from fingerpost.tasks.ann.finger_basis import FingerBasis

    return FingerBasis.from_arrays(tensors_from_arrow(artifact.read("basis")))


def open_finger(
    store: Store, vectors: np.ndarray, graph: Graph, finger_basis: Ref, finger_tables: Ref, metric: str
) -> "FingerIndex":
    """FINGER search over vectors, their graph and its committed tables, of an index of an earlier version."""
    from fingerpost.tasks.ann.finger_search import FingerIndex
    from fingerpost.tasks.ann.finger_tables import FingerTables, join_ranges

    basis = read_basis(store.open(finger_basis, contracts.FINGER_BASIS))
    tables = store.open(finger_tables, contracts.FINGER_TABLES)
    parts = [
        FingerTables(basis=basis, **tensors_from_arrow(tables.read("tables", shard=entry.shard)))
        for entry in tables.entries("tables")
    ]
    return FingerIndex(vectors, graph, join_ranges(parts), kernel_metric(metric))


def read_coder(artifact: Artifact) -> tuple["EdgeCoder", np.ndarray]:
    """How FINGER's estimates are coded, of an artifact, and the lines (e, 64) of the nodes that searches begin from."""
    from fingerpost.tasks.ann.edge_codes import EdgeCoder

    arrays = tensors_from_arrow(artifact.read("codes"))
    return EdgeCoder.from_arrays(arrays), arrays["entries"]


def open_deferred(
    store: Store, vectors: np.ndarray, graph: Graph, finger_codes: Ref, finger_blocks: Ref, metric: str
) -> "DeferredIndex":
    """FINGER search with deferred distances over vectors, their graph and its committed blocks."""
    from fingerpost.tasks.ann.deferred_search import DeferredIndex
    from fingerpost.tasks.ann.edge_blocks import assembled

    coder, entries = read_coder(store.open(finger_codes, contracts.FINGER_CODES))
    blocks, compared = store.open(finger_blocks, contracts.FINGER_BLOCKS), kernel_metric(metric)
    parts = [
        tensors_from_arrow(blocks.read("blocks", shard=entry.shard))["lines"] for entry in blocks.entries("blocks")
    ]
    return DeferredIndex(vectors, graph, assembled(parts, entries, graph, metric=compared, coder=coder), compared)


def read_certificate(artifact: Artifact) -> Certificate:
    """How an index is searched, and the recall that it reaches by the width of the search."""
    curve = [CertifiedWidth(**point) for point in artifact.read("curve").to_pylist()]
    try:
        return Certificate.of(settings_from_arrow(artifact.read("settings")), curve)
    except (TypeError, KeyError, ValueError) as problem:
        raise CorruptArtifactError(
            f"artifact {artifact.ref}: expected the settings of a certificate, found others ({problem}); rebuild the"
            " artifact with --force certify_search"
        ) from problem


def open_packed(store: Store, packed: Ref) -> PackedIndex:
    """A committed packed index, over arrays that are mapped from its file."""
    return packed_index(store.open(packed, contracts.PACKED).mapped("packed"), packed)


def read_packed_texts(artifact: Artifact) -> PackedTexts:
    """What answers texts, over arrays that are mapped from their files; CorruptArtifactError for others than are expected."""
    offsets, letters = packed_from_arrow(artifact.mapped("terms")["term"])
    arrays = arrays_from_arrow(artifact.mapped("texts"))
    documents = artifact.figure("documents", count)
    try:
        return PackedTexts.from_arrays(arrays, documents=documents, offsets=offsets, letters=letters)
    except (KeyError, ValueError) as problem:
        raise CorruptArtifactError(
            f"artifact {artifact.ref}: expected the arrays of what answers texts, found others ({problem}); rebuild the"
            " artifact with --force"
        ) from problem


class EngineParts:
    """What answers texts, from the artifacts of a release or of a run before it; each part is loaded once, when needed.

    members: artifacts by role. method: how the graph is searched, "packed", "finger" or "hnsw". params: how texts are
    answered; by default as was chosen for the index. mapped: whether the packed index and its documents are used where
    their files lie, shared with other processes that do so, if the store is a folder. Every other file is verified against
    its checksum when it is read; of those that are mapped, which are not read as a whole, size and form are.
    """

    def __init__(
        self,
        store: Store,
        members: Mapping[str, Ref],
        metric: str,
        *,
        method: str = "hnsw",
        params: AnswerParams | None = None,
        mapped: bool = True,
    ) -> None:
        self.store, self.members, self.metric, self.method = store, members, metric, method
        self.name, self._params, self._mapped = "index", params, mapped

    @cached_property
    def vectors(self) -> np.ndarray:
        """The dense vectors, float32 (n, d)."""
        return read_vectors(self._open("vectors", corpus.VECTORS))

    @cached_property
    def index(self) -> Index:
        """The graph search over the vectors."""
        if self.method == "packed":
            return packed_index(self._packed("packed"), self.members["packed"])
        graph = read_graph(self._open("graph", contracts.GRAPH))
        if self.method == "finger":
            made = {role: ref for role, ref in self.members.items() if role.startswith("finger_")}
            if "finger_blocks" in made:
                codes, blocks = made["finger_codes"], made["finger_blocks"]
                return open_deferred(self.store, self.vectors, graph, codes, blocks, self.metric)
            return open_finger(
                self.store, self.vectors, graph, made["finger_basis"], made["finger_tables"], self.metric
            )
        from fingerpost.tasks.ann.hnsw import HnswIndex

        return HnswIndex(self.vectors, graph, kernel_metric(self.metric))

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self.index.header.dim if isinstance(self.index, PackedIndex) else int(self.vectors.shape[1])

    @cached_property
    def analyzer(self) -> Analyzer:
        """What makes terms of texts, of documents and queries alike."""
        try:
            return read_analyzer(self._open("analyzer", corpus.ANALYZER))
        except AnalyzerVersionError as problem:
            raise FormerVersionError(f"{self.name}: {problem}") from problem

    @cached_property
    def texts(self) -> PackedTexts | None:
        """What answers texts, mapped; None in a release of a version before, and where every file is verified."""
        if not self._mapped or "packed_texts" not in self.members:
            return None
        return read_packed_texts(self._open("packed_texts", contracts.PACKED_TEXTS))

    @property
    def _embedded(self) -> EmbeddedTexts | None:
        return self.texts.embedded if self.texts is not None else None

    @cached_property
    def lexicon(self) -> Lexicon:
        """The terms of the documents."""
        return self.texts.lexicon if self.texts is not None else read_lexicon(self._open("lexicon", corpus.LEXICON))

    @cached_property
    def field_weights(self) -> "FieldWeights":
        """What an occurrence in each field of a document counts, and how terms are weighed."""
        return read_field_weights(self._open("field_weights", corpus.FIELD_WEIGHTS))

    @cached_property
    def postings(self) -> Postings:
        """The inverted index."""
        if self.texts is not None:
            return self.texts.postings
        return read_postings(self._open("postings", corpus.POSTINGS))

    @cached_property
    def components(self) -> np.ndarray:
        """The projection of features to vectors, float32 (columns, d)."""
        if self._embedded is not None:
            return self._embedded.components
        return read_components(self._open("projection", corpus.PROJECTION))

    @cached_property
    def params(self) -> AnswerParams:
        """How texts are answered."""
        return self._params or read_answer_params(self._open("tuning", contracts.TUNING))

    @cached_property
    def features(self) -> TermWeights:
        """The terms that vectors are computed from, and their weights in queries."""
        if self._embedded is not None:
            return self._embedded.terms
        made = parameters_of(self.store, self._member("features"), lambda given: TermWeightParams(**given["params"]))
        return TermWeights.of(self.lexicon, made)

    @cached_property
    def neighbors(self) -> NeighborTable:
        """The documents nearest to each."""
        if self._embedded is not None:
            return self._embedded.neighbors
        table = self._open("neighbors", contracts.NEIGHBORS).read("neighbors")
        distances = fixed_matrix(table["distances"])
        cosines = 1.0 - (distances / 2 if self.metric == "l2" else distances)
        found = np.where(np.isfinite(cosines), cosines, 0.0).astype(np.float32)
        return NeighborTable(fixed_matrix(table["neighbors"]), found)

    def packed_texts(self) -> PackedTexts:
        """The parts that answer texts, together."""
        if not self.texts_are_embedded:
            return PackedTexts(self.lexicon, self.postings)
        return PackedTexts(self.lexicon, self.postings, EmbeddedTexts(self.features, self.components, self.neighbors))

    @cached_property
    def engine(self) -> Engine:
        """What answers texts, all of its parts loaded."""
        self._member("lexicon")
        vectors = ("components", "index", "neighbors") if self.texts_are_embedded else ()
        self.load("analyzer", "lexicon", "postings", "params", *vectors)
        dense = DenseSide(self.features, self.components, self.index, self.neighbors) if vectors else None
        return Engine(self.analyzer, self.lexicon, self.postings, dense, self.params)

    @property
    def has_texts(self) -> bool:
        """Whether the index was made from texts; those of an earlier version cannot be asked all the same."""
        return "lexicon" in self.members or _FORMER in self.members

    @property
    def texts_are_embedded(self) -> bool:
        """Whether texts have vectors in the space of the documents'."""
        return "projection" in self.members

    def load(self, *parts: str) -> None:
        """Loads and verifies several parts concurrently; each part is loaded once."""
        missing = [part for part in parts if part not in vars(self)]
        if self.texts is not None:
            # Nothing is read but what queries touch.
            for part in missing:
                getattr(self, part)
        elif missing:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(len(missing)) as pool:
                for loaded in [pool.submit(getattr, self, part) for part in missing]:
                    loaded.result()

    def _packed(self, table: str) -> pa.Table:
        """A table of the packed index."""
        artifact = self._open("packed", contracts.PACKED)
        return artifact.mapped(table) if self._mapped else artifact.read(table)

    def _open(self, role: str, contract: Any) -> Artifact:
        return self.store.open(self._member(role), contract)

    def _member(self, role: str) -> Ref:
        if role in self.members:
            return self.members[role]
        if _FORMER in self.members:
            raise FormerVersionError(
                f"{self.name}: expected {role}, found an index that an earlier version made, whose texts cannot be"
                " asked any more; rebuild it with `fingerpost run nightly`"
            )
        raise FingerpostError(
            f"{self.name}: expected {role} in an index of texts, found an index of imported vectors; query it"
            " with --like ID or --vectors FILE"
        )


def open_engine(store: Store, members: Mapping[str, Ref], *, metric: str, params: AnswerParams | None = None) -> Engine:
    """What answers texts, from artifacts by role; with the parameters of ``tuning`` among them, or with others."""
    return EngineParts(store, members, metric, params=params).engine


def read_answer_params(artifact: Artifact) -> AnswerParams:
    """The parameters of answering that were chosen for an index."""
    return AnswerParams.of(settings_from_arrow(artifact.read("settings")))


class LiveIndex(EngineParts):
    """An index release whose parts are loaded when queries need them.

    method: "packed", "finger", "hnsw", or "auto": the one that the release's certificate is for; in releases that have none,
    FINGER if it was measured to be faster on this index. FingerpostError for another method, and for one that the release has not. mapped: as for
    `EngineParts`; without, all files are read into memory and verified.
    """

    def __init__(self, store: Store, ref: Ref, *, method: str = "auto", mapped: bool = True) -> None:
        release, members = store.open(ref, contracts.INDEX), read_members(store, ref)
        chosen = _chosen_method(store, release, members, method)
        super().__init__(store, members, release.figure("metric", str), method=chosen, mapped=mapped)
        self.ref, self.name, self.manifest = ref, f"index {ref}", release.manifest

    @cached_property
    def certificate(self) -> Certificate | None:
        """What the search delivers; None for one that was not certified, and for a release of a version before."""
        if "certificate" not in self.members:
            return None
        found = read_certificate(self._open("certificate", contracts.CERTIFICATE))
        return found if self.method == _method_of(found) else None

    def width_for(self, recall: float) -> int:
        """The narrowest search whose certified recall is at least ``recall``; FingerpostError where there is none."""
        if self.certificate is None:
            raise FingerpostError(
                f"target recall: expected a search with a certificate, got {self.method} of {self.ref}, which has none; leave"
                " --method out or publish the index again, or give a width with --ef"
            )
        try:
            return self.certificate.ef_for(recall)
        except UnreachedRecallError as problem:
            raise FingerpostError(f"{self.ref}: {problem}") from problem

    def _width(self, ef: int | None) -> int:
        """The width of a search: as given, else as certified, else 100."""
        return ef if ef is not None else self.certificate.ef if self.certificate else _WIDTH

    @cached_property
    def documents(self) -> pa.Table:
        """The documents, one per row of the index."""
        if self.method == "packed" or (self._mapped and "packed" in self.members):
            return self._packed("documents")
        return self._open("documents", corpus.DOCUMENTS).read("documents")

    def query(
        self,
        text: str,
        *,
        k: int = 10,
        kind: str | None = None,
        package: str | None = None,
        filters: str | Sequence[str] = (),
        within: Radius = None,
        distinct: bool = False,
        explain: bool = False,
    ) -> Answers:
        """The documents that answer a text best: by its words and by its vector, fused.

        Where the vectors were given with the documents, a text has none of theirs: then words alone rank, and ``within``
        is an error.

        k: maximum number of answers, at least 0. kind, package: only documents with these values. filters: only documents
        that pass these conditions on their columns, all of them, such as ``kind == "function" and "sort" in title``; see
        :class:`fingerpost.schemas.predicates.Predicate`. within: only documents
        whose dense vectors have at least this similarity (l2: at most this distance), nearest first, for example
        ``threshold_for(index).threshold`` of fingerpost.tasks.metric.open. distinct: of near-duplicates only the best.
        explain: answers have their matched terms and a snippet, words that no document has their near spellings.
        """
        checked_count(k)
        self.load("documents", "engine")
        wanted = Wanted(k, self._filter(kind, package, filters), distinct, explain)
        question = self.engine.question(text)
        if within is None:
            answers = self._ranked(question, wanted)
        elif self.engine.dense is None:
            raise FingerpostError(
                f"within: expected a document or vector to compare the vectors of {self.ref} with, which were given, got"
                " a text; query with --like ID or --vectors FILE, or leave --within out"
            )
        else:
            answers = self._near(question.vector, self._radius(within), wanted)
        missing = missing_words(text, self.analyzer, self.lexicon)
        return replace(answers, missing=missing, spellings=self._spellings(missing) if explain else {})

    def similar(
        self,
        key: str,
        *,
        k: int = 10,
        ef: int | None = None,
        kind: str | None = None,
        package: str | None = None,
        filters: str | Sequence[str] = (),
        within: Radius = None,
        distinct: bool = False,
        explain: bool = False,
    ) -> Answers:
        """The documents most like the one with this id, excluding itself; options as in `query`.

        By its own terms and its vector, fused, where vectors were made from texts; else, and with ``within``, by vectors
        alone, in a search of width ``ef``. FingerpostError for an unknown id.
        """
        checked_count(k)
        row = self.documents["id"].index(key).as_py()
        if row < 0:
            raise FingerpostError(
                f"id: expected one of the {self.documents.num_rows} documents of {self.ref}, got {key!r}; find it with"
                " a text query"
            )
        chosen = self._filter(kind, package, filters)
        keep = np.ones(self.documents.num_rows, dtype=bool) if chosen is None else chosen
        keep[row] = False
        wanted = Wanted(k, keep, distinct, explain)
        if within is None and self.texts_are_embedded:
            self.load("documents", "engine")
            return self._ranked(self.engine.question_like(row), wanted)
        return self._near(self._vector_of(row), self._radius(within), wanted, ef=self._width(ef))

    def search(
        self,
        vector: ArrayLike,
        *,
        k: int = 10,
        ef: int | None = None,
        kind: str | None = None,
        package: str | None = None,
        filters: str | Sequence[str] = (),
        within: Radius = None,
        distinct: bool = False,
    ) -> Answers:
        """The documents nearest to a vector (d,) of the documents' own space; options as in `query`.

        FingerpostError for a vector of another length, of zeros, or with values that are not finite.
        """
        checked_count(k)
        given = np.asarray(vector, dtype=np.float64).reshape(1, -1)
        if self.metric == "cosine" and np.isfinite(given).all():
            given = unit_rows(given).astype(np.float64)
        with np.errstate(over="ignore"):
            row = given.astype(np.float32)
        if row.shape[1] != self.dimensions or not np.isfinite(row).all() or not row.any():
            raise FingerpostError(
                f"vector: expected {self.dimensions} finite numbers, not all 0, got {row.shape[1]} numbers;"
                " compute it with the model of the documents' vectors"
            )
        wanted = Wanted(k, self._filter(kind, package, filters), distinct)
        return self._near(row[0], self._radius(within), wanted, ef=self._width(ef))

    def search_batch(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        ef: int | None = None,
        filters: Filters = None,
        keep: KeepLike | Sequence[Sequence[str]] | None = None,
        within: Radius = None,
        threads: int = 1,
    ) -> Matches:
        """The documents nearest to each of many vectors (q, d) of the documents' own space.

        vectors: an array, or a DataFrame or Arrow table with a column ``vector`` and, as names of the queries, ``id``.
        filters: a condition on documents for all queries, or one for each of them ("" or None for none). keep: the
        documents that may be found: bool (n,), bool (q, n), or for each query a list of rows or of ids. within: only
        documents of at least this similarity (l2: at most this distance). Where fewer than k pass, all of them are
        found. FingerpostError for vectors of another length, of zeros, or with values that are not finite.
        """
        checked_count(k)
        try:
            names, rows = batch_vectors(vectors, columns=self.dimensions, metric=self.metric)
            chosen = batch_keep(
                len(rows), self.documents.num_rows, filters, keep, mask=self._passing, rows=lambda: self._row_of
            )
        except ValueError as problem:
            raise FingerpostError(f"{self.ref}: {problem}") from problem
        if within is None and chosen is None:
            found = self.index.search(rows, max(k, 1), ef=self._width(ef), threads=threads)
        elif within is None:
            found = self.filtered.search(rows, max(k, 1), ef=self._width(ef), threads=threads, keep=chosen)
        else:
            radius = radius_of(float(within), self.metric)
            found = self.exact_filtered.within(
                rows, radius, most=max(k, 1), ef=self._width(ef), threads=threads, keep=chosen
            )
        cut = replace(found, ids=found.ids[:, :k], distances=found.distances[:, :k])
        return matches_of(cut, self._ids, names, self.metric, DENSE_MEASURES[self.metric])

    def query_batch(self, texts: Sequence[str], *, k: int = 10, filters: Filters = None) -> Matches:
        """The documents that answer each of many texts best; filters: as in `search_batch`."""
        try:
            each = conditions(filters, len(texts))
        except ValueError as problem:
            raise FingerpostError(str(problem)) from problem
        answers: list[list[tuple[int, str, float]]] = []
        measure = ""
        for text, condition in zip(texts, each, strict=True):
            found: list[Answer] = []
            if not condition or self._passing(condition).any():
                result = self.query(text, k=k, filters=condition or ())
                found, measure = result.answers, measure or result.measure
            answers.append([(self._row_of[answer.id], answer.id, answer.score) for answer in found])
        return joined_matches(list(texts), answers, measure)

    @cached_property
    def filtered(self) -> "FilteredIndex | PackedIndex":
        """The search with a filter for each query: that of the packed index where it is what is searched.

        FINGER's has none: then the one by exact distances is taken.
        """
        return self.index if isinstance(self.index, PackedIndex) else self.exact_filtered

    @cached_property
    def exact_filtered(self) -> "FilteredIndex":
        """The search by exact distances with a filter for each query; holds a copy of the vectors of its own."""
        from fingerpost.tasks.ann.filtered_index import FilteredIndex

        graph = read_graph(self._open("graph", contracts.GRAPH))
        return FilteredIndex(self.vectors, graph, kernel_metric(self.metric))

    @cached_property
    def _ids(self) -> np.ndarray:
        return self.documents["id"].to_numpy().astype(np.object_)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self._ids.tolist())}

    def _passing(self, condition: str) -> np.ndarray:
        """The documents that pass a condition, bool (n,)."""
        from fingerpost.schemas.predicates import Predicate

        return Predicate.of(condition).mask(self.documents)

    def _ranked(self, question: Question, wanted: Wanted) -> Answers:
        """The answers to an analysed query, by both sides or by words alone."""
        depth = wanted.k
        while True:
            ranking = self.engine.ranked(question, depth, keep=wanted.keep)
            chosen = self._chosen(ranking.rows, wanted)
            if len(chosen.places) >= wanted.k or len(ranking.order) < depth:
                break
            depth *= _DEEPER
        documents = self._rows(ranking.rows[chosen.places])
        return ranked_answers(self.engine, ranking, chosen, documents, explain=wanted.explain, search=self.method)

    def _near(self, vector: np.ndarray, radius: float | None, wanted: Wanted, *, ef: int = 100) -> Answers:
        """The answers nearest to a vector (d,), or all within a radius of it; none for a text without a vector."""
        depth, found, complete, chosen = wanted.k, NOTHING, True, Distinct([], 0)
        while vector.any():
            found, complete = self._nearest(vector, radius, depth, wanted.keep, ef)
            chosen = self._chosen(found.rows, wanted)
            if len(chosen.places) >= wanted.k or len(found.rows) < depth:
                break
            depth *= _DEEPER
        documents = self._rows(found.rows[chosen.places])
        answers = nearest_answers(found, chosen, documents, metric=self.metric, search=self.method)
        if radius is None:
            return answers
        more = not complete or len(found.rows) > len(chosen.places) + chosen.collapsed
        return replace(answers, within=within_of(radius, self.metric), more=more)

    def _nearest(
        self, vector: np.ndarray, radius: float | None, depth: int, keep: np.ndarray | None, ef: int
    ) -> tuple[Nearest, bool]:
        """At least ``depth`` rows nearest to a vector, if there are as many, and whether no others are in the radius."""
        if radius is not None:
            near = rows_within(self.index, vector, radius, most=max(depth, 1), keep=keep, ef=ef)
            return Nearest(near.rows, near.distances, near.counters), near.complete
        found = self._nearest_of(vector, max(ef, depth, 1), keep)
        if not np.isfinite(found.distances).all():
            raise FingerpostError(
                f"vector: expected one whose {self.metric} distances float32 can hold, got one of length"
                f" {np.linalg.norm(vector.astype(np.float64)):.2g}; scale it like the documents' vectors"
            )
        return found, True

    def _nearest_of(self, vector: np.ndarray, count: int, keep: np.ndarray | None) -> Nearest:
        """The ``count`` rows nearest to a vector (d,), of those in ``keep``; a packed index decodes no others."""
        if not isinstance(self.index, PackedIndex):
            return nearest_kept(self.index, vector, count, keep=keep)
        width = min(count, self.index.size)
        result = self.index.search(vector[None], width, ef=width, keep=keep)
        found = result.ids[0] != NONE
        return Nearest(result.ids[0][found].astype(np.int64), result.distances[0][found], result.counters)

    def _vector_of(self, row: int) -> np.ndarray:
        """The vector (d,) of a document, without the others unless these are loaded."""
        if "vectors" in vars(self):
            return self.vectors[row]
        one: np.ndarray = read_vectors(self._open("vectors", corpus.VECTORS), row, row + 1)[0]
        return one

    def _chosen(self, rows: np.ndarray, wanted: Wanted) -> Distinct:
        """The places of the answers in a ranking."""
        if not wanted.distinct:
            return Distinct(list(range(min(wanted.k, len(rows)))), 0)
        if "postings" not in self.members:
            return chosen_places(rows, wanted, vector_likeness(self.vectors), SAME_VECTORS)
        own = self.postings
        likeness = term_likeness(own.forward_indptr, own.forward_terms, own.forward_weights)
        return chosen_places(rows, wanted, likeness, SAME_TERMS)

    def _spellings(self, missing: Sequence[str]) -> dict[str, list[str]]:
        """Words of documents that are spelled nearly like a missing one, as the heaviest document of each has them."""
        found = {word: near_spellings(word, self.lexicon, self.analyzer) for word in missing}
        return {word: [self._spelled(term, word) for term in terms] for word, terms in found.items() if terms}

    def _spelled(self, term: str, like: str) -> str:
        rows, _ = self.postings.best(self.lexicon.columns([term]), np.ones(1, np.float32), 1)
        (row,) = self._rows(rows)
        return written(term, f"{row['title']}\n{row['text']}", self.analyzer, like=like)

    def _radius(self, within: Radius) -> float | None:
        return None if within is None else radius_of(float(within), self.metric)

    def _filter(self, kind: str | None, package: str | None, filters: str | Sequence[str] = ()) -> np.ndarray | None:
        """Which documents have these values and pass the conditions, bool (n,); None where nothing is asked."""
        keep = None
        if filters:
            from fingerpost.schemas.predicates import combined

            keep = combined([filters] if isinstance(filters, str) else filters)(self.documents)
        if keep is not None and not keep.any():
            raise FingerpostError(
                f"filter: expected conditions that a document passes, got {filters!r}; leave one out, or compare the values"
                " with those of a document (query --json)"
            )
        for column, wanted in (("kind", kind), ("package", package)):
            if wanted is None:
                continue
            import pyarrow.compute as pc

            has = pc.equal(self.documents[column], wanted).to_numpy()
            keep = has if keep is None else keep & has
            if not keep.any():
                examples = sorted(set(self.documents[column].to_pylist()))[:12]
                raise FingerpostError(
                    f"{column}: expected one that documents have, got {wanted!r}; choose from {', '.join(examples)}"
                )
        return keep

    def _rows(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """What answers show of documents."""
        # Cell by cell: taking rows of a table copies whole chunks of its texts.
        shown = {name: self.documents[name] for name in ("id", "title", "kind", "package", "text")}
        return [{name: column[row].as_py() for name, column in shown.items()} for row in rows.tolist()]


def _method_of(certificate: Certificate) -> str:
    """The method that a certificate is for."""
    return "finger" if certificate.plan.finger else "packed"


def _chosen_method(store: Store, release: Artifact, members: Mapping[str, Ref], method: str) -> str:
    """How the graph of a release is searched."""
    if method not in {"auto", "packed", "finger", "hnsw"}:
        raise FingerpostError(f"method: expected auto, packed, finger or hnsw, got {method!r}; choose one of them")
    if method == "auto":
        if "certificate" in members:
            return _method_of(read_certificate(store.open(members["certificate"], contracts.CERTIFICATE)))
        finger = "packed" not in members and release.measured("finger_speedup") >= 1
        return "packed" if "packed" in members else "finger" if finger else "hnsw"
    needed = {"packed": ("packed",), "finger": ("finger_blocks", "finger_tables"), "hnsw": ("graph",)}[method]
    if members.keys().isdisjoint(needed):
        raise FingerpostError(f"method: expected one that index {release.ref} has, got {method!r}; choose auto")
    return method


def live(
    collection: str | None = None, *, store: str | None = None, method: str = "auto", mapped: bool = True
) -> LiveIndex:
    """The published index of a collection, ready for queries.

    collection: by default the only one with a published index (or ``python-docs``). store: a folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above. mapped: whether the index is used where
    its files lie, which opens it at once; without, or if the store is no folder, it is read into memory and verified.
    Raises MissingArtifactError if nothing is live.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveIndex(opened, Pointer(opened, chosen, PRODUCT).required().artifact, method=method, mapped=mapped)
