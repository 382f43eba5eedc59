"""Matching keys: what begins a text begins its key, and spellings of one text have one key, over all of Unicode."""

import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.matching import matching_key, prefix_key

#: Where case, width, order or removal is unusual.
ODD = (
    "aAzZıİiIßẞſKÅŁłØøÆœĐﬀﬃΣσςǅᾳᾼΐ\u0301\u0308\u0323\u0327\u0338\u0345\u034f"
    "_-‐–—‿ \t\n\u00a0\u3000\u00ad\u200b\u200c\u200d\ufe0f\ufeff\x00\x1f´¨"
    "漢字ｶﾞガがゝヽー한하나ㅎㅏㄴ곽ᄀ가ก่ำุु़्क़क्षอี\u0e4d\u0f71\u0f72\u0f74"
    "שָׁלם\u05b0كتابٌأآإـ۱1①½Ⅷ😀👍🏽🇩🇪\U000e0100\ud83d\ude00"
)
texts = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(exclude_categories=[]), max_size=12),
    st.text(alphabet=ODD, max_size=14),
    st.text(st.characters(categories=["Mn", "Mc", "Me", "Cf", "Zs", "Pd", "Pc"]), max_size=10),
)


def in_canonical_order(text: str) -> bool:
    """Whether the marks of a text that stay in its key are in canonical order."""
    folded = "".join(prefix_key("." + character)[1:] for character in text)
    return unicodedata.normalize("NFD", folded) == folded


@settings(max_examples=1000, deadline=None)
@given(text=texts, cut=st.integers(0, 14))
@example(text="ΟΔΟΣ", cut=3)
@example(text="Straße", cut=5)
@example(text="_private", cut=1)
@example(text="e\u0301a", cut=1)
@example(text="\ud83d\ude00", cut=1)
def test_what_begins_a_text_begins_its_key(text: str, cut: int) -> None:
    whole, begun = prefix_key(text), prefix_key(text[:cut])
    if in_canonical_order(text):
        assert whole.startswith(begun)
        # White space at the end of a whole text does not count; nothing else is left out.
        assert matching_key(text) in (whole, whole.removesuffix(" "))
    else:
        # Up to the last character that is no mark, all holds: marks sort only among themselves.
        starts = [at for at, letter in enumerate(begun) if unicodedata.combining(letter) == 0]
        assert whole.startswith(begun[: starts[-1] + 1] if starts else "")


@settings(max_examples=500, deadline=None)
@given(text=texts)
def test_a_key_is_its_own_prefix_key(text: str) -> None:
    for key in (matching_key(text), prefix_key(text)):
        assert prefix_key(key) == key
        assert key.encode().decode() == key
        assert not key.startswith(" ")
        assert "  " not in key
    assert prefix_key(matching_key(text)).rstrip(" ") == matching_key(matching_key(text))


@settings(max_examples=500, deadline=None)
@given(text=texts)
def test_equivalent_spellings_have_one_key(text: str) -> None:
    clean = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    key = prefix_key(clean)
    assert prefix_key(text) == key
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert prefix_key(unicodedata.normalize(form, clean)) == key
    assert prefix_key(clean + "\u0301\u200d\ufe0f") == key
    assert prefix_key(clean.replace(" ", "_")).strip() == key.strip()
    assert matching_key(" \t" + clean + " \n") == matching_key(clean)


def test_every_character_is_folded_to_the_end_and_in_every_case() -> None:
    # Every character that is assigned, and surrogates.
    assigned = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) not in ("Cn", "Co")]
    # The iota under a Greek vowel is a mark, which is removed; its upper case is a letter of its own.
    iotas = {c for c in assigned if "\u0345" in unicodedata.normalize("NFD", c)}
    assert len(iotas) < 80
    for character in assigned:
        key = prefix_key(character)
        assert prefix_key(key) == key, character
        assert matching_key(character) in (key, key.rstrip(" ")), character
        if character not in iotas:
            cases = (
                character.upper(),
                character.lower(),
                character.title(),
                character.swapcase(),
                character.casefold(),
            )
            assert {prefix_key(case) for case in cases} == {key}, character


def test_ascii_has_the_keys_that_its_characters_have_beside_others() -> None:
    for character in map(chr, range(128)):
        assert prefix_key("漢" + character + "x") == "漢" + prefix_key("." + character + "x")[1:]
        assert prefix_key("漢" + character) == "漢" + prefix_key("." + character)[1:]
        assert matching_key("漢" + character) == "漢" + matching_key("." + character)[1:]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("NumPy.Zeros", "numpy.zeros"),
        ("num_", "num "),
        ("num ", "num"),
        ("scikit-learn", "scikit learn"),
        ("  a \t _-– b", "a b"),
        ("type_", "type "),
        ("__init__", "init "),
        ("_-", ""),
        ("Straße STRASSE", "strasse strasse"),
        ("ΌΣΟΣ", "οσοσ"),
        ("ﬃne", "ffine"),
        ("İstanbul ISPARTA ısparta", "istanbul isparta isparta"),
        ("Łódź Smørrebrød Œuvre", "lodz smorrebrod oeuvre"),
        ("Crème Brûlée", "creme brulee"),
        ("co\u00adoperate", "cooperate"),
        ("ＡＢＣ　１２", "abc 12"),
        ("北京 天气", "北京 天气"),
        ("ラーメン", "らーめん"),
        ("ｶﾞｷﾞ", "か\u3099き\u3099"),
        ("كِتَابٌ", "كتاب"),
        ("أحـــمد", "احمد"),
        ("שָׁלוֹם", "שלום"),
        ("می\u200cخواهم", "میخواهم"),
        ("हिन्दी", "हिन्दी"),
        ("क़लम", "क\u093cलम"),
        ("ไทย น้ำ", "ไทย น\u0e49\u0e4dา"),
        ("❤\ufe0f", "❤"),
        ("≠", "=\u0338"),
        ("don’t “quote”", 'don\'t "quote"'),
        ("१२ ٣٤ ５", "12 34 5"),
        ("a\x00b", "a b"),
        ("\x1b[1mred\x07", "[1mred"),
        ("é\x7f\x85\x1bb", "e b"),
        ("x\ud83d", "x"),
        ("\ud83d\ude00", "😀"),
        ("", ""),
    ],
)
def test_keys(text: str, key: str) -> None:
    assert matching_key(text) == key


def test_separators_at_the_end_of_a_prefix_count_and_those_in_front_do_not() -> None:
    assert prefix_key("num_") == prefix_key("num ") == prefix_key("num - ") == "num "
    assert prefix_key("_num") == prefix_key(" -num") == "num"
    assert prefix_key("_") == prefix_key("  ") == ""
    assert matching_key("num_zeros").startswith(prefix_key("num "))
    assert not matching_key("numpy").startswith(prefix_key("num_"))
    assert matching_key("type_").startswith(prefix_key("type_"))


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ("ㅎ 하 한 한ㄱ 한그 한글", "한글"),
        ("ㅎ 하 한 하나", "하나"),
        ("ㄱ 고 과 괒 과자", "과자"),
        ("ㄴ 너 넉 넋 넉시", "넉시"),
        ("ㅇ 이 있 이써", "이써"),
        ("ㅇ 으 의 읫 의사", "의사"),
        ("ㄷ 다 달 닭 달고 달고기", "달고기"),
    ],
)
def test_a_syllable_being_typed_begins_the_word(steps: str, word: str) -> None:
    assert [step for step in steps.split() if not matching_key(word).startswith(prefix_key(step))] == []


def test_syllables_that_differ_have_keys_that_differ() -> None:
    syllables = [chr(code) for code in range(0xAC00, 0xD7A4)]
    assert len({matching_key(syllable) for syllable in syllables}) == len(syllables)
    # A consonant between two vowels belongs to the second; after a final one, the next syllable has one of its own.
    assert matching_key("각오") != matching_key("가고")
    assert matching_key("넋이") != matching_key("넉시")


def test_only_marks_out_of_canonical_order_do_not_begin_the_key() -> None:
    label = "ก\u0e48\u0e38"  # The tone mark before the vowel sign: the canonical order is the other one.
    assert matching_key(label) == matching_key("ก\u0e38\u0e48") == "ก\u0e38\u0e48"
    assert [matching_key(label).startswith(prefix_key(label[:cut])) for cut in range(4)] == [True, True, False, True]
