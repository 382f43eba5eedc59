"""Similarities of the attributes of pairs of rows of two tables, pair by pair: the oracle of the features of pairs.

What is not there is never similar or dissimilar: a feature of an attribute that is empty on either side is NaN. Libraries
disagree about the similarity of two empty texts (0, 1 or 100), so it is defined here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.ext.ngrams import count_ngrams
from fingerpost.tasks.kg.assignment import row_numbers

#: The name of the text of all attributes together.
WHOLE = "(all)"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True)
class SimilarityParams:
    """ngram_min, ngram_max: lengths of the character n-grams."""

    ngram_min: int = 2
    ngram_max: int = 4


@dataclass(frozen=True)
class Similarities:
    """values: float32 (pairs, features), NaN where an attribute is empty. names: of the features, ``attribute:measure``."""

    values: NDArray[np.float32]
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Weighted:
    """CSR of unit rows of both sides over the same terms, and the weights of these terms."""

    left: sparse.csr_array
    right: sparse.csr_array
    idf: NDArray[np.float64]


def pair_similarities(
    left: Mapping[str, Sequence[str]],
    right: Mapping[str, Sequence[str]],
    pairs: NDArray[np.integer],
    params: SimilarityParams,
) -> Similarities:
    """Features of ``pairs`` (m, 2), rows of the left and the right table.

    left, right: attribute to its texts, one per row, "" where there is none. Compared are the attributes that both have,
    in the order of the left one, and all attributes of a row as one text. ValueError if there is no common attribute.
    """
    common = [name for name in left if name in right]
    if not common:
        raise ValueError(
            f"attributes: expected at least one on both sides, got {', '.join(left)} and {', '.join(right)}; map them"
        )
    texts = {name: (list(left[name]), list(right[name])) for name in common}
    texts[WHOLE] = (_joined(left), _joined(right))
    features: dict[str, NDArray[np.float64]] = {}
    for name, (ours, theirs) in texts.items():
        found = _features(ours, theirs, pairs, params, is_whole=name == WHOLE)
        features |= {f"{name}:{measure}": values for measure, values in found.items()}
    return Similarities(np.stack(list(features.values()), axis=1).astype(np.float32), tuple(features))


def _joined(table: Mapping[str, Sequence[str]]) -> list[str]:
    return [" ".join(filter(None, row)) for row in zip(*table.values(), strict=True)]


def _features(
    ours: list[str], theirs: list[str], pairs: NDArray[np.integer], params: SimilarityParams, *, is_whole: bool
) -> dict[str, NDArray[np.float64]]:
    """The measures of one attribute; NaN for pairs with an empty text."""
    one, other = pairs[:, 0], pairs[:, 1]
    words = weighted_terms(ours, theirs, family="word", ngram_min=1, ngram_max=1)
    letters = weighted_terms(ours, theirs, family="char", ngram_min=params.ngram_min, ngram_max=params.ngram_max)
    found = {"words": _cosines(words, pairs), "letters": _cosines(letters, pairs)}
    found |= _overlaps(words, pairs)
    found |= _code_overlaps(ours, theirs, pairs)
    lengths = np.array([len(text) for text in ours]), np.array([len(text) for text in theirs])
    shorter, longer = np.minimum(lengths[0][one], lengths[1][other]), np.maximum(lengths[0][one], lengths[1][other])
    found["length"] = shorter / np.maximum(longer, 1)
    if not is_whole:
        found["equal"] = _equal(ours, theirs, pairs)
        found["number"] = _number_ratio(ours, theirs, pairs)
    empty = (lengths[0][one] == 0) | (lengths[1][other] == 0)
    return {name: np.where(empty, np.nan, values) for name, values in found.items()}


def weighted_terms(left: list[str], right: list[str], *, family: str, ngram_min: int, ngram_max: int) -> _Weighted:
    """Unit rows of the n-grams of texts, weighted by their count and the log of all rows over those with them."""
    indptr, indices, counts, terms = count_ngrams(
        [*left, *right], family=family, ngram_min=ngram_min, ngram_max=ngram_max
    )
    rows = sparse.csr_array((np.sqrt(counts.astype(np.float64)), indices, indptr), shape=(len(indptr) - 1, len(terms)))
    idf = np.log((1 + rows.shape[0]) / (1 + np.bincount(indices, minlength=len(terms)))) + 1
    rows.data *= idf[indices]
    squares = np.bincount(row_numbers(rows), rows.data**2, minlength=rows.shape[0])
    rows.data /= np.where(squares > 0, np.sqrt(squares), 1.0)[row_numbers(rows)]
    return _Weighted(rows[: len(left)], rows[len(left) :], idf)


def _cosines(terms: _Weighted, pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    return np.asarray(terms.left[pairs[:, 0]].multiply(terms.right[pairs[:, 1]]).sum(axis=1)).ravel()


def _overlaps(terms: _Weighted, pairs: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Weights of common words over those of the lesser side and of both; the rarest common word and the rarest other."""
    sides = [
        side[pairs[:, place]].astype(bool).astype(np.float64) for place, side in enumerate((terms.left, terms.right))
    ]
    common = sparse.csr_array(sides[0].multiply(sides[1]))
    weights = [np.asarray(part @ terms.idf).ravel() for part in (*sides, common)]
    least, union = np.minimum(weights[0], weights[1]), weights[0] + weights[1] - weights[2]
    alone = [sparse.csr_array(side - common) for side in sides]
    return {
        "contained": weights[2] / np.maximum(least, 1e-9),
        "jaccard": weights[2] / np.maximum(union, 1e-9),
        "rarest_common": _largest(common, terms.idf),
        "rarest_alone": np.minimum(*(_largest(side, terms.idf) for side in alone)),
    }


def _largest(rows: sparse.csr_array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest weight of a term of each row, 0 for none."""
    found = np.zeros(rows.shape[0])
    kept = rows.data != 0
    np.maximum.at(found, row_numbers(rows)[kept], weights[rows.indices[kept]])
    return found


def _code_overlaps(ours: list[str], theirs: list[str], pairs: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Shares of common words with digits (years, sizes, model numbers) among those of the lesser side and of both."""
    sides = [[_codes(text) for text in texts] for texts in (ours, theirs)]
    contained, jaccard = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    for i, (one, other) in enumerate(pairs.tolist()):
        first, second = sides[0][one], sides[1][other]
        if first and second:
            common = len(first & second)
            contained[i] = common / min(len(first), len(second))
            jaccard[i] = common / len(first | second)
    return {"codes_contained": contained, "codes_jaccard": jaccard}


def _codes(text: str) -> frozenset[str]:
    return frozenset(word for word in _TOKEN.findall(text.lower()) if any(letter.isdigit() for letter in word))


def _equal(ours: list[str], theirs: list[str], pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    sides = [[" ".join(_TOKEN.findall(text.lower())) for text in texts] for texts in (ours, theirs)]
    return np.array([float(sides[0][one] == sides[1][other]) for one, other in pairs.tolist()])


def _number_ratio(ours: list[str], theirs: list[str], pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    """The lesser over the greater of the first numbers of two texts; NaN where one has none."""
    sides = [np.array([_number(text) for text in texts]) for texts in (ours, theirs)]
    one, other = sides[0][pairs[:, 0]], sides[1][pairs[:, 1]]
    least, most = np.minimum(one, other), np.maximum(one, other)
    return np.where(most > 0, least / np.where(most > 0, most, 1.0), np.where(np.isnan(most), np.nan, 1.0))


def _number(text: str) -> float:
    """The first number of a text, commas before three digits being no decimal points; NaN for none."""
    found = _NUMBER.search(text)
    if found is None:
        return np.nan
    digits = re.sub(r",(?=\d{3}(?:\D|$))", "", found.group()).replace(",", ".")
    whole, _, rest = digits.partition(".")
    return float(f"{whole}.{rest.replace('.', '') or 0}")
