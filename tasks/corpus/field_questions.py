"""Questions that are made from a collection to compare weights of its fields.

Titles are asked against texts in which no title counts, so that no field gains by the making. First sentences are asked
against their documents without them, where what follows moves up, and against whole documents, where they stand word by
word; both lean towards the first paragraph, and so titles must agree.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.known_items import KnownItemParams, select_known_items
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.sentences import remove_first_sentence
from fingerpost.tasks.corpus.term_counts import TermCounts, count_terms

TITLES, REST, WHOLE = "titles against texts", "first sentences against the rest", "first sentences against the whole"

#: Targets at later ranks count as not found.
_DEPTH = 100
#: Words that a document without its first sentence needs to be asked for.
_REMAINING_WORDS = 10


class Analyzer(Protocol):
    """What makes terms of documents and of queries."""

    def tokens(self, text: str) -> list[str]:
        """The terms of a document's text."""

    def name_keys(self, title: str) -> list[str]:
        """Terms for a title as a whole."""

    def query_tokens(self, text: str) -> list[str]:
        """The terms of a query."""


@dataclass(frozen=True)
class Questions:
    """A sample of a collection and questions to it.

    counts: the documents. titles, sentences: queries, CSR float32 (questions, lexicon's terms); titled, targets: int64
    (questions,), the documents that they ask for. shortened: the documents of ``targets`` without their first sentences.
    """

    counts: TermCounts
    titles: sparse.csr_array
    titled: NDArray[np.int64]
    sentences: sparse.csr_array
    targets: NDArray[np.int64]
    shortened: TermCounts


def make_questions(
    titles: Sequence[str],
    texts: Sequence[str],
    *,
    analyzer: Analyzer,
    counts: TermCounts,
    lexicon: Lexicon,
    documents: int,
    questions: int,
    seed: int,
) -> Questions:
    """Samples documents, and of these titles and first sentences that no other document of the sample has.

    counts: of all documents, in the order of titles and texts. documents, questions: maximum numbers, the latter of each
    kind.
    """
    generator = np.random.default_rng(seed)
    rows = _sample(np.arange(counts.documents), documents, generator)
    titles, texts = [titles[row] for row in rows], [texts[row] for row in rows]
    common = Counter(titles)
    titled = np.array([row for row, title in enumerate(titles) if texts[row] and common[title] == 1], dtype=np.int64)
    titled = _sample(titled, questions, generator)
    asked = _queries([titles[row] for row in titled], analyzer, lexicon)
    known = np.diff(asked.indptr) > 0
    items = select_known_items(titles, texts, KnownItemParams(queries=questions, seed=seed))
    short = [remove_first_sentence(texts[row]) for row in items.rows]
    usable = np.array([len(text.split()) >= _REMAINING_WORDS for text in short], dtype=np.bool_)
    targets = items.rows[usable]
    return Questions(
        _rows(counts, rows),
        asked[known],
        titled[known],
        _queries([query for query, use in zip(items.queries, usable, strict=True) if use], analyzer, lexicon),
        targets,
        count_terms(
            [titles[row] for row in targets], [text for text, use in zip(short, usable, strict=True) if use], analyzer
        ),
    )


def reciprocal_ranks(made: Questions, weights: FieldWeights, lexicon: Lexicon) -> dict[str, NDArray[np.float64]]:
    """One over the rank of each question's document, float64 (questions,), by kind; 0 where it is not among the first 100.

    A document has the mean of the ranks that it shares with others of the same score.
    """
    ranks = {}
    if weights.first or weights.body:
        bare = term_impacts(made.counts, lexicon, replace(weights, name=0.0))
        scores = _scores(bare, made.titles)
        ranks[TITLES] = _reciprocal(scores, made.titled, scores[made.titled, np.arange(len(made.titled))])
    scores = _scores(term_impacts(made.counts, lexicon, weights), made.sentences)
    # Over the seam where a sentence was taken out there may be terms that no document has.
    own = term_impacts(made.shortened, lexicon, weights, lacking=True).multiply(made.sentences).sum(axis=1)
    ranks[REST] = _reciprocal(scores, made.targets, np.asarray(own, dtype=np.float32).ravel())
    ranks[WHOLE] = _reciprocal(scores, made.targets, scores[made.targets, np.arange(len(made.targets))])
    return ranks


def _reciprocal(
    scores: NDArray[np.float32], targets: NDArray[np.int64], own: NDArray[np.float32]
) -> NDArray[np.float64]:
    """From scores (documents, questions), where the target of each question counts with its ``own`` instead."""
    others = scores.copy()
    others[targets, np.arange(len(targets))] = -1.0
    rank = 1.0 + (others > own).sum(axis=0) + (others == own).sum(axis=0) / 2
    return np.where((rank <= _DEPTH) & (own > 0), 1.0 / rank, 0.0)


def _scores(impacts: sparse.csr_array, queries: sparse.csr_array) -> NDArray[np.float32]:
    return np.asarray((impacts @ queries.T.tocsr()).toarray(), dtype=np.float32)


def _queries(texts: Sequence[str], analyzer: Analyzer, lexicon: Lexicon) -> sparse.csr_array:
    """The terms of texts but for stop words, each as often as it occurs: CSR float32 (texts, lexicon's terms)."""
    found = [lexicon.columns(analyzer.query_tokens(text)) for text in texts]
    found = [columns[columns >= 0] for columns in found]
    found = [columns[~lexicon.stop[columns]] for columns in found]
    lengths = np.array([0, *map(len, found)], dtype=np.int64)
    columns = np.concatenate([np.empty(0, np.int64), *found])
    matrix = sparse.csr_array(
        (np.ones(len(columns), np.float32), columns, np.cumsum(lengths)), shape=(len(texts), lexicon.size)
    )
    matrix.sum_duplicates()
    return matrix


def _sample(rows: NDArray[np.int64], most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """At most so many of the rows, ascending."""
    return rows if len(rows) <= most else np.sort(generator.choice(rows, size=most, replace=False))


def _rows(counts: TermCounts, rows: NDArray[np.int64]) -> TermCounts:
    """The counts of some documents."""
    if len(rows) == counts.documents:
        return counts
    lengths = np.diff(counts.indptr)[rows]
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    entries = np.repeat(counts.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return TermCounts(counts.terms, indptr, counts.indices[entries], counts.occurrences[:, entries])
