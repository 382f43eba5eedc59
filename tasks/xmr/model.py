"""Weights of a ranker: one chunk per parent with the weight columns of its children, grouped by feature, in blocks.

The chunked layout is that of MSCM (Etter et al., WWW 2022). A block holds some parents of one level, and a level any
number of blocks: training keeps one block in memory, and prediction can map each array from a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.xmr.tree import LabelTree

if TYPE_CHECKING:  # ranking makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse


class ModelError(ValueError):
    """Weights that are inconsistent with each other or with the tree."""


@dataclass(frozen=True)
class ChunkBlock:
    """The chunks of some parents of one level.

    parents: uint32 (c,).
    feature_start: int64 (c + 1,), the range of chunk i in ``features``.
    features: uint32, ascending within a chunk.
    start: uint32, one entry more per chunk than it has features, beginning at feature_start[i] + i; offsets into
        ``columns`` and ``values``, relative to entry_start[i].
    entry_start: int64 (c + 1,), the range of chunk i in ``columns`` and ``values``.
    columns: uint8, or uint16 where a parent of the block has more than 256 children; index of the child in its chunk.
    values: float32, the weights.
    child_start: int64 (c + 1,), the range of chunk i in ``ids`` and ``bias``.
    ids: uint32, the children as nodes of the level.
    bias: float32, to be multiplied by the bias feature.

    Raises ModelError for arrays of inconsistent lengths.
    """

    parents: NDArray[np.uint32]
    feature_start: NDArray[np.int64]
    features: NDArray[np.uint32]
    start: NDArray[np.uint32]
    entry_start: NDArray[np.int64]
    columns: NDArray[np.uint8] | NDArray[np.uint16]
    values: NDArray[np.float32]
    child_start: NDArray[np.int64]
    ids: NDArray[np.uint32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.parents)
        lengths = (
            len(self.feature_start),
            len(self.entry_start),
            len(self.child_start),
            len(self.start),
            len(self.features),
            len(self.columns),
            len(self.ids),
            len(self.bias),
        )
        features, entries = int(self.feature_start[-1]), int(self.entry_start[-1])
        children = int(self.child_start[-1])
        expected = (count + 1,) * 3 + (features + count, features, entries, children, children)
        if lengths != expected or len(self.values) != entries:
            raise ModelError(
                f"chunks: expected arrays of lengths {expected}, got {lengths}; take them from one training"
            )

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def feature_ends(self) -> NDArray[np.int64]:
        """Index after the last entry of each feature of each chunk, int64, over all entries of the block."""
        chunk = np.repeat(np.arange(len(self.parents)), np.diff(self.feature_start))
        end_index = np.arange(len(self.features)) + chunk + 1
        return self.entry_start[chunk] + self.start[end_index]

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Feature and child (index into ``ids``) of every entry, int64 each."""
        ends = self.feature_ends()
        features = np.repeat(self.features, np.diff(ends, prepend=0))
        children = self.columns.astype(np.int64) + np.repeat(self.child_start[:-1], np.diff(self.entry_start))
        return features.astype(np.int64), children

    def weights(self, features: int, nodes: int) -> "sparse.csc_array":
        """Unchunked matrix (features, nodes of the level) with the columns of this block filled; without the bias."""
        from scipy import sparse

        rows, children = self.coordinates()
        return sparse.csc_array((self.values, (rows, self.ids[children])), shape=(features, nodes))


@dataclass(frozen=True)
class RankerModel:
    """A label tree with the weights of each of its levels.

    features: number of features.
    levels: the blocks of each level, from the top.
    normalised: rows were scaled to unit length for training; queries are scaled when they are ranked.

    Raises ModelError where the blocks of a level do not cover its nodes but the chain nodes exactly once.
    """

    features: int
    tree: LabelTree
    levels: tuple[tuple[ChunkBlock, ...], ...]
    normalised: bool = False

    def __post_init__(self) -> None:
        for level, blocks in enumerate(self.levels):
            ids = np.concatenate([block.ids for block in blocks]) if blocks else np.empty(0, np.uint32)
            wanted = ~self.tree.chained(level)[self.tree.parents[level]]
            if not np.array_equal(np.bincount(ids, minlength=len(wanted)), wanted):
                raise ModelError(
                    f"model level {level}: expected weights of {int(wanted.sum())} nodes, got {len(ids)}; "
                    "join all blocks of the level"
                )

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(block.nbytes for blocks in self.levels for block in blocks)

    @property
    def nonzeros(self) -> int:
        """Number of stored weights, without the bias."""
        return sum(len(block.values) for blocks in self.levels for block in blocks)

    def weights(self, level: int) -> "sparse.csc_array":
        """Unchunked matrix (features, nodes) of a level."""
        from scipy import sparse

        nodes = self.tree.width(level)
        matrix = sparse.csc_array((self.features, nodes), dtype=np.float32)
        for block in self.levels[level]:
            matrix = matrix + block.weights(self.features, nodes)
        return matrix

    def bias(self, level: int) -> NDArray[np.float32]:
        """Bias of each node of a level, float32 (nodes,); 0 for chain nodes."""
        out = np.zeros(self.tree.width(level), dtype=np.float32)
        for block in self.levels[level]:
            out[block.ids] = block.bias
        return out


#: The solver's result for one parent: features, start, columns, values, bias.
Chunk = tuple[
    NDArray[np.uint32],
    NDArray[np.uint32],
    NDArray[np.uint16] | NDArray[np.uint8],
    NDArray[np.float32],
    NDArray[np.float32],
]


def _starts(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)


def join_chunks(parents: NDArray[np.uint32], chunks: Sequence[Chunk], ids: Sequence[NDArray[np.uint32]]) -> ChunkBlock:
    """A block of the chunks of ``parents`` (c,); ``ids``: the children of each parent, uint32."""
    width = max((len(children) for children in ids), default=0)
    column_dtype = np.uint8 if width <= 256 else np.uint16

    def joined(part: int, dtype: type) -> NDArray:
        parts = [chunk[part] for chunk in chunks]
        return np.concatenate([*parts, np.empty(0, dtype)]).astype(dtype, copy=False)

    return ChunkBlock(
        parents=parents.astype(np.uint32),
        feature_start=_starts([len(chunk[0]) for chunk in chunks]),
        features=joined(0, np.uint32),
        start=joined(1, np.uint32),
        entry_start=_starts([len(chunk[3]) for chunk in chunks]),
        columns=joined(2, column_dtype),
        values=joined(3, np.float32),
        child_start=_starts([len(children) for children in ids]),
        ids=np.concatenate([*ids, np.empty(0, np.uint32)]).astype(np.uint32),
        bias=joined(4, np.float32),
    )


def split_chunks(block: ChunkBlock) -> Iterator[tuple[int, Chunk, NDArray[np.uint32]]]:
    """Iterates over the chunks of a block: parent, chunk, ids of its children."""
    for i, parent in enumerate(block.parents.tolist()):
        rows = slice(int(block.feature_start[i]), int(block.feature_start[i + 1]))
        entries = slice(int(block.entry_start[i]), int(block.entry_start[i + 1]))
        children = slice(int(block.child_start[i]), int(block.child_start[i + 1]))
        start = block.start[rows.start + i : rows.stop + i + 1]
        chunk = (block.features[rows], start, block.columns[entries], block.values[entries], block.bias[children])
        yield parent, chunk, block.ids[children]


def keep_entries(block: ChunkBlock, keep: NDArray[np.bool_], bias: NDArray[np.float32]) -> ChunkBlock:
    """The block restricted to the entries selected by ``keep`` (entries,), with the given bias (children,)."""
    chunk_of_feature = np.repeat(np.arange(len(block.parents)), np.diff(block.feature_start))
    sizes = np.diff(block.feature_ends(), prepend=0)
    feature_of_entry = np.repeat(np.arange(len(block.features)), sizes)
    entries_left = np.bincount(feature_of_entry[keep], minlength=len(block.features))
    nonempty = entries_left > 0
    chunks = chunk_of_feature[nonempty]
    feature_start = _starts(np.bincount(chunks, minlength=len(block.parents)).tolist())
    entries = np.bincount(chunk_of_feature[feature_of_entry[keep]], minlength=len(block.parents))
    entry_start = _starts(entries.tolist())
    start = np.zeros(len(chunks) + len(block.parents), dtype=np.uint32)
    start[np.arange(len(chunks)) + chunks + 1] = np.cumsum(entries_left[nonempty]) - entry_start[chunks]
    return ChunkBlock(
        parents=block.parents,
        feature_start=feature_start,
        features=block.features[nonempty],
        start=start,
        entry_start=entry_start,
        columns=block.columns[keep],
        values=block.values[keep],
        child_start=block.child_start,
        ids=block.ids,
        bias=bias,
    )


def prune_block(block: ChunkBlock, *, threshold: float = 0.0, max_nonzeros: int = 0) -> ChunkBlock:
    """The block without weights below ``threshold`` in absolute value.

    Of each child, at most the ``max_nonzeros`` largest weights are kept (0: all), ties by feature. The threshold
    applies to the bias too, which does not count towards ``max_nonzeros``.
    """
    size = np.abs(block.values)
    keep = size >= np.float32(threshold)
    if max_nonzeros:
        features, children = block.coordinates()
        order = np.lexsort((features, -size, children))
        first = np.searchsorted(children[order], np.arange(len(block.ids)))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - first[children[order]]
        keep &= rank < max_nonzeros
    bias = np.where(np.abs(block.bias) >= np.float32(threshold), block.bias, np.float32(0))
    return keep_entries(block, keep, bias.astype(np.float32))


def prune(model: RankerModel, *, threshold: float = 0.0, max_nonzeros: int = 0) -> RankerModel:
    """The model with every block pruned by :func:`prune_block`."""
    levels = tuple(
        tuple(prune_block(block, threshold=threshold, max_nonzeros=max_nonzeros) for block in blocks)
        for blocks in model.levels
    )
    return RankerModel(model.features, model.tree, levels, model.normalised)
