"""A ranker's weights: for every parent a chunk of its children's columns, stored by feature; chunks lie in blocks.

A block holds some parents of one level, a level any number of blocks, so that no more than a block needs to be in memory
while training, and each array can be mapped from a file while ranking.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.tree import LabelTree


class ModelError(ValueError):
    """Weights that make no ranker."""


@dataclass(frozen=True)
class ChunkBlock:
    """Chunks of the parents (c,) of one level.

    features uint32 [feature_start[i]:feature_start[i + 1]] ascend in chunk i; its ``start`` uint32, one more than features
    and beginning at feature_start[i] + i, points into ``columns`` (uint8, or uint16 in a block with more than 256
    children a parent) and ``values`` float32 from entry_start[i] on. Children: ids uint32 and bias float32 (times the bias
    feature) from child_start[i] on; a column is a child's place in its chunk.
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
        found = (
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
        if found != expected or len(self.values) != entries:
            raise ModelError(f"chunks: expected arrays of lengths {expected}, got {found}; take them from one training")

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def feature_ends(self) -> NDArray[np.int64]:
        """For each feature of each chunk where its entries end, counted over the whole block."""
        chunk = np.repeat(np.arange(len(self.parents)), np.diff(self.feature_start))
        place = np.arange(len(self.features)) + chunk + 1
        return self.entry_start[chunk] + self.start[place]

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Feature and child (place in ``ids``) of every entry."""
        ends = self.feature_ends()
        features = np.repeat(self.features, np.diff(ends, prepend=0))
        children = self.columns.astype(np.int64) + np.repeat(self.child_start[:-1], np.diff(self.entry_start))
        return features.astype(np.int64), children

    def weights(self, features: int, nodes: int) -> sparse.csc_array:
        """The plain matrix (features, nodes of the level) with the columns of this block filled; without the bias."""
        rows, children = self.coordinates()
        return sparse.csc_array((self.values, (rows, self.ids[children])), shape=(features, nodes))


@dataclass(frozen=True)
class RankerModel:
    """The tree, the number of features, and for each level the blocks that hold its weights.

    normalised: rows were scaled to length one for training, and queries are when they are ranked.
    """

    features: int
    tree: LabelTree
    levels: tuple[tuple[ChunkBlock, ...], ...]
    normalised: bool = False

    def __post_init__(self) -> None:
        for level, blocks in enumerate(self.levels):
            ids = np.concatenate([block.ids for block in blocks]) if blocks else np.empty(0, np.uint32)
            if len(ids) != self.tree.width(level) or len(np.unique(ids)) != len(ids):
                raise ModelError(
                    f"model level {level}: expected weights of {self.tree.width(level)} nodes, got {len(ids)}; "
                    "join the blocks of the whole level"
                )

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(block.nbytes for blocks in self.levels for block in blocks)

    @property
    def nonzeros(self) -> int:
        """Stored weights, bias not counted."""
        return sum(len(block.values) for blocks in self.levels for block in blocks)

    def weights(self, level: int) -> sparse.csc_array:
        """The plain matrix (features, nodes) of a level."""
        nodes = self.tree.width(level)
        whole = sparse.csc_array((self.features, nodes), dtype=np.float32)
        for block in self.levels[level]:
            whole = whole + block.weights(self.features, nodes)
        return whole

    def bias(self, level: int) -> NDArray[np.float32]:
        """The bias of each node of a level."""
        out = np.zeros(self.tree.width(level), dtype=np.float32)
        for block in self.levels[level]:
            out[block.ids] = block.bias
        return out


#: What the solver gives for one parent: features, start, columns, values, bias.
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
    """One block of the chunks of ``parents`` and the ids of their children."""
    width = max((len(children) for children in ids), default=0)
    kind = np.uint8 if width <= 256 else np.uint16

    def joined(place: int, dtype: type) -> NDArray:
        parts = [chunk[place] for chunk in chunks]
        return np.concatenate([*parts, np.empty(0, dtype)]).astype(dtype, copy=False)

    return ChunkBlock(
        parents=parents.astype(np.uint32),
        feature_start=_starts([len(chunk[0]) for chunk in chunks]),
        features=joined(0, np.uint32),
        start=joined(1, np.uint32),
        entry_start=_starts([len(chunk[3]) for chunk in chunks]),
        columns=joined(2, kind),
        values=joined(3, np.float32),
        child_start=_starts([len(children) for children in ids]),
        ids=np.concatenate([*ids, np.empty(0, np.uint32)]).astype(np.uint32),
        bias=joined(4, np.float32),
    )


def split_chunks(block: ChunkBlock) -> Iterator[tuple[int, Chunk, NDArray[np.uint32]]]:
    """The chunks of a block one by one: parent, chunk, ids of its children."""
    for at, parent in enumerate(block.parents.tolist()):
        rows = slice(int(block.feature_start[at]), int(block.feature_start[at + 1]))
        entries = slice(int(block.entry_start[at]), int(block.entry_start[at + 1]))
        children = slice(int(block.child_start[at]), int(block.child_start[at + 1]))
        start = block.start[rows.start + at : rows.stop + at + 1]
        chunk = (block.features[rows], start, block.columns[entries], block.values[entries], block.bias[children])
        yield parent, chunk, block.ids[children]


def keep_entries(block: ChunkBlock, keep: NDArray[np.bool_], bias: NDArray[np.float32]) -> ChunkBlock:
    """The block with only the entries where ``keep`` (entries,) holds, and another bias."""
    chunk_of_feature = np.repeat(np.arange(len(block.parents)), np.diff(block.feature_start))
    sizes = np.diff(block.feature_ends(), prepend=0)
    feature_of_entry = np.repeat(np.arange(len(block.features)), sizes)
    left = np.bincount(feature_of_entry[keep], minlength=len(block.features))
    stays = left > 0
    chunks, feature_start = (
        chunk_of_feature[stays],
        _starts(np.bincount(chunk_of_feature[stays], minlength=len(block.parents)).tolist()),
    )
    entries = np.bincount(chunk_of_feature[feature_of_entry[keep]], minlength=len(block.parents))
    entry_start = _starts(entries.tolist())
    start = np.zeros(len(chunks) + len(block.parents), dtype=np.uint32)
    start[np.arange(len(chunks)) + chunks + 1] = np.cumsum(left[stays]) - entry_start[chunks]
    return ChunkBlock(
        parents=block.parents,
        feature_start=feature_start,
        features=block.features[stays],
        start=start,
        entry_start=entry_start,
        columns=block.columns[keep],
        values=block.values[keep],
        child_start=block.child_start,
        ids=block.ids,
        bias=bias,
    )


def prune_block(block: ChunkBlock, *, threshold: float = 0.0, max_nonzeros: int = 0) -> ChunkBlock:
    """Only weights of at least ``threshold``, and of each child the ``max_nonzeros`` largest (0: all), ties by feature.

    The bias is held to the threshold and does not count.
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
    """The model with every block pruned as :func:`prune_block` does."""
    levels = tuple(
        tuple(prune_block(block, threshold=threshold, max_nonzeros=max_nonzeros) for block in blocks)
        for blocks in model.levels
    )
    return RankerModel(model.features, model.tree, levels, model.normalised)
