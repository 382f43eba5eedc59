"""Memory budgets of the training stages: estimate, comparison with the available memory, and block sizes within it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.shards import Shard, available_memory
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.memory import WEIGHT_BYTES, MemoryEstimate, MemoryNeedError, ProblemShape, fitting
from fingerpost.tasks.xmr.open import read_training, read_tree

#: The setting that bounds the memory, as messages name it.
_SETTING = "xmr.blocks.memory_mb (autocomplete.blocks.memory_mb for a completer)"
_log = logging.getLogger("fingerpost.run")


@dataclass(frozen=True)
class MemoryBudget:
    """Block size and number of threads within a memory estimate."""

    run: StageRun
    #: Labels processed together.
    labels: int
    #: Maximum number of threads per process.
    threads: int
    #: Maximum number of weights in a block.
    max_weights: int
    #: Values of the estimate that the manifest records, in MiB.
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
        """The largest blocks within ``blocks.memory_mb`` and each process's part of ``available`` bytes.

        need: the estimate for a block of labels and a number of threads, without the input files.
        inputs: artifacts whose files are read.
        labels: maximum, ``smallest``: minimum number of labels per block.

        Raises FingerpostError with the estimate where it exceeds the budget.
        """
        # Each file as stored and once concatenated: Arrow releases memory late.
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
        weights = max(chosen.max_block_weights, chosen.max_upper_weights) + spare
        return cls(run, chosen.block, threads, weights, chosen.figures())

    def threads_of(self, shards: Sequence[Shard]) -> int:
        """Threads per shard, as far as the memory suffices."""
        return min(self.threads, self.run.threads_of(shards))


def _within_limits(
    estimate: Callable[[int], MemoryEstimate], blocks: BlockParams, budget: int, largest: int, smallest: int
) -> MemoryEstimate:
    """The estimate with the largest blocks within ``blocks.memory_mb``; MemoryNeedError where it exceeds ``budget``."""
    if blocks.memory_mb:
        remedy = f"raise {_SETTING}"
        chosen = fitting(estimate, blocks.memory_mb * 2**20, largest, min(smallest, largest), remedy=remedy)
    else:
        chosen = estimate(largest)
    remedy = f"set {_SETTING} for smaller blocks of labels, lower run.workers, or provide more memory"
    return fitting(lambda _: chosen, budget, 0, remedy=remedy)


def problem_of(
    run: StageRun, interactions: Ref, features: Ref, rows: RowParams, tree: Ref | None = None
) -> tuple[ProblemShape, int]:
    """The shape of the training problem, and the available memory in bytes where shards run."""
    (shape_and_memory,) = run.gather(
        _shape, [Shard(0, 0, 1)], interactions=interactions, features=features, rows=rows, tree=tree
    )
    return cast(tuple[ProblemShape, int], shape_and_memory)


def _shape(
    store: Store, shard: Shard, *, interactions: Ref, features: Ref, rows: RowParams, tree: Ref | None
) -> tuple[ProblemShape, int]:
    available = available_memory()
    data = read_training(store, interactions, features, rows)
    label_tree = read_tree(store.open(tree, contracts.TREE)) if tree else None
    return ProblemShape.of(data.features, data.targets, label_tree), available


def available_of(store: Store, shard: Shard) -> int:
    """The available memory in bytes where shards run."""
    return available_memory()


def _processes(run: StageRun) -> int:
    """Number of processes that run shards on one machine at a time; one is assumed for an external cluster."""
    executor = run.env.executor
    return 1 if getattr(executor, "cluster", "") else max(1, getattr(executor, "workers", 1))
