"""Features of queries over a vocabulary packed as UTF-8: those of the vocabulary of texts, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, count_shard
from fingerpost.tasks.corpus.packed_featurizer import PackedFeaturizer
from fingerpost.tasks.corpus.tfidf import Featurizer
from fingerpost.tasks.corpus.vocabulary import select_vocabulary, shard_frequencies
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.xmr.packed import vocabulary_arrays

DOCUMENTS = ["sort an array", "sorted copies of arrays", "größe und maß", "shortest path in a graph", "数组 排序"]
WORDS = st.sampled_from(["sort", "array", "path", "größe", "graph", "unknown", "数组", "ärger", ""])
FAMILIES = (FamilyParams("word", 1, 2), FamilyParams("char", 3, 3))
HASHED = (FamilyParams("word", 1, 2), FamilyParams("char", 3, 3, buckets=64))


def featurizers(families: tuple[FamilyParams, ...], *, sublinear: bool) -> tuple[Featurizer, PackedFeaturizer]:
    """Both over the vocabulary of the documents."""
    ngrams, tfidf = NgramParams(families), TfidfParams(sublinear=sublinear)
    frequencies = shard_frequencies(count_shard(DOCUMENTS, DOCUMENTS, DOCUMENTS, ngrams))
    vocabulary = select_vocabulary(frequencies, ngrams)
    arrays, offsets, letters = vocabulary_arrays(vocabulary)
    sizes = tuple(arrays["sizes"].tolist())
    held = tuple(arrays[f"frequencies_{number:02d}"] for number in range(len(sizes)))
    packed = PackedFeaturizer(int(arrays["documents"]), sizes, offsets, letters, held, ngrams, tfidf)
    return Featurizer(vocabulary, ngrams, tfidf), packed


@given(
    texts=st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=5),
    families=st.sampled_from([FAMILIES, HASHED, FAMILIES[:1]]),
    sublinear=st.booleans(),
)
def test_rows_are_those_over_texts_bit_for_bit(
    texts: list[str], families: tuple[FamilyParams, ...], sublinear: bool
) -> None:
    tfidf = {"family_weights": (1.0, 0.6)[: len(families)]}
    plain, packed = featurizers(families, sublinear=sublinear) if len(families) == 2 else one_family(sublinear)
    expected, rows = plain.transform(texts), packed.transform(texts)
    assert rows.shape == expected.shape, tfidf
    for name in ("indptr", "indices", "data"):
        assert np.asarray(getattr(rows, name)).tolist() == getattr(expected, name).tolist()
    assert (rows.tocsr() != expected).nnz == 0


def one_family(sublinear: bool) -> tuple[Featurizer, PackedFeaturizer]:
    plain, packed = featurizers(FAMILIES, sublinear=sublinear)
    ngrams, tfidf = NgramParams(FAMILIES[:1]), TfidfParams(sublinear=sublinear, family_weights=(1.0,))
    vocabulary = replace(plain.vocabulary, families=plain.vocabulary.families[:1])
    size = packed.sizes[0]
    cut = replace(
        packed,
        sizes=(size,),
        offsets=packed.offsets[: size + 1],
        frequencies=packed.frequencies[:1],
        ngrams=ngrams,
        tfidf=tfidf,
    )
    return Featurizer(vocabulary, ngrams, tfidf), cut


def test_arrays_of_another_vocabulary_are_refused() -> None:
    _, packed = featurizers(FAMILIES, sublinear=False)
    falling = packed.offsets.copy()
    falling[3] = 10_000
    for wrong in (
        {"sizes": packed.sizes[:1]},
        {"frequencies": packed.frequencies[::-1]},
        {"offsets": packed.offsets[:-1]},
        {"offsets": falling},
        {"documents": -2},
        {"frequencies": tuple(-1 - held for held in packed.frequencies)},
    ):
        with pytest.raises(ValueError, match="rebuild it"):
            replace(packed, **wrong)  # type: ignore[arg-type]
