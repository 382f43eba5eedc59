"""The stages that build the label tree: label features, and their clustering."""

import numpy as np

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.matrices import sparse_to_arrow, tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.clustering import ClusterParams, split_subtree, tree_of_leaves
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams, tree_arrays, upper_splits
from fingerpost.tasks.xmr.label_features import EmbeddingParams
from fingerpost.tasks.xmr.label_features import embed_labels as embed_block
from fingerpost.tasks.xmr.memory import clustering_need, embedding_need
from fingerpost.tasks.xmr.open import read_label_features, read_training
from fingerpost.tasks.xmr.stages.memory_budget import MemoryBudget, available_of, problem_of
from fingerpost.tasks.xmr.tree import LabelTree


@stage(contracts.LABEL_FEATURES)
def embed_labels(
    run: StageRun, interactions: Ref, features: Ref, *, params: EmbeddingParams, rows: RowParams, blocks: BlockParams
) -> None:
    """Computes label features for the clustering, one shard per block of labels."""
    labels = run.store.open(interactions, contracts.INTERACTIONS).quality["labels"]
    budget = _embedding_budget(run, interactions, features, params, rows, blocks, labels=labels)
    figures = run.map_shards(
        _embed_shard,
        even_shards(labels, budget.labels),
        interactions=interactions,
        features=features,
        params=params,
        rows=rows,
    )
    run.quality = {
        "labels": labels,
        "memory": budget.figures,
        "columns": figures[0]["columns"],
        "non_zeros": sum(f["non_zeros"] for f in figures),
        "empty_rows": sum(f["empty"] for f in figures),
    }


def _embedding_budget(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    params: EmbeddingParams,
    rows: RowParams,
    blocks: BlockParams,
    *,
    labels: int,
) -> MemoryBudget:
    """Memory budget with the number of labels per shard."""
    shape, available = problem_of(run, interactions, features, rows)
    own_entries = shape.entries if params.method in ("pifa_concatenated", "pifa_blended") else 0
    return MemoryBudget.within(
        run,
        lambda block, _: embedding_need(shape, params, block=block, own_entries=own_entries),
        blocks,
        available,
        inputs=(interactions, features),
        labels=labels,
    )


def _embed_shard(
    store: Store, shard: Shard, *, interactions: Ref, features: Ref, params: EmbeddingParams, rows: RowParams
) -> ShardOutput:
    data = read_training(store, interactions, features, rows)
    own_features = data.label_features if params.method in ("pifa_concatenated", "pifa_blended") else None
    vectors = embed_block(
        data.features, data.targets, params, own_features=own_features, begin=shard.start, end=shard.stop
    )
    empty = int((np.diff(vectors.indptr) == 0).sum())
    figures = {"columns": vectors.shape[1], "non_zeros": int(vectors.nnz), "empty": empty}
    return ShardOutput({"features": sparse_to_arrow(vectors)}, figures)


@stage(contracts.TREE)
def cluster_labels(run: StageRun, label_features: Ref, *, params: ClusterParams, blocks: BlockParams) -> None:
    """Splits all labels a few times, then each part in a shard of its own, and merges the leaves into a tree."""
    artifact = run.store.open(label_features, contracts.LABEL_FEATURES)
    labels = artifact.quality["labels"]
    budget = _clustering_budget(run, label_features, params, blocks)
    depth, upper = params.splits(labels), upper_splits(labels, params, blocks)
    leaves = _write_upper(run, artifact, params, upper)
    shards = [Shard(index, index, index + 1) for index in range(leaves)]
    run.map_shards(
        _subtree_shard,
        shards,
        label_features=label_features,
        upper=run.entries[-1],
        level=upper,
        depth=depth - upper,
        params=params,
    )
    tree = _merged_tree(run, params)
    run.write("tree", tensors_to_arrow(tree_arrays(tree)))
    run.quality = {"labels": labels, "memory": budget.figures} | tree.figures()


def _clustering_budget(run: StageRun, label_features: Ref, params: ClusterParams, blocks: BlockParams) -> MemoryBudget:
    """Memory budget of the clustering, which processes all labels together."""
    quality = run.store.manifest(label_features).quality
    labels, entries, columns = (quality[name] for name in ("labels", "non_zeros", "columns"))
    (available,) = run.gather(available_of, [Shard(0, 0, 1)])
    return MemoryBudget.within(
        run,
        lambda *_: clustering_need(labels, entries, columns, params),
        blocks,
        available,
        inputs=(label_features,),
        labels=labels,
        smallest=labels,
    )


def _write_upper(run: StageRun, artifact: Artifact, params: ClusterParams, depth: int) -> int:
    """Computes and writes the first splits of all labels; returns the number of parts."""
    members = np.arange(artifact.quality["labels"], dtype=np.uint32)
    order, sizes = split_subtree(read_label_features(artifact), members, params, depth=depth)
    run.write("upper", tensors_to_arrow({"order": order, "sizes": sizes}))
    return len(sizes)


def _merged_tree(run: StageRun, params: ClusterParams) -> LabelTree:
    """The label tree over the leaves of all subtrees."""
    parts = [_tensors(run.store, entry) for entry in run.entries if entry.table == "subtrees"]
    order, sizes = (np.concatenate([part[name] for part in parts]) for name in ("order", "sizes"))
    return tree_of_leaves(order, sizes, params)


def _subtree_shard(
    store: Store, shard: Shard, *, label_features: Ref, upper: FileEntry, level: int, depth: int, params: ClusterParams
) -> ShardOutput:
    artifact = store.open(label_features, contracts.LABEL_FEATURES)
    split = _tensors(store, upper)
    ends = np.cumsum(split["sizes"])
    members = split["order"][ends[shard.index] - split["sizes"][shard.index] : ends[shard.index]]
    order, sizes = split_subtree(
        read_label_features(artifact), members, params, depth=depth, level=level, position=shard.index
    )
    return ShardOutput({"subtrees": tensors_to_arrow({"order": order, "sizes": sizes})}, {"leaves": len(sizes)})


def _tensors(store: Store, entry: FileEntry) -> dict[str, np.ndarray]:
    return tensors_from_arrow(store.read_table(entry, contracts.TREE, where=entry.path))
