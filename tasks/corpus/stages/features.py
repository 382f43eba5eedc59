"""The stages that compute features and vectors of documents."""

from functools import reduce

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus as contracts
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.matrices import (
    dense_to_arrow,
    sparse_from_arrow,
    sparse_to_arrow,
    tensors_from_arrow,
    tensors_from_bytes,
    tensors_to_arrow,
    tensors_to_bytes,
)
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.corpus.fields import split_fields
from fingerpost.tasks.corpus.ngrams import FamilyCounts, NgramParams, ShardCounts, count_shard
from fingerpost.tasks.corpus.open import (
    family_name,
    open_texts,
    read_components,
    read_rows,
    read_terms,
    read_texts,
    read_vocabulary,
    terms_table,
)
from fingerpost.tasks.corpus.svd import (
    SvdModel,
    SvdParams,
    finish,
    orthonormalize,
    pass_shard,
    project,
    projection,
    start_block,
)
from fingerpost.tasks.corpus.tfidf import weigh_counts
from fingerpost.tasks.corpus.vocabulary import (
    FamilyFrequencies,
    Frequencies,
    merge_frequencies,
    select_vocabulary,
)
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.shards import BLOCK_ROWS, Shard, ShardOutput, row_shards, shards_of
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.NGRAMS)
def count_ngrams(run: StageRun, documents: Ref, *, params: NgramParams) -> None:
    """Counts the n-grams of every field of every document or query, shard by shard."""
    texts, table = open_texts(run.store, documents)
    shards = shards_of(texts.entries(table))
    figures = run.map_shards(_count_shard, shards, documents=documents, params=params)
    run.quality = {"documents": sum(f["documents"] for f in figures), "non_zeros": sum(f["non_zeros"] for f in figures)}


def _count_shard(store: Store, shard: Shard, *, documents: Ref, params: NgramParams) -> ShardOutput:
    counted = count_shard(*split_fields(*read_texts(store, documents, shard.index)), params)
    tables = {
        "terms": terms_table([family.terms for family in counted.families]),
        "frequencies": tensors_to_arrow(
            {family_name(i): family.frequencies for i, family in enumerate(counted.families)}
        ),
        "counts": pa.concat_tables([sparse_to_arrow(family.counts) for family in counted.families]),
    }
    return ShardOutput(
        tables,
        {"documents": counted.documents, "non_zeros": int(sum(family.counts.nnz for family in counted.families))},
    )


@stage(contracts.VOCABULARY)
def merge_vocabulary(run: StageRun, ngrams: Ref, *, params: NgramParams) -> None:
    """Sums the document frequencies of all shards and selects the terms that become columns.

    FingerpostError where no text has a term, or none has one of those selected.
    """
    counted = run.store.open(ngrams, contracts.NGRAMS)
    merged = reduce(
        merge_frequencies, (_frequencies(counted, shard, params) for shard in shards_of(counted.entries("frequencies")))
    )
    vocabulary = select_vocabulary(merged, params)
    if not any(family.frequencies.any() for family in vocabulary.families):
        met = any(family.frequencies.any() for family in merged.families)
        raise FingerpostError(
            f"texts: expected terms, found {'only ones below min_df' if met else 'none'} in {merged.documents:,} texts;"
            f" {'lower min_df' if met else 'give texts with words of two letters or digits, or give vectors'}"
        )
    run.write("terms", terms_table([family.terms for family in vocabulary.families]))
    run.write(
        "frequencies",
        tensors_to_arrow({family_name(i): family.frequencies for i, family in enumerate(vocabulary.families)}),
    )
    run.quality = {"documents": vocabulary.documents, "columns": vocabulary.size} | {
        f"{family_name(i)}_terms": family.size for i, family in enumerate(vocabulary.families)
    }


@stage(contracts.FEATURES)
def weigh_terms(run: StageRun, ngrams: Ref, vocabulary: Ref, *, params: TfidfParams) -> None:
    """Computes TF-IDF rows of norm 1 over the vocabulary from the counts of every shard."""
    shards = shards_of(run.store.open(ngrams, contracts.NGRAMS).entries("frequencies"))
    figures = run.map_shards(_weigh_shard, shards, ngrams=ngrams, vocabulary=vocabulary, params=params)
    columns = run.store.open(vocabulary, contracts.VOCABULARY).quality["columns"]
    run.quality = {
        "columns": columns,
        "non_zeros": sum(f["non_zeros"] for f in figures),
        "empty_rows": sum(f["empty"] for f in figures),
    }


def _weigh_shard(store: Store, shard: Shard, *, ngrams: Ref, vocabulary: Ref, params: TfidfParams) -> ShardOutput:
    counted = _shard_counts(store.open(ngrams, contracts.NGRAMS), shard)
    rows = weigh_counts(counted, read_vocabulary(store.open(vocabulary, contracts.VOCABULARY)), params)
    return ShardOutput(
        {"features": sparse_to_arrow(rows)},
        {"non_zeros": int(rows.nnz), "empty": int((np.diff(rows.indptr) == 0).sum())},
    )


#: Rows per shard of a pass of the SVD: the partial sums that shards return are large, so there should be few of them.
_PASS_ROWS = 4 * BLOCK_ROWS


@stage(contracts.PROJECTION)
def fit_projection(run: StageRun, features: Ref, *, params: SvdParams) -> None:
    """Fits the randomized truncated SVD in a fixed number of passes over the features, with a checkpoint after each."""
    artifact = run.store.open(features, contracts.FEATURES)
    rows, columns = artifact.rows("features"), artifact.quality["columns"]
    image, basis = _last_pass(run, features, params, rows=rows, columns=columns)
    model: SvdModel = finish(image, basis, params)
    arrays: dict[str, np.ndarray] = {
        "components": projection(model, whitening=params.whitening),
        "singular_values": model.singular_values,
    }
    run.write("projection", tensors_to_arrow(arrays))
    run.quality = {
        "rank": model.components.shape[1],
        "energy_kept": round(float((model.singular_values**2).sum()) / max(rows, 1), 6),
    }


def _last_pass(
    run: StageRun, features: Ref, params: SvdParams, *, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """The image of the last of ``params.passes`` passes over the features, and its basis; a checkpoint after each."""
    run.begin(params.passes)
    saved = run.workspace.newest_checkpoint()
    first = saved[0] if saved else 0
    if not saved:
        _save_block(run.workspace, 0, start_block(columns, params))
    number, shards = first, row_shards(rows, _PASS_ROWS)
    while number < params.passes:
        try:
            basis = _load_block(run.workspace, number)
            parts = run.gather(
                _pass_shard, shards, features=features, number=number, workspace=run.workspace, energy=float(rows)
            )
        except CorruptArtifactError:
            # Another run of this stage is ahead and has removed the block: its next block equals ours.
            newest = run.workspace.newest_checkpoint()
            if newest is None or newest[0] <= number:
                raise
            number = newest[0]
            continue
        image = reduce(np.add, parts)
        number += 1
        if number < params.passes:
            _save_block(run.workspace, number, orthonormalize(image))
        run.advance(number)
    return image, basis


def _pass_shard(
    store: Store, shard: Shard, *, features: Ref, number: int, workspace: Workspace, energy: float
) -> np.ndarray:
    artifact = store.open(features, contracts.FEATURES)
    return pass_shard(read_rows(artifact, shard.start, shard.stop), _load_block(workspace, number), energy=energy)


@stage(contracts.VECTORS)
def embed_documents(run: StageRun, features: Ref, projection: Ref) -> None:
    """Projects every row of features onto the directions of the SVD and normalises it."""
    shards = shards_of(run.store.open(features, contracts.FEATURES).entries("features"))
    figures = run.map_shards(_embed_shard, shards, features=features, projection=projection)
    run.quality = {
        "documents": sum(f["rows"] for f in figures),
        "dimensions": figures[0]["dimensions"],
        "zero_rows": sum(f["zero"] for f in figures),
    }


def _embed_shard(store: Store, shard: Shard, *, features: Ref, projection: Ref) -> ShardOutput:
    artifact = store.open(features, contracts.FEATURES)
    components = read_components(store.open(projection, contracts.PROJECTION))
    rows = project(
        sparse_from_arrow(artifact.read("features", shard=shard.index), columns=artifact.quality["columns"]), components
    )
    zero = int((~rows.any(axis=1)).sum())
    return ShardOutput(
        {"vectors": dense_to_arrow(rows)}, {"rows": len(rows), "dimensions": rows.shape[1], "zero": zero}
    )


def _frequencies(artifact: Artifact, shard: Shard, params: NgramParams) -> Frequencies:
    terms = read_terms(artifact.read("terms", shard=shard.index))
    frequencies = tensors_from_arrow(artifact.read("frequencies", shard=shard.index))
    documents = sum(e.rows for e in artifact.entries("counts") if e.shard == shard.index) // len(params.families)
    families = tuple(
        FamilyFrequencies(None if p.buckets else terms.get(family_name(i), []), frequencies[family_name(i)])
        for i, p in enumerate(params.families)
    )
    return Frequencies(documents, families)


def _shard_counts(artifact: Artifact, shard: Shard) -> ShardCounts:
    terms = read_terms(artifact.read("terms", shard=shard.index))
    frequencies = tensors_from_arrow(artifact.read("frequencies", shard=shard.index))
    counts = artifact.read("counts", shard=shard.index)
    rows = counts.num_rows // len(frequencies)
    families = []
    for i in range(len(frequencies)):
        part = counts.slice(i * rows, rows)
        families.append(
            FamilyCounts(
                terms.get(family_name(i)),
                frequencies[family_name(i)],
                sparse_from_arrow(part, columns=len(frequencies[family_name(i)])),
            )
        )
    return ShardCounts(rows, tuple(families))


def _save_block(workspace: Workspace, number: int, block: np.ndarray) -> None:
    workspace.save_checkpoint(number, tensors_to_bytes({"block": block}))


def _load_block(workspace: Workspace, number: int) -> np.ndarray:
    return tensors_from_bytes(workspace.checkpoint(number))["block"]
