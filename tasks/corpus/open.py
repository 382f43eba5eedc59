"""Objects from committed corpus artifacts, without Prefect or Dask."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus as contracts
from fingerpost.schemas.aligned import aligned_empty
from fingerpost.schemas.chosen_settings import settings_from_arrow
from fingerpost.schemas.errors import ContractError
from fingerpost.schemas.matrices import dense_from_arrow, sparse_from_arrow, tensors_from_arrow
from fingerpost.schemas.packed_texts import packed_from_arrow
from fingerpost.schemas.records import count
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store, parameters_of
from fingerpost.tasks.corpus.analyzer import Analyzer
from fingerpost.tasks.corpus.fields import FIELDS
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.postings import Postings
from fingerpost.tasks.corpus.term_counts import TermCounts

if TYPE_CHECKING:  # imported where they are made: they bring scipy along, which a query does without
    from fingerpost.tasks.corpus.impacts import FieldWeights
    from fingerpost.tasks.corpus.ngrams import NgramParams
    from fingerpost.tasks.corpus.svd import SvdParams
    from fingerpost.tasks.corpus.tfidf import Featurizer
    from fingerpost.tasks.corpus.vocabulary import Vocabulary
    from fingerpost.tasks.corpus.weighed_rows import TfidfParams


def read_vocabulary(artifact: Artifact) -> "Vocabulary":
    """The vocabulary of an artifact."""
    from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary

    terms = read_terms(artifact.read("terms"))
    frequencies = tensors_from_arrow(artifact.read("frequencies"))
    families = tuple(
        FamilyVocabulary(terms.get(family_name(i)), frequencies[family_name(i)]) for i in range(len(frequencies))
    )
    return Vocabulary(artifact.figure("documents", count), families)


def open_texts(store: Store, ref: Ref) -> tuple[Artifact, str]:
    """The artifact of documents or of a ranker's queries, and the name of its table of rows."""
    from fingerpost.schemas.xmr import QUERIES

    artifact = store.open(ref, contracts.DOCUMENTS, QUERIES)
    return artifact, artifact.contract.tables[0].name


def read_texts(store: Store, ref: Ref, shard: int) -> tuple[list[str], list[str]]:
    """Titles ("" for queries) and texts of a shard of documents or queries."""
    artifact, table = open_texts(store, ref)
    rows = artifact.read(table, shard=shard)
    texts: list[str] = rows["text"].to_pylist()
    return rows["title"].to_pylist() if "title" in rows.column_names else [""] * len(texts), texts


def read_featurizer(store: Store, *, vocabulary: Ref, ngrams: Ref, features: Ref) -> "Featurizer":
    """The featurizer of the given artifacts: over their vocabulary, with their parameters."""
    from fingerpost.tasks.corpus.tfidf import Featurizer

    return Featurizer(
        read_vocabulary(store.open(vocabulary, contracts.VOCABULARY)),
        parameters_of(store, ngrams, ngram_params),
        parameters_of(store, features, tfidf_params),
    )


def ngram_params(parameters: Mapping[str, Any]) -> "NgramParams":
    """How the n-grams of an artifact were counted, from its parameters."""
    from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams

    given = dict(parameters["params"])
    return NgramParams(families=tuple(FamilyParams(**family) for family in given.pop("families")), **given)


def tfidf_params(parameters: Mapping[str, Any]) -> "TfidfParams":
    """How the features of an artifact were weighed, from its parameters."""
    from fingerpost.tasks.corpus.weighed_rows import TfidfParams

    given = dict(parameters["params"])
    return TfidfParams(family_weights=tuple(given.pop("family_weights")), **given)


def read_vectors(artifact: Artifact, start: int = 0, stop: int | None = None) -> np.ndarray:
    """The vectors of rows ``start`` to ``stop`` (default all), float32 (n, d), C-contiguous and aligned to 64 bytes.

    Read by shards into one matrix, and none but the shards of these rows. ContractError for shards of different lengths.
    """
    entries = artifact.entries("vectors")
    stops = np.cumsum([entry.rows for entry in entries], dtype=np.int64)
    end = int(stops[-1]) if stop is None else stop
    matrix: np.ndarray | None = None
    for entry, after in zip(entries, stops.tolist(), strict=True):
        before = after - entry.rows
        if after <= start or before >= end:
            continue
        rows = dense_from_arrow(artifact.read("vectors", shard=entry.shard))
        if matrix is None:
            matrix = aligned_empty((end - start, rows.shape[1]), np.float32)
        if rows.shape[1] != matrix.shape[1]:
            raise ContractError(
                f"artifact {artifact.ref}: expected vectors of {matrix.shape[1]} numbers in shard {entry.shard}, found"
                f" {rows.shape[1]}; rebuild the artifact"
            )
        first, last = max(start, before), min(end, after)
        matrix[first - start : last - start] = rows[first - before : last - before]
    return dense_from_arrow(artifact.read("vectors"))[start:end] if matrix is None else matrix


def read_components(artifact: Artifact) -> np.ndarray:
    """The projection of features to vectors, float32 (columns, d)."""
    return tensors_from_arrow(artifact.read("projection"))["components"]


def read_svd_params(store: Store, projection: Ref | None) -> "SvdParams":
    """The parameters that a projection was fitted with; the usual ones without a projection."""
    from fingerpost.tasks.corpus.svd import SvdParams

    if projection is None:
        return SvdParams()
    return parameters_of(store, projection, lambda given: SvdParams(**given["params"]))


def read_features(artifact: Artifact) -> Any:
    """All feature rows as one CSR matrix."""
    return sparse_from_arrow(artifact.read("features"), columns=artifact.figure("columns", count))


def read_rows(artifact: Artifact, start: int, stop: int) -> Any:
    """Feature rows ``start`` to ``stop`` of all shards, CSR; only the shards that hold them are read."""
    tables, position = [], 0
    for entry in artifact.entries("features"):
        low, high = max(start - position, 0), min(stop - position, entry.rows)
        if low < high:
            tables.append(artifact.read("features", shard=entry.shard).slice(low, high - low))
        position += entry.rows
    return sparse_from_arrow(pa.concat_tables(tables), columns=artifact.figure("columns", count))


def family_name(number: int) -> str:
    """The name of a family in stored tables."""
    return f"family_{number:02d}"


def terms_table(families: list[list[str] | None]) -> pa.Table:
    """The rows (family, term) of all vocabularies; hashed families have none."""
    names = [family_name(i) for i, terms in enumerate(families) for _ in terms or ()]
    return pa.table(
        {
            "family": pa.array(names, pa.string()),
            "term": pa.array([t for terms in families for t in terms or ()], pa.string()),
        }
    )


def read_terms(table: pa.Table) -> dict[str, list[str]]:
    """The terms by family name, in stored order."""
    families: dict[str, list[str]] = {}
    names = table["family"].to_numpy(zero_copy_only=False)
    terms = table["term"].to_pylist()
    if not terms:
        return families
    starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()]
    for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
        families[str(names[start])] = terms[start:stop]
    return families


def read_analyzer(artifact: Artifact) -> Analyzer:
    """The analyzer of documents and queries."""
    return Analyzer.from_settings(settings_from_arrow(artifact.read("settings")))


def counts_table(counts: TermCounts) -> pa.Table:
    """The rows of a shard's counts."""
    offsets = pa.array(counts.indptr.astype(np.int32))
    columns = [counts.indices, *counts.occurrences]
    lists = [pa.ListArray.from_arrays(offsets, pa.array(column)) for column in columns]
    return pa.table(lists, names=["terms", *FIELDS])


def read_counts(artifact: Artifact, shard: int) -> TermCounts:
    """The counts of one shard."""
    terms: list[str] = artifact.read("terms", shard=shard)["term"].to_pylist()
    rows = artifact.read("counts", shard=shard).combine_chunks()
    lists = {name: rows[name].combine_chunks() for name in rows.column_names}
    indices, *occurrences = (lists[name].flatten().to_numpy(zero_copy_only=False) for name in ("terms", *FIELDS))
    lengths = np.diff(lists["terms"].offsets.to_numpy())
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return TermCounts(terms, indptr, indices, np.stack(occurrences))


def read_all_counts(artifact: Artifact) -> TermCounts:
    """The counts of all shards, in their order, over the terms of all."""
    parts = [read_counts(artifact, entry.shard) for entry in artifact.entries("terms")]
    if len(parts) == 1:
        return parts[0]
    terms = sorted(set().union(*(part.terms for part in parts)))
    places = {term: place for place, term in enumerate(terms)}
    columns = [np.array([places[term] for term in part.terms], dtype=np.int32) for part in parts]
    sizes = np.concatenate([np.diff(part.indptr) for part in parts])
    return TermCounts(
        terms,
        np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
        np.concatenate([column[part.indices] for column, part in zip(columns, parts, strict=True)]),
        np.concatenate([part.occurrences for part in parts], axis=1),
    )


def lexicon_table(lexicon: Lexicon) -> pa.Table:
    """The rows of a lexicon."""
    numbers = [lexicon.document_frequency, *lexicon.occurrences, lexicon.stop]
    columns = [pa.array(lexicon.terms, pa.string()), *map(pa.array, numbers)]
    return pa.table(columns, names=["term", "df", *FIELDS, "stop"])


def read_lexicon(artifact: Artifact) -> Lexicon:
    """The lexicon of an artifact; no text of a term is made."""
    table = artifact.read("terms")
    offsets, letters = packed_from_arrow(table["term"])
    return Lexicon(
        documents=artifact.figure("documents", count),
        offsets=offsets,
        letters=letters,
        document_frequency=table["df"].to_numpy(),
        occurrences=np.stack([table[name].to_numpy() for name in FIELDS]),
        stop=table["stop"].to_numpy(),
    )


def read_field_weights(artifact: Artifact) -> "FieldWeights":
    """The weights of fields and how terms are weighed, as were chosen."""
    from fingerpost.tasks.corpus.impacts import FieldWeights

    return FieldWeights(**settings_from_arrow(artifact.read("settings")))


def read_postings(artifact: Artifact) -> Postings:
    """The inverted index and the terms of every document."""
    return Postings.from_arrays(
        tensors_from_arrow(artifact.read("postings")) | tensors_from_arrow(artifact.read("forward"))
    )
