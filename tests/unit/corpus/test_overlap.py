"""How far two vocabularies overlap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.corpus.overlap import vocabulary_overlap
from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary

COUNTS = st.dictionaries(st.text("abc d", min_size=1, max_size=3), st.integers(1, 50), max_size=12)


def vocabulary(counts: dict[str, int], documents: int = 50) -> Vocabulary:
    """A vocabulary of one family with these document frequencies."""
    terms = sorted(counts)
    return Vocabulary(documents, (FamilyVocabulary(terms, np.array([counts[term] for term in terms], np.int64)),))


@settings(max_examples=60)
@given(COUNTS, COUNTS)
def test_it_is_a_symmetric_fraction_that_a_vocabulary_has_in_full_with_itself(
    left: dict[str, int], right: dict[str, int]
) -> None:
    one, other = vocabulary(left), vocabulary(right)
    found = vocabulary_overlap(one, other)
    assert found == vocabulary_overlap(other, one)
    assert vocabulary_overlap(one, one) in (None, pytest.approx(1.0))
    if found is not None:
        assert 0 <= found <= 1
        assert found == 0 or left.keys() & right.keys()


def test_words_used_half_as_often_count_half_and_rare_words_most() -> None:
    live = vocabulary({"the": 40, "boot": 4, "lace": 4})
    assert vocabulary_overlap(live, vocabulary({"the": 20, "boot": 2, "lace": 2})) == pytest.approx(0.5)
    assert vocabulary_overlap(live, vocabulary({"the": 80, "boot": 8, "lace": 8}, 100)) == pytest.approx(1.0)
    weights = {"the": np.log(2 * 50 / 40) * 40, "boot": np.log(2 * 50 / 4) * 4}
    expected = weights["the"] / (weights["the"] + 2 * weights["boot"])
    assert vocabulary_overlap(live, vocabulary({"the": 40})) == pytest.approx(expected)
    assert vocabulary_overlap(live, vocabulary({"the": 40, "boot": 4, "lace": 4, "boot lace": 9})) == pytest.approx(1.0)


def test_a_small_side_need_not_have_the_rare_words_of_a_large_one() -> None:
    small, rare = vocabulary({"boot": 5}, 10), {f"word{number}": 50 for number in range(200)}
    assert vocabulary_overlap(small, vocabulary({"boot": 500, **rare}, 1000)) == pytest.approx(1.0)
    assert vocabulary_overlap(small, vocabulary({"boot": 500, "sort": 500}, 1000)) == pytest.approx(0.5)


def test_hashed_columns_are_compared_one_by_one() -> None:
    def hashed(*counts: int) -> Vocabulary:
        return Vocabulary(50, (FamilyVocabulary(None, np.array(counts, np.int64)),))

    assert vocabulary_overlap(hashed(4, 0, 4), hashed(4, 4, 0)) == pytest.approx(0.5)
    assert vocabulary_overlap(hashed(1, 0), hashed(1, 0)) is None
    assert vocabulary_overlap(Vocabulary(0, hashed(0).families), hashed(9)) is None
