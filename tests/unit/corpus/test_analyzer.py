"""The analyzer: terms of texts in every script, the same for documents and queries."""

import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams, AnalyzerVersionError

ENGLISH = Analyzer(AnalyzerParams(language="english"))
PLAIN = Analyzer(AnalyzerParams(language="none"))

_TEXTS = st.one_of(st.text(), st.text(alphabet="aZéß_.'’1,+#İ\u0301\u200d黄河한がｶﾞน้ำดिन् \n"))

# Lines of each script, and words that stand inside them.
LINES = {
    "chinese": (
        ["黄河入海流", "白日依山尽，欲穷千里目。", "机器学习模型的训练数据", "我在2024年学习Python编程"],
        ["黄河", "入海", "海流", "依山", "千里", "学习", "模型", "训练数据", "编程", "2024年", "Python编程"],
    ),
    "japanese": (
        ["東京タワーに登りました。", "機械学習のモデルを訓練する", "ﾃﾞｰﾀﾍﾞｰｽを検索する", "私はリンゴを食べる"],
        ["東京", "タワー", "登り", "機械学習", "モデル", "訓練", "データベース", "検索", "リンゴ", "食べる"],
    ),
    "korean": (
        ["학교에서 공부합니다", "데이터베이스를 검색하다", "맛있는 사과를 먹었다"],
        ["학교", "공부", "데이터", "베이스", "검색", "사과"],
    ),
    "thai": (
        ["น้ำดื่มสะอาด", "ภาษาไทยไม่มีช่องว่างระหว่างคำ", "อากาศดีมากวันนี้"],
        ["น้ำ", "ดื่ม", "สะอาด", "ภาษา", "ไทย", "ช่องว่าง", "ดี", "วันนี้", "อากาศ"],
    ),
    "lao and khmer": (["ພາສາລາວ", "ភាសាខ្មែរ", "မြန်မာဘာသာ"], ["ພາສາ", "ລາວ", "ភាសា", "ខ្មែរ", "မြန်မာ"]),
    "hindi": (
        ["आज का दिन अच्छा है", "हिन्दी में किताबें पढ़ो", "मुझे पानी चाहिए"],
        ["दिन", "अच्छा", "हिन्दी", "किताबें", "पानी", "पढ़ो"],
    ),
    "arabic": (
        ["كِتَابٌ جَدِيدٌ", "اللغة العربية جميلة", "نمی\u200cخواهم بروم"],
        ["كتاب", "كِتَابٌ", "جديد", "العربية", "جميلة", "نمیخواهم", "بروم"],
    ),
    "hebrew": (["שָׁלוֹם עולם"], ["שלום", "שָׁלוֹם", "עולם"]),
}


def _finds(analyzer: Analyzer, query: str, line: str) -> bool:
    """Whether a line has every term of a query, of which there is one."""
    terms = analyzer.query_tokens(query)
    return bool(terms) and set(terms) <= set(analyzer.tokens(line))


@pytest.mark.parametrize("script", LINES)
def test_every_word_inside_a_line_finds_it(script: str) -> None:
    lines, words = LINES[script]
    for word in words:
        assert any(_finds(PLAIN, word, line) for line in lines), word
    for form in ("NFC", "NFD"):
        for line in lines:
            assert PLAIN.tokens(unicodedata.normalize(form, line)) == PLAIN.tokens(line)


@given(st.text(alphabet="黄河入海流東京タワーがぱ한국어", min_size=2, max_size=20), st.data())
def test_every_part_of_a_run_finds_it(line: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(line) - 1))
    end = data.draw(st.integers(begin + 1, len(line)))
    assert _finds(PLAIN, line[begin:end], line)


@given(st.text(alphabet="น้ำดื่มสะอาดภไทย", min_size=2, max_size=20), st.data())
def test_two_characters_of_a_southeast_asian_run_find_it(line: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(line) - 2))
    end = data.draw(st.integers(begin + 2, len(line)))
    assert _finds(PLAIN, line[begin:end], line)


@pytest.mark.parametrize("query", ["read_csv", "readcsv", "ReadCsv", "READCSV", "readCsv", "pandas.read_csv", "csv"])
def test_an_identifier_is_found_by_each_of_its_forms(query: str) -> None:
    for analyzer in (ENGLISH, PLAIN):
        for line in ("pandas.read_csv", "see `pandas.read_csv`.", "pd.ReadCsv(path)"):
            assert _finds(analyzer, query.removeprefix("pandas."), line)
        assert _finds(analyzer, query, "pandas.read_csv")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        (
            "The runners' cafe\u0301s don't close, it's late",
            ["the", "runner", "cafe", "don't", "close", "it's", "late"],
        ),
        ("CAFÉS cafés cafes", ["cafe", "cafe", "cafe"]),
        ("naïve résumé", ["naiv", "resum"]),
        ("C++ and C# and .NET, not C", ["c++", "and", "c#", "and", ".net", "net", "not", "c"]),
        ("version 3.11.7 v1.26, 1,000.5 2.5mg", ["version", "3.11", "3.11.7", "1.26", "1000.5", "2.5", "mg"]),
        ("U.S.A., O'Brien", ["usa", "brien"]),
        ("pH mRNA iPhone", ["ph", "mrna", "iphon"]),
        (
            "float32 DataFrame HTTPServer",
            ["float", "32", "float32", "data", "frame", "datafram", "http", "server", "httpserver"],
        ),
        ("numpy.where is where", ["numpi", ".where", "where", "is", "where"]),
        ("__init__ _ __", ["init"]),
        ("", []),
        (" .,; ", []),
    ],
)
def test_terms_of_english(text: str, terms: list[str]) -> None:
    assert ENGLISH.tokens(text) == terms
    assert ENGLISH.query_tokens(text) == terms


def test_stop_words_are_terms_of_their_own() -> None:
    assert ENGLISH.tokens("How to do what is being owned") == ["how", "to", "do", "what", "is", "being", "owned"]
    assert ENGLISH.stop_words >= {"how", "to", "do", "being", "don't"}
    assert "owned" not in ENGLISH.stop_words
    kept = Analyzer(AnalyzerParams(language="english", stop_words=False))
    assert kept.tokens("being owned") == ["be", "own"]
    assert not kept.stop_words


def test_case_width_and_ligatures_do_not_matter() -> None:
    assert PLAIN.tokens("STRASSE ΣΟΦΟΣ Ｆｕｌｌ ﬁne") == PLAIN.tokens("straße σοφος full fine")
    turkish = Analyzer(AnalyzerParams(language="turkish"))
    assert turkish.tokens("ISPARTA İZMİR") == turkish.tokens("ısparta izmir")


def test_identifiers_and_bigrams_can_be_off() -> None:
    analyzer = Analyzer(AnalyzerParams(language="none", identifiers=False, bigrams=False))
    assert analyzer.tokens("read_csv DataFrame 黄河入海") == ["read_csv", "dataframe", "黄河入海"]


def test_a_single_character_is_found_where_it_stands() -> None:
    assert PLAIN.query_tokens("河") == ["河"]
    assert "河" in PLAIN.tokens("黄河入海")
    assert "河" not in PLAIN.query_tokens("黄河")


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("pandas.read_csv", ["=pandasreadcsv", "=readcsv"]),
        ("numpy.linalg.inv", ["=numpylinalginv", "=inv"]),
        ("std::sort", ["=stdsort", "=sort"]),
        ("The Reading Lamp, No. 5", ["=thereadinglampno5"]),
        ("C++", ["=c++"]),
        ("cafe\u0301 BAR", ["=cafébar"]),
        ("黄河入海", ["=黄河入海"]),
        (" - ", []),
        ("", []),
    ],
)
def test_a_name_has_keys(title: str, keys: list[str]) -> None:
    assert PLAIN.name_keys(title) == keys
    assert PLAIN.query_keys(title) == keys[:1]


def test_keys_of_names_are_equal_in_every_spelling() -> None:
    for query in ("read_csv", "readcsv", "ReadCsv", "read csv", "READ-CSV"):
        assert PLAIN.query_keys(query) == ["=readcsv"]
    assert PLAIN.query_keys("word " * 50) == []
    assert Analyzer(AnalyzerParams(language="none", pattern="sklearn")).name_keys("pandas.read_csv") == []


@given(_TEXTS)
def test_no_term_of_words_looks_like_a_key(text: str) -> None:
    assert not any(term.startswith("=") for term in ENGLISH.tokens(text))


def test_long_words_are_cut() -> None:
    assert PLAIN.tokens("a" * 1_000) == ["a" * 64]


@given(st.text())
def test_the_sklearn_pattern_gives_the_tokens_of_sklearn(text: str) -> None:
    tokens = Analyzer(AnalyzerParams(language="none", pattern="sklearn")).tokens(text)
    assert tokens == CountVectorizer().build_analyzer()(text)


@given(_TEXTS, st.sampled_from(["words", "sklearn"]), st.sampled_from(["none", "english", "french", "turkish"]))
def test_spans_are_the_terms_with_their_places(text: str, pattern: str, language: str) -> None:
    analyzer = Analyzer(AnalyzerParams(language=language, pattern=pattern))
    for terms, spans in (
        (analyzer.tokens(text), analyzer.spans(text)),
        (analyzer.query_tokens(text), analyzer.query_spans(text)),
    ):
        assert [term for term, _, _ in spans] == terms
        assert all(term and 0 <= begin < end <= len(text) for term, begin, end in spans)


@given(_TEXTS)
def test_composed_and_decomposed_texts_have_the_same_terms(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert PLAIN.tokens(unicodedata.normalize("NFD", composed)) == PLAIN.tokens(composed)


def test_settings_restore_the_analyzer() -> None:
    for analyzer in (ENGLISH, PLAIN, Analyzer(AnalyzerParams(language="hindi", pattern="sklearn"))):
        again = Analyzer.from_settings(analyzer.settings())
        assert again == analyzer
        assert hash(again) == hash(analyzer)
        assert pickle.loads(pickle.dumps(analyzer)).tokens("The runners ran") == analyzer.tokens("The runners ran")


def test_other_stems_are_refused() -> None:
    settings = ENGLISH.settings()
    with pytest.raises(AnalyzerVersionError, match=r"expected the terms of snowball .*, got snowball 0\.1;"):
        Analyzer.from_settings({**settings, "stemmer": "snowball 0.1"})


@pytest.mark.parametrize("params", [{"language": "klingon"}, {"pattern": "letters"}])
def test_unknown_values_are_refused(params: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        AnalyzerParams(**params)
    with pytest.raises(ValueError, match="auto"):
        Analyzer(AnalyzerParams())
