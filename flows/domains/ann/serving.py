"""Answers of a served index."""

from typing import Any

from fingerpost.flows.domains.ann.endpoints import Like, Near, Query
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.answers import Answer, Answers
from fingerpost.tasks.ann.open import LiveIndex


def opened(store: Store, ref: Ref) -> LiveIndex:
    """An index release with the parts that questions need, each of which was used once."""
    index = LiveIndex(store, ref)
    _ = index.certificate
    asked = "engine" if index.has_texts else "index"
    # The vectors of texts are those of the projection, while those that were given are looked up.
    index.load("documents", asked, *(() if index.texts_are_embedded else ("vectors",)))
    for row in index.documents.slice(0, 1).to_pylist():
        index.similar(row["id"], k=1)
        if index.has_texts:
            index.query(row["title"] or row["text"], k=1, explain=True)
    return index


def query(index: LiveIndex, question: Query) -> dict[str, Any]:
    """The documents that answer a text."""
    return _documents(index.query(question.text, explain=question.explain, **_options(question)))


def similar(index: LiveIndex, question: Like) -> dict[str, Any]:
    """The documents most like one."""
    found = index.similar(question.id, ef=question.ef, explain=question.explain, **_options(question))
    return _documents(found)


def search(index: LiveIndex, question: Near) -> dict[str, Any]:
    """The documents nearest to a vector."""
    return _documents(index.search(question.vector, ef=question.ef, **_options(question)))


def _options(question: Query | Like | Near) -> dict[str, Any]:
    return {
        "k": question.k,
        "kind": question.kind,
        "package": question.package,
        "filters": question.filters,
        "within": question.within,
        "distinct": question.distinct,
    }


def _documents(found: Answers) -> dict[str, Any]:
    return {
        "answers": [_document(answer) for answer in found.answers],
        "measure": found.measure,
        "method": found.method,
        "missing": found.missing,
        "spellings": found.spellings,
        "within": found.within,
        "more": found.more,
        "collapsed": found.collapsed,
    }


def _document(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "title": answer.title,
        "kind": answer.kind,
        "package": answer.package,
        "score": answer.score,
        "first_sentence": answer.first_sentence,
        "lexical": answer.lexical,
        "dense": answer.dense,
        "lexical_rank": answer.lexical_rank,
        "dense_rank": answer.dense_rank,
        "terms": answer.terms,
        "snippet": answer.snippet,
    }
