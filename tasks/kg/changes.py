"""Which entities of a graph are new, changed or gone since an earlier version of it.

Changed is an entity of which a score sees something else: its type, name and attributes, its relations, and the ids and
names of the entities that they lead to. What those have beyond their names is theirs: an entity whose neighbour got another
attribute is not changed. Texts are compared as numbers that both versions share, so that nothing is hashed but numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.mixing import mixed

#: Places of facts in a digest: what one column says is not what another says with the same number.
_TYPE, _NAME, _ATTRIBUTE, _LEADS_TO, _LED_TO = range(5)


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


def changes_between(before: CodedGraph, now: CodedGraph) -> Changes:
    """What changed from one version of a graph to the next; entities are matched by their keys."""
    order = np.argsort(before.keys)
    places = np.minimum(np.searchsorted(before.keys[order], now.keys), max(len(order) - 1, 0))
    found = order[places] if len(order) else np.zeros(len(now.keys), dtype=np.int64)
    known = before.keys[found] == now.keys if len(order) else np.zeros(len(now.keys), dtype=bool)
    origin = np.where(known, found, -1)
    becomes = np.full(len(before.keys), -1, dtype=np.int64)
    becomes[origin[known]] = np.flatnonzero(known)
    then, digests = entity_digests(before), entity_digests(now)
    changed = ~known
    changed[known] = (digests[known] != then[origin[known]]).any(axis=1)
    return Changes(origin, becomes, changed)


def entity_digests(graph: CodedGraph) -> NDArray[np.uint64]:
    """uint64 (entities, 2): 128 bits of all that is said of each entity, in any order of rows.

    Two versions of an entity have equal digests where the same is said of it, and with a probability of about 2**-128
    where it is not. Equal facts count as often as they are there.
    """
    heads, kinds, tails = graph.relations.T
    rows = np.arange(len(graph.keys))
    facts = [
        (_TYPE, rows, [graph.types]),
        (_NAME, rows, [graph.names]),
        (_ATTRIBUTE, graph.attributes[:, 0], list(graph.attributes[:, 1:].T)),
        (_LEADS_TO, heads, [kinds, graph.keys[tails], graph.names[tails]]),
        (_LED_TO, tails, [kinds, graph.keys[heads], graph.names[heads]]),
    ]
    digests = np.zeros((len(graph.keys), 2), dtype=np.uint64)
    for half in range(2):
        for place, owners, columns in facts:
            words = mixed(np.full(len(owners), 2 * place + half + 1, dtype=np.uint64))
            for column in columns:
                words = mixed(words ^ column.astype(np.uint64))
            order = np.argsort(owners, kind="stable")
            starts = np.flatnonzero(np.diff(owners[order], prepend=-1))
            if len(starts):
                # A sum modulo 2**64, which does not depend on the order of facts.
                digests[owners[order][starts], half] += np.add.reduceat(words[order], starts)
    return digests


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
