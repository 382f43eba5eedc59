"""Features of requests against formulas written out, one term at a time."""

import math
import re
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.contexts import (
    ContextFeaturizer,
    Contexts,
    FeatureParams,
    Vocabulary,
    feature_params,
    fit_vocabulary,
)
from fingerpost.tasks.autocomplete.prefixes import PrefixParams
from fingerpost.tasks.autocomplete.sessions import text_hashes
from fingerpost.tasks.autocomplete.terms import FAMILIES, MAX_WORDS, mixed, mixed_one, text_hash, word_spans

KEY = st.text("ab .中", min_size=1, max_size=8).map(str.strip).filter(bool)
LOG = st.lists(st.lists(KEY, min_size=1, max_size=3), min_size=1, max_size=12)
TYPED = PrefixParams(lengths=(0, 1, 2))
PARAMS = FeatureParams(decay=0.5, word=0.3)


def contexts_of(log: list[list[str]]) -> Contexts:
    """Contexts that name each query as often as it occurs, in another order than its first."""
    keys = sorted({key for row in log for key in row}, reverse=True)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in log]))).astype(np.int64)
    return Contexts(keys, indptr, np.array([keys.index(key) for row in log for key in row], dtype=np.int64))


def fitted(log: list[list[str]], params: FeatureParams, prefixes: list[str] | None = None) -> Vocabulary:
    contexts = contexts_of(log)
    return fit_vocabulary(contexts, np.ones(len(contexts.keys), dtype=bool), prefixes or [], params)


def featurizer(vocabulary: Vocabulary, params: FeatureParams) -> ContextFeaturizer:
    return ContextFeaturizer(vocabulary.arrays(), params)


def terms_of(previous: list[str], params: FeatureParams) -> dict[tuple[str, str], float]:
    """Values of the terms of a context, before scaling, by family and text: the definition in words."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for place, key in enumerate(previous):
        value = params.decay**place
        found["query", key] += value
        words = [match.span() for match in re.finditer(r"[一-鿿]|[^\W一-鿿]+", key)]
        for begin, end in words:
            found["word", key[begin:end]] += value / math.sqrt(len(words))
        for _, end in words[:-1]:
            found["path", key[:end]] += value / math.sqrt(len(words))
    if len(previous) >= 2:
        found["pair", " > ".join(previous[1::-1])] = 1.0
    if len(previous) >= 3:
        found["triple", " > ".join(previous[2::-1])] = 1.0
    return found


def scaled(terms: dict[tuple[str, str], float], params: FeatureParams) -> dict[tuple[str, str], float]:
    weights = dict(zip(FAMILIES, params.weights(), strict=True))
    norms: dict[str, float] = defaultdict(float)
    for (family, _), value in terms.items():
        norms[family] += value**2
    row = {term: value * weights[term[0]] / math.sqrt(norms[term[0]]) for term, value in terms.items()}
    length = math.sqrt(sum(value**2 for value in row.values()))
    return {term: value / length for term, value in row.items()}


@settings(max_examples=60, deadline=None)
@given(log=LOG, asked=st.lists(KEY, max_size=3))
def test_a_row_has_the_terms_of_its_families(log: list[list[str]], asked: list[str]) -> None:
    """Positions are left out, whose text does not say the place; the next test has them."""
    params = FeatureParams(decay=0.5, position=0.0, word=0.3)
    vocabulary = fitted(log, params)
    names = [(FAMILIES[family], text) for family, text in zip(vocabulary.families, vocabulary.texts, strict=True)]
    assert set(names) == {term for row in log for term in terms_of(row, params)}
    for row in [*log, asked]:
        columns, values = featurizer(vocabulary, params).row(row, "")
        known = {term: value for term, value in terms_of(row, params).items() if term in set(names)}
        expected = scaled(known, params) if known else {}
        assert {names[column]: value for column, value in zip(columns, values, strict=True)} == pytest.approx(expected)
        assert (np.diff(columns) > 0).all()
        assert values.dtype == np.float32
        assert columns.dtype == np.int32


@settings(max_examples=60, deadline=None)
@given(log=LOG, prefixed=st.booleans())
def test_one_request_is_featurized_as_many_are(log: list[list[str]], prefixed: bool) -> None:
    """Bit for bit: trained on is what is asked."""
    params = FeatureParams(prefixes=TYPED) if prefixed else PARAMS
    prefixes = [row[0][: 1 + number % 3] for number, row in enumerate(log)]
    found = featurizer(fitted(log, params, prefixes), params)
    rows = found.rows(contexts_of(log), prefixes)
    assert rows.shape == (len(log), found.columns)
    for number, (row, prefix) in enumerate(zip(log, prefixes, strict=True)):
        part = slice(rows.indptr[number], rows.indptr[number + 1])
        columns, values = found.row(row, prefix)
        assert np.array_equal(columns, rows.indices[part])
        assert np.array_equal(values, rows.data[part])
        assert np.linalg.norm(values.astype(float)) == pytest.approx(1, abs=1e-6)


def test_the_place_of_a_query_counts() -> None:
    log = [["a", "b"], ["b", "a"]]
    params = FeatureParams(query=0, path=0, word=0, pair=0, triple=0)
    vocabulary = fitted(log, params)
    assert sorted(vocabulary.texts) == ["a", "a", "b", "b"]
    found = featurizer(vocabulary, params)
    first, second = (dict(zip(*found.row(row, ""), strict=True)) for row in log)
    assert not set(first) & set(second)
    assert sorted(first.values()) == pytest.approx(sorted([1 / math.sqrt(1.64), 0.8 / math.sqrt(1.64)]), abs=1e-6)


def test_a_query_that_may_not_be_kept_is_in_no_term() -> None:
    """Nor is what is before it, which would stand in another place."""
    contexts = contexts_of([["a b", "secret word", "c"], ["secret word"], ["c"]])
    allowed = np.array([key != "secret word" for key in contexts.keys])
    vocabulary = fit_vocabulary(contexts, allowed, [], PARAMS)
    assert set(vocabulary.texts) == {"a b", "a", "b", "c"}
    assert featurizer(vocabulary, PARAMS).row(["secret word"], "")[0].size == 0


def test_rare_terms_have_no_column() -> None:
    log = [["a b"], ["a c"], ["a c"]]
    assert set(fitted(log, FeatureParams(min_count=2)).texts) == {"a", "a c", "c"}
    assert set(fitted(log, FeatureParams(min_count=3)).texts) == {"a"}
    # Twice in one context is one pair.
    assert set(fitted([["b a", "a"]], FeatureParams(min_count=2)).texts) == set()


def test_nothing_known_is_an_empty_row() -> None:
    found = featurizer(fitted([["a"]], PARAMS), PARAMS)
    assert [part.tolist() for part in found.row(["z"], "")] == [[], []]
    assert [part.tolist() for part in found.row([], "")] == [[], []]
    empty = featurizer(fitted([["a"]], FeatureParams(min_count=2)), PARAMS)
    assert empty.columns == 0
    assert empty.row(["a"], "a")[0].size == 0
    assert empty.rows(contexts_of([["a"]]), [""]).shape == (1, 0)


def test_a_ranker_is_trusted_where_much_is_known() -> None:
    """A term of n pairs counts n / (n + trusted), with its part of the squared length."""
    log = [["a b"], ["a b"], ["a c"]]
    params = FeatureParams(path=0, query=0, pair=0, triple=0, position=1.0, word=1.0, trusted=2.0)
    found = featurizer(fitted(log, params), params)
    rows = found.rows(contexts_of([["a b"], ["a c"], ["a z"], ["z"]]), [""] * 4)
    trust = found.trust(rows.indptr, rows.indices, rows.data)
    often, twice, once = 3 / 5, 2 / 4, 1 / 3
    expected = [twice / 2 + (often + twice) / 4, once / 2 + (often + once) / 4, often, 0]
    assert trust == pytest.approx(expected, abs=1e-6)
    for row, value in enumerate(trust):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        single = np.array([0, part.stop - part.start])
        assert found.trust(single, rows.indices[part], rows.data[part]).tolist() == [value]
    whole = featurizer(fitted(log, params), FeatureParams(word=1.0, trusted=0))
    assert whole.trust(np.array([0, 1]), np.array([0], np.int32), np.ones(1, np.float32)).tolist() == [1]


def test_words() -> None:
    assert [("numpy.get norm")[b:e] for b, e in word_spans("numpy.get norm")] == ["numpy", "get", "norm"]
    assert [("天気 tokyo")[b:e] for b, e in word_spans("天気 tokyo")] == ["天", "気", "tokyo"]
    assert [("दिन में café\u0301s")[b:e] for b, e in word_spans("दिन में café\u0301s")] == ["दिन", "में", "café\u0301s"]
    assert word_spans("...") == []
    assert len(word_spans("a " * 50)) == MAX_WORDS


@given(left=st.integers(0, 2**64 - 1), right=st.integers(0, 2**64 - 1), text=st.text(max_size=5))
def test_hashes_of_one_are_those_of_many(left: int, right: int, text: str) -> None:
    many = mixed(np.array([left, 0], dtype=np.uint64), np.array([right, 1], dtype=np.uint64))
    assert mixed_one(left, right) == many[0]
    assert mixed_one(0, 1) == many[1]
    assert text_hash(text) == text_hashes([text])[0]


def test_parameters_are_read_back() -> None:
    params = FeatureParams(word=0.25, prefixes=PrefixParams(lengths=(0, 2), sampled=1))
    stored = {name: getattr(params, name) for name in FAMILIES[:-1]} | {"decay": 0.8, "min_count": 1, "trusted": 20.0}
    prefixes = vars(params.prefixes) | {"lengths": [0, 2]}
    assert feature_params(stored | {"prefixes": prefixes}) == params


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"decay": 0.0}, r"decay: expected above 0, up to 1, got 0\.0"),
        ({"pair": -1.0}, r"weights: expected at least 0"),
        ({"word": math.inf}, r"weights: expected at least 0"),
        (dict.fromkeys(FAMILIES[:-1], 0.0), r"weights: expected at least 0, and one above"),
        ({"min_count": 0}, r"min_count: expected at least 1, got 0"),
        ({"trusted": -1.0}, r"trusted: expected a number of at least 0"),
    ],
)
def test_wrong_parameters(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureParams(**wrong)  # type: ignore[arg-type]
