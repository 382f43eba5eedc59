"""The n-gram kernel against scikit-learn and against slow Python."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from fingerpost.ext.ngrams import count_ngrams, hash_ngrams, match_terms, merge_counts
from fingerpost.tasks.corpus.scripts import JOINERS, MARKS, composed
from tests.data import data_folder

TOKEN = re.compile(r"(?u)\b\w\w+\b")

#: Characters where case, word membership or width is unusual.
ODD = "aAzZ_09 #-.\n\tßẞſKİıΣςσǅﬀ²½Ⅷ٣०あ漢字가ªºµ´¨\u0301\u0345\u200d\u00ad\ud800\udfff\ufeff𝐀𝟘𐐀😀𠀀"

texts_strategy = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.text(alphabet=ODD, max_size=60),
        st.text(alphabet="ab _", max_size=80),
        st.lists(st.sampled_from(["ab", "abc", "b_", "cd", "ΟΔΟΣ", "x", "Ab", "ab_c", "a1"]), max_size=40).map(
            " ".join
        ),
    ),
    max_size=6,
)


def character_grams(text, least=3, most=3):
    """Every run of characters of each token followed by ``#``."""
    marked = [token + "#" for token in TOKEN.findall(text.lower())]
    return [
        token[at : at + size]
        for token in marked
        for size in range(least, most + 1)
        for at in range(len(token) - size + 1)
    ]


def expected_counts(texts, *, family, ngram_min, ngram_max):
    """Counts and terms by scikit-learn; (None, []) where it refuses an empty vocabulary."""
    if family == "word":
        vectorizer = CountVectorizer(ngram_range=(ngram_min, ngram_max))
    else:
        vectorizer = CountVectorizer(analyzer=lambda text: character_grams(text, ngram_min, ngram_max))
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:
        return None, []
    counts.sort_indices()
    return counts, list(vectorizer.get_feature_names_out())


def assert_equals_sklearn(texts, *, family, ngram_min, ngram_max):
    indptr, indices, counts, terms = count_ngrams(
        texts, family=family, ngram_min=ngram_min, ngram_max=ngram_max, marks=False
    )
    assert (indptr.dtype, indices.dtype, counts.dtype) == (np.int64, np.int32, np.float32)
    expected, expected_terms = expected_counts(texts, family=family, ngram_min=ngram_min, ngram_max=ngram_max)
    assert terms == expected_terms
    assert terms == sorted(terms)
    if expected is None:
        assert indptr.tolist() == [0] * (len(texts) + 1)
        assert len(indices) == len(counts) == 0
        return
    np.testing.assert_array_equal(indptr, expected.indptr)
    np.testing.assert_array_equal(indices, expected.indices)
    np.testing.assert_array_equal(counts, expected.data)


@pytest.mark.parametrize(
    ("family", "ngram_min", "ngram_max"),
    [("word", 1, 3), ("word", 1, 1), ("word", 2, 2), ("word", 2, 5), ("char", 3, 3), ("char", 1, 4), ("char", 5, 7)],
)
@settings(max_examples=120, deadline=None)
@given(texts=texts_strategy)
@example(texts=[])
@example(texts=["", " ", "a"])
@example(texts=["ΑΣ ΑΣΑ ΌΣΟΣ", "İstanbul İİ", "STRASSE straße ẞß", "e\u0301te\u0301 cafe\u0301"])
@example(texts=["ab", "ab c", "abc", "ab_c", "ab cd", "ab0", "Ab AB aB"])
def test_counts_equal_sklearn(family, ngram_min, ngram_max, texts):
    assert_equals_sklearn(texts, family=family, ngram_min=ngram_min, ngram_max=ngram_max)


def test_every_code_point_is_a_word_character_exactly_if_re_says_so():
    word = re.compile(r"\w")
    codes = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    # The lower case is taken first, by the kernel as by scikit-learn, so compare on text that it leaves alone.
    characters = [chr(code) for code in codes if chr(code).lower() == chr(code)]
    expected = sorted({character * 2 for character in characters if word.match(character)})
    _, _, _, terms = count_ngrams(
        ["\n".join(c * 2 for c in characters)], family="word", ngram_min=1, ngram_max=1, marks=False
    )
    assert terms == expected
    assert not any(unicodedata.combining(term[0]) and not term[0].isalnum() for term in terms)


def words(texts, **options):
    """The tokens of texts, sorted."""
    return count_ngrams(texts, family="word", ngram_min=1, ngram_max=1, **options)[3]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("दिन में हिन्दी", ["दिन", "में", "हिन्दी"]),
        ("น้ำดื่ม ดี", ["ดี", "น้ำดื่ม"]),
        ("cafe\u0301s CAFÉS", ["cafés"]),
        ("كِتَابٌ كتاب שָׁלוֹם", ["שלום", "كتاب"]),
        ("می\u200cخواهم in\u00adform", ["inform", "میخواهم"]),
        ("1\ufe0f\u20e3 \u0301\u0301 ❤\ufe0f a\ufe0f", ["1\u20e3"]),
        ("plain words_1", ["plain", "words_1"]),
    ],
)
def test_marks_belong_to_the_word_before_them(text, tokens):
    assert words([text]) == tokens
    assert words([unicodedata.normalize("NFD", text)]) == tokens
    indptr, *_ = hash_ngrams([text], family="word", ngram_min=1, ngram_max=1, buckets=2**30)
    assert indptr[1] == len(tokens)


@settings(max_examples=120, deadline=None)
@given(texts=texts_strategy)
def test_without_marks_both_rules_agree(texts):
    plain = ["".join(c for c in text if not unicodedata.category(c).startswith(("M", "Cf"))) for text in texts]
    plain = [unicodedata.normalize("NFC", text) for text in plain]
    plain = [text for text in plain if not re.search(f"[{MARKS}]", text.lower())]
    assert words(plain) == words(plain, marks=False)


def test_every_mark_of_unicode_continues_a_word_and_no_other_character_does():
    characters = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    marks = {character for character in characters if unicodedata.category(character)[0] == "M"}
    alone = [mark for mark in marks if unicodedata.normalize("NFC", f"q{mark}q") == f"q{mark}q"]
    found = words(["\n".join(f"q{mark}q" for mark in alone)])
    assert found == sorted({composed(f"q{mark}q", form="NFC") for mark in alone})
    others = re.sub(rf"[\w\n{MARKS}{JOINERS}]", "", characters)
    assert words(["\n".join(f"q{other}q" for other in others)]) == []


def test_large_groups_are_sorted_like_small_ones():
    # More than 400 followers of one token, and more than 512 tokens, take the radix path with two digits.
    rng = np.random.default_rng(3)
    texts = [" ".join(f"w{number:04d} the" for number in rng.integers(0, 3000, size=300)) for _ in range(40)]
    assert_equals_sklearn(texts, family="word", ngram_min=1, ngram_max=3)


def test_real_texts_equal_sklearn():
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(data_folder("debian12") / "packages.parquet", columns=["summary", "description"])
    texts = [
        f"{summary or ''} {description or ''}"
        for summary, description in zip(table["summary"].to_pylist(), table["description"].to_pylist(), strict=True)
    ]
    texts = texts[::60] + [text for text in texts if not text.isascii()][:300]
    assert_equals_sklearn(texts, family="word", ngram_min=1, ngram_max=3)
    assert_equals_sklearn(texts, family="char", ngram_min=3, ngram_max=3)


def documented_hash(term):
    """FNV-1a of the UTF-8 bytes, then the finaliser of MurmurHash3, as the stub says."""
    state, whole = 0xCBF29CE484222325, 2**64 - 1
    for byte in term.encode():
        state = ((state ^ byte) * 0x100000001B3) & whole
    state ^= state >> 33
    state = (state * 0xFF51AFD7ED558CCD) & whole
    state ^= state >> 33
    state = (state * 0xC4CEB9FE1A85EC53) & whole
    return state ^ (state >> 33)


def test_documented_hash_is_pinned():
    assert documented_hash("sort") == 10516753745987872079
    _, indices, _ = hash_ngrams(["sort"], family="word", ngram_min=1, ngram_max=1, buckets=2**31 - 1)
    assert indices.tolist() == [documented_hash("sort") % (2**31 - 1)]


@pytest.mark.parametrize("buckets", [1, 7, 1000, 2**20])
@pytest.mark.parametrize(("family", "ngram_min", "ngram_max"), [("word", 1, 3), ("char", 3, 3)])
@settings(max_examples=40, deadline=None)
@given(texts=texts_strategy)
def test_hashed_counts_are_vocabulary_counts_folded(buckets, family, ngram_min, ngram_max, texts):
    options = {"family": family, "ngram_min": ngram_min, "ngram_max": ngram_max}
    indptr, indices, counts, terms = count_ngrams(texts, **options)
    named = np.array([documented_hash(term) % buckets for term in terms], dtype=np.int64)
    folded = sparse.csr_array(
        (counts, named[indices] if len(indices) else indices, indptr), shape=(len(texts), buckets)
    )
    folded.sum_duplicates()
    found_indptr, found_indices, found_counts = hash_ngrams(texts, **options, buckets=buckets)
    np.testing.assert_array_equal(found_indptr, folded.indptr)
    np.testing.assert_array_equal(found_indices, folded.indices)
    np.testing.assert_array_equal(found_counts, folded.data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "line", "ngram_min": 1, "ngram_max": 1}, "expected 'word' or 'char', got 'line'"),
        ({"family": "word", "ngram_min": 0, "ngram_max": 1}, "got 0 to 1"),
        ({"family": "word", "ngram_min": 3, "ngram_max": 2}, "got 3 to 2"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        count_ngrams(["some text"], **arguments)


def test_bad_text_is_named():
    with pytest.raises(TypeError, match=r"texts\[1\]: expected a str, got NoneType"):
        count_ngrams(["some text", None], family="word", ngram_min=1, ngram_max=1)
    with pytest.raises(ValueError, match="buckets: expected 1 to"):
        hash_ngrams(["some text"], family="word", ngram_min=1, ngram_max=1, buckets=0)


counts_strategy = st.dictionaries(st.text(alphabet=ODD, max_size=4), st.integers(1, 2**40), max_size=30)


@given(left=counts_strategy, right=counts_strategy)
def test_merged_counts_equal_a_dictionary(left, right):
    expected = {term: left.get(term, 0) + right.get(term, 0) for term in sorted(left | right)}
    sides = [(sorted(side), np.array([side[term] for term in sorted(side)], dtype=np.int64)) for side in (left, right)]
    terms, counts = merge_counts(*sides[0], *sides[1])
    assert terms == list(expected)
    assert counts.tolist() == list(expected.values())


@given(terms=st.sets(st.text(alphabet=ODD, max_size=3)), vocabulary=st.sets(st.text(alphabet=ODD, max_size=3)))
def test_matched_terms_equal_a_dictionary(terms, vocabulary):
    places = {term: place for place, term in enumerate(sorted(vocabulary))}
    found = match_terms(sorted(terms), sorted(vocabulary))
    assert found.dtype == np.int32
    assert found.tolist() == [places.get(term, -1) for term in sorted(terms)]
