"""Why two indexes answer a query differently: because of data, the graph search, parameters or code.

Where the stored artifacts allow it, an answer's move is attributed exactly: by answering without some documents, by
exact search instead of the graph, by giving a document its old text. For other moves, the stages that differ are named.
Imports no Prefect.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fingerpost.flows.ops.compare.causes import Cause, Change, causes, changes
from fingerpost.flows.ops.compare.changes import changed_columns, rows_in
from fingerpost.flows.ops.compare.why import (
    Move,
    Why,
    named_causes,
    no_moves,
    positions_of,
    ranked_moves,
)
from fingerpost.schemas.corpus import DAILY_DOCUMENTS
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.changed_texts import with_texts
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact_engine import exact_engine
from fingerpost.tasks.ann.open import LiveIndex
from fingerpost.tasks.corpus.term_weights import inverse_document_frequency

#: The artifacts that the answers of a text query are computed from; those that only measure an index move no answer.
ANSWERING = (
    "corpus.extracts",
    "corpus.documents",
    "corpus.analyzer",
    "corpus.term_counts",
    "corpus.lexicon",
    "corpus.field_weights",
    "corpus.postings",
    "corpus.features",
    "corpus.projection",
    "corpus.vectors",
    "ann.graph",
    "ann.neighbors",
    "ann.tuning",
)
_FINGER = ("ann.finger_basis", "ann.finger_tables", "ann.finger_codes", "ann.finger_blocks")


class Side:
    """One version, and its artifacts that answer the query."""

    def __init__(self, store: Store, ref: Ref, text: str, k: int, method: str) -> None:
        self.index, self.text, self.k = LiveIndex(store, ref, method=method), text, k
        self.index.load("documents", "engine")
        self.ids: list[str] = self.index.documents["id"].to_pylist()
        self.row_of = {key: row for row, key in enumerate(self.ids)}

    @cached_property
    def served(self) -> list[tuple[str, float]]:
        """The answers as the version gives them."""
        return [(answer.id, answer.score) for answer in self.index.query(self.text, k=self.k).answers]

    @cached_property
    def engine(self) -> Engine:
        """The engine with exact search instead of the graph search."""
        return exact_engine(self.index.engine)

    @cached_property
    def ranking(self) -> list[tuple[str, float]]:
        """All candidates of exact search in the order of their scores."""
        return self._ranked(self.engine)

    @cached_property
    def places(self) -> dict[str, int]:
        """The rank, from 1, of each candidate of exact search."""
        return positions_of(self.ranking)

    @cached_property
    def terms(self) -> dict[str, float]:
        """The query's terms and what each weighs: as often as it is asked for, by inverse document frequency."""
        question, lexicon = self.engine.question(self.text), self.engine.lexicon
        idf = inverse_document_frequency(lexicon)
        return {
            lexicon.term(column): round(float(weight * idf[column]), 6)
            for columns, weights in (question.terms, question.stop_words)
            for column, weight in zip(columns.tolist(), weights.tolist(), strict=True)
        }

    def place_without(self, key: str, others: set[str]) -> int:
        """The rank of a document if some others were no candidates; 0 if it is none."""
        keep = np.ones(len(self.ids), dtype=bool)
        keep[[self.row_of[other] for other in others if other in self.row_of]] = False
        return positions_of(self._ranked(self.engine, keep)).get(key, 0)

    def place_with_text(self, key: str, title: str, text: str) -> int:
        """The rank of a document with another text, all else unchanged; 0 if it would be no candidate."""
        rows, weights = np.array([self.row_of[key]]), self.index.field_weights
        changed = with_texts(self.engine, rows, [title], [text], weights=weights)
        return positions_of(self._ranked(changed)).get(key, 0)

    def _ranked(self, engine: Engine, keep: np.ndarray | None = None) -> list[tuple[str, float]]:
        found = engine.ranked(engine.question(self.text), self.k, keep=keep)
        pairs = zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        return [(self.ids[row], round(score, 6)) for row, score in pairs]


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The documents that answer a text in two versions, and what moved them."""
    left, right = (Side(store, ref, query, k, method) for ref in (before, after))
    every = causes(store, before, after)
    finger = _FINGER if "finger" in (left.index.method, right.index.method) else ()
    roots = [cause for cause in every if _answers(cause, finger)]
    moves = _Comparison(left, right).moves()
    versions = changes(*(side.index.manifest.run.get("versions", {}) for side in (left, right)))
    return Why(
        query,
        k,
        str(before),
        str(after),
        (left.index.method, right.index.method),
        moves,
        _verdict(moves, roots, left, right, versions),
        changes(left.terms, right.terms),
        roots,
        [cause for cause in every if cause not in roots],
        versions,
    )


def _answers(cause: Cause, finger: Sequence[str]) -> bool:
    """Whether a cause is in an artifact that answers are computed from, or in one of the days that it was merged from."""
    return cause.artifact in (*ANSWERING, *finger) or cause.artifact.startswith(f"{DAILY_DOCUMENTS.name} (")


class _Comparison:
    """Two sides, and the exact attribution of the moves between them."""

    def __init__(self, left: Side, right: Side) -> None:
        self.left, self.right = left, right
        earlier_rows = rows_in(left.index.documents, right.index.documents)
        self.new = {right.ids[row] for row in np.flatnonzero(earlier_rows < 0)}
        self.gone = left.row_of.keys() - right.row_of.keys()
        old, new = (
            left.index.documents.take(earlier_rows[earlier_rows >= 0]),
            right.index.documents.filter(earlier_rows >= 0),
        )
        columns = changed_columns(old.select(["id", "title", "text"]), new.select(["id", "title", "text"]))
        rows = np.flatnonzero(columns["title"] | columns["text"])
        self.changed = set(new["id"].take(rows).to_pylist())

    def moves(self) -> list[Move]:
        """Every answer of either version, in the order of the later one, then those that left."""
        return ranked_moves(self.left.served, self.right.served, self._title, self._reason)

    def _title(self, key: str) -> str:
        side = self.right if key in self.right.row_of else self.left
        title: str = side.index.documents["title"][side.row_of[key]].as_py()
        return title

    def _reason(self, key: str, before: int, after: int, kept_order: bool) -> tuple[str, str]:
        if before == after:
            return "same", ""
        if key in self.gone:
            return "data", "the document was removed"
        if key in self.new:
            return "data", "the document is new"
        if before and after:
            return self._moved(key, kept_order)
        return self._left(key) if before else self._entered(key)

    def _left(self, key: str) -> tuple[str, str]:
        k = self.right.k
        if 0 < (rank := self.right.places.get(key, 0)) <= k:
            return "graph", f"the later graph search misses it: exact search has it at {rank}"
        if not 0 < (rank := self.left.places.get(key, 0)) <= k:
            return "graph", f"the earlier graph search missed nearer ones: exact search had it at {rank or 'none'}"
        if columns := self._changed(key):
            rank = self._with_old_text(key)
            if 0 < rank <= k:
                return "data", f"its {' and '.join(columns)} changed: with the old text it would be at {rank}"
        if 0 < (rank := self.right.place_without(key, self.new | self._risen(key, self.left))) <= k:
            return "data", f"new or changed documents rank before it: without them it would be at {rank}"
        return "scores", self._score_words(key)

    def _entered(self, key: str) -> tuple[str, str]:
        k = self.left.k
        if 0 < (rank := self.left.places.get(key, 0)) <= k:
            return "graph", f"the earlier graph search missed it: exact search had it at {rank}"
        if not 0 < (rank := self.right.places.get(key, 0)) <= k:
            return "graph", f"the later graph search misses nearer ones: exact search has it at {rank or 'none'}"
        if columns := self._changed(key):
            rank = self._with_old_text(key)
            if not 0 < rank <= k:
                return (
                    "data",
                    f"its {' and '.join(columns)} changed: with the old text it would be at {rank or 'none'}",
                )
        if 0 < (rank := self.left.place_without(key, self.gone | self._risen(key, self.right))) <= k:
            return "data", f"documents before it were removed or changed: without them it was at {rank} already"
        return "scores", self._score_words(key)

    def _risen(self, key: str, side: Side) -> set[str]:
        """The changed documents that do not rank before this one in the other version too."""
        limit = side.places[key]
        return {other for other in self.changed if other != key and side.places.get(other, limit) >= limit}

    def _moved(self, key: str, kept_order: bool) -> tuple[str, str]:
        if kept_order:
            return "follows", "others were added or removed; the order of the rest is the same"
        if columns := self._changed(key):
            return "data", f"its {' and '.join(columns)} changed"
        places = [side.places.get(key, 0) for side in (self.left, self.right)]
        if places[0] == places[1] > 0:
            return "graph", f"exact search has it at {places[0]} in both versions"
        touched = self.new | self.gone | self.changed
        among = [side.place_without(key, touched) for side in (self.left, self.right)]
        if among[0] == among[1] > 0:
            return "follows", "others were added, removed or changed; among the rest it keeps its rank"
        return "scores", self._score_words(key)

    def _changed(self, key: str) -> list[str]:
        """Those of title and text that changed in a document; only these decide its features."""
        pairs = [self._cells(key, name) for name in ("title", "text")]
        return [name for name, (old, new) in zip(("title", "text"), pairs, strict=True) if old != new]

    def _cells(self, key: str, column: str) -> tuple[Any, Any]:
        old, new = (side.index.documents[column][side.row_of[key]].as_py() for side in (self.left, self.right))
        return old, new

    def _with_old_text(self, key: str) -> int:
        return self.right.place_with_text(key, self._cells(key, "title")[0], self._cells(key, "text")[0])

    def _score_words(self, key: str) -> str:
        old, new = (dict(side.ranking).get(key) for side in (self.left, self.right))
        words = [f"{score:.3f}" if score is not None else "no candidate" for score in (old, new)]
        places = [str(side.places.get(key, "none")) for side in (self.left, self.right)]
        return f"its own {words[0]} → {words[1]}, exact rank {places[0]} → {places[1]}"


def _verdict(moves: list[Move], roots: list[Cause], left: Side, right: Side, versions: list[Change]) -> list[str]:
    """The findings, as sentences."""
    kinds = [move.kind for move in moves if move.kind not in {"same", "follows"}]
    if not kinds:
        return [no_moves(moves)]
    exact = [[key for key, _ in side.ranking[: side.k]] for side in (left, right)]
    words = []
    counts = {kind: kinds.count(kind) for kind in ("data", "graph", "scores")}
    if counts["data"]:
        words.append(f"{counts['data']} of {len(kinds)} changes are because documents were added, removed or changed")
    if counts["graph"]:
        same = "; exact search gives the same answers in both versions" if exact[0] == exact[1] else ""
        words.append(
            f"{counts['graph']} of {len(kinds)} changes are because the graph search is approximate and missed"
            f" documents{same}"
        )
    if counts["scores"]:
        cause = (
            "the query's own terms or weights changed"
            if left.terms != right.terms
            else "the query's terms are the same, those of documents or their candidates changed"
        )
        words.append(f"{counts['scores']} of {len(kinds)} changes are because scores moved; {cause}")
    same_search = left.index.method == right.index.method or not counts["graph"]
    words += named_causes(roots, versions, alone=same_search)
    if left.index.method != right.index.method:
        words.append(f"the searches differ: {left.index.method} and {right.index.method}, each the faster on its index")
    return words
