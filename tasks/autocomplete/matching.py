"""Matching keys: texts that differ in case, accents, width or separators have the same key.

A key is made character by character: compatibility decomposition (NFKD, Unicode Standard Annex #15), full case folding
and removal, until nothing changes; then canonical order of the marks that stay, and one space for each run of separators
(white space, dashes, connectors such as ``_``). So the key of the beginning of a text is the beginning of its key. The
one exception is a text that is cut between marks out of canonical order (a Thai tone mark typed before its vowel sign):
they sort only when the last of them is there.

Removed are accents and the points of Hebrew and Arabic (canonical combining classes 10 to 36, and from 200), characters
that are ignorable by default (Unicode Standard Annex #44: joiners, variation selectors, soft hyphens), the tatweel, and
surrogates without a partner. Marks that make another letter stay: vowel signs, viramas, nuktas, the voicing of kana,
strokes through symbols. A few letters without a decomposition are folded too, so that "lodz" finds "Łódź" and "ISPARTA"
finds "ısparta". Katakana become hiragana, digits of any script ASCII, and curved quotation marks straight. A Hangul
syllable becomes the letters that are typed for it on the standard Korean keyboard, so that every state of a syllable
being typed begins the word: 하, 한 and 하나 are ㅎㅏ, ㅎㅏㄴ and ㅎㅏㄴㅏ.
"""

import unicodedata
from typing import Final

#: Letters without a decomposition that the default collation (Unicode Technical Standard #10) holds equal to others at its
#: first level; and the dotless i, whose upper case is that of i.
_LETTERS = {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "æ": "ae", "œ": "oe", "ı": "i", "\u0640": ""}
#: Quotation marks that telephones and editors write for the straight ones.
_QUOTES = {"‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"'}
_HIRAGANA = {chr(code): chr(code - 0x60) for code in (*range(0x30A1, 0x30F7), 0x30FD, 0x30FE)}

#: Ranges of Default_Ignorable_Code_Point (DerivedCoreProperties.txt), which unicodedata does not have.
_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)

#: The keys that type a vowel or a final consonant of a syllable, as vowels and initial consonants.
_VOWELS = dict(zip("ᅪᅫᅬᅯᅰᅱᅴ", ("ᅩᅡ", "ᅩᅢ", "ᅩᅵ", "ᅮᅥ", "ᅮᅦ", "ᅮᅵ", "ᅳᅵ"), strict=True))
_FINALS = {
    final: "".join(
        unicodedata.lookup(f"HANGUL CHOSEONG {letter}")
        for letter in unicodedata.name(final).removeprefix("HANGUL JONGSEONG ").split("-")
    )
    for final in map(chr, range(0x11A8, 0x11C3))
}
_REPLACED = {**_LETTERS, **_QUOTES, **_HIRAGANA, **_VOWELS, **_FINALS}


def prefix_key(text: str) -> str:
    """The key of a text that may go on: without separators in front, and with one at the end where the text ends in some.

    A key is its own prefix key. Any string is accepted; surrogate pairs are joined.
    """
    return _joined(text.lower() if text.isascii() else _folded(text))


def matching_key(text: str) -> str:
    """The key of a whole text: its prefix key, without white space at the end (dashes there count: ``type_``)."""
    return _joined((text.lower() if text.isascii() else _folded(text)).rstrip())


def _folded(text: str) -> str:
    """A text with its characters folded, and the marks that stay in canonical order."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return unicodedata.normalize("NFD", text.translate(_FOLD))


def _joined(text: str) -> str:
    """A folded text with one space for each run of separators, and none in front."""
    spaced = text.replace("_", " ").replace("-", " ")
    key = " ".join(spaced.split())
    return key + " " if key and spaced[-1].isspace() else key


class _Fold(dict[int, str]):
    """A table for ``str.translate`` that works a character out when it is first met."""

    def __missing__(self, code: int) -> str:
        before, folded = "", chr(code)
        while folded != before:
            before = folded
            folded = "".join(map(_replaced, unicodedata.normalize("NFKD", folded))).casefold()
        self[code] = folded
        return folded


def _replaced(character: str) -> str:
    if character in _REPLACED:
        return _REPLACED[character]
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in ("Pd", "Pc"):
        return "_"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return "" if _is_removed(character) else character


def _is_removed(character: str) -> bool:
    order, code = unicodedata.combining(character), ord(character)
    return 10 <= order <= 36 or order >= 200 or any(low <= code <= high for low, high in _IGNORABLE)


_FOLD: Final = _Fold()
