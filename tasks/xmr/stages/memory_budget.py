"""What the stages of training do about memory: state the need, compare it with what there is, and choose blocks that keep it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from schemas import xmr as contracts
from schemas.errors import FingerpostError
from schemas.refs import Ref
from schemas.store import Store
from tasks.shards import Shard, available_memory
from tasks.stage_run import StageRun
from tasks.xmr.blocks import BlockParams
from tasks.xmr.interactions import RowParams
from tasks.xmr.memory import WEIGHT_BYTES, MemoryNeedError, MemoryStatement, ProblemShape, fitting
from tasks.xmr.open import read_training, read_tree

_log = logging.getLogger("fingerpost.run")


def problem_of(
    run: StageRun, interactions: Ref, features: Ref, rows: RowParams, tree: Ref | None = None
) -> tuple[ProblemShape, int]:
    """The shape of what is trained on, and the memory that is left where shards run."""
    (found,) = run.gather(_shape, [Shard(0, 0, 1)], interactions=interactions, features=features, rows=rows, tree=tree)
    return cast(tuple[ProblemShape, int], found)


def _shape(
    store: Store, shard: Shard, *, interactions: Ref, features: Ref, rows: RowParams, tree: Ref | None
) -> tuple[ProblemShape, int]:
    room = available_memory()
    data = read_training(store, interactions, features, rows)
    chain = read_tree(store.open(tree, contracts.TREE)) if tree else None
    return ProblemShape.of(data.features, data.targets, chain), room


def room_of(store: Store, shard: Shard) -> int:
    return available_memory()


@dataclass(frozen=True)
class KeptMemory:
    """A statement that is kept: labels solved together, threads, and weights that a block may have."""

    run: StageRun
    labels: int
    threads: int
    most_weights: int
    figures: dict[str, float]

    @classmethod
    def within(
        cls,
        run: StageRun,
        state: Callable[[int, int], MemoryStatement],
        blocks: BlockParams,
        room: int,
        *,
        inputs: Sequence[Ref],
        labels: int,
        least: int = 1,
    ) -> "KeptMemory":
        """The largest blocks within ``blocks.memory_mb``, as far as the ``room`` of the machine has that for each process.

        ``state``: what so many labels and threads need beside what is read. FingerpostError names the figures.
        """
        # As they lie in the store, and put together: Arrow gives memory back late.
        read = 2 * sum(entry.bytes for ref in inputs for entry in run.store.manifest(ref).files)

        def stated(block: int, threads: int = 1) -> MemoryStatement:
            found = state(block, threads)
            return replace(found, parts=found.parts | {"files": read})

        most, processes = min(blocks.labels, labels), _processes(run)
        budget = min(room // processes, blocks.memory_mb * 2**20 or room)
        try:
            if blocks.memory_mb:
                remedy = "raise xmr.blocks.memory_mb"
                found = fitting(stated, blocks.memory_mb * 2**20, most, min(least, most), remedy=remedy)
            else:
                found = stated(most)
            remedy = (
                "set xmr.blocks.memory_mb to have fewer labels made together, lower run.workers, or give more memory"
            )
            fitting(lambda _: found, budget, 0, remedy=remedy)
        except MemoryNeedError as problem:
            raise FingerpostError(str(problem)) from problem
        threads = next(
            count for count in range(run.threads, 0, -1) if count == 1 or stated(found.block, count).total <= budget
        )
        _log.info("%s: %s, of %.1f MiB", run.contract.name, found, budget / 2**20)
        spare = (budget - found.total) // WEIGHT_BYTES
        weights = max(found.most_block, found.most_upper) + spare
        return cls(run, found.block, threads, weights, found.figures())

    def threads_of(self, shards: Sequence[Shard]) -> int:
        """Threads of each of some shards, as far as memory allows."""
        return min(self.threads, self.run.threads_of(shards))


def _processes(run: StageRun) -> int:
    """Processes that run shards on one machine at once; of a cluster elsewhere one is supposed."""
    executor = run.env.executor
    return 1 if getattr(executor, "cluster", "") else max(1, getattr(executor, "workers", 1))
