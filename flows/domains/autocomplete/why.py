"""Why two completers answer a request differently: because of suggestions, counts, the search or the ranker's scores.

A finding on a suggestion follows from stored artifacts: from the suggestions of both versions, from their counts, and
from a search that lists every suggestion with the prefix instead of those that the beam keeps. For other moves, the stages
that differ are named. Imports no Prefect.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from fingerpost.flows.domains.autocomplete.answers import checked_request
from fingerpost.flows.ops.compare.causes import Cause, Change, changes
from fingerpost.flows.ops.compare.why import (
    Move,
    Why,
    named_causes,
    no_moves,
    only_method,
    position_without,
    positions_of,
    ranked_moves,
    split_causes,
)
from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.completer import Completer, Ranked
from fingerpost.tasks.autocomplete.open import LiveCompleter
from fingerpost.tasks.autocomplete.request import Request


class Side:
    """One version, and what it says of a request. Suggestions are identified by their matching keys."""

    def __init__(self, completer: Completer, keys: Sequence[str], request: Request, k: int) -> None:
        self.completer, self.request, self.k = completer, request, k
        self._keys = keys
        self.row_of = {key: row for row, key in enumerate(self._keys)}

    def _pairs(self, ranked: Ranked) -> list[tuple[str, float]]:
        pairs = zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True)
        return [(self._keys[row], score) for row, score in pairs]

    @cached_property
    def served(self) -> list[tuple[str, float]]:
        """The suggestions as the version gives them."""
        return self._pairs(self.completer.rank(self.request.previous, self.request.prefix, self.k))

    @cached_property
    def ranking(self) -> list[tuple[str, float]]:
        """All suggestions with the prefix in the order of their scores: a search that leaves nothing out."""
        most = max(len(self.completer), 1)
        serving = self.completer.serving
        wide = replace(serving, beam=replace(serving.beam, beam=most), candidates=most)
        every = Completer(
            self.completer.names,
            self.completer.trie,
            self.completer.blend,
            ranker=self.completer.ranker,
            featurizer=self.completer.featurizer,
            serving=wide,
        )
        return self._pairs(every.rank(self.request.previous, self.request.prefix, most))

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position of each suggestion of the exhaustive ranking, from 1."""
        return positions_of(self.ranking)

    @property
    def search(self) -> str:
        """The search parameters of the version, human-readable."""
        serving = self.completer.serving
        typos = "" if serving.typos else ", no typing errors"
        return f"beam {serving.beam.beam}, {serving.candidates} candidates{typos}"

    def title(self, key: str) -> str:
        """The text of a suggestion."""
        return self.completer.names.take(np.array([self.row_of[key]], dtype=np.uint32))[0]

    def counts(self, key: str) -> dict[str, float]:
        """How often a suggestion was asked, and asked after the last query, each decayed by age."""
        rows = np.array([self.row_of[key]], dtype=np.uint32)
        blend, asked = self.completer.blend, self.completer.asked(self.request)
        found = {"asked": float(blend.popularity(rows)[0])}
        if asked.previous:
            found["asked next"] = float(blend.followed(asked.previous, rows)[0])
        return found


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The suggestions for a request in two versions, and what moved them.

    query: a request in one line, ``first query > second query > prefix``.
    """
    only_method(method, "completer")
    request = checked_request(query)
    versions = [LiveCompleter(store, ref) for ref in (before, after)]
    left, right = (Side(live.completer, live.keys, request, k) for live in versions)
    moves = moves_between(left, right)
    answering = [ref for live in versions for ref in live.served.values()]
    roots, elsewhere = split_causes(store, before, after, answering, _serves)
    libraries = changes(*(live.manifest.run.get("versions", {}) for live in versions))
    return Why(
        query,
        k,
        str(before),
        str(after),
        (left.search, right.search),
        moves,
        _verdict(moves, roots, left, right, libraries),
        [],
        roots,
        elsewhere,
        libraries,
    )


def _serves(cause: Cause) -> bool:
    """Whether a cause is in how the version answers, which the release's own parameters say."""
    release = cause.artifact.startswith(contracts.COMPLETER.name)
    return release and any(change.key.split(".")[0] == "serving" for change in cause.parameters)


def moves_between(left: Side, right: Side) -> list[Move]:
    """Every suggestion of either version, in the order of the later one, then those that left; and what moved each."""
    found = _Comparison(left, right)
    return ranked_moves(left.served, right.served, found.title, found.reason)


class _Comparison:
    """Two sides, and the attribution of the moves between them."""

    def __init__(self, left: Side, right: Side) -> None:
        self.left, self.right = left, right
        self.new = right.row_of.keys() - left.row_of.keys()
        self.gone = left.row_of.keys() - right.row_of.keys()

    def title(self, key: str) -> str:
        """The text of a suggestion."""
        return (self.right if key in self.right.row_of else self.left).title(key)

    def reason(self, key: str, before: int, after: int, kept_order: bool) -> tuple[str, str]:
        """The kind of a move, and its cause."""
        if before == after:
            return "same", ""
        if key in self.gone:
            return "data", "no suggestion any more: asked by too few users, blocked or forgotten"
        if key in self.new:
            return "data", "the suggestion is new"
        if before and after and kept_order:
            return "follows", "others were added or removed; the order of the rest is the same"
        return self._missed(key, before, after) or self._displaced(key, before, after) or self._scored(key)

    def _missed(self, key: str, before: int, after: int) -> tuple[str, str] | None:
        """The finding where a search that leaves nothing out has the suggestion elsewhere."""
        for side, served, which in ((self.left, before, "earlier"), (self.right, after, "later")):
            position = side.positions.get(key, 0)
            if (0 < position <= side.k) != bool(served):
                return "beam", f"the {which} search is approximate: exhaustive scoring has it at {position or 'none'}"
        positions = [side.positions.get(key, 0) for side in (self.left, self.right)]
        if positions[0] == positions[1] > 0:
            return "beam", f"exhaustive scoring has it at {positions[0]} in both versions"
        return None

    def _displaced(self, key: str, before: int, after: int) -> tuple[str, str] | None:
        """The finding where the suggestion keeps its position among those of both versions."""
        touched = self.new | self.gone
        among = [position_without(side.positions, key, touched) for side in (self.left, self.right)]
        if among[0] == among[1] > 0:
            kind = "follows" if before and after else "data"
            return kind, "suggestions were added or removed; among the rest it keeps its position"
        return None

    def _scored(self, key: str) -> tuple[str, str]:
        """The finding on a suggestion whose score moved."""
        counts = changes(self.left.counts(key), self.right.counts(key))
        old, new = (dict(side.ranking).get(key) for side in (self.left, self.right))
        words = [significant(score, 3) if score is not None else "none" for score in (old, new)]
        scores = f"its score {words[0]} → {words[1]}"
        if not counts:
            return "scores", scores
        moved = ", ".join(f"{c.key} {_number(c.before)} → {_number(c.after)}" for c in counts)
        return "counts", f"its counts changed: {moved}; {scores}"


def _number(value: float | None) -> str:
    return "none" if value is None else significant(value)


def _verdict(moves: list[Move], roots: list[Cause], left: Side, right: Side, versions: list[Change]) -> list[str]:
    """The findings, as sentences."""
    kinds = [move.kind for move in moves if move.kind not in {"same", "follows"}]
    if not kinds:
        return [no_moves(moves)]
    said = {
        "data": "because suggestions were added or removed",
        "beam": "because the search is approximate and missed suggestions",
        "counts": "of suggestions that were asked, or asked next, more or less often than before",
        "scores": "of suggestions with the same counts as before, whose scores by the ranker changed",
    }
    words = [f"{kinds.count(kind)} of {len(kinds)} changes are {what}" for kind, what in said.items() if kind in kinds]
    words += named_causes(roots, versions, alone=left.search == right.search)
    if left.search != right.search:
        words.append(f"the searches differ: {left.search} and {right.search}")
    return words
