"""The analyzer: from a text to its terms, the same for documents and queries."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from fingerpost.tasks.corpus.identifiers import NAME_MARK
from fingerpost.tasks.corpus.runs import RUN, run_spans, run_terms
from fingerpost.tasks.corpus.scripts import WORD, caseless, composed, nfc, nfc_places
from fingerpost.tasks.corpus.sklearn_tokens import sklearn_spans, sklearn_tokens
from fingerpost.tasks.corpus.stemming import (
    LANGUAGES,
    stemmer_of,
    stemmer_version,
    stop_words_of,
)
from fingerpost.tasks.corpus.words import MAX_LETTERS, parts_of, word_list, word_matches

PATTERNS: tuple[str, ...] = ("words", "sklearn")

# Words whose terms are remembered; a collection's frequent words are far fewer.
_REMEMBERED = 300_000
_TURKISH = str.maketrans({"I": "ı", "İ": "i"})


class AnalyzerVersionError(ValueError):
    """Terms of an artifact were made by another version of the stemmer."""


@dataclass(frozen=True)
class AnalyzerParams:
    r"""How texts become terms.

    language: "auto" (measured on the documents), "none", or the name of one of Snowball's algorithms: the language of
        stems and stop words.
    stop_words: whether stop words are told from other terms.
    identifiers: whether names are split at ``_``, ``.``, capitals and digits.
    pattern: "words", or "sklearn" for the tokens of ``(?u)\b\w\w+\b`` and nothing else.
    bigrams: whether every two neighbouring characters are a term in scripts that set no spaces.

    ValueError for values out of range.
    """

    language: str = "auto"
    stop_words: bool = True
    identifiers: bool = True
    pattern: str = "words"
    bigrams: bool = True

    def __post_init__(self) -> None:
        if self.language not in ("auto", "none", *LANGUAGES):
            known = ", ".join(LANGUAGES)
            raise ValueError(
                f"language: expected auto, none or one of {known}, got {self.language!r}; choose one of them"
            )
        if self.pattern not in PATTERNS:
            raise ValueError(f"pattern: expected 'words' or 'sklearn', got {self.pattern!r}; choose one of them")


_BLANK = re.compile(r"\s")
_NAME_STOP = re.compile(r"[.:/]+(?=\w)")
_NAMED = re.compile(rf"{WORD.pattern}|\+\+|#")
# Characters of a query that may be a name.
_LONGEST_NAME = 200

#: A term, and where it begins and ends in the text.
Span = tuple[str, int, int]


class Analyzer:
    """Terms of texts, for parameters whose language is resolved.

    stop_words: those terms that are stop words, which are not stemmed; as they stand in an artifact, or None for those of
    the language. Equal analyzers make equal terms. ValueError if the language is "auto".
    """

    def __init__(self, params: AnalyzerParams, stop_words: frozenset[str] | None = None) -> None:
        if params.language == "auto":
            raise ValueError("analyzer: expected a resolved language, got 'auto'; choose it on the documents first")
        self.params = params
        self._turkish = params.language == "turkish"
        if stop_words is None:
            listed = stop_words_of(params.language) if params.stop_words else frozenset()
            stop_words = frozenset(self._folded(composed(word)) for word in listed)
        self.stop_words = stop_words
        self._stem = stemmer_of(params.language)
        # Of words: their terms, and these with their places.
        self._remembered: dict[str, tuple[str, ...]] = {}
        self._placed: dict[str, list[Span]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Analyzer) and (self.params, self.stop_words) == (other.params, other.stop_words)

    def __hash__(self) -> int:
        return hash((self.params, self.stop_words))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Analyzer, (self.params, self.stop_words))

    def __repr__(self) -> str:
        return f"Analyzer({self.params!r})"

    def tokens(self, text: str) -> list[str]:
        """The terms of a document's text; stop words are terms as well (``stop_words``)."""
        return self._terms(text, singles=True)

    def query_tokens(self, text: str) -> list[str]:
        """The terms of a query: as `tokens`, but a single East Asian character is a term only where it stands alone.

        Documents have the single characters beside the bigrams, so that one is found by itself; of longer words the
        bigrams say more.
        """
        return self._terms(text, singles=False)

    def spans(self, text: str) -> list[Span]:
        """The terms of `tokens` with their places: (term, begin, end), ``text[begin:end]`` as written."""
        return self._places(text, singles=True)

    def query_spans(self, text: str) -> list[Span]:
        """The terms of `query_tokens` with their places."""
        return self._places(text, singles=False)

    def name_keys(self, title: str) -> list[str]:
        """Terms for a document's name as a whole and for its last part: ``=pandasreadcsv`` and ``=readcsv``.

        They stand for a name however it is spelled: by case, ``_``, blanks or stops. None under the pattern "sklearn".
        """
        if self.params.pattern == "sklearn":
            return []
        title = nfc(title).strip()
        stops = [] if _BLANK.search(title) else [stop.end() for stop in _NAME_STOP.finditer(title)]
        keys = [self._key(title), *(self._key(title[end:]) for end in stops[-1:])]
        return [key for key in dict.fromkeys(keys) if key]

    def query_keys(self, text: str) -> list[str]:
        """The term for a document of which a query is the name or its last part; none for long texts."""
        return self.name_keys(text)[:1] if len(text) <= _LONGEST_NAME else []

    def query_compounds(self, text: str) -> list[str]:
        """The terms of neighbouring words of a query as one: ``to datetime`` may ask for ``to_datetime``, ``note book`` for
        ``notebook``; the second is no stop word. None where identifiers stay whole."""
        if self.params.pattern == "sklearn" or not self.params.identifiers:
            return []
        words = [self._folded(composed(word)) for word in word_list(nfc(text))]
        pairs = [a + b for a, b in pairwise(words) if a.isalpha() and b.isalpha() and b not in self.stop_words]
        return [self._stemmed(pair) for pair in pairs if pair not in self.stop_words]

    def settings(self) -> dict[str, Any]:
        """All that decides the terms, as JSON values: the parameters, the stop words, the version of the stemmer."""
        version = "" if self.params.language == "none" else stemmer_version()
        return {**asdict(self.params), "stemmer": version, "listed_stop_words": sorted(self.stop_words)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Analyzer":
        """The analyzer of `settings`. `AnalyzerVersionError` if its stems are of another version of the stemmer."""
        fields = dict(settings)
        version = fields.pop("stemmer")
        stop_words = frozenset(fields.pop("listed_stop_words"))
        if version and version != stemmer_version():
            raise AnalyzerVersionError(
                f"analyzer: expected the terms of {stemmer_version()}, got {version}; "
                "rebuild the index, or install the version of PyStemmer that made it"
            )
        return cls(AnalyzerParams(**fields), stop_words)

    def _terms(self, text: str, *, singles: bool) -> list[str]:
        terms: list[str] = []
        if self.params.pattern == "sklearn":
            self._add(terms, sklearn_tokens(text))
            return terms
        text = nfc(text)
        place = 0
        for run in self._runs(text):
            self._add(terms, word_list(text[place : run.start()]))
            terms += run_terms(run, singles=singles)
            place = run.end()
        self._add(terms, word_list(text[place:]))
        return terms

    def _add(self, terms: list[str], words: list[str]) -> None:
        """Append the terms of words."""
        remembered = self._remembered
        for word in words:
            found = remembered.get(word)
            if found is None:
                found = tuple(term for term, _, _ in self._word_spans(word))
                _remember(remembered, word, found)
            terms += found

    def _places(self, text: str, *, singles: bool) -> list[Span]:
        if self.params.pattern == "sklearn":
            return [
                (term, begin, end)
                for token, begin, end in sklearn_spans(text)
                for term, _, _ in self._word_spans(token)
            ]
        places = nfc_places(text)
        text = nfc(text)
        spans: list[Span] = []
        place = 0
        for run in self._runs(text):
            spans += self._words_between(text, place, run.start())
            spans += run_spans(run, singles=singles)
            place = run.end()
        spans += self._words_between(text, place, len(text))
        # A composed character begins where its first part does; two of one cluster share their place.
        return [(term, places[begin], max(places[end], places[begin] + 1)) for term, begin, end in spans]

    def _words_between(self, text: str, begin: int, end: int) -> list[Span]:
        return [
            (term, begin + word.start() + left, begin + word.start() + right)
            for word in word_matches(text[begin:end])
            for term, left, right in self._placed_terms(word[0])
        ]

    def _placed_terms(self, word: str) -> list[Span]:
        found = self._placed.get(word)
        if found is None:
            found = self._word_spans(word)
            _remember(self._placed, word, found)
        return found

    def _word_spans(self, word: str) -> list[Span]:
        """The terms of one word with their places in it."""
        if self.params.pattern == "sklearn":
            return [(word if word in self.stop_words else self._stemmed(word), 0, len(word))]
        spans: list[Span] = []
        contracted = 0
        for part in parts_of(word, identifiers=self.params.identifiers):
            text = self._folded(part.text)
            stop_word = text in self.stop_words
            if part.kind == "contraction":
                contracted = part.end if stop_word else contracted
                if not stop_word:
                    continue
            elif not text or part.begin < contracted:
                continue
            elif stop_word and part.kind == "name":
                # ``numpy.where`` is about where, more than the word alone.
                spans.append((f".{text}", part.begin, part.end))
            elif not stop_word and part.kind != "exact":
                text = self._stemmed(text)
            spans.append((text, part.begin, part.end))
        return spans

    def _key(self, name: str) -> str:
        letters = "".join(_NAMED.findall(self._folded(composed(name)))).replace("_", "")
        return NAME_MARK + letters[:MAX_LETTERS] if letters else ""

    def _folded(self, word: str) -> str:
        return caseless(word.translate(_TURKISH) if self._turkish else word)

    def _stemmed(self, word: str) -> str:
        """The stem of a word, unless that is a stop word: "owned" is not "own"."""
        stem = self._stem(word)
        return word if stem in self.stop_words else stem

    def _runs(self, text: str) -> Iterable[re.Match[str]]:
        return RUN.finditer(text) if self.params.bigrams and not text.isascii() else ()


def _remember(remembered: dict[str, Any], word: str, found: Sequence[Any]) -> None:
    """Keeps what was found for a word, unless it is one of encoded data."""
    if len(word) <= MAX_LETTERS:
        if len(remembered) >= _REMEMBERED:
            remembered.clear()
        remembered[word] = found
