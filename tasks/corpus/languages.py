"""The language of a collection, measured by the stop words of its documents."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fingerpost.tasks.corpus.scripts import caseless, composed
from fingerpost.tasks.corpus.stemming import LANGUAGES, stop_words_of
from fingerpost.tasks.corpus.words import word_list

#: Documents that are looked at, evenly spread, and words at the beginning of each: no document weighs more than others.
SAMPLE_DOCUMENTS = 4_000
SAMPLE_WORDS = 200
# Running text of every listed language has a fifth of stop words or more; lists of names and code have few.
_MIN_STOP_WORDS = 0.15
# Documents of fewer words say little.
_MIN_WORDS = 5
_MIN_SHARE = 0.8


@dataclass(frozen=True)
class LanguageChoice:
    """The language of a collection, "none" where none is clear, and what speaks for it.

    shares: fraction of the sampled documents of each language, most frequent first; documents in no language, by too few
    words or stop words, count for "none". reason: in words.
    """

    language: str
    shares: dict[str, float]
    reason: str


def choose_language(texts: Sequence[str]) -> LanguageChoice:
    """The language of most documents.

    A document's language is that whose stop words are the most frequent in it, each divided by the number of languages
    that share it. The collection has a language if four fifths of the documents in any language are in that one, and if
    they are at least as many as those in none.
    """
    step = max(1, -(-len(texts) // SAMPLE_DOCUMENTS))
    weights = _weights()
    votes = Counter(_document_language(text, weights) for text in texts[::step])
    total = sum(votes.values())
    shares = {name: count / total for name, count in sorted(votes.items(), key=lambda item: (-item[1], item[0]))}
    spoken = total - votes["none"]
    first = next((name for name in shares if name != "none"), "none")
    if not spoken:
        return LanguageChoice("none", shares, "no document has the stop words of a known language")
    if votes[first] < _MIN_SHARE * spoken:
        return LanguageChoice("none", shares, f"only {votes[first] / spoken:.0%} of the documents are in one language, {first}")
    if votes["none"] > votes[first]:
        return LanguageChoice("none", shares, f"{shares['none']:.0%} of the documents are in no known language")
    return LanguageChoice(first, shares, f"{shares[first]:.0%} of the documents are in {first}")


def _weights() -> dict[str, list[tuple[str, float]]]:
    """For each stop word the languages that have it, and its weight in each: one over their number."""
    languages: dict[str, list[str]] = {}
    for language in LANGUAGES:
        if language in ("porter", "dutch_porter"):
            continue
        for word in stop_words_of(language):
            languages.setdefault(caseless(composed(word)), []).append(language)
    return {word: [(name, 1 / len(names)) for name in names] for word, names in languages.items()}


def _document_language(text: str, weights: dict[str, list[tuple[str, float]]]) -> str:
    words = word_list(text)[:SAMPLE_WORDS]
    if len(words) < _MIN_WORDS:
        return "none"
    scores: Counter[str] = Counter()
    stops: Counter[str] = Counter()
    for word in words:
        for language, weight in weights.get(caseless(composed(word)), ()):
            scores[language] += weight
            stops[language] += 1
    if not scores:
        return "none"
    best = min(scores, key=lambda language: (-scores[language], language))
    return best if stops[best] >= _MIN_STOP_WORDS * len(words) else "none"
