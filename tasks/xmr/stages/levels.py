"""The levels of a tree fanned out over shards: what training and refreshing have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from schemas import xmr as contracts
from schemas.manifests import FileEntry
from schemas.matrices import sparse_from_arrow, sparse_to_arrow, tensors_from_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.shards import Shard, ShardOutput, even_shards
from tasks.stage_run import StageRun
from tasks.xmr.blocks import block_of, by_level
from tasks.xmr.interactions import RowParams, TrainingRows, level_problem
from tasks.xmr.model import ChunkBlock, RankerModel
from tasks.xmr.open import read_training, read_tree
from tasks.xmr.training import LevelTrainer, TrainingParams, predicted_parents
from tasks.xmr.tree import LabelTree

#: Reads a stored block and its level.
ReadBlock = Callable[[Store, FileEntry], tuple[int, ChunkBlock]]


def read_block(store: Store, entry: FileEntry) -> tuple[int, ChunkBlock]:
    """A stored block and its level."""
    return block_of(tensors_from_arrow(store.read_table(entry, contracts.MODEL, where=entry.path)))


@dataclass(frozen=True)
class LevelInputs:
    """What every shard of a level reads, and how its rankers are solved."""

    interactions: Ref
    features: Ref
    tree: Ref
    training: TrainingParams
    rows: RowParams

    def read_rows(self, store: Store) -> TrainingRows:
        """The rows to train on."""
        return read_training(store, self.interactions, self.features, self.rows)

    def read_tree(self, store: Store) -> LabelTree:
        """The tree."""
        return read_tree(store.open(self.tree, contracts.TREE))

    def trainer(self, store: Store, level: int, matches: Sequence[FileEntry]) -> LevelTrainer:
        """What solves the nodes of a level on all rows; ``matches``: the files of their predicted parents, if any."""
        data, tree, predicted = self.read_rows(store), self.read_tree(store), None
        if matches:
            parts = [store.read_table(entry, contracts.MODEL, where=entry.path) for entry in matches]
            predicted = sparse_from_arrow(pa.concat_tables(parts), columns=tree.width(level - 1))
        problem = level_problem(data, tree, level, self.training, self.rows, predicted=predicted)
        rows = data.scaled if self.training.normalise else data.features
        return LevelTrainer(rows, problem, self.training.solver)


@dataclass
class LevelShards:
    """The shards of all levels, numbered through so that their files do not collide.

    rows: how many there are to train on, of which ``block_rows`` are routed together. threads_of: threads of each of
    some shards.
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
        """Routes blocks of rows to the parents that the levels above predict for them; the files of these."""
        weights = [entry for entries in above for entry in entries]
        shards = even_shards(self.rows, self.block_rows)
        return self._map(_match_shard, shards, weights=weights, read=self.read)[0]

    def solve(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], *, level: int, **arguments: Any
    ) -> list[FileEntry]:
        """Makes the blocks of a level, one shard each; their files."""
        entries, figures = self._map(function, shards, level=level, **arguments)
        self.figures += [(level, of_shard) for of_shard in figures]
        return entries

    def sum(self, name: str, *, level: int | None = None) -> Any:
        """A figure summed over the blocks of a level, or of all."""
        return sum(figures[name] for at, figures in self.figures if level in (None, at))

    def _map(
        self, function: Callable[..., ShardOutput], shards: Sequence[Shard], **arguments: Any
    ) -> tuple[list[FileEntry], list[dict[str, Any]]]:
        before = len(self.run.entries)
        mine = [Shard(self.number + shard.index, shard.start, shard.stop) for shard in shards]
        self.number += len(shards)
        figures = self.run.map_shards(function, mine, inputs=self.inputs, threads=self.threads_of(mine), **arguments)
        return self.run.entries[before:], figures


def _match_shard(
    store: Store, shard: Shard, *, inputs: LevelInputs, weights: Sequence[FileEntry], read: ReadBlock, threads: int
) -> ShardOutput:
    """The parents that the levels above, as they are now, predict for some rows."""
    data, training = inputs.read_rows(store), inputs.training
    levels = by_level([read(store, entry) for entry in weights])
    partial = RankerModel(data.features.shape[1], inputs.read_tree(store), levels, training.normalise)
    found = predicted_parents(data.features[shard.start : shard.stop], partial, training.beam, threads=threads)
    return ShardOutput({"matches": sparse_to_arrow(found)}, {"non_zeros": int(found.nnz)})
