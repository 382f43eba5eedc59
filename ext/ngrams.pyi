import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
FAMILIES: tuple[str, ...]

def count_ngrams(
    texts: list[str], *, family: str, ngram_min: int, ngram_max: int, marks: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], list[str]]:
    """Counts the n-grams of each text.

    Returns (indptr int64 (n + 1,), indices int32 (nnz,), counts float32 (nnz,), terms). Rows are texts; indices ascend
    within a row and refer to ``terms``, which holds every n-gram that occurs, in the order of Python's ``str``. Texts
    are lower-cased by ``str.lower``; tokens are the matches of ``(?u)\\b\\w\\w+\\b``, and with ``marks`` of that pattern on
    text in form NFC where combining marks (vowel signs, accents, tones: Mn, Mc, Me) belong to the word before them. Those
    that writers may leave out are no part of the token: joiners, soft hyphens, vowel points of Arabic and Hebrew.

    ``family="word"``: ``ngram_min`` to ``ngram_max`` consecutive tokens joined by one blank, without ``marks`` as
    scikit-learn's ``CountVectorizer(ngram_range=...)``. ``family="char"``: every run of ``ngram_min`` to ``ngram_max``
    characters of each token followed by ``#`` (``sort`` gives ``sor``, ``ort``, ``rt#``).

    Raises TypeError for a row that is not a str, ValueError for an unknown family or an invalid range.
    """

def hash_ngrams(
    texts: list[str], *, family: str, ngram_min: int, ngram_max: int, buckets: int, marks: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Counts n-grams in ``buckets`` columns without a vocabulary; returns (indptr, indices, counts) as `count_ngrams`.

    A term's column is ``h % buckets``; h is FNV-1a (64 bits, offset 0xcbf29ce484222325, prime 0x100000001b3) over the
    term's UTF-8 bytes, then MurmurHash3's 64-bit finaliser: the same on every platform.
    """

def merge_counts(
    left_terms: list[str],
    left_counts: NDArray[np.int64],
    right_terms: list[str],
    right_counts: NDArray[np.int64],
) -> tuple[list[str], NDArray[np.int64]]:
    """Merges two sorted lists of distinct terms and adds the counts of those in both; counts are int64 (terms,)."""

def match_terms(terms: list[str], vocabulary: list[str]) -> NDArray[np.int32]:
    """Index of each term in the vocabulary, int32 (terms,), -1 if it is absent. Both lists are sorted and distinct."""
