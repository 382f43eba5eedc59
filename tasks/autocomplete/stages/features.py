"""The stages that make features of pairs and of suggestions, and the targets that the ranker is trained on."""

import numpy as np
import pyarrow as pa
from scipy import sparse

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas import corpus, xmr
from fingerpost.schemas.matrices import sparse_to_arrow, tensors_from_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.contexts import FeatureParams
from fingerpost.tasks.autocomplete.contexts import fit_vocabulary as fit
from fingerpost.tasks.autocomplete.open import read_featurizer
from fingerpost.tasks.autocomplete.prefixes import (
    PrefixParams,
    inverse_frequencies,
    ngram_frequencies,
    summed_frequencies,
    text_features,
)
from fingerpost.tasks.autocomplete.sessions import TRAINING
from fingerpost.tasks.autocomplete.stages.pair_tables import (
    TrainingPairs,
    suggestion_keys,
    suggestion_rows,
)
from fingerpost.tasks.autocomplete.terms import FAMILIES
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.VOCABULARY)
def fit_vocabulary(run: StageRun, sessions: Ref, suggestions: Ref, pairs: Ref, *, params: FeatureParams) -> None:
    """Selects the terms of training pairs that become columns; only of queries that are suggestions."""
    rows = TrainingPairs.read(run.store, sessions, suggestions, pairs, params.prefixes)
    allowed = suggestion_rows(list(rows.contexts.keys), rows.keys) >= 0
    prefixes = rows.prefixes() if params.prefixes.featurized else []
    found = fit(rows.contexts, allowed, prefixes, params)
    names = pa.array(FAMILIES, pa.string()).take(pa.array(found.families))
    texts = pa.array(found.texts, pa.string())
    run.write("terms", pa.table({"family": names, "term": texts, "idf": pa.array(found.idf, pa.float32())}))
    run.write("lookup", tensors_to_arrow(found.arrays()))
    counts = np.bincount(found.families, minlength=len(FAMILIES)).tolist()
    run.quality = {"columns": len(found.ids)} | {
        f"{name}_terms": count for name, count in zip(FAMILIES, counts, strict=True)
    }


@stage(corpus.FEATURES)
def featurize_pairs(
    run: StageRun,
    sessions: Ref,
    suggestions: Ref,
    pairs: Ref,
    vocabulary: Ref,
    *,
    params: FeatureParams,
    rows_per_shard: int,
) -> None:
    """Features of every training pair with each of its prefixes, shard by shard."""
    rows = len(TrainingPairs.read(run.store, sessions, suggestions, pairs, params.prefixes).pairs)
    inputs = {"sessions": sessions, "suggestions": suggestions, "pairs": pairs, "vocabulary": vocabulary}
    figures = run.map_shards(_featurize_shard, row_shards(rows, rows_per_shard), **inputs, params=params)
    run.quality = {
        "columns": run.store.manifest(vocabulary).quality["columns"],
        "non_zeros": sum(f["non_zeros"] for f in figures),
        "empty_rows": sum(f["empty"] for f in figures),
    }


def _featurize_shard(
    store: Store, shard: Shard, *, sessions: Ref, suggestions: Ref, pairs: Ref, vocabulary: Ref, params: FeatureParams
) -> ShardOutput:
    every = TrainingPairs.read(store, sessions, suggestions, pairs, params.prefixes)
    contexts = every.contexts.rows(every.pairs[shard.start : shard.stop])
    rows = read_featurizer(store, vocabulary).rows(contexts, every.prefixes(shard.start, shard.stop))
    empty = int((np.diff(rows.indptr) == 0).sum())
    return ShardOutput({"features": sparse_to_arrow(rows)}, {"non_zeros": int(rows.nnz), "empty": empty})


@stage(xmr.INTERACTIONS)
def list_targets(run: StageRun, sessions: Ref, suggestions: Ref, pairs: Ref, *, params: FeatureParams) -> None:
    """Lists the rows of training, and the suggestion that each is to rank first, by numbers; no text is repeated."""
    rows = TrainingPairs.read(run.store, sessions, suggestions, pairs, params.prefixes)
    count, labels = len(rows.pairs), len(rows.keys)
    # A weight of 0 would be no target; costs are relative to the row's largest weight in any case.
    weights = np.maximum(rows.table.column("weight")[rows.pairs], np.float32(1e-6))
    columns = rows.table.column("suggestion")[rows.pairs].astype(np.int32)
    targets = sparse.csr_array((weights, columns, np.arange(count + 1)), shape=(count, labels))
    run.write("queries", _numbered("pair", count, text="", day="", split=TRAINING))
    run.write("labels", _numbered("suggestion", labels, name="", text=""))
    run.write("targets", sparse_to_arrow(targets))
    run.quality = {"queries": count, "labels": labels, "pairs": count, TRAINING: count}


def _numbered(word: str, count: int, **columns: str) -> pa.Table:
    """A table of ``count`` rows with numbered ids, and columns of one value each."""
    ids = pa.array([f"{word} {number}" for number in range(count)], pa.string())
    same = {name: pa.array([value] * count, pa.string()) for name, value in columns.items()}
    return pa.table({"id": ids, **same})


@stage(xmr.LABEL_FEATURES)
def embed_suggestions(run: StageRun, suggestions: Ref, *, params: FeatureParams, rows_per_shard: int) -> None:
    """Features of suggestions by their characters, the first weighing most, shard by shard."""
    labels = run.store.open(suggestions, contracts.SUGGESTIONS).rows("suggestions")
    shards = row_shards(labels, rows_per_shard)
    prefixes = params.prefixes
    ids, frequencies = summed_frequencies(run.gather(_count_shard, shards, suggestions=suggestions, params=prefixes))
    table = tensors_to_arrow({"ids": ids, "idf": inverse_frequencies(frequencies, labels)})
    figures = run.map_shards(_embed_shard, shards, suggestions=suggestions, grams=table, params=prefixes)
    run.quality = {
        "labels": labels,
        "columns": len(ids),
        "non_zeros": sum(f["non_zeros"] for f in figures),
        "empty_rows": sum(f["empty"] for f in figures),
    }


def _count_shard(
    store: Store, shard: Shard, *, suggestions: Ref, params: PrefixParams
) -> tuple[np.ndarray, np.ndarray]:
    return ngram_frequencies(_keys(store, shard, suggestions), params)


def _embed_shard(store: Store, shard: Shard, *, suggestions: Ref, grams: pa.Table, params: PrefixParams) -> ShardOutput:
    arrays = tensors_from_arrow(grams)
    rows = text_features(_keys(store, shard, suggestions), arrays["ids"], arrays["idf"], params)
    empty = int((np.diff(rows.indptr) == 0).sum())
    return ShardOutput({"features": sparse_to_arrow(rows)}, {"non_zeros": int(rows.nnz), "empty": empty})


def _keys(store: Store, shard: Shard, suggestions: Ref) -> list[str]:
    return suggestion_keys(store.open(suggestions, contracts.SUGGESTIONS))[shard.start : shard.stop]
