"""The analyzer of a collection: its language, and the letters that it loses."""

import pytest

from fingerpost.tasks.corpus.analysis import choose_analyzer, lost_letters
from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.languages import choose_language

ENGLISH = [
    "The boundary layer of a flat plate is considered in a shear flow.",
    "Return a sorted copy of an array along the given axis.",
    "People who read the newspaper in the morning know what happened.",
    "Merge two tables on the columns that they share with each other.",
]
GERMAN = [
    "Die Katze sitzt auf der Mauer und schaut den Vögeln zu.",
    "Am Morgen gehen wir mit den Kindern in die Schule.",
    "Das Buch liegt auf dem Tisch neben der Lampe.",
    "Im Winter schneit es in den Bergen sehr viel.",
]
FRENCH = [
    "Le chat est assis sur le mur et regarde les oiseaux.",
    "Nous allons à l'école avec les enfants le matin.",
    "Le livre est sur la table à côté de la lampe.",
]


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (ENGLISH, "english"),
        (GERMAN, "german"),
        (FRENCH, "french"),
        # Without stop words.
        (["phosphorus intake kidney disease vascular calcification risk healthy populations studies"], "english"),
        (["आज का दिन अच्छा है", "हिन्दी में किताबें पढ़ो"], "hindi"),
        (ENGLISH + GERMAN, "none"),
        (["黄河入海流，白日依山尽。"] * 3, "none"),
        (["x12-9, 77/3", "90_11"], "none"),
        (["", " ", "1234"], "none"),
        ([], "none"),
    ],
)
def test_a_collection_has_the_language_of_most_documents(texts: list[str], language: str) -> None:
    choice = choose_language(texts)
    assert choice.language == language
    assert choice.reason
    assert sum(choice.shares.values()) == pytest.approx(1.0 if choice.shares else 0.0)


def test_no_document_decides_by_its_length() -> None:
    assert choose_language([*ENGLISH, " ".join(GERMAN) * 1_000]).language == "english"
    assert choose_language([*ENGLISH * 3, *GERMAN]).language == "english"


def test_titles_speak_where_texts_are_empty() -> None:
    analyzer, quality = choose_analyzer(GERMAN, [""] * len(GERMAN), AnalyzerParams())
    assert (analyzer.params.language, quality.language) == ("german", "german")
    analyzer, quality = choose_analyzer(GERMAN, GERMAN, AnalyzerParams(language="none"))
    assert (analyzer.params.language, quality.reason, quality.shares) == ("none", "as set", {})


LINES = {
    "hindi": ["आज का दिन अच्छा है", "हिन्दी में किताबें पढ़ो"],
    "thai": ["น้ำดื่มสะอาด", "อากาศดีมากวันนี้"],
    "chinese": ["黄河入海流", "白日依山尽"],
    "arabic": ["كِتَابٌ جَدِيدٌ", "اللغة العربية"],
}


@pytest.mark.parametrize("script", LINES)
def test_no_letter_is_lost(script: str) -> None:
    lines = LINES[script]
    assert lost_letters(lines, Analyzer(AnalyzerParams(language="none"))) == 0
    _, quality = choose_analyzer([""] * 2, lines, AnalyzerParams())
    assert (quality.lost_letters, quality.warning) == (0, "")


def test_a_collection_whose_letters_become_no_term_gets_a_warning() -> None:
    sklearn = AnalyzerParams(language="none", pattern="sklearn")
    # दिन is द, a vowel sign, and न: no two letters stand side by side.
    assert lost_letters(["दिन"], Analyzer(sklearn)) == 1
    for script in ("thai", "chinese", "hindi"):
        _, quality = choose_analyzer([""] * 2, LINES[script], sklearn)
        assert quality.lost_letters > 0.3
        assert f"{quality.lost_letters:.0%} of the letters" in quality.warning
        assert "'sklearn'" in quality.warning
    unpaired = AnalyzerParams(language="none", bigrams=False)
    assert choose_analyzer([""] * 2, LINES["chinese"], unpaired)[1].lost_letters == 1
    assert not choose_analyzer(ENGLISH, ENGLISH, sklearn)[1].warning
    assert lost_letters([], Analyzer(sklearn)) == 0
