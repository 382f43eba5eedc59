"""The stages of the corpus domain. Each reads, calls a pure function and writes; as little logic as possible lives here."""

from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import corpus as contracts
from schemas.errors import CorruptArtifactError, FingerpostError
from schemas.inputs.sources import DistributionSource, InputSource, check_rows
from schemas.matrices import (
    dense_to_arrow,
    sparse_from_arrow,
    sparse_to_arrow,
    tensors_from_arrow,
    tensors_from_bytes,
    tensors_to_arrow,
    tensors_to_bytes,
)
from schemas.refs import Ref
from schemas.store import Artifact, Store
from schemas.workspace import Workspace
from tasks.corpus.documents import ImportParams
from tasks.corpus.fields import split_fields
from tasks.corpus.ngrams import FamilyCounts, NgramParams, ShardCounts, count_shard
from tasks.corpus.open import (
    family_name,
    open_texts,
    read_components,
    read_rows,
    read_terms,
    read_texts,
    read_vocabulary,
    terms_table,
)
from tasks.corpus.svd import SvdModel, SvdParams, finish, orthonormalize, pass_shard, project, projection, start_block
from tasks.corpus.tfidf import TfidfParams, weigh_counts
from tasks.corpus.vocabulary import (
    FamilyFrequencies,
    Frequencies,
    merge_frequencies,
    select_vocabulary,
)
from tasks.imports import write_quarantine, write_rows
from tasks.shards import BLOCK_ROWS, Shard, ShardOutput, row_shards
from tasks.stage import stage
from tasks.stage_run import StageRun


@stage(contracts.EXTRACTS)
def extract_documentation(run: StageRun, packages: DistributionSource, *, distributions: tuple[str, ...]) -> None:
    """Parses the sources of installed distributions into documents, one shard a distribution."""
    shards = [Shard(index, index, index + 1) for index in range(len(distributions))]
    figures = run.map_shards(_extract_distribution, shards, packages=packages, distributions=distributions)
    run.quality = {
        "documents": sum(f["documents"] for f in figures),
        "unparsed_files": sum(f["unparsed"] for f in figures),
    }


def _extract_distribution(
    store: Store, shard: Shard, *, packages: DistributionSource, distributions: tuple[str, ...]
) -> ShardOutput:
    found = packages.distribution(distributions[shard.index])
    tables = {"documents": found.documents, "links": found.links}
    return ShardOutput(tables, {"documents": found.documents.num_rows, "unparsed": found.unparsed})


@stage(contracts.DOCUMENTS)
def import_documents(run: StageRun, source: "Ref | InputSource", *, params: ImportParams) -> None:
    """Takes the good rows of an input over as documents and sets the bad ones aside with a reason each."""
    if isinstance(source, Ref):
        batch = check_rows(run.store.open(source, contracts.EXTRACTS).read("documents"))
    else:
        batch = source.read()
    figures, accepted = write_quarantine(run, source, batch, params), batch.accepted
    write_rows(run, "documents", accepted, params)
    run.quality = {
        "documents": accepted.num_rows,
        **figures,
        "vectors": accepted["vector"].null_count == 0,
        "texts": any(pc.any(pc.greater(pc.binary_length(accepted[name]), 0)).as_py() for name in ("title", "text")),
    }


@stage(contracts.NGRAMS)
def count_ngrams(run: StageRun, documents: Ref, *, params: NgramParams) -> None:
    """Counts the n-grams of every field of every document or query, shard by shard."""
    shards = _shards(*open_texts(run.store, documents))
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
    """Adds up the document frequencies of all shards and chooses the terms that become columns."""
    counted = run.store.open(ngrams, contracts.NGRAMS)
    merged = reduce(
        merge_frequencies, (_frequencies(counted, shard, params) for shard in _shards(counted, "frequencies"))
    )
    vocabulary = select_vocabulary(merged, params)
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
    """Turns the counts of every shard into TF-IDF rows of norm 1 over the vocabulary."""
    shards = _shards(run.store.open(ngrams, contracts.NGRAMS), "frequencies")
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


#: Rows that one reading of the SVD takes together: the sums it sends back are large, so they should be few.
_PASS_ROWS = 4 * BLOCK_ROWS


@stage(contracts.PROJECTION)
def fit_projection(run: StageRun, features: Ref, *, params: SvdParams) -> None:
    """Fits the randomized truncated SVD in a fixed number of readings of the features, each one a checkpoint."""
    artifact = run.store.open(features, contracts.FEATURES)
    rows, columns = artifact.rows("features"), artifact.quality["columns"]
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
            # Another run of this stage is ahead and has removed the block: its own next one is the same as ours would be.
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


def _pass_shard(
    store: Store, shard: Shard, *, features: Ref, number: int, workspace: Workspace, energy: float
) -> np.ndarray:
    artifact = store.open(features, contracts.FEATURES)
    return pass_shard(read_rows(artifact, shard.start, shard.stop), _load_block(workspace, number), energy=energy)


@stage(contracts.VECTORS)
def embed_documents(run: StageRun, features: Ref, projection: Ref) -> None:
    """Projects every row of features on the directions of the SVD and normalises it."""
    shards = _shards(run.store.open(features, contracts.FEATURES), "features")
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


@stage(contracts.VECTORS)
def take_vectors(run: StageRun, documents: Ref, *, normalize: bool) -> None:
    """Takes over the vectors that came with the documents, scaled to norm 1 if asked for."""
    artifact = run.store.open(documents, contracts.DOCUMENTS)
    if not artifact.quality["vectors"]:
        raise FingerpostError(
            f"artifact {documents}: expected a vector in every row, found rows without; give text to all, or vectors"
            " to all"
        )
    figures = run.map_shards(_take_shard, _shards(artifact, "documents"), documents=documents, normalize=normalize)
    run.quality = {"documents": sum(f["rows"] for f in figures), "dimensions": figures[0]["dimensions"], "zero_rows": 0}


def _take_shard(store: Store, shard: Shard, *, documents: Ref, normalize: bool) -> ShardOutput:
    column = store.open(documents, contracts.DOCUMENTS).read("documents", shard=shard.index)["vector"].combine_chunks()
    rows = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    if normalize:
        rows = rows / np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    return ShardOutput({"vectors": dense_to_arrow(rows)}, {"rows": len(rows), "dimensions": rows.shape[1]})


def _shards(artifact: Artifact, table: str) -> list[Shard]:
    """The shards of an artifact, so that what is made of it keeps its boundaries."""
    shards, start = [], 0
    for entry in artifact.entries(table):
        shards.append(Shard(entry.shard, start, start + entry.rows))
        start += entry.rows
    return shards


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
