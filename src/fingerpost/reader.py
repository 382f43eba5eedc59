"""A published index, opened where it lies and asked for the neighbours of vectors, with numpy and pyarrow alone.

Nothing is read but what queries touch: the index is mapped from its files, and processes that open it share its memory::

    from fingerpost.reader import open_index

    index = open_index("/srv/fingerpost", collection="faces")
    found = index.search(vectors, k=10)
    found.ids(), found.scores

Texts are asked through ``fingerpost.live()``, which needs the whole installation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, FormerVersionError
from fingerpost.schemas.mapped_arrays import arrays_from_arrow
from fingerpost.schemas.packed_index import PACKED
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store
from fingerpost.tasks.ann.batches import real_values
from fingerpost.tasks.ann.keep import KeepLike
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import Metric, VectorError, check_metric, checked_vectors
from fingerpost.tasks.ann.unit_rows import unit_rows

__all__ = ["Neighbors", "PublishedIndex", "open_index"]

PRODUCT = "ann.index"
#: The width of a search of an index that names none.
_EF = 100
_NONE = 0xFFFFFFFF
#: What scores are, as `fingerpost.tasks.ann.answers` names them, which needs more than numpy.
_MEASURES = {"cosine": "cosine similarity", "ip": "inner product", "l2": "Euclidean distance"}


@dataclass(frozen=True)
class Neighbors:
    """The nearest documents of each query.

    rows: of the index, uint32 (q, k), nearest first, padded with 0xFFFFFFFF. distances: float32 (q, k), padded with infinity, as
    the graph compares them: squared L2, or 1 minus the inner product (of unit vectors for cosine). documents: the table that
    rows are of. metric: of the index.
    """

    rows: NDArray[np.uint32]
    distances: NDArray[np.float32]
    documents: pa.Table
    metric: Metric = "cosine"

    @property
    def measure(self) -> str:
        """What ``scores`` are: ``cosine similarity``, ``inner product`` or ``Euclidean distance``."""
        return _MEASURES[self.metric]

    @property
    def scores(self) -> NDArray[np.float32]:
        """The similarities of the documents, float32 (q, k), or under l2 their Euclidean distances; NaN where padded."""
        found = np.isfinite(self.distances)
        near = np.where(found, self.distances, np.float32(0))
        scores = np.sqrt(np.maximum(near, 0)) if self.metric == "l2" else np.float32(1) - near
        return np.where(found, scores, np.float32(np.nan)).astype(np.float32)

    def ids(self) -> list[list[str]]:
        """The ids of the documents of each query."""
        return self.column("id")

    def column(self, name: str) -> list[list[Any]]:
        """A column of the documents of each query, for example their titles."""
        values = self.documents[name]
        return [[values[row].as_py() for row in rows.tolist() if row != _NONE] for rows in self.rows]


class PublishedIndex:
    """An index release that is searched from its mapped files.

    verified: reads all files and verifies their checksums first, into memory of this process. A store that is no folder is
    read and verified always. MissingArtifactError for a release that is not there, FormerVersionError for one of a version
    that did not write this form.
    """

    def __init__(self, store: Store, ref: Ref, *, verified: bool = False) -> None:
        self.ref, self._members = ref, read_members(store, ref)
        quality = store.manifest(ref).quality
        if "packed" not in self._members:
            raise FormerVersionError(
                f"index {ref}: expected an index in the form that is searched, found one that an earlier version made;"
                " rebuild it with `fingerpost run nightly`"
            )
        metric = str(quality.get("metric"))
        check_metric(metric)
        self.metric: Metric = metric  # type: ignore[assignment]
        packed = store.open(self._members["packed"], PACKED)
        self.mapped = store.files.local and not verified
        table = packed.mapped if self.mapped else packed.read
        self.index = packed_index(table("packed"), packed.ref)
        self.documents = table("documents")
        self.certificate: dict[str, Any] = self._certified(store, packed)

    def _certified(self, store: Store, packed: Artifact) -> dict[str, Any]:
        """What is certified of the packed index; nothing where the certificate is for another way to search."""
        found = dict(store.manifest(self._members["certificate"]).quality) if "certificate" in self._members else {}
        return found if found.get("plan") == packed.manifest.quality.get("plan") else {}

    @property
    def size(self) -> int:
        """Number of documents."""
        return self.index.size

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self.index.header.dim

    @property
    def ef(self) -> int:
        """The certified width of a search."""
        return int(self.certificate.get("ef", _EF))

    def search(
        self, vectors: ArrayLike, k: int = 10, *, ef: int | None = None, threads: int = 1, keep: KeepLike | None = None
    ) -> Neighbors:
        """The documents nearest to vectors (q, d) or one vector (d,), by a search of width max(ef, k).

        ef: by default the certified width. keep: rows that may be returned, bool (n,) for all queries or (q, n) for each, or
        lists of rows. VectorError names a row of another length, with values that are not finite, or, for cosine, of zeros.
        """
        given = np.asarray(real_values(vectors))
        rows = checked_vectors(given[None] if given.ndim == 1 else given, columns=self.dimensions)
        if self.metric == "cosine":
            zeros = np.flatnonzero(~rows.any(axis=1))
            if len(zeros):
                raise VectorError(
                    f"vectors row {zeros[0]}: expected a vector of nonzero length for cosine, got zeros; leave it out"
                )
            rows = unit_rows(rows)
        found = self.index.search(rows, k, ef=self.ef if ef is None else ef, threads=threads, keep=keep)
        return Neighbors(found.ids, found.distances, self.documents, self.metric)

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of documents with these ids, int64; FingerpostError for an unknown one."""
        wanted = set(ids)
        found = {key: row for row, key in enumerate(self.documents["id"].to_pylist()) if key in wanted}
        missing = next((key for key in ids if key not in found), None)
        if missing is not None:
            raise FingerpostError(f"id: expected one of the {self.size} documents of {self.ref}, got {missing!r}")
        return np.array([found[key] for key in ids], dtype=np.int64)


def packed_index(table: pa.Table, packed: Ref) -> PackedIndex:
    """The index over the arrays of a table of an artifact; CorruptArtifactError for arrays that do not fit each other."""
    try:
        return PackedIndex.from_arrays(arrays_from_arrow(table))
    except (KeyError, ValueError, IndexError) as problem:
        raise CorruptArtifactError(
            f"artifact {packed}: expected the arrays of a packed index, found others ({problem}); rebuild the"
            " artifact with --force"
        ) from problem


def open_index(
    store: str | Path | None = None, *, collection: str | None = None, verified: bool = False
) -> PublishedIndex:
    """The published index of a collection.

    store: a folder, or a URL, which needs fsspec; by default ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this
    folder or above. collection: by default the only one with a published index. Raises MissingArtifactError if nothing is
    live.
    """
    opened = Store(str(store) if store else find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return PublishedIndex(opened, Pointer(opened, chosen, PRODUCT).required().artifact, verified=verified)
