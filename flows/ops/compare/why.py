"""Why two versions of a product answer a query differently, as each domain explains it. Imports no Prefect."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fingerpost.flows.domains import products
from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.compare.causes import Cause, Change, causes, lineage
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class Move:
    """An answer's ranks (from 1; 0 is beyond the first k) and scores in both versions, and what moved it.

    ``because`` is the evidence for that.
    """

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
    """A query in two versions; ``methods`` are their search methods."""

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


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int = 10, method: str = "auto") -> Why:
    """The answers of a query in two versions of a product, and what moved them."""
    if before.name != after.name:
        raise UsageError(f"why: expected two versions of one product, got {before} and {after}; name two of one")
    product = products().get(before.name)
    if product is None or not product.why:
        known = " or ".join(product.name for product in products().values() if product.why)
        raise UsageError(
            f"why: expected versions of a product that answers queries ({known}), got {before}; compare them with"
            " `fingerpost diff`"
        )
    found: Why = named(product.why)(store, before, after, query, k=k, method=method)
    return found


def only_method(method: str, title: str) -> None:
    """FingerpostError for a search method other than auto, for a product with a single one."""
    if method != "auto":
        raise UsageError(
            f"method: expected auto for a {title}, which is searched in one way, got {method!r}; leave it out"
        )


def positions_of(ranking: Sequence[tuple[str, float]]) -> dict[str, int]:
    """The rank of each key of a ranking, from 1."""
    return {key: position for position, (key, _) in enumerate(ranking, start=1)}


def position_without(positions: dict[str, int], key: str, others: Collection[str]) -> int:
    """The rank of a key without some others; 0 if it has none."""
    position = positions.get(key, 0)
    return position - sum(positions[other] < position for other in others if other in positions) if position else 0


def ranked_moves(
    before: Sequence[tuple[str, float]],
    after: Sequence[tuple[str, float]],
    title: Callable[[str], str],
    reason: Callable[[str, int, int, bool], tuple[str, str]],
) -> list[Move]:
    """Every answer of either version, in the order of the later one, then those that left.

    ``reason`` gets the key, both ranks, and whether the answers in both versions kept their order; it returns the kind
    of move and its cause.
    """
    old, new = positions_of(before), positions_of(after)
    scores = dict(before), dict(after)
    common = [key for key in new if key in old]
    kept_order = common == sorted(common, key=lambda key: old[key])
    found = []
    for key in [*new, *(key for key in old if key not in new)]:
        positions = old.get(key, 0), new.get(key, 0)
        kind, because = reason(key, *positions, kept_order)
        found.append(Move(key, title(key), *positions, scores[0].get(key), scores[1].get(key), kind, because))
    return found


def no_moves(moves: Sequence[Move]) -> str:
    """The finding where no answer moved by itself."""
    same = all(move.kind == "same" for move in moves)
    return "the answers are the same" if same else "no answer changed positions with another"


def split_causes(
    store: Store, before: Ref, after: Ref, answering: Collection[Ref], serves: Callable[[Cause], bool]
) -> tuple[list[Cause], list[Cause]]:
    """The causes of a difference: those in the artifacts that answer, and those elsewhere.

    ``answering`` are the artifacts of both versions that answer; ``serves`` picks other causes that decide answers too.
    """
    made = {ref.identity for artifact in answering for ref, _ in lineage(store, artifact).values()}
    sides = [lineage(store, ref) for ref in (before, after)]

    def answers(cause: Cause) -> bool:
        refs = [side[cause.artifact][0] for side in sides if cause.artifact in side]
        return any(ref.identity in made for ref in refs) or serves(cause)

    every = causes(store, before, after)
    roots = [cause for cause in every if answers(cause)]
    return roots, [cause for cause in every if cause not in roots]


def named_causes(roots: Sequence[Cause], versions: Sequence[Change], *, alone: bool = True) -> list[str]:
    """The differences in the artifacts that answer, as sentences; ``alone``: nothing else can have moved answers."""
    words = []
    listed = [f"{' and '.join(cause.kinds)}: {cause}" for cause in roots]
    if len(roots) == 1 and not versions and alone:
        words.append(
            f"one thing differs in what answers are computed from, so the answers differ because of it: {listed[0]}"
        )
    elif roots:
        words.append(
            f"{len(roots)} things differ in what answers are computed from; which of them moved scores is unknown"
            f" without recomputation: {'; '.join(listed)}"
        )
    else:
        words.append("no parameter, code or input differs in what answers are computed from")
    if versions:
        words.append(f"library versions differ too: {', '.join(f'{c.key} {c.before} → {c.after}' for c in versions)}")
    return words
