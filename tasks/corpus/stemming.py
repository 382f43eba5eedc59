"""Stems of words by Snowball's algorithms (Porter 1980, 2001), and the stop words of a language."""

from collections.abc import Callable

import Stemmer

from fingerpost.tasks.corpus import stop_words, stop_words_iso
from fingerpost.tasks.corpus.scripts import unaccented

#: Languages with a stemmer, by Snowball's names.
LANGUAGES: tuple[str, ...] = tuple(sorted(Stemmer.algorithms()))

# The same language by another algorithm.
_SAME = {"porter": "english", "dutch_porter": "dutch"}
# Languages in which people also write words without their accents, by whether their stemmer looks at accents.
_ACCENTS_FOREIGN = frozenset({"english", "porter"})
_ACCENTS_OPTIONAL = frozenset({"catalan", "french", "italian", "portuguese", "spanish"})


def stemmer_version() -> str:
    """The version of the algorithms; other versions may make other stems."""
    return f"snowball {Stemmer.version()}"


def stemmer_of(language: str) -> Callable[[str], str]:
    """The function from a word without case to its stem; for "none" the word itself.

    Where people also write a language's words without accents, a word has the same stem with and without them.
    ValueError for a language that Snowball does not know.
    """
    if language == "none":
        return str
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ValueError(f"language: expected auto, none or one of {known}, got {language!r}; choose one of them")
    stemmer = Stemmer.Stemmer(language)
    stemmer.maxCacheSize = 0  # The analyzer remembers whole words.
    stem: Callable[[str], str] = stemmer.stemWord
    if language in _ACCENTS_FOREIGN:
        return lambda word: stem(unaccented(word)) or word
    if language in _ACCENTS_OPTIONAL:
        return lambda word: unaccented(stem(word)) or word
    return lambda word: stem(word) or word


def stop_words_of(language: str) -> frozenset[str]:
    """The stop words of a language in lower case; none where no list is known."""
    name = _SAME.get(language, language)
    return frozenset((stop_words.STOP_WORDS | stop_words_iso.STOP_WORDS).get(name, "").split())
