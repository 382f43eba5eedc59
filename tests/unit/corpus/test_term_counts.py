"""Counts of terms by field, and the lexicon of shards, against counters of Python."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.corpus.fields import FIELDS, first_paragraph
from fingerpost.tasks.corpus.lexicon import Lexicon, merge_lexicons, shard_lexicon
from fingerpost.tasks.corpus.term_counts import TermCounts, count_terms

WORDS = ["array", "Array", "zoo", "é", "漢", "😀", "a.b"]
lines = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
documents = st.lists(st.tuples(lines, st.lists(lines, max_size=3).map("\n\n".join)), max_size=8)


class Blanks:
    """Terms are what stands between blanks, and the key of a title is its length."""

    def tokens(self, text: str) -> list[str]:
        return text.split()

    def name_keys(self, title: str) -> list[str]:
        return [f"={len(title)}"]


def counted(pairs: list[tuple[str, str]]) -> TermCounts:
    return count_terms([title for title, _ in pairs], [text for _, text in pairs], Blanks())


def fields_of(title: str, text: str) -> list[Counter[str]]:
    return [Counter(part.split()) for part in (f"{title} ={len(title)}", *first_paragraph(text))]


@settings(max_examples=50, deadline=None)
@given(pairs=documents)
def test_counts_are_those_of_counters(pairs: list[tuple[str, str]]) -> None:
    counts = counted(pairs)
    wanted = [fields_of(*pair) for pair in pairs]
    assert counts.terms == sorted({term for fields in wanted for field in fields for term in field})
    assert counts.documents == len(pairs)
    assert (counts.indptr.dtype, counts.indices.dtype, counts.occurrences.dtype) == (np.int64, np.int32, np.uint32)
    for row, fields in enumerate(wanted):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        found = [counts.terms[column] for column in counts.indices[part]]
        assert found == sorted(set().union(*fields))
        for field, occurrences in zip(fields, counts.occurrences[:, part], strict=True):
            assert occurrences.tolist() == [field[term] for term in found]
    for number in range(len(FIELDS)):
        matrix = counts.field(number)
        assert matrix.shape == (len(pairs), len(counts.terms))
        assert matrix.dtype == np.float32
        assert matrix.has_canonical_format
        assert (matrix.data > 0).all()
        sums = [sum(fields[number].values()) for fields in wanted]
        assert matrix.sum(axis=1).tolist() == sums


def as_dictionary(lexicon: Lexicon) -> dict[str, tuple[int, list[int]]]:
    return {
        lexicon.term(column): (int(lexicon.document_frequency[column]), lexicon.occurrences[:, column].tolist())
        for column in range(lexicon.size)
    }


@settings(max_examples=30, deadline=None)
@given(shards=st.lists(documents, min_size=1, max_size=4))
def test_the_lexicon_of_shards_is_that_of_all_documents(shards: list[list[tuple[str, str]]]) -> None:
    parts = [shard_lexicon(counted(shard)) for shard in shards]
    merged = merge_lexicons(parts)
    everything = [fields_of(*pair) for shard in shards for pair in shard]
    terms = {term for fields in everything for field in fields for term in field}
    assert merged.documents == len(everything)
    assert as_dictionary(merged) == {
        term: (
            sum(any(field[term] for field in fields) for fields in everything),
            [sum(fields[number][term] for fields in everything) for number in range(len(FIELDS))],
        )
        for term in terms
    }
    assert merged.terms == sorted(terms)
    assert merged.columns([*merged.terms, "absent"]).tolist() == [*range(merged.size), -1]
    whole = shard_lexicon(counted([pair for shard in shards for pair in shard]))
    grouped = merge_lexicons([merge_lexicons(parts[:1]), merge_lexicons(parts[1:])]) if len(parts) > 1 else merged
    for other in (whole, grouped):
        assert as_dictionary(other) == as_dictionary(merged)
        assert np.array_equal(other.letters, merged.letters)
        assert np.array_equal(other.offsets, merged.offsets)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one for each of 2 texts, got 1"):
        count_terms(["a"], ["b", "c"], Blanks())
    with pytest.raises(ValueError, match="expected at least one part, got none"):
        merge_lexicons([])
