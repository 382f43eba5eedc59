"""Fan-out of the levels of a tree over shards, shared by training and refresh."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.matrices import sparse_from_arrow, sparse_to_arrow, tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.interactions import RowParams, TrainingRows, level_problem
from fingerpost.tasks.xmr.label_blocks import block_of, by_level
from fingerpost.tasks.xmr.model import ChunkBlock, RankerModel
from fingerpost.tasks.xmr.open import read_training, read_tree
from fingerpost.tasks.xmr.training import LevelTrainer, TrainingParams, predicted_parents
from fingerpost.tasks.xmr.tree import LabelTree

#: Reads a stored block and its level.
ReadBlock = Callable[[Store, FileEntry], tuple[int, ChunkBlock]]


def read_block(store: Store, entry: FileEntry) -> tuple[int, ChunkBlock]:
    """A stored block and its level."""
    return block_of(tensors_from_arrow(store.read_table(entry, contracts.MODEL, where=entry.path)))


@dataclass(frozen=True)
class LevelInputs:
    """Inputs and parameters of the shards of a level."""

    interactions: Ref
    features: Ref
    tree: Ref
    training: TrainingParams
    rows: RowParams

    def read_rows(self, store: Store) -> TrainingRows:
        """The training rows."""
        return read_training(store, self.interactions, self.features, self.rows)

    def read_tree(self, store: Store) -> LabelTree:
        """The label tree."""
        return read_tree(store.open(self.tree, contracts.TREE))

    def trainer(self, store: Store, level: int, matches: Sequence[FileEntry]) -> LevelTrainer:
        """The trainer of a level; ``matches``: files with the predicted parents of all rows, if any."""
        data, tree, predicted = self.read_rows(store), self.read_tree(store), None
        if matches:
            parts = [store.read_table(entry, contracts.MODEL, where=entry.path) for entry in matches]
            predicted = sparse_from_arrow(pa.concat_tables(parts), columns=tree.width(level - 1))
        problem = level_problem(data, tree, level, self.training, self.rows, predicted=predicted)
        rows = data.scaled if self.training.normalise else data.features
        return LevelTrainer(rows, problem, self.training.solver)


@dataclass
class LevelShards:
    """The shards of all levels, numbered consecutively so that their files do not collide.

    rows: number of training rows; ``block_rows`` of them are routed together.
    threads_of: threads per shard, for some shards.
    read: reads a stored block.
    number: the number of the next shard.
    figures: level and counts of each solved block.
    """

    run: StageRun
    inputs: LevelInputs
    rows: int
    block_rows: int
    threads_of: Callable[[Sequence[Shard]], int]
    read: ReadBlock = read_block
    number: int = 0
    figures: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def predict(self, above: Sequence[Sequence[FileEntry]]) -> list[FileEntry]:
        """Routes blocks of rows to the parents that the levels above predict; returns the files with these."""
        weights = [entry for entries in above for entry in entries]
        shards = even_shards(self.rows, self.block_rows)
        return self._map(_match_shard, shards, weights=weights, depth=len(above), read=self.read)[0]

    def solve(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], *, level: int, **arguments: Any
    ) -> list[FileEntry]:
        """Solves the blocks of a level, one per shard; returns their files."""
        entries, figures = self._map(function, shards, level=level, **arguments)
        self.figures += [(level, of_shard) for of_shard in figures]
        return entries

    def sum(self, name: str, *, level: int | None = None) -> Any:
        """A count summed over the blocks of a level, or of all levels."""
        return sum(figures[name] for block_level, figures in self.figures if level in (None, block_level))

    def _map(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], **arguments: Any
    ) -> tuple[list[FileEntry], list[dict[str, Any]]]:
        entries_before = len(self.run.entries)
        numbered = [Shard(self.number + shard.index, shard.start, shard.stop) for shard in shards]
        self.number += len(shards)
        figures = self.run.map_shards(
            function, numbered, inputs=self.inputs, threads=self.threads_of(numbered), **arguments
        )
        return self.run.entries[entries_before:], figures


def _match_shard(
    store: Store,
    shard: Shard,
    *,
    inputs: LevelInputs,
    weights: Sequence[FileEntry],
    depth: int,
    read: ReadBlock,
    threads: int,
) -> ShardOutput:
    """The parents that the ``depth`` levels above predict for some rows."""
    data, training = inputs.read_rows(store), inputs.training
    levels = by_level([read(store, entry) for entry in weights], depth)
    partial = RankerModel(data.features.shape[1], inputs.read_tree(store), levels, training.normalise)
    parents = predicted_parents(data.features[shard.start : shard.stop], partial, training.beam, threads=threads)
    return ShardOutput({"matches": sparse_to_arrow(parents)}, {"non_zeros": int(parents.nnz)})
