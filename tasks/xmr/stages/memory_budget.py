"""The memory that stages of training may take: estimated, compared with what is available, and kept by blocks."""

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
from tasks.xmr.memory import WEIGHT_BYTES, MemoryEstimate, MemoryNeedError, ProblemShape, fitting
from tasks.xmr.open import read_training, read_tree

_log = logging.getLogger("fingerpost.run")


@dataclass(frozen=True)
class MemoryBudget:
    """Blocks and threads that keep an estimate."""

    run: StageRun
    #: Labels solved together.
    labels: int
    #: Threads of one process.
    threads: int
    #: Weights that a block may have.
    most_weights: int
    #: What a manifest keeps of the estimate.
    figures: dict[str, float]

    @classmethod
    def within(
        cls,
        run: StageRun,
        need: Callable[[int, int], MemoryEstimate],
        blocks: BlockParams,
        available: int,
        *,
        inputs: Sequence[Ref],
        labels: int,
        smallest: int = 1,
    ) -> "MemoryBudget":
        """The largest blocks within ``blocks.memory_mb`` and within each process's part of ``available`` bytes.

        need: what a number of labels and of threads need beside the files that are read. FingerpostError names the
        figures.
        """
        # As they lie in the store, and put together: Arrow gives memory back late.
        read = 2 * sum(entry.bytes for ref in inputs for entry in run.store.manifest(ref).files)

        def estimate(block: int, threads: int = 1) -> MemoryEstimate:
            of_arrays = need(block, threads)
            return replace(of_arrays, parts=of_arrays.parts | {"files": read})

        budget = min(available // _processes(run), blocks.memory_mb * 2**20 or available)
        try:
            chosen = _within_limits(estimate, blocks, budget, min(blocks.labels, labels), smallest)
        except MemoryNeedError as problem:
            raise FingerpostError(str(problem)) from problem
        threads = next(
            count for count in range(run.threads, 0, -1) if count == 1 or estimate(chosen.block, count).total <= budget
        )
        _log.info("%s: %s, of %.1f MiB", run.contract.name, chosen, budget / 2**20)
        spare = (budget - chosen.total) // WEIGHT_BYTES
        weights = max(chosen.most_block, chosen.most_upper) + spare
        return cls(run, chosen.block, threads, weights, chosen.figures())

    def threads_of(self, shards: Sequence[Shard]) -> int:
        """Threads of each of some shards, as far as memory allows."""
        return min(self.threads, self.run.threads_of(shards))


def _within_limits(
    estimate: Callable[[int], MemoryEstimate], blocks: BlockParams, budget: int, largest: int, smallest: int
) -> MemoryEstimate:
    """The estimate with the largest blocks within ``blocks.memory_mb``; refused where it is over ``budget``."""
    if blocks.memory_mb:
        remedy = "raise xmr.blocks.memory_mb"
        chosen = fitting(estimate, blocks.memory_mb * 2**20, largest, min(smallest, largest), remedy=remedy)
    else:
        chosen = estimate(largest)
    remedy = "set xmr.blocks.memory_mb to have fewer labels made together, lower run.workers, or give more memory"
    return fitting(lambda _: chosen, budget, 0, remedy=remedy)


def problem_of(
    run: StageRun, interactions: Ref, features: Ref, rows: RowParams, tree: Ref | None = None
) -> tuple[ProblemShape, int]:
    """The shape of what is trained on, and the bytes that are available where shards run."""
    (found,) = run.gather(_shape, [Shard(0, 0, 1)], interactions=interactions, features=features, rows=rows, tree=tree)
    return cast(tuple[ProblemShape, int], found)


def _shape(
    store: Store, shard: Shard, *, interactions: Ref, features: Ref, rows: RowParams, tree: Ref | None
) -> tuple[ProblemShape, int]:
    available = available_memory()
    data = read_training(store, interactions, features, rows)
    label_tree = read_tree(store.open(tree, contracts.TREE)) if tree else None
    return ProblemShape.of(data.features, data.targets, label_tree), available


def available_of(store: Store, shard: Shard) -> int:
    """The bytes that are available where shards run."""
    return available_memory()


def _processes(run: StageRun) -> int:
    """Processes that run shards on one machine at once; of a cluster elsewhere one is supposed."""
    executor = run.env.executor
    return 1 if getattr(executor, "cluster", "") else max(1, getattr(executor, "workers", 1))
