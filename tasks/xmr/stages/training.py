"""The stage that trains the rankers of all levels of a label tree."""

from dataclasses import asdict, replace

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams, block_arrays, parent_blocks
from fingerpost.tasks.xmr.memory import memory_need
from fingerpost.tasks.xmr.open import read_tree
from fingerpost.tasks.xmr.stages.levels import LevelInputs, LevelShards
from fingerpost.tasks.xmr.stages.memory_budget import MemoryBudget, problem_of
from fingerpost.tasks.xmr.training import TrainingParams, train_levels


@stage(contracts.MODEL)
def train_rankers(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    *,
    params: TrainingParams,
    rows: RowParams,
    blocks: BlockParams,
) -> None:
    """Trains the rankers level by level, one shard per block of parents.

    For matcher-aware negatives, blocks of rows are routed to the parents that the levels above predict for them, before
    each level but the first.
    """
    _check_negatives(run, interactions, params)
    label_tree = read_tree(run.store.open(tree, contracts.TREE))
    inputs = LevelInputs(interactions, features, tree, params, rows)
    count, budget = _budget(run, inputs, blocks, labels=label_tree.labels)
    cut = replace(blocks, labels=budget.labels)
    levels = LevelShards(run, inputs, count, blocks.rows, budget.threads_of)

    def solve(level: int, matches: list[FileEntry] | None) -> list[FileEntry]:
        shards = [Shard(i, start, stop) for i, (start, stop) in enumerate(parent_blocks(label_tree, level, cut))]
        return levels.solve(_solve_shard, shards, level=level, matches=matches or [], max_weights=budget.max_weights)

    train_levels(label_tree.depth, params.negatives, predict=levels.predict, solve=solve, solves=label_tree.weighted)
    run.quality = {
        "features": run.store.open(features, corpus.FEATURES).quality["columns"],
        "normalised": params.normalise,
        "labels": label_tree.labels,
        "rows": count,
        "memory": budget.figures,
    } | _sums(levels, label_tree.depth)


def _check_negatives(run: StageRun, interactions: Ref, params: TrainingParams) -> None:
    """Raises FingerpostError for user-supplied negatives where the interactions have none."""
    if params.negatives == "user" and "negatives" not in run.store.manifest(interactions).quality:
        raise FingerpostError(
            "xmr.training.negatives: expected tfn, man or tfn+man, got user without a file of them; choose one, or name"
            " the file in xmr.negatives"
        )


def _budget(run: StageRun, inputs: LevelInputs, blocks: BlockParams, *, labels: int) -> tuple[int, MemoryBudget]:
    """Number of training rows, and the memory budget with the size of label blocks."""
    shape, available = problem_of(run, inputs.interactions, inputs.features, inputs.rows, inputs.tree)
    budget = MemoryBudget.within(
        run,
        lambda block, threads: memory_need(shape, inputs.training, threads=threads, block=block),
        blocks,
        available,
        inputs=(inputs.interactions, inputs.features),
        labels=labels,
        smallest=shape.leaf,
    )
    return shape.rows, budget


def _sums(levels: LevelShards, depth: int) -> dict[str, object]:
    """The counts of all blocks, by level and in total."""
    per_level = [
        {name: levels.sum(name, level=level) for name in ("labels", "pairs", "weights")} for level in range(depth)
    ]
    return {
        "weights": levels.sum("weights"),
        "bytes": levels.sum("bytes"),
        "objective": round(levels.sum("objective"), 3),
        "levels": per_level,
    }


def _solve_shard(
    store: Store,
    shard: Shard,
    *,
    inputs: LevelInputs,
    level: int,
    matches: list[FileEntry],
    threads: int,
    max_weights: int,
) -> ShardOutput:
    trainer = inputs.trainer(store, level, matches)
    block, counters = trainer.solve_block(range(shard.start, shard.stop), threads=threads)
    if len(block.values) > max_weights:
        raise FingerpostError(
            f"training, level {level}: expected at most {max_weights} weights per block within the memory budget, got"
            f" {len(block.values)}; lower blocks.labels of the domain, or raise its training.solver.threshold"
        )
    figures = asdict(counters) | {"weights": len(block.values), "bytes": block.nbytes}
    return ShardOutput({"weights": tensors_to_arrow(block_arrays(block, level))}, figures)
