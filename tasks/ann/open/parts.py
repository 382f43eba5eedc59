"""What answers texts, from the artifacts of a release or of a run before it."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fingerpost.reader import packed_index
from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import FingerpostError, FormerVersionError
from fingerpost.schemas.matrices import fixed_matrix
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store, parameters_of
from fingerpost.tasks.ann.dense_side import DenseSide, NeighborTable
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.open.readers import (
    kernel_metric,
    open_deferred,
    open_finger,
    read_answer_params,
    read_graph,
    read_packed_texts,
)
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.packed_texts import EmbeddedTexts, PackedTexts
from fingerpost.tasks.ann.search import Index
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerVersionError
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.open import (
    read_analyzer,
    read_components,
    read_field_weights,
    read_lexicon,
    read_postings,
    read_vectors,
)
from fingerpost.tasks.corpus.postings import Postings
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights

if TYPE_CHECKING:  # imported where it is used: a query waits for all that is imported here
    from fingerpost.tasks.corpus.impacts import FieldWeights

#: A member of indexes of texts that versions before 0.2 made, in place of a lexicon and postings.
_FORMER = "vocabulary"


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
            f"{self.name}: expected an index of texts, found one of vectors alone, without {role}; ask with a vector or"
            " with the id of a document"
        )


def open_engine(store: Store, members: Mapping[str, Ref], *, metric: str, params: AnswerParams | None = None) -> Engine:
    """What answers texts, from artifacts by role; with the parameters of ``tuning`` among them, or with others."""
    return EngineParts(store, members, metric, params=params).engine
