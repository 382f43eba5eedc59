"""The pairs of entities that are compared in full: the union of several proposals, capped for each left entity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.hnsw import gather_distances
from fingerpost.tasks.kg.lookups import looked_up, spread
from fingerpost.tasks.kg.search import Nearest
from fingerpost.tasks.kg.shared_neighbors import places

#: What proposed a pair, as bits.
VECTORS, NEIGHBORS, RULES, LINKS, STRUCTURE = 1, 2, 4, 8, 16
SOURCES = {"vectors": VECTORS, "neighbors": NEIGHBORS, "rules": RULES, "links": LINKS, "structure": STRUCTURE}


@dataclass(frozen=True)
class BlockingParams:
    """Which pairs become candidates.

    candidates: maximum number of candidates of a left entity.
    types: the types that are paired; where none is given, those of known pairs, and without these all that both sides
        have.
    rules: attributes whose equal values make a candidate; "name" and "id" are those of the entities.
    most_equal: a value of more entities than this on a side proposes nothing.
    shared: maximum number of candidates of a left entity by shared neighbours.
    most_neighbors: a neighbour of more entities than this on a side is not looked at.
    anchor_similarity: least cosine of two entities, each the other's nearest, that count as one shared neighbour, as
        known pairs do.
    """

    candidates: int = 20
    types: tuple[str, ...] = ()
    rules: tuple[str, ...] = ("name",)
    most_equal: int = 20
    shared: int = 10
    most_neighbors: int = 100
    anchor_similarity: float = 0.8

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.most_equal < 1 or self.shared < 0 or self.most_neighbors < 1:
            raise ValueError(
                "blocking: expected candidates, most_equal and most_neighbors of at least 1, and shared of at least 0, got"
                f" {self.candidates}, {self.most_equal}, {self.most_neighbors} and {self.shared}; correct them"
            )


@dataclass(frozen=True)
class Proposals:
    """Pairs from one source: left, right: uint32 (m,); ranks: int64 (m,), from 0, the best of its entity; source: a bit."""

    left: NDArray[np.uint32]
    right: NDArray[np.uint32]
    ranks: NDArray[np.int64]
    source: int

    def of(self, begin: int, end: int) -> "Proposals":
        """Those of the left entities from ``begin`` to ``end`` (exclusive)."""
        kept = (self.left >= begin) & (self.left < end)
        return Proposals(self.left[kept], self.right[kept], self.ranks[kept], self.source)


@dataclass(frozen=True)
class Candidates:
    """left, right: uint32 (m,), ascending by both; similarity: float32 (m,), cosines; sources: uint8 (m,), bits."""

    left: NDArray[np.uint32]
    right: NDArray[np.uint32]
    similarity: NDArray[np.float32]
    sources: NDArray[np.uint8]


def proposed_nearest(nearest: Nearest, source: int, *, begin: int = 0, turned: bool = False) -> Proposals:
    """The pairs of a search for the entities from ``begin`` on; turned: of right entities among left ones."""
    owners = np.repeat(np.arange(len(nearest.indptr) - 1), np.diff(nearest.indptr))
    ranks = np.arange(len(owners)) - nearest.indptr[owners]
    found = (owners + begin).astype(np.uint32)
    left, right = (nearest.rows, found) if turned else (found, nearest.rows)
    return Proposals(left, right, ranks, source)


def proposed_scored(
    left: NDArray[np.integer], right: NDArray[np.integer], scores: NDArray[np.floating], source: int
) -> Proposals:
    """Scored pairs, ranked among those of their left or of their right entity, whichever is better."""
    ranks = np.full(len(left), len(left), dtype=np.int64)
    for owners, partners in ((left, right), (right, left)):
        order = np.lexsort((partners, -scores, owners))
        ranks[order] = np.minimum(ranks[order], places(owners[order]))
    return Proposals(left.astype(np.uint32), right.astype(np.uint32), ranks, source)


def proposed_equal(
    left: tuple[NDArray[np.integer], Sequence[str]], right: tuple[NDArray[np.integer], Sequence[str]], *, most: int
) -> Proposals:
    """The pairs of entities that have an equal value, aside from case and blanks.

    left, right: entities (m,) and a value of each; an empty value is equal to none. most: values of more entities of a
    side propose nothing.
    """
    known: dict[str, int] = {}
    sides = [_numbered(side, known) for side in (left, right)]
    size = len(known)
    sizes = [np.bincount(numbers, minlength=size) for _, numbers in sides]
    usable = (sizes[0] <= most) & (sizes[1] <= most)
    rows = []
    for entities, numbers in sides:
        kept = usable[numbers]
        rows.append((entities[kept], numbers[kept]))
    (ours, first), (theirs, second) = rows
    order = np.argsort(second, kind="stable")
    starts = np.searchsorted(second[order], np.arange(size + 1))
    counts = np.diff(starts)[first]
    one, other = (
        np.repeat(ours, counts).astype(np.uint32),
        theirs[order][spread(starts[first], counts)].astype(np.uint32),
    )
    return Proposals(one, other, np.zeros(len(one), dtype=np.int64), RULES)


def _numbered(
    side: tuple[NDArray[np.integer], Sequence[str]], known: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct pairs of an entity and the number of a value, without empty values."""
    texts = [" ".join(value.casefold().split()) for value in side[1]]
    numbers = np.array([known.setdefault(text, len(known)) if text else -1 for text in texts], dtype=np.int64)
    kept = numbers >= 0
    found = np.unique(np.stack([np.asarray(side[0], dtype=np.int64)[kept], numbers[kept]], axis=1), axis=0)
    return found[:, 0], found[:, 1]


def union(
    proposals: Sequence[Proposals],
    types: tuple[NDArray[np.integer], NDArray[np.integer]],
    vectors: tuple[NDArray[np.float32], NDArray[np.float32]],
    params: BlockingParams,
    *,
    begin: int = 0,
    within: bool = False,
) -> Candidates:
    """The candidates of some left entities: pairs of one type, each once, the best ``params.candidates`` of each left one.

    types: the number of each entity's type, -1 where it is not paired. vectors: float32, unit rows or zeros, of the left
    entities from ``begin`` on and of all right ones. Pairs of rules come first, then all by their best rank from any source,
    of these the more similar, then the smaller right number. Known pairs always find a place; those that would have none
    otherwise are of ``LINKS`` alone. within: both sides are one, and a pair is of its smaller entity as the left one.
    """
    left, right, ranks, bits = _merged(proposals, types, within=within)
    similarity = cosines(left - begin, right, vectors)
    order = np.lexsort((right, -similarity, ranks, left))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = places(left[order])
    known = (bits & LINKS) > 0
    bits[known & (place >= params.candidates)] = LINKS
    order = np.lexsort((place, ~known, left))
    chosen = np.sort(order[places(left[order]) < params.candidates])
    return Candidates(left[chosen].astype(np.uint32), right[chosen].astype(np.uint32), similarity[chosen], bits[chosen])


def _merged(
    proposals: Sequence[Proposals], types: tuple[NDArray[np.integer], NDArray[np.integer]], *, within: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """The distinct pairs of one type by left and right, their best rank and the bits of their sources."""
    left = np.concatenate([one.left for one in proposals]).astype(np.int64)
    right = np.concatenate([one.right for one in proposals]).astype(np.int64)
    ranks = np.concatenate([_ranks(one) for one in proposals])
    bits = np.concatenate([np.full(len(one.left), one.source, dtype=np.uint8) for one in proposals])
    kept = (types[0][left] == types[1][right]) & (types[0][left] >= 0)
    if within:
        kept &= left < right
    order = np.flatnonzero(kept)[np.lexsort((right[kept], left[kept]))]
    left, right, ranks, bits = left[order], right[order], ranks[order], bits[order]
    starts = np.flatnonzero((np.diff(left, prepend=-1) != 0) | (np.diff(right, prepend=-1) != 0))
    if len(starts):
        ranks, bits = np.minimum.reduceat(ranks, starts), np.bitwise_or.reduceat(bits, starts)
    return left[starts], right[starts], ranks, bits


def _ranks(proposals: Proposals) -> NDArray[np.int64]:
    """Ranks that put rules before all others, and what only links propose behind."""
    if proposals.source == RULES:
        return np.full(len(proposals.left), -1, dtype=np.int64)
    if proposals.source == LINKS:
        return np.full(len(proposals.left), np.iinfo(np.int64).max, dtype=np.int64)
    return proposals.ranks


def cosines(
    left: NDArray[np.integer], right: NDArray[np.integer], vectors: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """float32 (m,): the inner product of each pair of rows, bit for bit that of a search; ``left`` ascends."""
    owners, counts = np.unique(left, return_counts=True)
    indptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    ours = np.ascontiguousarray(vectors[0][owners])
    return 1.0 - gather_distances(ours, vectors[1], indptr, right.astype(np.uint32), "ip")


def found_positives(candidates: Candidates, positives: NDArray[np.integer], *, rights: int) -> NDArray[np.bool_]:
    """bool (m,): which known pairs (m, 2) were proposed by anything but links; rights: number of right entities."""
    kept = candidates.sources != LINKS
    keys = candidates.left[kept].astype(np.int64) * rights + candidates.right[kept]
    wanted = positives[:, 0].astype(np.int64) * rights + positives[:, 1]
    # Candidates ascend.
    return looked_up(keys, wanted)[1]


def recalls(known: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """The share of known pairs that was found, by name, of the numbers found and known of each; left out where none is."""
    return {name: found / count for name, (found, count) in sorted(known.items()) if count}
