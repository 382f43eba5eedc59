"""Why a query is answered otherwise by two versions: what of it data, the graph search, parameters or code moved. Imports no Prefect.

Where an answer's move can be attributed exactly from what is stored, it is: by leaving documents out of a ranking, by exact
search instead of the graph, by giving a document its old text. For the rest, the stages that differ are named.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from flows.ops.compare.causes import Cause, Change, causes, changes
from flows.ops.compare.changes import changed_columns, rows_in
from schemas.errors import FingerpostError
from schemas.refs import Ref
from schemas.store import Store
from tasks.ann.engine import Engine
from tasks.ann.exact import ExactIndex
from tasks.ann.open import LiveIndex, kernel_metric
from tasks.corpus.fields import split_fields
from tasks.corpus.ngrams import count_shard
from tasks.corpus.svd import project
from tasks.corpus.tfidf import Featurizer, weigh_counts

#: The artifacts that the answers of a text query are made from; what only measures an index moves no answer.
ANSWERING = (
    "corpus.extracts",
    "corpus.documents",
    "corpus.ngrams",
    "corpus.vocabulary",
    "corpus.features",
    "corpus.projection",
    "corpus.vectors",
    "ann.graph",
)
_FINGER = ("ann.finger_basis", "ann.finger_tables")


@dataclass(frozen=True)
class Move:
    """One document's places (from 1; 0 is beyond the first k) and scores in both versions, what moved it, and how that is known."""

    id: str
    title: str
    before: int
    after: int
    score_before: float | None
    score_after: float | None
    kind: str
    because: str


@dataclass(frozen=True)
class Why:
    """One query in two versions."""

    query: str
    k: int
    before: str
    after: str
    methods: tuple[str, str]
    moves: list[Move]
    verdict: list[str]
    terms: list[Change] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    elsewhere: list[Cause] = field(default_factory=list)
    versions: list[Change] = field(default_factory=list)


class Side:
    """One version and everything that answers the query in it."""

    def __init__(self, store: Store, ref: Ref, text: str, k: int, method: str) -> None:
        self.index, self.text, self.k = LiveIndex(store, ref, method=method), text, k
        if "features" not in self.index.members:
            raise FingerpostError(
                f"why: expected an index made from texts, got {ref}, made from vectors; compare them with `fingerpost"
                " diff`"
            )
        self.ids: list[str] = self.index.documents["id"].to_pylist()
        self._farthest = float("inf")
        self.row_of = {key: row for row, key in enumerate(self.ids)}

    @cached_property
    def features(self) -> sparse.csr_array:
        """The query's features."""
        return self.index.featurizer.transform([self.text])

    @cached_property
    def served(self) -> list[tuple[str, float]]:
        """The answers as the version gives them."""
        return [(answer.id, answer.score) for answer in self.index.query(self.text, k=self.k).answers]

    @cached_property
    def ranking(self) -> list[tuple[str, float]]:
        """All candidates of exact search in the order of their scores."""
        if not self.features.nnz:
            return []
        found = self.engine.candidates(self.features)
        self._farthest = float(found.similarities[found.rows >= 0].min(initial=np.inf))
        rows, scores = self.engine.ordered(self.features, found.rows, found.similarities)
        return [(self.ids[row], float(score)) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each candidate of exact search, from 1."""
        return {key: place for place, (key, _) in enumerate(self.ranking, start=1)}

    @cached_property
    def engine(self) -> Engine:
        """What answers, with exact search in place of the graph."""
        own = self.index.engine
        exact = ExactIndex(self.index.vectors, kernel_metric(self.index.metric))
        return Engine(own.featurizer, own.components, own.features, exact, own.params)

    @cached_property
    def terms(self) -> dict[str, float]:
        """The query's terms with their weights."""
        return named_terms(self.index.featurizer, self.features)

    def place_without(self, key: str, others: set[str]) -> int:
        """The place of a document if others were not there; 0 if it is no candidate."""
        place = self.places.get(key, 0)
        return place - sum(self.places[other] < place for other in others if other in self.places) if place else 0

    def place_with_text(self, key: str, title: str, text: str) -> int:
        """The place a document would have here with another text, all else as it is; 0 if it would be no candidate."""
        featurizer = self.index.featurizer
        counted = count_shard(*split_fields([title], [text]), featurizer.ngrams)
        row = weigh_counts(counted, featurizer.vocabulary, featurizer.tfidf)
        dense = float((project(self.features, self.engine.components) @ project(row, self.engine.components).T)[0, 0])
        others = [(other, score) for other, score in self.ranking if other != key]
        if len(self.ranking) < len(self.ids) and dense < self._farthest:
            return 0
        share = self.engine.params.dense_share
        score = (1 - share) * float((self.features @ row.T).toarray()[0, 0]) + share * dense
        return 1 + sum(other > score for _, other in others)


def why(store: Store, text: str, before: Ref, after: Ref, *, k: int = 10, method: str = "auto") -> Why:
    """The answers of a query in two versions, and what moved them."""
    left, right = (Side(store, ref, text, k, method) for ref in (before, after))
    every = causes(store, before, after)
    finger = _FINGER if "finger" in (left.index.method, right.index.method) else ()
    roots = [cause for cause in every if cause.artifact in (*ANSWERING, *finger) or _serves(cause)]
    moves = _Comparison(left, right).moves()
    versions = changes(*(side.index.manifest.run.get("versions", {}) for side in (left, right)))
    return Why(
        text,
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


def _serves(cause: Cause) -> bool:
    """Whether a cause is in how answers are put in order, which the evaluation of retrieval keeps."""
    return any(".rerank." in change.key for change in cause.parameters)


def named_terms(featurizer: Featurizer, row: sparse.csr_array) -> dict[str, float]:
    """A row of features as terms with weights; a column of a hashed family is its number."""
    found = {}
    vocabulary = featurizer.vocabulary
    for offset, family, params in zip(vocabulary.offsets, vocabulary.families, featurizer.ngrams.families, strict=True):
        for column, value in zip(row.indices.tolist(), row.data.tolist(), strict=True):
            if offset <= column < offset + family.size:
                term = family.terms[column - offset] if family.terms is not None else f"#{column - offset}"
                found[f"{params.kind} {term}"] = round(value, 6)
    return found


class _Comparison:
    """Two sides, and what of the moves between them can be told exactly."""

    def __init__(self, left: Side, right: Side) -> None:
        self.left, self.right = left, right
        there = rows_in(left.index.documents, right.index.documents)
        self.new = {right.ids[row] for row in np.flatnonzero(there < 0)}
        self.gone = left.row_of.keys() - right.row_of.keys()
        old, new = left.index.documents.take(there[there >= 0]), right.index.documents.filter(there >= 0)
        columns = changed_columns(old.select(["id", "title", "text"]), new.select(["id", "title", "text"]))
        rows = np.flatnonzero(columns["title"] | columns["text"])
        self.changed = set(new["id"].take(rows).to_pylist())

    def moves(self) -> list[Move]:
        """Every answer of either version, in the order of the later one, then those that left."""
        old, new = (
            {key: place for place, (key, _) in enumerate(side.served, start=1)} for side in (self.left, self.right)
        )
        scores = [dict(side.served) for side in (self.left, self.right)]
        common = [key for key in new if key in old]
        kept_order = common == sorted(common, key=lambda key: old[key])
        found = []
        for key in [*new, *(key for key in old if key not in new)]:
            kind, because = self._reason(key, old.get(key, 0), new.get(key, 0), kept_order)
            side = self.right if key in new else self.left
            title = side.index.documents["title"][side.row_of[key]].as_py()
            found.append(
                Move(
                    key, title, old.get(key, 0), new.get(key, 0), scores[0].get(key), scores[1].get(key), kind, because
                )
            )
        return found

    def _reason(self, key: str, before: int, after: int, kept_order: bool) -> tuple[str, str]:
        if before == after:
            return "same", ""
        if key in self.gone:
            return "data", "the document is gone"
        if key in self.new:
            return "data", "the document is new"
        if before and after:
            return self._moved(key, kept_order)
        return self._left(key) if before else self._entered(key)

    def _left(self, key: str) -> tuple[str, str]:
        k = self.right.k
        if 0 < (place := self.right.places.get(key, 0)) <= k:
            return "graph", f"the later graph search misses it: exact search has it at {place}"
        if not 0 < (place := self.left.places.get(key, 0)) <= k:
            return "graph", f"the earlier graph search missed nearer ones: exact search had it at {place or 'none'}"
        if columns := self._changed(key):
            place = self._with_old_text(key)
            if 0 < place <= k:
                return "data", f"its {' and '.join(columns)} changed: with the old text it would be at {place}"
        if 0 < (place := self.right.place_without(key, self.new | self._risen(key, self.left))) <= k:
            return "data", f"new or changed documents are before it: without them it would be at {place}"
        return "scores", self._score_words(key)

    def _entered(self, key: str) -> tuple[str, str]:
        k = self.left.k
        if 0 < (place := self.left.places.get(key, 0)) <= k:
            return "graph", f"the earlier graph search missed it: exact search had it at {place}"
        if not 0 < (place := self.right.places.get(key, 0)) <= k:
            return "graph", f"the later graph search misses nearer ones: exact search has it at {place or 'none'}"
        if columns := self._changed(key):
            place = self._with_old_text(key)
            if not 0 < place <= k:
                return (
                    "data",
                    f"its {' and '.join(columns)} changed: with the old text it would be at {place or 'none'}",
                )
        if 0 < (place := self.left.place_without(key, self.gone | self._risen(key, self.right))) <= k:
            return "data", f"documents before it are gone or changed: without them it was at {place} already"
        return "scores", self._score_words(key)

    def _risen(self, key: str, side: Side) -> set[str]:
        """The changed documents that do not stand before this one in the other version too."""
        limit = side.places[key]
        return {other for other in self.changed if other != key and side.places.get(other, limit) >= limit}

    def _moved(self, key: str, kept_order: bool) -> tuple[str, str]:
        if kept_order:
            return "follows", "others came or left; the order of those that stayed is the same"
        if columns := self._changed(key):
            return "data", f"its {' and '.join(columns)} changed"
        places = [side.places.get(key, 0) for side in (self.left, self.right)]
        if places[0] == places[1] > 0:
            return "graph", f"exact search has it at {places[0]} in both versions"
        touched = self.new | self.gone | self.changed
        among = [side.place_without(key, touched) for side in (self.left, self.right)]
        if among[0] == among[1] > 0:
            return "follows", "others came, left or changed; among the rest it keeps its place"
        return "scores", self._score_words(key)

    def _changed(self, key: str) -> list[str]:
        """Which of title and text of a document changed; only these decide its features."""
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
        return f"its own {words[0]} → {words[1]}, exact place {places[0]} → {places[1]}"


def _verdict(moves: list[Move], roots: list[Cause], left: Side, right: Side, versions: list[Change]) -> list[str]:
    """What is established, in sentences."""
    kinds = [move.kind for move in moves if move.kind not in {"same", "follows"}]
    if not kinds:
        return [
            (
                "the answers are the same"
                if all(move.kind == "same" for move in moves)
                else "no answer changed places with another"
            )
        ]
    exact = [[key for key, _ in side.ranking[: side.k]] for side in (left, right)]
    words = []
    counts = {kind: kinds.count(kind) for kind in ("data", "graph", "scores")}
    if counts["data"]:
        words.append(f"{counts['data']} of {len(kinds)} changes are because documents came, went or changed")
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
            else "the query's features are the same, those of documents or their candidates changed"
        )
        words.append(f"{counts['scores']} of {len(kinds)} changes are because scores moved; {cause}")
    named = [f"{' and '.join(cause.kinds)}: {cause}" for cause in roots]
    same_search = left.index.method == right.index.method or not counts["graph"]
    if len(roots) == 1 and not versions and same_search:
        words.append(
            f"one thing differs in what answers are made from, so the answers differ because of it: {named[0]}"
        )
    elif roots:
        words.append(
            f"{len(roots)} things differ in what answers are made from; which of them moved scores is not known without"
            f" computing again: {'; '.join(named)}"
        )
    else:
        words.append("no parameter, code or input differs in what answers are made from")
    if versions:
        words.append(f"library versions differ too: {', '.join(f'{c.key} {c.before} → {c.after}' for c in versions)}")
    if left.index.method != right.index.method:
        words.append(f"the searches differ: {left.index.method} and {right.index.method}, each the faster on its index")
    return words
