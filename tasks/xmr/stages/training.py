"""The stages from interactions to trained rankers. Each reads, calls a pure function and writes, with as little logic as can be."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from schemas import corpus
from schemas import xmr as contracts
from schemas.errors import FingerpostError, QuarantineLimitError
from schemas.inputs import SEE_ALSO_SAMPLE
from schemas.inputs.interactions import FirstSentenceSource, InteractionBatch, InteractionSource, SeeAlsoSource
from schemas.manifests import FileEntry
from schemas.matrices import sparse_from_arrow, sparse_to_arrow, tensors_from_arrow, tensors_to_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.shards import Shard, ShardOutput, even_shards
from tasks.stage import stage
from tasks.stage_run import StageRun
from tasks.xmr.blocks import (
    BlockParams,
    block_arrays,
    block_of,
    by_level,
    parent_blocks,
    tree_arrays,
    upper_splits,
)
from tasks.xmr.clustering import ClusterParams, split_subtree, tree_of_leaves
from tasks.xmr.interactions import (
    CALIBRATION,
    SPLITS,
    TEST,
    TRAINING,
    InteractionParams,
    RowParams,
    label_text,
    level_problem,
    query_text,
    splits_of,
)
from tasks.xmr.label_features import EmbeddingParams
from tasks.xmr.label_features import embed_labels as embed_block
from tasks.xmr.memory import clustering_need, embedding_need, memory_need
from tasks.xmr.model import RankerModel
from tasks.xmr.open import (
    read_label_features,
    read_training,
    read_tree,
    rows_of,
)
from tasks.xmr.stages.memory_budget import KeptMemory, problem_of, room_of
from tasks.xmr.training import LevelTrainer, TrainingParams, predicted_parents


@stage(contracts.INTERACTIONS)
def import_interactions(
    run: StageRun, source: "Ref | InteractionSource", *, params: InteractionParams, sample: str = ""
) -> None:
    """Takes queries, labels and what was chosen over, sets bad rows aside, and holds out queries to test and to calibrate.

    Of the extracts of the built-in sample, ``sample`` says which of its interactions are meant.
    """
    batch = _sample_interactions(run.store, source, sample) if isinstance(source, Ref) else source.read()
    queries, labels, bad = batch.queries.num_rows, batch.labels.num_rows, batch.quarantined.num_rows
    share = bad / max(bad + batch.pairs.num_rows, 1)
    run.write_companion(
        corpus.QUARANTINE, {"rows": batch.quarantined}, quality={"rows": bad, "reasons": dict(batch.reasons)}
    )
    parts = splits_of(batch.queries["id"].to_pylist(), params)
    if share > params.quarantine_share or TRAINING not in parts:
        counts = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items()) or "no rows to train on"
        raise QuarantineLimitError(
            f"{source}: expected at most {params.quarantine_share:.1%} bad rows and a query to train on, found {bad}"
            f" bad beside {batch.pairs.num_rows} good ({counts}); mend the input, or raise"
            f" xmr.interactions.quarantine_share; the rows are in {run.companions[corpus.QUARANTINE.name]}"
        )
    columns = (batch.pairs[name].to_numpy() for name in ("query", "label", "weight"))
    rows, chosen, weights = columns
    targets = sparse.csr_array((weights.astype(np.float32), (rows, chosen)), shape=(queries, labels))
    targets.sort_indices()
    run.write("queries", batch.queries.append_column("split", pa.array(parts, pa.string())))
    run.write("labels", batch.labels)
    run.write("targets", sparse_to_arrow(targets))
    unwanted = {}
    if batch.negatives is not None:
        unwanted["negatives"] = batch.negatives.num_rows
        run.write("negatives", sparse_to_arrow(_ones(batch.negatives, (queries, labels))))
    run.quality = (
        {
            "queries": queries,
            "labels": labels,
            "pairs": targets.nnz,
            "quarantined": bad,
            "quarantine_share": round(share, 6),
            "named_labels": sum(map(bool, _label_texts(batch.labels))),
        }
        | {name: parts.count(name) for name in SPLITS}
        | dict(batch.figures)
        | unwanted
    )


def _ones(pairs: pa.Table, shape: tuple[int, int]) -> sparse.csr_array:
    """Distinct pairs of rows and columns as CSR of ones."""
    rows, columns = (pairs[name].to_numpy() for name in ("query", "label"))
    return sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def _sample_interactions(store: Store, extracts: Ref, sample: str) -> InteractionBatch:
    from schemas.inputs.python_docs.links import DistributionPages, pages_from

    artifact, found = store.open(extracts, corpus.EXTRACTS), []
    for entry in artifact.entries("links"):
        documents, links = (artifact.read(name, shard=entry.shard) for name in ("documents", "links"))
        found.append(DistributionPages("", pages_from(documents, links), 0))
    found.append(DistributionPages("", (), artifact.quality["unparsed_files"]))
    return (SeeAlsoSource(()) if sample == SEE_ALSO_SAMPLE else FirstSentenceSource(())).batch(found)


@stage(contracts.QUERIES)
def list_queries(run: StageRun, interactions: Ref, *, held_out: bool, label_words: int, rows_per_shard: int) -> None:
    """Lists the texts whose n-grams are counted: queries that were held out, or queries to train on and then what labels
    say about themselves in their first words, one row per label.
    """
    artifact = run.store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    mine = rows_of(queries, (CALIBRATION, TEST) if held_out else (TRAINING,))
    keys = [f"query {key}" for key in queries["id"].take(mine).to_pylist()]
    texts = [query_text(text) for text in queries["text"].take(mine).to_pylist()]
    days = queries["day"].take(mine).to_pylist()
    if not held_out:
        labels = artifact.read("labels")
        keys += [f"label {key}" for key in labels["id"].to_pylist()]
        texts += [" ".join(text.split()[:label_words]) for text in _label_texts(labels)]
        days += [""] * labels.num_rows
    columns = {"id": keys, "text": texts, "day": days}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    for shard in even_shards(len(keys), rows_per_shard):
        run.write("queries", table.slice(shard.start, shard.stop - shard.start), shard=shard.index)
    run.quality = {"rows": len(keys), "queries": len(mine)}


@stage(contracts.LABEL_FEATURES)
def embed_labels(
    run: StageRun, interactions: Ref, features: Ref, *, params: EmbeddingParams, rows: RowParams, blocks: BlockParams
) -> None:
    """Gives labels the features that they are clustered by, one shard a block of labels."""
    labels = run.store.open(interactions, contracts.INTERACTIONS).quality["labels"]
    shape, room = problem_of(run, interactions, features, rows)
    given = shape.entries if params.method in ("pifa_concatenated", "pifa_blended") else 0
    kept = KeptMemory.within(
        run,
        lambda block, _: embedding_need(shape, params, block=block, given=given),
        blocks,
        room,
        inputs=(interactions, features),
        labels=labels,
    )
    figures = run.map_shards(
        _embed_shard,
        even_shards(labels, kept.labels),
        interactions=interactions,
        features=features,
        params=params,
        rows=rows,
    )
    run.quality = {
        "labels": labels,
        "memory": kept.figures,
        "columns": figures[0]["columns"],
        "non_zeros": sum(f["non_zeros"] for f in figures),
        "empty_rows": sum(f["empty"] for f in figures),
    }


def _embed_shard(
    store: Store, shard: Shard, *, interactions: Ref, features: Ref, params: EmbeddingParams, rows: RowParams
) -> ShardOutput:
    data = read_training(store, interactions, features, rows)
    given = data.label_features if params.method in ("pifa_concatenated", "pifa_blended") else None
    found = embed_block(data.features, data.targets, params, given=given, begin=shard.start, end=shard.stop)
    empty = int((np.diff(found.indptr) == 0).sum())
    figures = {"columns": found.shape[1], "non_zeros": int(found.nnz), "empty": empty}
    return ShardOutput({"features": sparse_to_arrow(found)}, figures)


@stage(contracts.TREE)
def cluster_labels(run: StageRun, label_features: Ref, *, params: ClusterParams, blocks: BlockParams) -> None:
    """Splits all labels a few times, then each part by itself, one shard a subtree, and merges the leaves to a tree."""
    artifact = run.store.open(label_features, contracts.LABEL_FEATURES)
    labels = artifact.quality["labels"]
    (room,) = run.gather(room_of, [Shard(0, 0, 1)])
    entries, columns = (artifact.quality[name] for name in ("non_zeros", "columns"))
    kept = KeptMemory.within(
        run,
        lambda *_: clustering_need(labels, entries, columns, params),
        blocks,
        room,
        inputs=(label_features,),
        labels=labels,
        least=labels,
    )
    depth, upper = params.splits(labels), upper_splits(labels, params, blocks)
    members = np.arange(labels, dtype=np.uint32)
    order, sizes = split_subtree(read_label_features(artifact), members, params, depth=upper)
    run.write("upper", tensors_to_arrow({"order": order, "sizes": sizes}))
    shards = [Shard(place, place, place + 1) for place in range(len(sizes))]
    run.map_shards(
        _subtree_shard,
        shards,
        label_features=label_features,
        upper=run.entries[-1],
        level=upper,
        depth=depth - upper,
        params=params,
    )
    parts = [_tensors(run.store, entry, contracts.TREE) for entry in run.entries if entry.table == "subtrees"]
    tree = tree_of_leaves(
        np.concatenate([part["order"] for part in parts]), np.concatenate([part["sizes"] for part in parts]), params
    )
    run.write("tree", tensors_to_arrow(tree_arrays(tree)))
    run.quality = {
        "labels": labels,
        "memory": kept.figures,
        "depth": tree.depth,
        "widths": [tree.width(level) for level in range(tree.depth)],
        "largest_leaf": int(np.diff(tree.children(tree.depth - 1).start).max()),
    }


def _subtree_shard(
    store: Store, shard: Shard, *, label_features: Ref, upper: FileEntry, level: int, depth: int, params: ClusterParams
) -> ShardOutput:
    artifact = store.open(label_features, contracts.LABEL_FEATURES)
    split = _tensors(store, upper, contracts.TREE)
    ends = np.cumsum(split["sizes"])
    members = split["order"][ends[shard.index] - split["sizes"][shard.index] : ends[shard.index]]
    order, sizes = split_subtree(
        read_label_features(artifact), members, params, depth=depth, level=level, place=shard.index
    )
    return ShardOutput({"subtrees": tensors_to_arrow({"order": order, "sizes": sizes})}, {"leaves": len(sizes)})


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
    """Solves the rankers level by level, one shard a block of parents; before each level but the first, blocks of rows
    are led to the parents that the levels above predict for them.
    """
    if params.negatives == "user" and "negatives" not in run.store.manifest(interactions).quality:
        raise FingerpostError(
            "xmr.training.negatives: expected tfn, man or tfn+man, got user without a file of them; choose one, or name"
            " the file in xmr.negatives"
        )
    chain = read_tree(run.store.open(tree, contracts.TREE))
    shape, room = problem_of(run, interactions, features, rows, tree)
    count = shape.rows
    kept = KeptMemory.within(
        run,
        lambda block, threads: memory_need(shape, params, threads=threads, block=block),
        blocks,
        room,
        inputs=(interactions, features),
        labels=chain.labels,
        least=shape.leaf,
    )
    given = {"interactions": interactions, "features": features, "tree": tree, "params": params, "rows": rows}
    figures: list[dict[str, Any]] = []
    number = 0
    for level in range(chain.depth):
        weights = [entry for entry in run.entries if entry.table == "weights"]
        matches: list[FileEntry] = []
        if level and "man" in params.negatives:
            shards = _numbered(even_shards(count, blocks.rows), number)
            number += len(shards)
            before = len(run.entries)
            run.map_shards(_match_shard, shards, weights=weights, threads=kept.threads_of(shards), **given)
            matches = run.entries[before:]
        ranges = parent_blocks(chain, level, replace(blocks, labels=kept.labels))
        shards = _numbered([Shard(i, start, stop) for i, (start, stop) in enumerate(ranges)], number)
        number += len(shards)
        found = run.map_shards(
            _solve_shard,
            shards,
            level=level,
            matches=matches,
            threads=kept.threads_of(shards),
            most=kept.most_weights,
            **given,
        )
        figures += [{"level": level, **one} for one in found]
    per_level = [
        {name: sum(f[name] for f in figures if f["level"] == level) for name in ("labels", "pairs", "weights")}
        for level in range(chain.depth)
    ]
    run.quality = {
        "features": run.store.open(features, corpus.FEATURES).quality["columns"],
        "normalised": params.normalise,
        "labels": chain.labels,
        "rows": count,
        "weights": sum(one["weights"] for one in per_level),
        "bytes": sum(f["bytes"] for f in figures),
        "objective": round(sum(f["objective"] for f in figures), 3),
        "levels": per_level,
        "memory": kept.figures,
    }


def _match_shard(
    store: Store,
    shard: Shard,
    *,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    params: TrainingParams,
    rows: RowParams,
    weights: Sequence[FileEntry],
    threads: int,
) -> ShardOutput:
    data = read_training(store, interactions, features, rows)
    chain = read_tree(store.open(tree, contracts.TREE))
    levels = by_level([block_of(_tensors(store, entry, contracts.MODEL)) for entry in weights])
    partial = RankerModel(data.features.shape[1], chain, levels, params.normalise)
    found = predicted_parents(data.features[shard.start : shard.stop], partial, params.beam, threads=threads)
    return ShardOutput({"matches": sparse_to_arrow(found)}, {"non_zeros": int(found.nnz)})


def _solve_shard(
    store: Store,
    shard: Shard,
    *,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    params: TrainingParams,
    rows: RowParams,
    level: int,
    matches: Sequence[FileEntry],
    threads: int,
    most: int,
) -> ShardOutput:
    data = read_training(store, interactions, features, rows)
    chain = read_tree(store.open(tree, contracts.TREE))
    predicted = None
    if matches:
        parts = [store.read_table(entry, contracts.MODEL, where=entry.path) for entry in matches]
        predicted = sparse_from_arrow(pa.concat_tables(parts), columns=chain.width(level - 1))
    problem = level_problem(data, chain, level, params, rows, predicted=predicted)
    scaled = data.scaled if params.normalise else data.features
    block, counters = LevelTrainer(scaled, problem, params.solver).solve_block(
        range(shard.start, shard.stop), threads=threads
    )
    if len(block.values) > most:
        raise FingerpostError(
            f"training, level {level}: expected at most {most} weights of a block as the memory allows, got"
            f" {len(block.values)}; lower xmr.blocks.labels, or raise xmr.training.solver.threshold"
        )
    figures = asdict(counters) | {"weights": len(block.values), "bytes": block.nbytes}
    return ShardOutput({"weights": tensors_to_arrow(block_arrays(block, level))}, figures)


def _label_texts(labels: pa.Table) -> list[str]:
    columns = (labels[name].to_pylist() for name in ("id", "name", "text"))
    return [label_text(key, name, text) for key, name, text in zip(*columns, strict=True)]


def _numbered(shards: Sequence[Shard], first: int) -> list[Shard]:
    """Shards whose files are numbered from ``first`` on, so that several fan-outs of one stage do not collide."""
    return [Shard(first + shard.index, shard.start, shard.stop) for shard in shards]


def _tensors(store: Store, entry: FileEntry, contract: Any) -> dict[str, np.ndarray]:
    return tensors_from_arrow(store.read_table(entry, contract, where=entry.path))
