"""Readers of committed ann artifacts."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.reader import packed_index
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.chosen_settings import settings_from_arrow
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.mapped_arrays import arrays_from_arrow
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.packed_texts import packed_from_arrow
from fingerpost.schemas.records import count
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.ann.certificate import Certificate, CertifiedWidth
from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.graph import Graph, UpperLevel
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.packed_texts import PackedTexts

if TYPE_CHECKING:  # imported where they are used: a query waits for all that is imported here
    from fingerpost.tasks.ann.deferred_search import DeferredIndex
    from fingerpost.tasks.ann.edge_codes import EdgeCoder
    from fingerpost.tasks.ann.finger_basis import FingerBasis
    from fingerpost.tasks.ann.finger_search import FingerIndex


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


def read_answer_params(artifact: Artifact) -> AnswerParams:
    """The parameters of answering that were chosen for an index."""
    return AnswerParams.of(settings_from_arrow(artifact.read("settings")))


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
