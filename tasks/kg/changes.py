"""Which entities of a graph are new, changed or gone since an earlier version of it.

Changed is an entity of which a score sees something else: its type, name or attributes, or more than a share of its
neighbourhood: its relations, and the ids and names of the entities that they lead to. What those have beyond their names is
theirs: an entity whose neighbour got another attribute is not changed. Texts are compared as numbers that both versions share,
so that nothing is hashed but numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import looked_up
from fingerpost.tasks.kg.mixing import mixed

#: Places of facts in a digest: what one column says is not what another says with the same number.
_TYPE, _NAME, _ATTRIBUTE, _LEADS_TO, _LED_TO = range(5)


@dataclass(frozen=True)
class ChangeParams:
    """neighbors: an entity of which only neighbours are others is changed if these are more than this share of all.

    One new or renamed neighbour among many hardly moves a score, but would make all of the others' entities changed too.
    """

    neighbors: float = 1 / 3

    def __post_init__(self) -> None:
        if not 0 <= self.neighbors <= 1:
            raise ValueError(f"changes: expected a share of neighbors of 0 to 1, got {self.neighbors}; correct it")


@dataclass(frozen=True)
class CodedGraph:
    """A graph whose texts are numbers, equal for equal texts of both versions.

    keys, types, names: int64 (entities,). attributes: int64 (m, 1 + c), the row of an entity and c texts of what is said of
    it. relations: int64 (k, 3), the row of the head, a text, the row of the tail.
    """

    keys: NDArray[np.int64]
    types: NDArray[np.int64]
    names: NDArray[np.int64]
    attributes: NDArray[np.int64]
    relations: NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """The entities of a version beside those of an earlier one.

    origin: int64 (entities,), the row in the earlier version, -1 for a new one. becomes: int64 (entities before,), the row
    now, -1 for one that is gone. changed: bool (entities,), new or changed.
    """

    origin: NDArray[np.int64]
    becomes: NDArray[np.int64]
    changed: NDArray[np.bool_]

    @property
    def unchanged(self) -> NDArray[np.int64]:
        """int64 (entities before,): the row now of an entity of which nothing else is said, -1 for others."""
        kept = self.becomes >= 0
        kept[kept] = ~self.changed[self.becomes[kept]]
        return np.where(kept, self.becomes, -1)

    @property
    def new(self) -> int:
        """Number of new entities."""
        return int((self.origin < 0).sum())

    @property
    def gone(self) -> int:
        """Number of entities that are gone."""
        return int((self.becomes < 0).sum())

    @property
    def share(self) -> float:
        """New, changed and gone entities, as a fraction of those of the earlier version (1 where it had none)."""
        return (int(self.changed.sum()) + self.gone) / max(len(self.becomes), 1) if len(self.becomes) else 1.0


def changes_between(before: CodedGraph, now: CodedGraph, params: ChangeParams) -> Changes:
    """The changes from one version of a graph to the next; entities are matched by their keys."""
    order = np.argsort(before.keys)
    places, known = looked_up(before.keys[order], now.keys)
    origin = np.where(known, order[places] if len(order) else -1, -1)
    becomes = np.full(len(before.keys), -1, dtype=np.int64)
    becomes[origin[known]] = np.flatnonzero(known)
    then, digests = (entity_digests(_own_facts(graph), len(graph.keys)) for graph in (before, now))
    changed = ~known
    changed[known] = (digests[known] != then[origin[known]]).any(axis=1)
    around = _other_neighbors(before, now, becomes)
    return Changes(origin, becomes, changed | (known & (around > params.neighbors)))


@dataclass(frozen=True)
class _Facts:
    """Facts of entities: int64 (m,) rows of these, and two words uint64 (m, 2) for each fact, equal for equal facts."""

    owners: NDArray[np.int64]
    words: NDArray[np.uint64]


def _facts(parts: list[tuple[int, NDArray[np.int64], list[NDArray[np.int64]]]]) -> _Facts:
    """From the kind of some facts, the entities that they are of, and the columns that say them."""
    words = []
    for kind, owners, columns in parts:
        halves = [mixed(np.full(len(owners), 2 * kind + half, dtype=np.uint64)) for half in range(2)]
        for column in columns:
            halves = [mixed(half ^ column.astype(np.uint64)) for half in halves]
        words.append(np.stack(halves, axis=1))
    return _Facts(np.concatenate([owners for _, owners, _ in parts]), np.concatenate(words))


def _own_facts(graph: CodedGraph) -> _Facts:
    rows = np.arange(len(graph.keys))
    said = graph.attributes
    return _facts(
        [
            (_TYPE, rows, [graph.types]),
            (_NAME, rows, [graph.names]),
            (_ATTRIBUTE, said[:, 0], list(said[:, 1:].T)),
        ]
    )


def _neighbor_facts(graph: CodedGraph) -> _Facts:
    heads, kinds, tails = graph.relations.T
    return _facts(
        [
            (_LEADS_TO, heads, [kinds, graph.keys[tails], graph.names[tails]]),
            (_LED_TO, tails, [kinds, graph.keys[heads], graph.names[heads]]),
        ]
    )


def entity_digests(facts: _Facts, entities: int) -> NDArray[np.uint64]:
    """uint64 (entities, 2): 128 bits of all facts of each entity, in any order.

    Two versions of an entity have equal digests where the same is said of it, and with a probability of about 2**-128
    where it is not. Equal facts count as often as they are there.
    """
    digests = np.zeros((entities, 2), dtype=np.uint64)
    order = np.argsort(facts.owners, kind="stable")
    owners = facts.owners[order]
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    if len(starts):
        # Sums modulo 2**64, which do not depend on the order of facts.
        digests[owners[starts]] = np.add.reduceat(facts.words[order], starts, axis=0)
    return digests


def _other_neighbors(before: CodedGraph, now: CodedGraph, becomes: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (entities,): which share of the relations of an entity, then or now whichever were more, is not in both."""
    then, facts = _neighbor_facts(before), _neighbor_facts(now)
    then = _Facts(becomes[then.owners], then.words)
    count = len(now.keys)
    sides = [_of(side, side.owners >= 0) for side in (then, facts)]
    digests = [entity_digests(side, count) for side in sides]
    differs = (digests[0] != digests[1]).any(axis=1)
    # Only of these are facts compared one by one.
    old, new = (_of(side, differs[side.owners]) for side in sides)
    sizes = [np.bincount(side.owners, minlength=count) for side in (old, new)]
    words = np.concatenate(
        [old.words[:, 0] ^ mixed(old.owners.astype(np.uint64)), new.words[:, 0] ^ mixed(new.owners.astype(np.uint64))]
    )
    order = np.argsort(words, kind="stable")
    # Facts of an entity are distinct in each version: equal neighbours in this order are one of either.
    same = words[order][1:] == words[order][:-1]
    common = np.bincount(np.concatenate([old.owners, new.owners])[order][1:][same], minlength=count)
    most = np.maximum(*sizes)
    return (most - common) / np.maximum(most, 1)


def _of(facts: _Facts, kept: NDArray[np.bool_]) -> _Facts:
    return _Facts(facts.owners[kept], facts.words[kept])


def carried_pairs(
    left: NDArray[np.integer], right: NDArray[np.integer], sides: tuple[Changes, Changes], *, within: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of an earlier version of which neither entity is changed or gone: their places, and their rows now.

    left, right: (m,) rows in the earlier version. within: both sides are one, and the smaller row is the left one. Returns
    places int64 (k,), so that the rows now, int64 (k,) each, ascend.
    """
    ours, theirs = (side.unchanged[entities] for side, entities in zip(sides, (left, right), strict=True))
    kept = (ours >= 0) & (theirs >= 0)
    if within:
        ours, theirs = np.minimum(ours, theirs), np.maximum(ours, theirs)
    places = np.flatnonzero(kept)
    packed = ours[places] * (int(theirs.max(initial=0)) + 1) + theirs[places]
    # Rows mostly keep their order, and then there is nothing to sort.
    if (np.diff(packed) < 0).any():
        places = places[np.argsort(packed, kind="stable")]
    return places, ours[places], theirs[places]
