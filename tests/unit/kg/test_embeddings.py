"""Vectors of texts: estimates of the cosines of weighted n-grams, whatever the batch, the case and the accents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.embeddings import EmbeddingParams, TextEmbedder, frequencies
from tests.support.table_similarities import weighted_terms

SMALL = EmbeddingParams(dimensions=64, buckets=2**12)
TEXTS = st.lists(st.text("ab cdé漢字1.", max_size=12), min_size=1, max_size=12)
WORDS = ("kettle", "steel", "red", "acme", "one", "litre", "knife", "bread", "garden", "hose", "blue", "long")


def embedder_of(texts: list[str], params: EmbeddingParams = SMALL) -> TextEmbedder:
    return TextEmbedder(frequencies(texts, params), len(texts), params)


def some_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 4)) + f" {rng.integers(1000)}" for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_a_row_is_of_length_one_or_zeros_and_depends_on_its_text_alone(texts: list[str]) -> None:
    embedder = embedder_of(texts)
    rows = embedder.vectors(texts)
    assert rows.dtype == np.float32
    assert rows.shape == (len(texts), SMALL.dimensions)
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    for text, row in zip(texts, rows, strict=True):
        assert np.array_equal(embedder.vectors([text])[0], row)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(0, 12))
def test_frequencies_of_parts_add_up(texts: list[str], split: int) -> None:
    parts = [frequencies(part, SMALL) for part in (texts[:split], texts[split:])]
    assert np.array_equal(parts[0] + parts[1], frequencies(texts, SMALL))
    assert parts[0].dtype == np.int64


def test_cosines_are_near_those_of_all_ngrams() -> None:
    """The error of a cosine is about 1 / sqrt(dimensions): of 4,096 dimensions a quarter of that of 256."""
    texts = some_texts(120)
    exact = weighted_terms(texts, [], family="char", ngram_min=2, ngram_max=4).left
    true, errors = (exact @ exact.T).toarray(), {}
    for dimensions in (256, 4096):
        params = EmbeddingParams(dimensions=dimensions, buckets=2**20)
        rows = embedder_of(texts, params).vectors(texts).astype(np.float64)
        errors[dimensions] = float(np.sqrt(np.mean((rows @ rows.T - true) ** 2)))
    # The weights differ by the 1 that `weighted_terms` adds to each, which both errors contain.
    assert errors[256] < 0.12
    assert errors[4096] < errors[256]


def test_a_text_is_nearest_to_its_misspelling() -> None:
    texts = some_texts(200)
    wrong = [text[:5] + text[6:] for text in texts]
    embedder = embedder_of([*texts, *wrong], EmbeddingParams())
    products = embedder.vectors(texts) @ embedder.vectors(wrong).T
    assert np.mean(products.argmax(axis=1) == np.arange(200)) > 0.95


def test_case_accents_and_forms_do_not_matter() -> None:
    spellings = ["Café Zürich", "CAFE\u0301 ZU\u0308RICH", "cafe zurich", "\uff23\uff41\uff46\uff45 zurich"]
    rows = embedder_of([*spellings, "other"]).vectors(spellings)
    assert all(np.array_equal(row, rows[0]) for row in rows)


def test_what_all_texts_have_and_what_is_no_ngram_says_nothing() -> None:
    embedder = embedder_of(["same", "same", ""][:2])
    assert not embedder.vectors(["same", "", "?", "x"]).any()


def test_contexts_mix_in_what_is_around() -> None:
    embedder = embedder_of(some_texts(50))
    own, around = some_texts(2, seed=1), some_texts(2, seed=2)
    plain = embedder.vectors(own)
    assert np.array_equal(embedder.contexts(own, ["", ""]), plain)
    mixed = embedder.contexts(own, around)
    before = np.einsum("ij,ij->i", plain, embedder.vectors(around))
    assert np.all(np.einsum("ij,ij->i", mixed, embedder.vectors(around)) > before + 0.1)
    assert np.all(np.einsum("ij,ij->i", mixed, plain) > 0.7)


def test_the_seed_chooses_the_projection() -> None:
    texts = some_texts(3)
    one, other = (embedder_of(texts, EmbeddingParams(seed=seed)).vectors(texts) for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    "options", [{"ngram_min": 0}, {"ngram_max": 1}, {"places": 0}, {"dimensions": 3}, {"buckets": 0}, {"neighbors": -1}]
)
def test_parameters_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="embedding: expected"):
        EmbeddingParams(**options)


def test_counts_of_other_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frequencies: expected one for each of 4096 buckets, got \(8,\)"):
        TextEmbedder(np.zeros(8, np.int64), 1, SMALL)
