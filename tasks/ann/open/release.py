"""A published index: its artifacts, how it is searched, its documents and the conditions on them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.document_ids import DocumentIds, TextColumn
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.ann.certificate import Certificate, UnreachedRecallError
from fingerpost.tasks.ann.open.parts import EngineParts
from fingerpost.tasks.ann.open.readers import kernel_metric, read_certificate, read_graph
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.results import Opened

if TYPE_CHECKING:  # imported where it is used: a query waits for all that is imported here
    from fingerpost.tasks.ann.filtered_index import FilteredIndex

#: The width of a search of an index without a certificate.
_WIDTH = 100


class IndexRelease(EngineParts, Opened):
    """The parts of an index release, each loaded when it is needed; options as of `LiveIndex`."""

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
        if ef is not None and ef < 1:
            raise FingerpostError(f"ef: expected a width of the search of at least 1, got {ef}; raise it")
        return ef if ef is not None else self.certificate.ef if self.certificate else _WIDTH

    @cached_property
    def documents(self) -> pa.Table:
        """The documents, one per row of the index."""
        if self.method == "packed" or (self._mapped and "packed" in self.members):
            return self._packed("documents")
        return self._open("documents", corpus.DOCUMENTS).read("documents")

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
    def ids(self) -> DocumentIds:
        """The ids of the documents by row, and their rows by id."""
        return DocumentIds(self.documents["id"])

    def row_of(self, key: str) -> int:
        """The row of the document with an id; FingerpostError for an unknown one."""
        row = self.ids.row_of(key)
        if row is None:
            raise FingerpostError(
                f"id: expected one of the {self.documents.num_rows} documents of {self.ref}, got {key!r}; find it with"
                " a text query"
            )
        return row

    def to_arrow(self) -> pa.Table:
        """The documents."""
        return self.documents

    def _passing(self, condition: str) -> np.ndarray:
        """The documents that pass a condition, bool (n,)."""
        from fingerpost.schemas.predicates import Predicate

        return Predicate.of(condition).mask(self.documents)

    def _vector_of(self, row: int) -> np.ndarray:
        """The vector (d,) of a document, without the others unless these are loaded."""
        if "vectors" in vars(self):
            return self.vectors[row]
        if isinstance(self.index, PackedIndex) and self.index.exact:
            # Where vectors are kept as given, or scaled to length one, these are next to the graph.
            return self.index.kept([row])[0]
        one: np.ndarray = read_vectors(self._open("vectors", corpus.VECTORS), row, row + 1)[0]
        return one

    def _filter(self, kind: str | None, package: str | None, filters: str | Sequence[str] = ()) -> np.ndarray | None:
        """Which documents have these values and pass the conditions, bool (n,); None where nothing is asked."""
        if kind is None and package is None and not filters:
            return None
        # Imported where they are used: they take longer than most queries.
        import pyarrow.compute as pc

        from fingerpost.schemas.predicates import combined

        conditions = [filters] if isinstance(filters, str) else filters
        keep = combined(conditions)(self.documents)
        if keep is not None and not keep.any():
            raise FingerpostError(
                f"filter: expected conditions that a document passes, got {' and '.join(conditions)}; leave one out, or compare the values"
                " with those of a document (query --json)"
            )
        for column, wanted in (("kind", kind), ("package", package)):
            if wanted is None:
                continue
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
        shown = self._shown
        return [{name: column[row] for name, column in shown.items()} for row in rows.tolist()]

    @cached_property
    def _shown(self) -> dict[str, TextColumn]:
        names = ("id", "title", "kind", "package", "text")
        return {name: TextColumn(self.documents[name]) for name in names}


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
