"""The words of a query that no document has, and how a term is written in a text."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from fingerpost.tasks.corpus.analyzer import Analyzer
from fingerpost.tasks.corpus.lexicon import Lexicon

#: A term, and where in a text it was found: [begin, end).
Span = tuple[str, int, int]


def missing_words(text: str, analyzer: Analyzer, lexicon: Lexicon) -> tuple[str, ...]:
    """The words of a text of which no term is in the lexicon, as they are written, each once, in order.

    A word may have several terms, such as the parts of an identifier or the overlapping pairs of characters of a line
    without spaces: it is missing if all are. Nothing is missing of the name of a document, however it is spelled.
    """
    if (lexicon.columns(analyzer.query_keys(text)) >= 0).any():
        return ()
    missing: dict[str, None] = {}
    for terms, begin, end in words(analyzer.query_spans(text)):
        if (lexicon.columns(terms) < 0).all():
            missing[text[begin:end]] = None
    return tuple(missing)


def words(spans: Iterable[Span]) -> Iterator[tuple[list[str], int, int]]:
    """Spans that overlap, joined: (terms, begin, end), in the order of the text."""
    terms: list[str] = []
    first = last = 0
    for term, begin, end in sorted(spans, key=lambda span: span[1:]):
        if terms and begin >= last:
            yield terms, first, last
            terms = []
        if not terms:
            first, last = begin, end
        terms.append(term)
        last = max(last, end)
    if terms:
        yield terms, first, last


def written(term: str, text: str, analyzer: Analyzer, *, like: str) -> str:
    """Of the words of a text that have a term, in lower case, the one spelled most like another; the term if none has."""
    words_with = (text[begin:end].lower() for found, begin, end in analyzer.spans(text) if found == term)
    return max(dict.fromkeys(words_with), key=lambda word: SequenceMatcher(None, like, word).ratio(), default=term)
