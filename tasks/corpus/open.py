"""Objects from committed corpus artifacts, without Prefect or Dask."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus as contracts
from fingerpost.schemas.matrices import dense_from_arrow, sparse_from_arrow, tensors_from_arrow
from fingerpost.schemas.records import count
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store, parameters_of
from fingerpost.schemas.xmr import QUERIES
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.tfidf import Featurizer, TfidfParams
from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary


def read_vocabulary(artifact: Artifact) -> Vocabulary:
    """The vocabulary of an artifact."""
    terms = read_terms(artifact.read("terms"))
    frequencies = tensors_from_arrow(artifact.read("frequencies"))
    families = tuple(
        FamilyVocabulary(terms.get(family_name(i)), frequencies[family_name(i)]) for i in range(len(frequencies))
    )
    return Vocabulary(artifact.figure("documents", count), families)


def open_texts(store: Store, ref: Ref) -> tuple[Artifact, str]:
    """The artifact of documents or of a ranker's queries, and the name of its table of rows."""
    artifact = store.open(ref, contracts.DOCUMENTS, QUERIES)
    return artifact, artifact.contract.tables[0].name


def read_texts(store: Store, ref: Ref, shard: int) -> tuple[list[str], list[str]]:
    """Titles ("" for queries) and texts of a shard of documents or queries."""
    artifact, table = open_texts(store, ref)
    rows = artifact.read(table, shard=shard)
    texts: list[str] = rows["text"].to_pylist()
    return rows["title"].to_pylist() if "title" in rows.column_names else [""] * len(texts), texts


def read_featurizer(store: Store, *, vocabulary: Ref, ngrams: Ref, features: Ref) -> Featurizer:
    """The featurizer of the given artifacts: over their vocabulary, with their parameters."""
    return Featurizer(
        read_vocabulary(store.open(vocabulary, contracts.VOCABULARY)),
        parameters_of(store, ngrams, _ngram_params),
        parameters_of(store, features, _tfidf_params),
    )


def _ngram_params(parameters: Mapping[str, Any]) -> NgramParams:
    given = dict(parameters["params"])
    return NgramParams(families=tuple(FamilyParams(**family) for family in given.pop("families")), **given)


def _tfidf_params(parameters: Mapping[str, Any]) -> TfidfParams:
    given = dict(parameters["params"])
    return TfidfParams(family_weights=tuple(given.pop("family_weights")), **given)


def read_vectors(artifact: Artifact) -> np.ndarray:
    """All vectors, float32 (n, d)."""
    return np.ascontiguousarray(dense_from_arrow(artifact.read("vectors")))


def read_components(artifact: Artifact) -> np.ndarray:
    """The projection of features to vectors, float32 (columns, d)."""
    return tensors_from_arrow(artifact.read("projection"))["components"]


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
