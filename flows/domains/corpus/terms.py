"""The terms of a query's features by name. Imports no Prefect."""

from scipy import sparse

from fingerpost.tasks.corpus.tfidf import Featurizer


def named_terms(featurizer: Featurizer, row: sparse.csr_array) -> dict[str, float]:
    """A row of features as weights by term; a column of a hashed family is named by its number."""
    weights = {}
    vocabulary = featurizer.vocabulary
    for offset, family, params in zip(vocabulary.offsets, vocabulary.families, featurizer.ngrams.families, strict=True):
        for column, value in zip(row.indices.tolist(), row.data.tolist(), strict=True):
            if offset <= column < offset + family.size:
                term = family.terms[column - offset] if family.terms is not None else f"#{column - offset}"
                weights[f"{params.kind} {term}"] = round(value, 6)
    return weights
