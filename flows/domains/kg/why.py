"""Why two alignments decide otherwise: because of entities, labels, blocking, values, scores, calibration, threshold or rivals.

A query is the id of an entity, or a pair ``left > right``. What is found follows from stored artifacts alone: what proposed
a pair, the values and similarities of its attributes, its score, its probability, the threshold, and the matches of either
entity. The stages that differ are named beside. Imports no Prefect.
"""

from collections.abc import Sequence
from functools import cached_property

from fingerpost.flows.ops.compare.causes import changes, shown
from fingerpost.flows.ops.compare.why import Move, Why, named_causes, no_moves, only_method, ranked_moves, split_causes
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.explanation import Explanation, Other
from fingerpost.tasks.kg.open import LiveAlignment
from fingerpost.tasks.kg.terms import NAME

#: Between the ids of a pair.
SEPARATOR = " > "
#: Roles of the artifacts that decisions are made from.
_DECIDING = ("left", "right", "links", "candidates", "scores", "calibration", "matches")
#: Values and similarities that a finding names.
_NAMED = 4
#: The kinds of findings, the first causes first, and what they say of moves.
_KINDS = {
    "entities": "of entities that are in one version alone",
    "labels": "of pairs whose label was given, taken back or changed",
    "blocking": "of pairs that blocking proposed in one version alone",
    "values": "of pairs whose attributes have other values",
    "scores": "of pairs with the same values and another score",
    "calibration": "of pairs with the same score and another probability",
    "threshold": "because the threshold moved past their probability",
    "rivals": "because a rival was matched, or is no longer",
}


class Side:
    """One version, and what it says of an entity of the left graph."""

    def __init__(self, live: LiveAlignment, key: str, k: int) -> None:
        self.live, self.key, self.k = live, key, k

    @property
    def known(self) -> bool:
        """Whether the version has the entity."""
        return self.live.graphs["left"].row_of(self.key) is not None

    def has(self, key: str) -> bool:
        """Whether the version has another entity."""
        return self.live.graphs["right"].row_of(key) is not None

    @cached_property
    def others(self) -> dict[str, Other]:
        """All entities that this one was compared with, by id, in their order."""
        return {other.id: other for other in self.live.others_of(self.key, side="left")} if self.known else {}

    @cached_property
    def served(self) -> list[tuple[str, float]]:
        """The first of them with their probabilities."""
        return [(other.id, other.probability) for other in self.others.values()][: self.k]

    def explained(self, key: str) -> Explanation:
        """Why the pair with another entity is a match, or none."""
        return self.live.explain(self.key, key)


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The entities that one is compared with in two versions, and what moved them; of a pair, that pair alone."""
    only_method(method, "alignment")
    key, _, other = (part.strip() for part in query.partition(SEPARATOR))
    versions = [LiveAlignment(store, ref) for ref in (before, after)]
    left, right = (Side(live, key, k) for live in versions)
    check_known((left, right), key, other)
    moves = moves_between(left, right, only=other)
    answering = [live.members[role] for live in versions for role in _DECIDING if role in live.members]
    roots, elsewhere = split_causes(store, before, after, answering, lambda _: False)
    libraries = changes(*(live.manifest.run.get("versions", {}) for live in versions))
    thresholds = [f"threshold {live.threshold:.4f}" for live in versions]
    return Why(
        query,
        k,
        str(before),
        str(after),
        (thresholds[0], thresholds[1]),
        moves,
        _verdict(moves, named_causes(roots, libraries)),
        [],
        roots,
        elsewhere,
        libraries,
    )


def check_known(sides: Sequence[Side], key: str, other: str) -> None:
    """InputError for an id that neither version has, with near ones of the later version."""
    if not key:
        raise UsageError("query: expected the id of an entity, or two as `left > right`, got none; name one")
    later = sides[-1].live
    if not any(side.known for side in sides):
        later.place_of(key, side="left")
    if other and not any(side.has(other) for side in sides):
        later.place_of(other, side="right")


def moves_between(left: Side, right: Side, *, only: str = "") -> list[Move]:
    """Every other entity of either version, and what moved it; of one pair, its move alone."""

    def reason(key: str, before: int, after: int, kept_order: bool) -> tuple[str, str]:
        found = evidence(left, right, key)
        if found:
            return next(iter(found)), "; ".join(found.values())
        return ("same", "") if before == after else ("follows", "others moved; nothing of this pair changed")

    if not only:
        return ranked_moves(left.served, right.served, lambda key: _title(left, right, key), reason)
    (was, probability_was), (now, probability_now) = (_placed(side, only) for side in (left, right))
    kind, because = reason(only, was, now, False)
    return [Move(only, _title(left, right, only), was, now, probability_was, probability_now, kind, because)]


def _placed(side: Side, key: str) -> tuple[int, float | None]:
    """The position of another entity, from 1, and its probability; 0 and None where it was not compared."""
    ranking = list(side.others)
    return (ranking.index(key) + 1, side.others[key].probability) if key in ranking else (0, None)


def _title(left: Side, right: Side, key: str) -> str:
    """The name of an entity, and the decisions on it where these differ."""
    others = [side.others.get(key) for side in (left, right)]
    name = next((other.name for other in reversed(others) if other is not None and other.name), key)
    was, now = (other is not None and other.match for other in others)
    return (
        name if not (was or now) else f"{name} (match)" if was and now else f"{name} (match {'lost' if was else 'new'})"
    )


def evidence(left: Side, right: Side, key: str) -> dict[str, str]:
    """What changed of a pair between two versions, by kind, the first causes first; empty where nothing did."""
    there = [side.known and side.has(key) for side in (left, right)]
    if there[0] != there[1]:
        missing = left if there[1] else right
        which = key if missing.known else missing.key
        return {"entities": f"{which} is in the {'later' if there[1] else 'earlier'} version alone"}
    if not any(there):
        return {}
    one, other = left.explained(key), right.explained(key)
    found = {
        "labels": _labels(one, other),
        "blocking": _blocking(one, other),
        "values": _values(one, other),
        "scores": _moved("its log odds", one.score, other.score) if one.score != other.score else "",
        "calibration": _moved("its probability", one.probability, other.probability),
    }
    if found["scores"]:
        found["scores"] += _similarities(one, other)
    if one.accepted != other.accepted:
        found |= _decision(one, other)
    return {kind: words for kind, words in found.items() if words}


def _labels(one: Explanation, other: Explanation) -> str:
    known = [
        found.because if found.decision in ("known match", "known as two") else "not known" for found in (one, other)
    ]
    return f"it was {known[0]} and is {known[1]}" if known[0] != known[1] else ""


def _blocking(one: Explanation, other: Explanation) -> str:
    """What proposed the pair, where it was not compared in one of the versions."""
    if bool(one.sources) == bool(other.sources):
        return ""
    which, found = ("later", other) if other.sources else ("earlier", one)
    return f"it is a candidate of the {which} version alone, proposed by {', '.join(found.sources)}"


def _values(one: Explanation, other: Explanation) -> str:
    """The attributes with other values in one of the versions."""
    sides = [
        {side: {part.name: getattr(part, side) for part in found.inputs} for side in ("left", "right")}
        for found in (one, other)
    ]
    moved = [
        f"{name} of the {side} entity {_text(sides[0][side].get(name))} → {_text(sides[1][side].get(name))}"
        for side in ("left", "right")
        for name in sorted((sides[0][side].keys() | sides[1][side].keys()) - {NAME})
        if sides[0][side].get(name, ()) != sides[1][side].get(name, ())
    ]
    names = [
        f"name of the {side} entity {getattr(one, side).name!r} → {getattr(other, side).name!r}"
        for side in ("left", "right")
        if getattr(one, side).name != getattr(other, side).name
    ]
    return _some(names + moved)


def _similarities(one: Explanation, other: Explanation) -> str:
    """The similarities that moved most, of inputs that both versions have."""
    sides = [
        {f"{part.name}: {name}": value for part in found.inputs for name, value in part.similarities.items()}
        for found in (one, other)
    ]
    both = {name: value for name, value in sides[0].items() if name in sides[1]}
    moved = changes(both, {name: sides[1][name] for name in both})
    moved.sort(key=lambda change: (-abs(change.difference or 0.0), change.key))
    words = _some([f"{change.key} {shown(change.before)} → {shown(change.after)}" for change in moved])
    return f" ({words})" if words else " with the same similarities"


def _decision(one: Explanation, other: Explanation) -> dict[str, str]:
    """Why a pair is a match in one version alone, where its label and blocking do not say it."""
    reached = [found.probability >= found.threshold for found in (one, other)]
    if one.threshold != other.threshold and reached[0] != reached[1]:
        return {"threshold": _moved("the threshold", one.threshold, other.threshold)}
    if all(reached):
        refused = other if one.accepted else one
        return {"rivals": f"in the {'later' if one.accepted else 'earlier'} version: {refused.because}"}
    return {}


def _moved(what: str, before: float, after: float) -> str:
    return f"{what} {significant(before)} → {significant(after)}" if significant(before) != significant(after) else ""


def _text(values: tuple[str, ...] | None) -> str:
    return repr(", ".join(values)) if values else "none"


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _verdict(moves: list[Move], causes: list[str]) -> list[str]:
    """The findings, as sentences."""
    kinds = [move.kind for move in moves if move.kind not in {"same", "follows"}]
    if not kinds:
        return [no_moves(moves)]
    words = [
        f"{kinds.count(kind)} of {len(kinds)} changes are {what}" for kind, what in _KINDS.items() if kind in kinds
    ]
    return words + causes
