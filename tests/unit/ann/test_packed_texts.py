"""What answers texts as arrays: taken apart and put together again, and refused where they do not fit."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fingerpost.schemas.packed_texts import packed_from_arrow, packed_to_arrow
from fingerpost.tasks.ann.dense_side import NeighborTable
from fingerpost.tasks.ann.packed_texts import EmbeddedTexts, PackedTexts
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.term_weights import TermWeightParams, TermWeights

TERMS, DOCUMENTS = ["apple", "größe", "sort", "数组"], 3
WEIGHTS = np.array([[1.0, 0.0, 2.0, 0.5], [0.0, 1.0, 1.0, 0.0], [0.5, 0.0, 0.0, 1.5]], np.float32)


def packed(*, embedded: bool = True) -> PackedTexts:
    """Of three documents of four terms."""
    frequency = (WEIGHTS > 0).sum(axis=0).astype(np.int64)
    lexicon = Lexicon.of(
        TERMS, documents=DOCUMENTS, document_frequency=frequency, occurrences=np.stack([frequency] * 3)
    ).with_stop(["sort"])
    near = NeighborTable(np.array([[1], [2], [0]], np.uint32), np.full((3, 1), 0.5, np.float32))
    terms = TermWeights.of(lexicon, TermWeightParams(min_df=1))
    vectors = EmbeddedTexts(terms, np.eye(len(terms.columns), 2, dtype=np.float32), near)
    return PackedTexts(lexicon, build_postings(sparse.csr_array(WEIGHTS)), vectors if embedded else None)


def opened(arrays: dict[str, Any], **changed: Any) -> PackedTexts:
    own = packed().lexicon
    given = {"documents": DOCUMENTS, "offsets": own.offsets, "letters": own.letters} | changed
    return PackedTexts.from_arrays(arrays, **given)


@pytest.mark.parametrize("embedded", [False, True])
def test_arrays_make_the_same_parts_again(embedded: bool) -> None:
    made = packed(embedded=embedded)
    found = opened(made.arrays())
    assert found.lexicon.terms == TERMS
    assert found.lexicon.columns(["größe", "nothing", "数组"]).tolist() == [1, -1, 3]
    assert found.lexicon.stop.tolist() == [False, False, True, False]
    query = np.array([0, 3]), np.ones(2, np.float32)
    assert [part.tolist() for part in found.postings.best(*query, 3)] == [
        part.tolist() for part in made.postings.best(*query, 3)
    ]
    assert (found.embedded is not None) == embedded
    if found.embedded is not None:
        assert found.embedded.terms.columns.tolist() == [0, 1, 3]
        assert found.embedded.neighbors.of(np.array([1]))[0].tolist() == [[2]]
    assert found.postings.weights is made.postings.weights, "nothing is copied"


@pytest.mark.parametrize(
    "wrong",
    [
        {"stop": np.zeros(3, np.bool_)},
        {"occurrences": np.zeros((2, 4), np.int64)},
        {"maxima": np.ones(5, np.float32)},
        {"feature_columns": np.array([0, 1, 4])},
        {"feature_columns": np.array([-1, 1, 3])},
        {"components": np.ones((2, 2), np.float32)},
        {"neighbors": np.zeros((2, 1), np.uint32)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="texts: expected"):
        opened(packed().arrays() | wrong)


def test_offsets_that_fall_and_arrays_that_lack_are_refused() -> None:
    falling = packed().lexicon.offsets.copy()
    falling[2] = 1_000_000
    with pytest.raises(ValueError, match="expected arrays of 4 terms"):
        opened(packed().arrays(), offsets=falling)
    arrays = packed().arrays()
    del arrays["weights"]
    with pytest.raises(KeyError):
        opened(arrays)


@pytest.mark.parametrize("terms", [[], ["a"], TERMS])
def test_terms_are_a_column_that_is_used_where_it_lies(terms: list[str]) -> None:
    lexicon = Lexicon.of(
        terms,
        documents=1,
        document_frequency=np.ones(len(terms), np.int64),
        occurrences=np.ones((3, len(terms)), np.int64),
    )
    table = packed_to_arrow(lexicon.offsets, lexicon.letters)
    assert table["term"].to_pylist() == terms
    offsets, letters = packed_from_arrow(table["term"])
    assert offsets.tolist() == lexicon.offsets.tolist()
    assert letters.tobytes() == lexicon.letters.tobytes()
    if terms:
        assert np.shares_memory(offsets, lexicon.offsets)
