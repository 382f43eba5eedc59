"""The published index of a collection, as callers ask it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.answers import DENSE_MEASURES, Answer, Answers, Radius, radius_of, within_of
from fingerpost.tasks.ann.batches import Filters, batch_keep, batch_vectors, conditions, query_vector
from fingerpost.tasks.ann.duplicates import SAME_TERMS, SAME_VECTORS, Distinct, term_likeness, vector_likeness
from fingerpost.tasks.ann.engine import Question
from fingerpost.tasks.ann.filtered import NOTHING, Nearest, nearest_kept
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.keep import KeepLike
from fingerpost.tasks.ann.matches import Matches, matches_of
from fingerpost.tasks.ann.near_answers import Documents, near_answers
from fingerpost.tasks.ann.open.release import IndexRelease
from fingerpost.tasks.ann.packed import PackedIndex
from fingerpost.tasks.ann.search import size_of
from fingerpost.tasks.ann.served import Wanted, chosen_places, nearest_answers, ranked_answers
from fingerpost.tasks.ann.within import rows_within
from fingerpost.tasks.answer_count import checked_count
from fingerpost.tasks.corpus.missing_words import missing_words, written
from fingerpost.tasks.corpus.spellings import near_spellings
from fingerpost.tasks.results import Batch

#: Factor by which a ranking is continued where near-duplicates leave too few answers.
_DEEPER = 4


class LiveIndex(IndexRelease):
    """An index release whose parts are loaded when queries need them.

    method: "packed", "finger", "hnsw", or "auto": the one that the release's certificate is for; in releases that have none,
    FINGER if it was measured to be faster on this index. FingerpostError for another method, and for one that the release has not. mapped: as for
    `EngineParts`; without, all files are read into memory and verified.
    """

    def query(
        self,
        text: str,
        *,
        k: int = 10,
        kind: str | None = None,
        package: str | None = None,
        filters: str | Sequence[str] = (),
        within: Radius = None,
        distinct: bool = False,
        explain: bool = False,
    ) -> Answers:
        """The documents that answer a text best: by its words and by its vector, fused.

        Where the vectors were given with the documents, a text has none of theirs: then words alone rank, and ``within``
        is an error.

        k: maximum number of answers, at least 0. kind, package: only documents with these values. filters: only documents
        that pass these conditions on their columns, all of them, such as ``kind == "function" and "sort" in title``; see
        :class:`fingerpost.schemas.predicates.Predicate`. within: only documents
        whose dense vectors have at least this similarity (l2: at most this distance), nearest first, for example
        ``threshold_for(index).threshold`` of fingerpost.tasks.metric.open. distinct: of near-duplicates only the best.
        explain: answers have their matched terms and a snippet, words that no document has their near spellings.
        """
        checked_count(k)
        self.load("documents", "engine")
        wanted = Wanted(k, self._filter(kind, package, filters), distinct, explain)
        question = self.engine.question(text)
        if within is None:
            answers = self._ranked(question, wanted)
        elif self.engine.dense is None:
            raise FingerpostError(
                f"within: expected a document or vector to compare the vectors of {self.ref} with, which were given, got"
                " a text; query with --like ID or --vectors FILE, or leave --within out"
            )
        else:
            answers = self._near(question.vector, self._radius(within), wanted)
        missing = missing_words(text, self.analyzer, self.lexicon)
        return replace(answers, missing=missing, spellings=self._spellings(missing) if explain else {})

    def similar(
        self,
        key: str,
        *,
        k: int = 10,
        ef: int | None = None,
        kind: str | None = None,
        package: str | None = None,
        filters: str | Sequence[str] = (),
        within: Radius = None,
        distinct: bool = False,
        explain: bool = False,
    ) -> Answers:
        """The documents most like the one with this id, excluding itself; options as in `query`.

        By its own terms and its vector, fused, where vectors were made from texts; else, and with ``within``, by vectors
        alone, in a search of width ``ef``. FingerpostError for an unknown id.
        """
        checked_count(k)
        row = self.row_of(key)
        embedded = within is None and self.texts_are_embedded
        chosen = self._filter(kind, package, filters)
        if chosen is None and within is None and not distinct and not embedded:
            return self._nearest_answers(self._vector_of(row)[None], k, self._width(ef), without=row)
        keep = np.ones(self.documents.num_rows, dtype=bool) if chosen is None else chosen
        keep[row] = False
        wanted = Wanted(k, keep, distinct, explain)
        if embedded:
            self.load("documents", "engine")
            return self._ranked(self.engine.question_like(row), wanted)
        return self._near(self._vector_of(row), self._radius(within), wanted, ef=self._width(ef))

    def search(
        self,
        vector: ArrayLike,
        *,
        k: int = 10,
        ef: int | None = None,
        kind: str | None = None,
        package: str | None = None,
        filters: str | Sequence[str] = (),
        within: Radius = None,
        distinct: bool = False,
    ) -> Answers:
        """The documents nearest to a vector (d,) of the documents' own space; options as in `query`.

        FingerpostError for a vector of another length, of zeros, or with values that are not finite.
        """
        checked_count(k)
        try:
            row = query_vector(vector, columns=self.dimensions, metric=self.metric)
        except ValueError as problem:
            raise FingerpostError(str(problem)) from problem
        if within is None and not distinct and not (kind or package or filters):
            return self._nearest_answers(row, k, self._width(ef))
        wanted = Wanted(k, self._filter(kind, package, filters), distinct)
        return self._near(row[0], self._radius(within), wanted, ef=self._width(ef))

    def search_batch(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        ef: int | None = None,
        filters: Filters = None,
        keep: KeepLike | Sequence[Sequence[str]] | None = None,
        within: Radius = None,
        threads: int = 1,
    ) -> Matches:
        """The documents nearest to each of many vectors (q, d) of the documents' own space.

        vectors: an array, or a DataFrame or Arrow table with a column ``vector`` and, as names of the queries, ``id``.
        filters: a condition on documents for all queries, or one for each of them ("" or None for none). keep: the
        documents that may be found: bool (n,), bool (q, n), or for each query a list of rows or of ids. within: only
        documents of at least this similarity (l2: at most this distance). Where fewer than k pass, all of them are
        found. FingerpostError for vectors of another length, of zeros, or with values that are not finite.
        """
        checked_count(k)
        try:
            names, rows = batch_vectors(vectors, columns=self.dimensions, metric=self.metric)
            chosen = batch_keep(
                len(rows), self.documents.num_rows, filters, keep, mask=self._passing, rows=self.ids.rows_of
            )
        except ValueError as problem:
            raise FingerpostError(f"{self.ref}: {problem}") from problem
        if within is None and chosen is None:
            found = self.index.search(rows, max(k, 1), ef=self._width(ef), threads=threads)
        elif within is None:
            found = self.filtered.search(rows, max(k, 1), ef=self._width(ef), threads=threads, keep=chosen)
        else:
            found = self.exact_filtered.within(
                rows, self._radius_of(within), most=max(k, 1), ef=self._width(ef), threads=threads, keep=chosen
            )
        cut = replace(found, ids=found.ids[:, :k], distances=found.distances[:, :k])
        return matches_of(cut, self.ids.at, names, self.metric, DENSE_MEASURES[self.metric])

    def query_batch(self, texts: Sequence[str], *, filters: Filters = None, **options: Any) -> Batch[Answer]:
        """The documents that answer each of many texts best; options as of `query`.

        filters: a condition on documents for all texts, or one for each of them ("" or None for none); of one that no
        document passes there are no answers.
        """
        try:
            each = conditions(filters, len(texts))
        except ValueError as problem:
            raise FingerpostError(str(problem)) from problem
        alone = isinstance(filters, str)
        found = [
            self.query(text, **options, filters=condition or ())
            if alone or not condition or self._passing(condition).any()
            else Answers([], 0, 0, 0, "fused")
            for text, condition in zip(texts, each, strict=True)
        ]
        return Batch(list(texts), found, Answer)

    def _ranked(self, question: Question, wanted: Wanted) -> Answers:
        """The answers to an analysed query, by both sides or by words alone."""
        depth = wanted.k
        while True:
            ranking = self.engine.ranked(question, depth, keep=wanted.keep)
            chosen = self._chosen(ranking.rows, wanted)
            if len(chosen.places) >= wanted.k or len(ranking.order) < depth:
                break
            depth *= _DEEPER
        documents = self._rows(ranking.rows[chosen.places])
        return ranked_answers(self.engine, ranking, chosen, documents, explain=wanted.explain, search=self.method)

    def _near(self, vector: np.ndarray, radius: float | None, wanted: Wanted, *, ef: int = 100) -> Answers:
        """The answers nearest to a vector (d,), or all within a radius of it; none for a text without a vector."""
        depth, found, complete, chosen = wanted.k, NOTHING, True, Distinct([], 0)
        while vector.any():
            found, complete = self._nearest(vector, radius, depth, wanted.keep, ef)
            chosen = self._chosen(found.rows, wanted)
            if len(chosen.places) >= wanted.k or len(found.rows) < depth:
                break
            depth *= _DEEPER
        documents = self._rows(found.rows[chosen.places])
        answers = nearest_answers(found, chosen, documents, metric=self.metric, search=self.method)
        if radius is None:
            return answers
        more = not complete or len(found.rows) > len(chosen.places) + chosen.collapsed
        return replace(answers, within=within_of(radius, self.metric), more=more)

    def _nearest_answers(self, vector: np.ndarray, k: int, ef: int, *, without: int = -1) -> Answers:
        """The k answers nearest to a vector (1, d), but for a row; their documents are read when they are looked at."""
        wanted, size = k + (without >= 0), size_of(self.index)
        # Vectors are checked by now; a second time would take as long as a tenth of a search.
        asking = self.index.nearest if isinstance(self.index, PackedIndex) else self.index.search
        found = asking(vector, min(max(wanted, 1), size), ef=max(ef, wanted, 1))
        rows, distances = found.ids[0], found.distances[0]
        # Sums of squares are numbers or infinite, and those come last.
        if not (distances[-1] < np.inf if self.metric == "l2" else np.isfinite(distances).all()):
            rows, distances = self._finite(rows, distances, vector)
        if without >= 0:
            others = rows != without
            rows, distances = rows[others], distances[others]
        if len(rows) > k:
            rows, distances = rows[:k], distances[:k]
        return near_answers(
            self._near_documents, rows, distances, min(max(ef, wanted), size), found.counters, self.method
        )

    @cached_property
    def _near_documents(self) -> Documents:
        return Documents(self.ids.at, self._rows, self.metric)

    def _finite(self, rows: np.ndarray, distances: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows that were found; FingerpostError for a distance that float32 cannot hold."""
        found = rows != NONE
        if not np.isfinite(distances[found]).all():
            raise FingerpostError(
                f"vector: expected one whose {self.metric} distances float32 can hold, got one of length"
                f" {np.linalg.norm(vector.astype(np.float64)):.2g}; scale it like the documents' vectors"
            )
        return rows[found], distances[found]

    def _nearest(
        self, vector: np.ndarray, radius: float | None, depth: int, keep: np.ndarray | None, ef: int
    ) -> tuple[Nearest, bool]:
        """At least ``depth`` rows nearest to a vector, if there are as many, and whether no others are in the radius."""
        if radius is not None:
            near = rows_within(self.index, vector, radius, most=max(depth, 1), keep=keep, ef=ef)
            return Nearest(near.rows, near.distances, near.counters), near.complete
        found = self._nearest_of(vector, max(ef, depth, 1), keep)
        self._finite(found.rows, found.distances, vector)
        return found, True

    def _nearest_of(self, vector: np.ndarray, count: int, keep: np.ndarray | None) -> Nearest:
        """The ``count`` rows nearest to a vector (d,), of those in ``keep``; a packed index decodes no others."""
        if not isinstance(self.index, PackedIndex):
            return nearest_kept(self.index, vector, count, keep=keep)
        width = min(count, self.index.size)
        result = self.index.search(vector[None], width, ef=width, keep=keep)
        found = result.ids[0] != NONE
        return Nearest(result.ids[0][found].astype(np.int64), result.distances[0][found], result.counters)

    def _chosen(self, rows: np.ndarray, wanted: Wanted) -> Distinct:
        """The places of the answers in a ranking."""
        if not wanted.distinct:
            return Distinct(list(range(min(wanted.k, len(rows)))), 0)
        if "postings" not in self.members:
            return chosen_places(rows, wanted, vector_likeness(self.vectors), SAME_VECTORS)
        own = self.postings
        likeness = term_likeness(own.forward_indptr, own.forward_terms, own.forward_weights)
        return chosen_places(rows, wanted, likeness, SAME_TERMS)

    def _spellings(self, missing: Sequence[str]) -> dict[str, list[str]]:
        """Words of documents that are spelled nearly like a missing one, as the heaviest document of each has them."""
        found = {word: near_spellings(word, self.lexicon, self.analyzer) for word in missing}
        return {word: [self._spelled(term, word) for term in terms] for word, terms in found.items() if terms}

    def _spelled(self, term: str, like: str) -> str:
        rows, _ = self.postings.best(self.lexicon.columns([term]), np.ones(1, np.float32), 1)
        (row,) = self._rows(rows)
        return written(term, f"{row['title']}\n{row['text']}", self.analyzer, like=like)

    def _radius(self, within: Radius) -> float | None:
        return None if within is None else self._radius_of(within)

    def _radius_of(self, within: float) -> float:
        try:
            return radius_of(float(within), self.metric)
        except ValueError as problem:
            raise FingerpostError(str(problem)) from problem
