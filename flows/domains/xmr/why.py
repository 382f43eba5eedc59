"""Why two rankers answer a query differently: because of labels, the beam, training rows or scores.

A finding on an answer follows from stored artifacts: by scoring every label instead of those that the beam
keeps, by leaving new labels out of a ranking, by the training rows of a label in both versions. For other moves, the
stages that differ are named. Imports no Prefect.
"""

from dataclasses import replace
from functools import cached_property

from scipy import sparse

from fingerpost.flows.domains.corpus.terms import named_terms
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
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.xmr.ensembles import Ensemble, combine
from fingerpost.tasks.xmr.interactions import TRAINING
from fingerpost.tasks.xmr.open import FINAL, LiveRanker, read_targets, rows_of, served_roles
from fingerpost.tasks.xmr.query_texts import query_text
from fingerpost.tasks.xmr.ranking import NONE, Ranker, Ranking

#: The members of a ranker that turn texts into features.
_FEATURES = ("vocabulary", "ngrams", "features")


class Side:
    """One version, and its artifacts that answer the query."""

    def __init__(self, store: Store, ref: Ref, text: str, k: int) -> None:
        self.ranker, self.text, self.k = LiveRanker(store, ref), text, k
        self.ids, self.names = self.ranker.labels
        self.label_of = {key: label for label, key in enumerate(self.ids)}

    @cached_property
    def features(self) -> sparse.csr_array:
        """The query's features."""
        return self.ranker.featurizer.transform([query_text(self.text)])

    @cached_property
    def terms(self) -> dict[str, float]:
        """The weights of the query's terms."""
        return named_terms(self.ranker.featurizer, self.features)

    @cached_property
    def served(self) -> list[tuple[str, float]]:
        """The answers as the version gives them."""
        return [(label.id, label.score) for label in self.ranker.rank(self.text, self.k)]

    @cached_property
    def ranking(self) -> list[tuple[str, float]]:
        """All labels in the order of their scores: a search whose beam prunes nothing.

        Each member of an ensemble lists as many labels as in a normal answer: scores depend on that number.
        """
        if not self.features.nnz:
            return []
        matcher = self.ranker.ranker
        if isinstance(matcher, Ensemble):
            depth = max(self.k, matcher.depth)
            members = [member for member in matcher.members if isinstance(member, Ranker)]
            lists = [_exhaustive(member, self.features, depth) for member in members]
            found = combine(lists, depth * len(lists), matcher.method)
        else:
            found = _exhaustive(matcher, self.features, matcher.labels)
        pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
        return [(self.ids[label], score) for label, score in pairs if label != NONE]

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position of each label of the exhaustive ranking, from 1."""
        return positions_of(self.ranking)

    @cached_property
    def beams(self) -> str:
        """The search parameters of the version, human-readable."""
        return f"beam {self.ranker.manifest.quality['beam']}, {self.ranker.manifest.quality['post_processor']}"

    @cached_property
    def _training(self) -> tuple[list[str], list[str], sparse.csc_array]:
        """Keys and texts of the training queries, and their interactions by label."""
        members = self.ranker.members
        trained = members.get(f"{FINAL}interactions", members["interactions"])
        artifact = self.ranker.store.open(trained, contracts.INTERACTIONS)
        queries = artifact.read("queries")
        mine = rows_of(queries, (TRAINING,))
        taken = queries.take(mine)
        return taken["id"].to_pylist(), taken["text"].to_pylist(), sparse.csc_array(read_targets(artifact)[mine])

    def training_rows(self, key: str) -> dict[str, tuple[str, float]]:
        """The training queries that a label was chosen for: text and weight by key."""
        keys, texts, chosen = self._training
        part = slice(*chosen.indptr[self.label_of[key] : self.label_of[key] + 2])
        pairs = zip(chosen.indices[part].tolist(), chosen.data[part].tolist(), strict=True)
        return {keys[row]: (texts[row], weight) for row, weight in pairs}

    def answering(self) -> list[Ref]:
        """The artifacts that answers are computed from."""
        members = self.ranker.members
        roles = [*_FEATURES, *(role for pair in served_roles(members) for role in pair)]
        return [members[role] for role in roles]


def _exhaustive(ranker: Ranker, features: sparse.csr_array, k: int) -> Ranking:
    """The k best labels of all."""
    return ranker.rank(features, k, params=replace(ranker.params, beam=ranker.labels))


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The labels that answer a text in two versions, and what moved them."""
    only_method(method, "ranker")
    left, right = (Side(store, ref, query, k) for ref in (before, after))
    moves = _Comparison(left, right).moves()
    answering = [*left.answering(), *right.answering()]
    roots, elsewhere = split_causes(store, before, after, answering, _serves)
    versions = changes(*(side.ranker.manifest.run.get("versions", {}) for side in (left, right)))
    return Why(
        query,
        k,
        str(before),
        str(after),
        (left.beams, right.beams),
        moves,
        _verdict(moves, roots, left, right, versions),
        changes(left.terms, right.terms),
        roots,
        elsewhere,
        versions,
    )


def _serves(cause: Cause) -> bool:
    """Whether a cause is in the parameters of searching and combining, which are stored with the predictions."""
    searched = ("beam", "combination")
    return cause.artifact.startswith(contracts.PREDICTIONS.name) and any(
        change.key.split(".")[0] in searched for change in cause.parameters
    )


class _Comparison:
    """Two sides, and the exact attribution of the moves between them."""

    def __init__(self, left: Side, right: Side) -> None:
        self.left, self.right = left, right
        self.new = right.label_of.keys() - left.label_of.keys()
        self.gone = left.label_of.keys() - right.label_of.keys()
        # In an ensemble a label's score depends on the other labels in the list, so that none can be left out.
        self.apart = not any(isinstance(side.ranker.ranker, Ensemble) for side in (left, right))

    def moves(self) -> list[Move]:
        """Every label of either version, in the order of the later one, then those that left."""
        return ranked_moves(self.left.served, self.right.served, self._title, self._reason)

    def _title(self, key: str) -> str:
        side = self.right if key in self.right.label_of else self.left
        return str(side.names[side.label_of[key]])

    def _reason(self, key: str, before: int, after: int, kept_order: bool) -> tuple[str, str]:
        if before == after:
            return "same", ""
        if key in self.gone:
            return "data", "the label was removed"
        if key in self.new:
            return "data", "the label is new"
        if before and after:
            return self._moved(key, kept_order)
        return self._left(key) if before else self._entered(key)

    def _left(self, key: str) -> tuple[str, str]:
        k = self.right.k
        if 0 < (position := self.right.positions.get(key, 0)) <= k:
            return "beam", f"the later beam search misses it: exhaustive scoring has it at {position}"
        if not 0 < (position := self.left.positions.get(key, 0)) <= k:
            return (
                "beam",
                f"the earlier beam search missed better ones: exhaustive scoring had it at {position or 'none'}",
            )
        if self.apart and 0 < (position := position_without(self.right.positions, key, self.new)) <= k:
            return "data", f"new labels rank before it: without them it would be at {position}"
        return self._scored(key)

    def _entered(self, key: str) -> tuple[str, str]:
        k = self.left.k
        if 0 < (position := self.left.positions.get(key, 0)) <= k:
            return "beam", f"the earlier beam search missed it: exhaustive scoring had it at {position}"
        if not 0 < (position := self.right.positions.get(key, 0)) <= k:
            return (
                "beam",
                f"the later beam search misses better ones: exhaustive scoring has it at {position or 'none'}",
            )
        if self.apart and 0 < (position := position_without(self.left.positions, key, self.gone)) <= k:
            return "data", f"labels before it were removed: without them it was at {position} already"
        return self._scored(key)

    def _moved(self, key: str, kept_order: bool) -> tuple[str, str]:
        if kept_order:
            return "follows", "others were added or removed; the order of the rest is the same"
        positions = [side.positions.get(key, 0) for side in (self.left, self.right)]
        if positions[0] == positions[1] > 0:
            return "beam", f"exhaustive scoring has it at {positions[0]} in both versions"
        touched = self.new | self.gone
        among = [position_without(side.positions, key, touched) for side in (self.left, self.right)]
        if self.apart and among[0] == among[1] > 0:
            return "follows", "labels were added or removed; among the rest it keeps its position"
        return self._scored(key)

    def _scored(self, key: str) -> tuple[str, str]:
        """Further findings on a label whose score moved."""
        old, new = (dict(side.ranking).get(key) for side in (self.left, self.right))
        words = [significant(score, 3) if score is not None else "none" for score in (old, new)]
        positions = [str(side.positions.get(key, "none")) for side in (self.left, self.right)]
        scores = f"its score {words[0]} → {words[1]}, exhaustive position {positions[0]} → {positions[1]}"
        rows = [side.training_rows(key) for side in (self.left, self.right)]
        if rows[0] == rows[1]:
            return "scores", scores
        came, went = len(rows[1].keys() - rows[0].keys()), len(rows[0].keys() - rows[1].keys())
        other = sum(rows[0][row] != rows[1][row] for row in rows[0].keys() & rows[1].keys())
        counts = ((came, "new"), (went, "gone"), (other, "changed"))
        said = ", ".join(f"{count} {what}" for count, what in counts if count)
        return "training", f"its training rows changed: {said} of {len(rows[1])}; {scores}"


def _verdict(moves: list[Move], roots: list[Cause], left: Side, right: Side, versions: list[Change]) -> list[str]:
    """The findings, as sentences."""
    kinds = [move.kind for move in moves if move.kind not in {"same", "follows"}]
    if not kinds:
        return [no_moves(moves)]
    counts = {kind: kinds.count(kind) for kind in ("data", "beam", "training", "scores")}
    words = []
    if counts["data"]:
        words.append(f"{counts['data']} of {len(kinds)} changes are because labels were added or removed")
    if counts["beam"]:
        exhaustive = [[key for key, _ in side.ranking[: side.k]] for side in (left, right)]
        same = "; exhaustive scoring gives the same labels in both versions" if exhaustive[0] == exhaustive[1] else ""
        words.append(
            f"{counts['beam']} of {len(kinds)} changes are because the beam search is approximate and missed labels"
            f"{same}"
        )
    if counts["training"]:
        words.append(f"{counts['training']} of {len(kinds)} changes are of labels whose training rows changed")
    if counts["scores"]:
        words.append(f"{counts['scores']} of {len(kinds)} changes are of labels with the same training rows as before")
    if counts["training"] or counts["scores"]:
        moved = left.terms != right.terms
        words.append(f"the query's own terms or weights {'changed' if moved else 'are the same'}")
    words += named_causes(roots, versions, alone=left.beams == right.beams or not counts["beam"])
    if left.beams != right.beams:
        words.append(f"the searches differ: {left.beams} and {right.beams}")
    return words
