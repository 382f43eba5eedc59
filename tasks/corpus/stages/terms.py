"""The stages from documents to an inverted index: analyzer, term counts, lexicon, field weights, postings and features."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
from scipy import sparse

from fingerpost.schemas import corpus as contracts
from fingerpost.schemas.chosen_settings import chosen_to_arrow, settings_to_arrow
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import figures_to_arrow, sparse_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus import analysis
from fingerpost.tasks.corpus import postings as inverting
from fingerpost.tasks.corpus import term_counts as counting
from fingerpost.tasks.corpus.analyzer import AnalyzerParams
from fingerpost.tasks.corpus.field_weights import FieldWeightParams, best_field_weights
from fingerpost.tasks.corpus.fields import FIELDS
from fingerpost.tasks.corpus.impacts import term_impacts
from fingerpost.tasks.corpus.lexicon import merge_lexicons, shard_lexicon
from fingerpost.tasks.corpus.open import (
    counts_table,
    lexicon_table,
    read_all_counts,
    read_analyzer,
    read_counts,
    read_field_weights,
    read_lexicon,
    read_texts,
)
from fingerpost.tasks.corpus.term_weights import TermWeightParams, feature_columns, feature_rows
from fingerpost.tasks.shards import Shard, ShardOutput, shards_of
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.ANALYZER)
def choose_analyzer(run: StageRun, documents: Ref, *, params: AnalyzerParams, stemmer: str) -> None:
    """Chooses how texts become terms: as given, or by the language that the documents are found to be in.

    stemmer: the version of the stemmer, whose terms those of another version do not match.
    """
    rows = run.store.open(documents, contracts.DOCUMENTS).read("documents")
    analyzer, found = analysis.choose_analyzer(rows["title"].to_pylist(), rows["text"].to_pylist(), params)
    run.write("settings", settings_to_arrow(analyzer.settings()))
    run.quality = asdict(found)


@stage(contracts.TERM_COUNTS)
def count_terms(run: StageRun, documents: Ref, analyzer: Ref) -> None:
    """Counts the terms of every field of every document, shard by shard."""
    shards = shards_of(run.store.open(documents, contracts.DOCUMENTS).entries("documents"))
    figures = run.map_shards(_count_shard, shards, documents=documents, analyzer=analyzer)
    run.quality = {name: sum(f[name] for f in figures) for name in ("documents", "tokens", "entries", "empty")}


def _count_shard(store: Store, shard: Shard, *, documents: Ref, analyzer: Ref) -> ShardOutput:
    made = read_analyzer(store.open(analyzer, contracts.ANALYZER))
    counts = counting.count_terms(*read_texts(store, documents, shard.index), made)
    tables = {"terms": pa.table({"term": pa.array(counts.terms, pa.string())}), "counts": counts_table(counts)}
    figures = {
        "documents": counts.documents,
        "tokens": int(counts.occurrences.sum()),
        "entries": len(counts.indices),
        "empty": int((np.diff(counts.indptr) == 0).sum()),
    }
    return ShardOutput(tables, figures)


@stage(contracts.LEXICON)
def merge_lexicon(run: StageRun, term_counts: Ref, analyzer: Ref) -> None:
    """Merges the terms of all shards, with document frequencies and occurrences, and marks the stop words.

    FingerpostError where no text has a term.
    """
    counted = run.store.open(term_counts, contracts.TERM_COUNTS)
    shards = shards_of(counted.entries("terms"))
    parts = [shard_lexicon(read_counts(counted, shard.index)) for shard in shards]
    stop_words = read_analyzer(run.store.open(analyzer, contracts.ANALYZER)).stop_words
    lexicon = merge_lexicons(parts).with_stop(stop_words)
    if not lexicon.size:
        raise FingerpostError(
            f"texts: expected terms, found none in {lexicon.documents:,} texts; give texts with words, or vectors"
        )
    run.write("terms", lexicon_table(lexicon))
    lengths = dict(zip(FIELDS, (int(length) for length in lexicon.field_lengths), strict=True))
    run.quality = {"documents": lexicon.documents, "terms": lexicon.size} | {
        f"{name}_tokens": length for name, length in lengths.items()
    }


@stage(contracts.FIELD_WEIGHTS)
def choose_field_weights(
    run: StageRun, documents: Ref, analyzer: Ref, term_counts: Ref, lexicon: Ref, *, params: FieldWeightParams
) -> None:
    """Chooses the weights of fields by questions that are made from the documents, or leaves them equal."""
    rows = run.store.open(documents, contracts.DOCUMENTS).read("documents")
    chosen = best_field_weights(
        rows["title"].to_pylist(),
        rows["text"].to_pylist(),
        analyzer=read_analyzer(run.store.open(analyzer, contracts.ANALYZER)),
        counts=read_all_counts(run.store.open(term_counts, contracts.TERM_COUNTS)),
        lexicon=read_lexicon(run.store.open(lexicon, contracts.LEXICON)),
        params=params,
    )
    run.write("settings", settings_to_arrow(asdict(chosen.weights)))
    run.write("chosen", chosen_to_arrow(chosen.reasons))
    run.write("figures", figures_to_arrow(chosen.figures))
    run.quality = {**asdict(chosen.weights), **chosen.quality}


@stage(contracts.POSTINGS)
def build_postings(run: StageRun, term_counts: Ref, lexicon: Ref, field_weights: Ref) -> None:
    """Inverts the weights of every document's terms: documents by term."""
    shards = shards_of(run.store.open(term_counts, contracts.TERM_COUNTS).entries("terms"))
    inputs = {"term_counts": term_counts, "lexicon": lexicon, "field_weights": field_weights}
    rows = sparse.vstack(run.gather(_impacts, shards, **inputs), format="csr")
    postings = inverting.build_postings(sparse.csr_array(rows))
    arrays, forward = postings.arrays(), postings.forward_arrays()
    run.write("postings", tensors_to_arrow(arrays))
    run.write("forward", tensors_to_arrow(forward))
    run.quality = {
        "documents": rows.shape[0],
        "terms": rows.shape[1],
        "postings": int(rows.nnz),
        "bytes": sum(array.nbytes for array in (*arrays.values(), *forward.values())),
    }


def _impacts(store: Store, shard: Shard, *, term_counts: Ref, lexicon: Ref, field_weights: Ref) -> sparse.csr_array:
    """The weights of a shard's terms over the lexicon."""
    return term_impacts(
        read_counts(store.open(term_counts, contracts.TERM_COUNTS), shard.index),
        read_lexicon(store.open(lexicon, contracts.LEXICON)),
        read_field_weights(store.open(field_weights, contracts.FIELD_WEIGHTS)),
    )


@stage(contracts.FEATURES)
def weigh_documents(
    run: StageRun, term_counts: Ref, lexicon: Ref, field_weights: Ref, *, params: TermWeightParams
) -> None:
    """Computes rows of norm 1 of the weights of frequent terms, from which vectors are computed."""
    shards = shards_of(run.store.open(term_counts, contracts.TERM_COUNTS).entries("terms"))
    inputs = {"term_counts": term_counts, "lexicon": lexicon, "field_weights": field_weights}
    figures = run.map_shards(_weigh_shard, shards, params=params, **inputs)
    run.quality = {
        "columns": figures[0]["columns"],
        "non_zeros": sum(f["non_zeros"] for f in figures),
        "empty_rows": sum(f["empty"] for f in figures),
    }


def _weigh_shard(store: Store, shard: Shard, *, params: TermWeightParams, **inputs: Ref) -> ShardOutput:
    columns = feature_columns(read_lexicon(store.open(inputs["lexicon"], contracts.LEXICON)), params)
    rows = feature_rows(_impacts(store, shard, **inputs), columns)
    empty = int((np.diff(rows.indptr) == 0).sum())
    figures = {"columns": len(columns), "non_zeros": int(rows.nnz), "empty": empty}
    return ShardOutput({"features": sparse_to_arrow(rows)}, figures)
