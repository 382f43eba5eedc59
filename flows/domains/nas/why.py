"""Why two networks say otherwise of an image, or why their fronts differ. Imports no Prefect.

A query is the id of an image of either version, or ``network``. An image is given to both networks, as either version has
it, so that what the network and what the pixels changed are told apart. For ``network`` the rows are the architectures of both
fronts by score, and what moved each: which search evaluated it, and its score, latency and limits there.
"""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.nas.answers import NetworkAnswers
from fingerpost.flows.ops.compare.causes import changes
from fingerpost.flows.ops.compare.why import Move, Why, named_causes, no_moves, only_method, ranked_moves, split_causes
from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.differences import differences, stage_text

#: The query that asks for the fronts.
NETWORK = "network"
#: What both networks' answers to images, and what fronts, are computed from.
_ANSWERING, _SEARCHING = ("images", "canvases", "trained"), ("images", "canvases", "latency", "search")
#: Differences of architectures that a finding names.
_NAMED = 6
#: Why a class or an architecture moved, human-readable.
_KINDS = {
    "classes": "because classes were added or removed",
    "image": "because the pixels of the image changed",
    "architecture": "because the network has another architecture",
    "weights": "because the network was trained to other weights",
    "evaluated": "of architectures that one search alone evaluated",
    "limits": "of architectures that keep the limits in one version alone",
    "score": "of architectures with another score",
    "latency": "of architectures with another estimated latency",
}
_Front = dict[str, Mapping[str, Any]]


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The most probable classes of an image, or the fronts, in two versions, and what moved them."""
    only_method(method, "network")
    sides = NetworkAnswers(store, before), NetworkAnswers(store, after)
    known = [query in side.row_of for side in sides]
    if not any(known) and query != NETWORK:
        some = ", ".join(sides[1].images.ids[:3].tolist())
        raise FingerpostError(
            f"why: expected the id of an image of either version (such as {some}), or {NETWORK}, got {query!r}; name one of"
            " them"
        )
    of_image = any(known)
    moves = _class_moves(sides, query, k) if of_image else _front_moves(sides, k)
    roles = _ANSWERING if of_image else _SEARCHING
    answering = [side.live.members[role] for side in sides for role in roles if role in side.live.members]
    roots, elsewhere = split_causes(store, before, after, answering, lambda _: False)
    versions = changes(*(side.live.artifact.manifest.run.get("versions", {}) for side in sides))
    said = [f"{query} is in the {'earlier' if known[0] else 'later'} version alone"] if sum(known) == 1 else []
    verdict = [*said, *_verdict(moves), *_networks(sides), *named_causes(roots, versions)]
    methods = sides[0].live.architecture.id, sides[1].live.architecture.id
    return Why(query, k, str(before), str(after), methods, moves, verdict, [], roots, elsewhere, versions)


def _class_moves(sides: tuple[NetworkAnswers, NetworkAnswers], key: str, k: int) -> list[Move]:
    """The classes of an image; a version that lacks it gets the pixels of the other one."""
    pixels = [side.images.pixels[[side.row_of[key]]] for side in sides if key in side.row_of]
    before, after = sides[0].ranked(pixels[0])[0], sides[1].ranked(pixels[-1])[0]
    #: The later pixels as the earlier network sees them.
    crossed = [name for name, _ in sides[0].ranked(pixels[-1])[0]]
    same_network = sides[0].live.architecture.id == sides[1].live.architecture.id
    labels = {
        str(side.live.classes[side.images.labels[side.row_of[key]]])
        for side in sides
        if key in side.row_of and side.images.masks is None
    }

    def reason(name: str, was: int, now: int, kept_order: bool) -> tuple[str, str]:
        there = [name in side.live.classes for side in sides]
        if there[0] != there[1]:
            return "classes", f"{name} is a class of the {'later' if there[1] else 'earlier'} version alone"
        places = [[one for one, _ in ranking].index(name) + 1 for ranking in (before, after)]
        if places[0] == places[1]:
            return "same", ""
        if crossed.index(name) + 1 == places[1]:
            return "image", "the earlier network puts it there too, for the pixels of the later version"
        if same_network:
            return "weights", "the architecture is the same, its weights are not"
        return "architecture", "the networks differ; the image alone would not have moved it"

    def title(name: str) -> str:
        return f"{name} (its label)" if name in labels else name

    return ranked_moves(before[:k], after[:k], title, reason)


def _front_moves(sides: tuple[NetworkAnswers, NetworkAnswers], k: int) -> list[Move]:
    """The architectures of the fronts by score."""
    fronts = [_front(side) for side in sides]
    every = [_evaluated(side) for side in sides]
    ranked = [[(key, float(row["score"])) for key, row in front.items()][:k] for front in fronts]

    def reason(key: str, was: int, now: int, kept_order: bool) -> tuple[str, str]:
        old, new = (found.get(key) for found in every)
        if old is None or new is None:
            return "evaluated", f"the {'later' if old is None else 'earlier'} search alone evaluated it"
        if old["feasible"] != new["feasible"]:
            return "limits", f"it keeps the limits of the {'earlier' if old['feasible'] else 'later'} version alone"
        for kind, name, unit in (("score", "score", ""), ("latency", "latency_ms", " ms")):
            if old[name] != new[name]:
                return kind, f"its {kind} {_number(old[name])} → {_number(new[name])}{unit}"
        return ("same", "") if was == now else ("follows", "others joined or left the front; it is the same")

    def title(key: str) -> str:
        row = every[1].get(key) or every[0][key]
        return "; ".join(map(stage_text, Architecture.parse(str(row["description"])).stages))

    return ranked_moves(ranked[0], ranked[1], title, reason)


def _evaluated(side: NetworkAnswers) -> _Front:
    rows = side.live.store.open(side.live.members["search"], contracts.SEARCH).read("evaluated").to_pylist()
    return {row["architecture"]: row for row in rows}


def _front(side: NetworkAnswers) -> _Front:
    return {row["architecture"]: row for row in side.live.front().to_pylist()}


def _number(value: float | None) -> str:
    return "unknown" if value is None else significant(value)


def _verdict(moves: list[Move]) -> list[str]:
    kinds = [move.kind for move in moves if move.kind not in {"same", "follows"}]
    if not kinds:
        return [no_moves(moves)]
    return [f"{kinds.count(kind)} of {len(kinds)} changes are {what}" for kind, what in _KINDS.items() if kind in kinds]


def _networks(sides: tuple[NetworkAnswers, NetworkAnswers]) -> list[str]:
    """How the networks themselves differ: architecture, front and accuracy."""
    moved = differences(sides[0].live.architecture, sides[1].live.architecture)
    more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    words = [
        f"the architecture changed: {'; '.join(moved[:_NAMED])}{more}" if moved else "the architecture is the same"
    ]
    fronts = [_front(side) for side in sides]
    both = len(fronts[0].keys() & fronts[1].keys())
    words.append(f"the fronts have {len(fronts[0])} and {len(fronts[1])} networks, {both} of them in both")
    values = [side.live.quality.get("accuracy") for side in sides]
    if None not in values and values[0] != values[1]:
        words.append(f"the accuracy on test images changed: {_number(values[0])} → {_number(values[1])}")
    return words
