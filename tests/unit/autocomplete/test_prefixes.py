"""Character n-grams of prefixes and suggestions, and the prefixes that pairs are trained on."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.prefixes import (
    PrefixParams,
    Weighting,
    inverse_frequencies,
    ngram_entries,
    ngram_frequencies,
    ngram_text,
    summed_frequencies,
    text_features,
    trained_prefixes,
)

TEXTS = st.lists(st.text("ab中\x00\U0001f600", max_size=6), min_size=1, max_size=8)


def grams_of(text: str, params: PrefixParams) -> dict[str, float]:
    """The definition: an n-gram at position i counts 1 / (i + 1)."""
    found: dict[str, float] = defaultdict(float)
    text = text[: params.characters]
    for begin in range(len(text)):
        for length in range(1, params.max_ngram + 1):
            if begin + length <= len(text):
                found[text[begin : begin + length]] += 1 / (begin + 1) if params.weighting == "position" else 1
    return found


@settings(max_examples=80, deadline=None)
@given(texts=TEXTS, weighting=st.sampled_from(["position", "plain"]), longest=st.integers(1, 4))
def test_ngrams_count_by_their_position(texts: list[str], weighting: Weighting, longest: int) -> None:
    params = PrefixParams(weighting=weighting, max_ngram=longest, characters=5)
    found = ngram_entries(texts, params)
    named: list[dict[str, float]] = [defaultdict(float) for _ in texts]
    numbers: dict[str, int] = {}
    for row, number, value, origin in zip(found.rows, found.ids, found.values, found.origins, strict=True):
        gram = ngram_text(texts, int(origin), np.array([number]), params)
        assert numbers.setdefault(gram, int(number)) == number
        named[row][gram] += value
    assert len(set(numbers.values())) == len(numbers)
    for mine, text in zip(named, texts, strict=True):
        assert mine == pytest.approx(grams_of(text, params))


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS, cut=st.integers(0, 8))
def test_features_of_texts(texts: list[str], cut: int) -> None:
    """As one by one, whatever the parts in which the frequencies were counted."""
    params = PrefixParams()
    parts = [ngram_frequencies(part, params) for part in (texts[:cut], texts[cut:]) if part]
    ids, frequencies = summed_frequencies(parts)
    counts = Counter(gram for text in texts for gram in grams_of(text, params))
    assert sorted(frequencies) == sorted(counts.values())
    idf = inverse_frequencies(frequencies, len(texts))
    rows = text_features(texts, ids, idf, params)
    assert rows.shape == (len(texts), len(counts))
    for row, text in enumerate(texts):
        values = [
            value * (math.log((1 + len(texts)) / (1 + counts[gram])) + 1)
            for gram, value in grams_of(text, params).items()
        ]
        norm = math.sqrt(sum(value**2 for value in values)) or 1
        mine = rows.data[rows.indptr[row] : rows.indptr[row + 1]]
        assert sorted(mine) == pytest.approx(sorted(value / norm for value in values), abs=1e-6)


def test_the_first_characters_weigh_most() -> None:
    params = PrefixParams(max_ngram=1)
    texts = ["abx", "xba", "acx"]
    ids, frequencies = ngram_frequencies(texts, params)
    rows = text_features(texts, ids, np.ones(4, np.float32), params).toarray()
    assert rows[0] @ rows[2] > rows[0] @ rows[1] > 0
    assert sorted(frequencies) == [1, 2, 3, 3]


def test_trained_prefixes() -> None:
    sizes = np.array([1, 2, 5])
    rows, lengths = trained_prefixes(sizes, np.arange(3), PrefixParams(lengths=(0, 1, 2, 3)))
    assert list(zip(rows.tolist(), lengths.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3),
    ]  # fmt: skip
    assert trained_prefixes(sizes, np.arange(3), PrefixParams())[1].tolist() == [0, 0, 0]


def test_sampled_prefixes_are_of_any_length_and_of_their_pair() -> None:
    params = PrefixParams(lengths=(), sampled=1, seed=3)
    rows, lengths = trained_prefixes(np.full(5_000, 5), np.arange(5_000), params)
    counts = np.bincount(lengths, minlength=6)
    assert counts[0] == 0
    assert (np.abs(counts[1:] - 1_000) < 120).all()
    assert len(rows) == 5_000
    # The same pair has the same prefix among others; another seed gives others.
    assert np.array_equal(trained_prefixes(np.full(10, 5), np.arange(90, 100), params)[1], lengths[90:100])
    other = PrefixParams(lengths=(), sampled=1, seed=4)
    assert not np.array_equal(trained_prefixes(np.full(5_000, 5), np.arange(5_000), other)[1], lengths)


def test_prefixes_have_features_unless_all_are_empty() -> None:
    assert not PrefixParams().featurized
    assert PrefixParams(lengths=(0, 1)).featurized
    assert PrefixParams(lengths=(0,), sampled=1).featurized


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lengths": ()}, "lengths and sampled: expected prefixes"),
        ({"lengths": (-1,)}, "lengths and sampled: expected prefixes"),
        ({"sampled": -1}, "lengths and sampled: expected prefixes"),
        ({"weighting": "even"}, "weighting: expected one of"),
        ({"max_ngram": 0}, "max_ngram and characters"),
        ({"max_ngram": 9, "characters": 8}, "max_ngram and characters"),
        ({"weight": 0.0}, "weight: expected more than 0"),
    ],
)
def test_wrong_parameters(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrefixParams(**wrong)  # type: ignore[arg-type]
