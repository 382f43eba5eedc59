"""The stage that builds the tree over suggestions."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas import xmr
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.matrices import tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.index import (
    IndexParams,
    index_need,
    joined_tree,
    leaf_numbers,
    part_blocks,
    upper_partitions,
)
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.label_blocks import BlockParams, tree_arrays
from fingerpost.tasks.xmr.memory import SLACK, MemoryEstimate
from fingerpost.tasks.xmr.open import read_label_features
from fingerpost.tasks.xmr.stages.memory_budget import MemoryBudget, available_of


@stage(xmr.TREE)
def index_suggestions(
    run: StageRun, suggestions: Ref, label_features: Ref, *, params: IndexParams, blocks: BlockParams
) -> None:
    """Divides the suggestions by their first characters, then splits large parts in shards, and joins the tree."""
    keys = run.store.open(suggestions, contracts.SUGGESTIONS).read("suggestions")["key"].to_pylist()
    budget = _budget(run, suggestions, label_features, params, blocks, count=len(keys))
    features = read_label_features(run.store.open(label_features, xmr.LABEL_FEATURES)) if params.embedded else None
    upper = upper_partitions(keys, features, params)
    run.write("upper", tensors_to_arrow({"part": upper[-1]}))
    parts = part_blocks(upper[-1], params, blocks.labels)
    shards = [Shard(index, block.start, block.stop) for index, block in enumerate(parts)]
    run.map_shards(_split_shard, shards, label_features=label_features, upper=run.entries[-1], params=params)
    leaf = np.zeros(len(keys), dtype=np.int32)
    for split in [_tensors(run.store, entry) for entry in run.entries if entry.table == "subtrees"]:
        leaf[split["members"]] = split["leaf"]
    tree = joined_tree(upper, leaf, params)
    run.write("tree", tensors_to_arrow(tree_arrays(tree)))
    run.quality = {"labels": len(keys), "memory": budget.figures} | tree.figures()


def _budget(
    run: StageRun, suggestions: Ref, label_features: Ref, params: IndexParams, blocks: BlockParams, *, count: int
) -> MemoryBudget:
    """Memory budget of the tree, for which all suggestions are processed together."""
    quality = run.store.manifest(label_features).quality
    parts = index_need(count, quality["non_zeros"], quality["columns"], params) | {"slack": SLACK}
    (available,) = run.gather(available_of, [Shard(0, 0, 1)])
    return MemoryBudget.within(
        run,
        lambda *_: MemoryEstimate("the tree of suggestions", parts, count),
        blocks,
        available,
        inputs=(suggestions, label_features) if params.embedded else (suggestions,),
        labels=count,
        smallest=count,
    )


def _split_shard(
    store: Store, shard: Shard, *, label_features: Ref, upper: FileEntry, params: IndexParams
) -> ShardOutput:
    """The leaves of some parts."""
    features = read_label_features(store.open(label_features, xmr.LABEL_FEATURES))
    partition = cast(NDArray[np.int32], _tensors(store, upper)["part"])
    members, leaf = leaf_numbers(features, partition, range(shard.start, shard.stop), params)
    return ShardOutput({"subtrees": tensors_to_arrow({"members": members, "leaf": leaf})}, {"members": len(members)})


def _tensors(store: Store, entry: FileEntry) -> dict[str, np.ndarray]:
    return tensors_from_arrow(store.read_table(entry, xmr.TREE, where=entry.path))
