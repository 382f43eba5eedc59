"""Answers from rankings: scores and ranks of both sides, matched terms and snippets, near-duplicates left out if asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.answers import (
    DENSE_MEASURES,
    MEASURES,
    Answer,
    Answers,
    MatchedTerm,
    dense_score,
)
from fingerpost.tasks.ann.duplicates import Distinct, Likeness, first_distinct
from fingerpost.tasks.ann.engine import Engine, Ranking
from fingerpost.tasks.ann.filtered import Nearest
from fingerpost.tasks.corpus.identifiers import NAME_MARK
from fingerpost.tasks.corpus.sentences import first_sentence
from fingerpost.tasks.corpus.snippets import Snippet, best_snippet

#: Fields of a document, by name: id, title, kind, package and text.
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What is asked for besides the query.

    k: number of answers. keep: bool (n,), the rows that count, None for all. distinct: near-duplicates are left out.
    explain: matched terms and snippets are made.
    """

    k: int
    keep: NDArray[np.bool_] | None = None
    distinct: bool = False
    explain: bool = False


def chosen_places(rows: NDArray[np.int64], wanted: Wanted, likeness: Likeness, least: float) -> Distinct:
    """The places of the answers in a ranking of rows."""
    if not wanted.distinct:
        return Distinct(list(range(min(wanted.k, len(rows)))), 0)
    return first_distinct(rows.tolist(), wanted.k, likeness, least)


def ranked_answers(
    engine: Engine, ranking: Ranking, chosen: Distinct, documents: Sequence[Document], *, explain: bool, search: str
) -> Answers:
    """The answers at the chosen places of a ranking, whose documents are given; search: how the graph was searched."""
    sides, method = ranking.sides, ranking.method
    places = ranking.order[chosen.places]
    terms = matched_terms(engine, ranking, sides.rows[places]) if explain else [()] * len(places)
    answers = [
        Answer(
            **_named(document),
            score=_rounded(score),
            lexical=_rounded(sides.lexical[place]) if method != "dense" else None,
            dense=_rounded(sides.dense[place]) if method != "lexical" else None,
            lexical_rank=int(sides.lexical_rank[place]) or None,
            dense_rank=int(sides.dense_rank[place]) or None,
            terms=found,
            snippet=_snippet(engine, document["text"], found) if explain else None,
        )
        for document, score, place, found in zip(documents, ranking.scores[chosen.places], places, terms, strict=True)
    ]
    return Answers(
        answers,
        len(sides.rows),
        sides.counters.distances,
        sides.counters.estimates,
        method,
        search=search if method != "lexical" else "",
        measure=MEASURES[method],
        collapsed=chosen.collapsed,
    )


def nearest_answers(
    found: Nearest, chosen: Distinct, documents: Sequence[Document], *, metric: str, search: str
) -> Answers:
    """The answers at the chosen places among the rows nearest to a vector."""
    scores = [_rounded(dense_score(float(found.distances[place]), metric)) for place in chosen.places]
    return Answers(
        [
            Answer(**_named(document), score=score, dense=score, dense_rank=place + 1)
            for document, score, place in zip(documents, scores, chosen.places, strict=True)
        ],
        len(found.rows),
        found.counters.distances,
        found.counters.estimates,
        "dense",
        search=search,
        measure=DENSE_MEASURES[metric],
        collapsed=chosen.collapsed,
    )


def matched_terms(engine: Engine, ranking: Ranking, rows: NDArray[np.int64]) -> list[tuple[MatchedTerm, ...]]:
    """The terms that each row shares with the query and their parts of its lexical score, heaviest first."""
    sides = ranking.sides
    names = [_readable(engine.lexicon.term(column)) for column in sides.columns.tolist()]
    asked = np.concatenate([ranking.question.terms[0], ranking.question.stop_words[0]])
    own = np.isin(sides.columns, asked).tolist()
    parts = engine.postings.contributions(sides.columns, sides.weights, rows)
    return [
        tuple(
            MatchedTerm(names[place], _rounded(part[place]), added=not own[place])
            for place in np.argsort(-part, kind="stable").tolist()
            if part[place] > 0
        )
        for part in parts
    ]


def _snippet(engine: Engine, text: str, terms: Sequence[MatchedTerm]) -> Snippet:
    """The part of a text where the query's own words match best."""
    return best_snippet(text, {term.term: term.weight for term in terms if not term.added}, engine.analyzer)


def _readable(term: str) -> str:
    """A term as people read it: the key of a whole name as that."""
    return f"name {term.removeprefix(NAME_MARK)}" if term.startswith(NAME_MARK) else term


def _named(document: Document) -> dict[str, Any]:
    fields = {name: document[name] for name in ("id", "title", "kind", "package")}
    return fields | {"first_sentence": first_sentence(document["text"])}


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 6)
