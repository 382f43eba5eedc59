"""The overlap of two vocabularies: whether documents of both are about the same things."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary

#: The number of documents of the smaller side in which a word must be expected, to be compared.
EXPECTED = 3


def vocabulary_overlap(one: Vocabulary, other: Vocabulary) -> float | None:
    """The fraction of the words of one side that the other uses as often, from 0 to 1; the smaller one of both sides'.

    A word t with document frequency df in N documents counts as p(t) = df / N, weighted by w(t) = ln(2 / p(t)), so
    that words of nearly all documents say little: sum of w(t) min(p(t), q(t)) over the words of one side, divided by the
    sum of w(t) p(t). Only words count that would be in `EXPECTED` documents of the smaller side, had that side the
    frequencies of this one: a small side cannot have the rare words of a large one. They are the single words of the
    first family that has some, or its columns where it is hashed. None where there are none. The families of both must
    count the same n-grams.
    """
    for ours, theirs in zip(one.families, other.families, strict=True):
        sizes = one.documents, other.documents
        sides = [_covered(ours, theirs, *sizes), _covered(theirs, ours, *sizes[::-1])]
        if found := [side for side in sides if side is not None]:
            return min(found)
    return None


def _covered(ours: FamilyVocabulary, theirs: FamilyVocabulary, documents: int, other_documents: int) -> float | None:
    """The weighted fraction of a family's words that the other uses as often."""
    if not documents or not other_documents:
        return None
    p = ours.frequencies / documents
    wanted = _single_words(ours) & (ours.frequencies >= 2) & (p * min(documents, other_documents) >= EXPECTED)
    if not wanted.any():
        return None
    # The last entry is the frequency of what the other side lacks.
    q = np.append(theirs.frequencies, 0)[theirs.columns(ours.terms)[wanted]] / other_documents
    p = p[wanted]
    weights = np.log(2.0 / p)
    return float(weights @ np.minimum(p, q)) / float(weights @ p)


def _single_words(family: FamilyVocabulary) -> NDArray[np.bool_]:
    """The columns of words that are not several joined; all of a family that has no others, or is hashed."""
    if family.terms is None:
        return np.ones(family.size, np.bool_)
    single = np.array([" " not in term for term in family.terms], np.bool_)
    return single if single.any() else ~single
