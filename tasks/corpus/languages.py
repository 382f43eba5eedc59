"""The language of a collection, measured on its documents.

Each document's language is that of py3langid, a naive Bayes classifier of byte n-grams (Lui and Baldwin 2012,
"langid.py: an off-the-shelf language identification tool"), which also tells the language of short texts and of texts
whose stop words were taken out.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import py3langid

from fingerpost.tasks.corpus.runs import RUN
from fingerpost.tasks.corpus.words import word_list

#: Documents that are looked at, evenly spread, and characters at the beginning of each.
SAMPLE_DOCUMENTS = 500
SAMPLE_CHARACTERS = 500
# So many of the documents decide: two in three in one language. Short texts are often taken for another.
_MIN_SHARE = 2 / 3
# Fewer words say nothing.
_MIN_WORDS = 3
_DIGIT = re.compile(r"\d")

_ISO_CODES = {
    "ar": "arabic", "ary": "arabic", "arz": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german",
    "el": "greek", "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho",
    "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip


@dataclass(frozen=True)
class LanguageChoice:
    """The language of a collection by Snowball's name, "none" where none is clear.

    shares: fraction of the sampled documents of each language, most frequent first; languages without a stemmer have
    their ISO codes. reason: a sentence.
    """

    language: str
    shares: dict[str, float]
    reason: str


def choose_language(texts: Sequence[str]) -> LanguageChoice:
    """The language of at least two thirds of the documents, if it has a stemmer.

    Each sampled document has one vote, however long it is. Documents of fewer than three words have none.
    """
    step = max(1, -(-len(texts) // SAMPLE_DOCUMENTS))
    samples = (text.strip()[:SAMPLE_CHARACTERS] for text in texts[::step])
    votes = Counter(_language_of(text) for text in samples if _says_something(text))
    total = sum(votes.values())
    if not total:
        return LanguageChoice("none", {}, "no document has three words")
    shares = {name: count / total for name, count in sorted(votes.items(), key=lambda item: (-item[1], item[0]))}
    first, share = next(iter(shares.items()))
    if share < _MIN_SHARE:
        return LanguageChoice("none", shares, f"no language has two thirds of the documents; {first} has {share:.0%}")
    if first not in _ISO_CODES.values():
        return LanguageChoice("none", shares, f"{share:.0%} of the documents are in {first}, which has no stemmer")
    return LanguageChoice(first, shares, f"{share:.0%} of the documents are in {first}")


def _says_something(text: str) -> bool:
    words = sum(len(word) > 1 and _DIGIT.search(word) is None for word in word_list(text))
    return words >= _MIN_WORDS or RUN.search(text) is not None


def _language_of(text: str) -> str:
    code = py3langid.classify(text)[0]
    return _ISO_CODES.get(code, code)
