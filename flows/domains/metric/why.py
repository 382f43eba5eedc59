"""Why other rows pass with a row in two versions: because of the threshold, the vectors or the rows.

Each pair is attributed exactly: its vectors of both versions are compared with both thresholds. Imports no Prefect.
"""

from functools import cache

from fingerpost.flows.domains.metric.answers import PassingRows
from fingerpost.flows.ops.compare.causes import Cause, Change, changes
from fingerpost.flows.ops.compare.why import Move, Why, named_causes, no_moves, only_method, ranked_moves, split_causes
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.metric.scores import score_of, threshold_of

#: Why rows pass in one version only, human-readable.
_KINDS = {
    "data": "rows were added or removed",
    "threshold": "the threshold moved",
    "vectors": "the vectors moved",
    "both": "threshold and vectors moved",
    "measure": "the measure changed",
}
#: The members of a threshold that decide which rows pass.
_ANSWERING = ("documents", "vectors", "validation_pairs")


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The rows that pass with the row of an id in two versions, and what moved them."""
    only_method(method, "threshold")
    comparison = _Comparison(PassingRows(store, before), PassingRows(store, after), query)
    left, right = comparison.left, comparison.right
    moves = ranked_moves(comparison.passing[0][:k], comparison.passing[1][:k], comparison.title, comparison.reason)
    grouped = any(side.made.groups for side in (left, right))
    roles = (*_ANSWERING, "assessment") if grouped else _ANSWERING
    answering = [side.live.members[role] for side in (left, right) for role in roles]
    roots, elsewhere = split_causes(store, before, after, answering, _serves)
    versions = changes(*(side.live.artifact.manifest.run.get("versions", {}) for side in (left, right)))
    methods = comparison.shown(left), comparison.shown(right)
    verdict = comparison.verdict(moves, roots, versions)
    return Why(query, k, str(before), str(after), methods, moves, verdict, [], roots, elsewhere, versions)


def _serves(cause: Cause) -> bool:
    """Whether a cause is in the choice of the threshold from its pairs."""
    return cause.artifact == contracts.THRESHOLD.name


class _Comparison:
    """Two versions, a row of either, and the rows that pass with it."""

    def __init__(self, left: PassingRows, right: PassingRows, key: str) -> None:
        self.left, self.right, self.key = left, right, key
        self.sides = (left, right)
        if not any(side.holds([key]) for side in self.sides):
            some = ", ".join(right.ids[:3])
            raise FingerpostError(
                f"why: expected the id of a row of either version (such as {some}), got {key!r}; name one of them"
            )
        self.passing = [side.passing(key) for side in self.sides]
        self._passes = [{other for other, _ in found} for found in self.passing]
        self._same_measure = left.made.measure == right.made.measure
        self._scores = cache(lambda side: side.scores(key))

    def title(self, key: str) -> str:
        """The class of a row."""
        side = self.right if self.right.holds([key]) else self.left
        return str(side.classes[side.row_of[key]])

    def shown(self, side: PassingRows) -> str:
        """The threshold of a version for the row, with its measure."""
        value = side.threshold_for(self.key) if side.holds([self.key]) else side.made.threshold
        return f"{side.made.measure} {'≥' if side.made.measure == 'cosine' else '≤'} {significant(value, 6)}"

    def reason(self, key: str, before: int, after: int, kept_order: bool) -> tuple[str, str]:
        """What moved a row among those that pass."""
        passed, passes = (key in rows for rows in self._passes)
        if passed != passes:
            return self._crossed(key, passed=passed)
        if before == after:
            return "same", ""
        if not (before and after):
            return "follows", f"it passes in both; others are nearer in the {'later' if before else 'earlier'}"
        if kept_order:
            return "follows", "others were added or removed; the order of the rest is the same"
        return "order", "it passes in both; the order of those that pass changed"

    def _crossed(self, key: str, *, passed: bool) -> tuple[str, str]:
        """Why a row passes in one version only."""
        for row, what in ((self.key, "the queried row"), (key, "the row")):
            there = [bool(side.holds([row])) for side in self.sides]
            if there != [True, True]:
                return "data", f"{what} {'is new' if there[1] else 'was removed'}"
        if not self._same_measure:
            return "measure", f"{self.left.made.measure} and {self.right.made.measure} are not comparable"
        scores = [self._score(side, key) for side in self.sides]
        bounds = [score_of(side.threshold_for(self.key), side.made.measure) for side in self.sides]
        kind = "similarity" if self.left.made.measure == "cosine" else "distance"
        near, limits = (
            [significant(threshold_of(value, self.left.made.measure), 6) for value in pair] for pair in (scores, bounds)
        )
        values = f"its {kind} {' → '.join(near)}, the threshold {' → '.join(limits)}"
        by_vectors, by_threshold = (scores[1] >= bounds[0]) != passed, (scores[0] >= bounds[1]) != passed
        if by_vectors and not by_threshold:
            return "vectors", f"the vectors moved; it would have changed with the same threshold too: {values}"
        if by_threshold and not by_vectors:
            return "threshold", f"the threshold moved; it would have changed with the same vectors too: {values}"
        return (
            "both",
            f"threshold and vectors moved, {'each enough' if by_vectors else 'neither enough alone'}: {values}",
        )

    def _score(self, side: PassingRows, key: str) -> float:
        return float(self._scores(side)[side.row_of[key]])

    def verdict(self, moves: list[Move], roots: list[Cause], versions: list[Change]) -> list[str]:
        """The findings on all rows, shown or not, as sentences."""
        crossed = sorted(self._passes[0] ^ self._passes[1])
        before, after = self._passes
        both = f"{len(before & after)} rows pass in both versions"
        counts = f"{both}, {len(before - after)} only before, {len(after - before)} only after"
        if not crossed:
            return [counts, no_moves(moves)]
        kinds = [self._crossed(key, passed=key in self._passes[0])[0] for key in crossed]
        words = [counts]
        words += [
            f"{kinds.count(kind)} of {len(kinds)} because {said}" for kind, said in _KINDS.items() if kind in kinds
        ]
        models = [side.made.model for side in self.sides]
        if models[0] != models[1]:
            words.append(f"the vectors are of other models: {models[0]} and {models[1]}")
        return words + named_causes(roots, versions)
