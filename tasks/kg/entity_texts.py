"""The texts of the entities of one side: names, attributes, and the names of their neighbours by relation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.terms import NAME, NEIGHBORS, WHOLE

#: Marks a relation that is followed from its tail to its head.
INVERSE = "^"


@dataclass(frozen=True)
class Linked:
    """The neighbours of each entity: those of entity i are neighbors[indptr[i]:indptr[i + 1]], each once, ascending."""

    indptr: NDArray[np.int64]
    neighbors: NDArray[np.uint32]

    @staticmethod
    def of(owners: NDArray[np.integer], neighbors: NDArray[np.integer], entities: int) -> "Linked":
        """From pairs of an entity and its neighbour, in any order."""
        packed = np.sort((owners.astype(np.int64) << 32) | neighbors.astype(np.int64))
        packed = packed[np.diff(packed, prepend=-1) != 0]
        return Linked(
            np.searchsorted(packed >> 32, np.arange(entities + 1)).astype(np.int64),
            (packed & (2**32 - 1)).astype(np.uint32),
        )

    @property
    def entities(self) -> int:
        """Number of entities."""
        return len(self.indptr) - 1

    def of_rows(self, rows: NDArray[np.integer]) -> list[NDArray[np.uint32]]:
        """The neighbours of some entities."""
        return [self.neighbors[self.indptr[row] : self.indptr[row + 1]] for row in rows]


#: The texts of all entities, or a function of some of them.
Texts = Sequence[str] | Callable[[NDArray[np.integer]], list[str]]


@dataclass(frozen=True)
class EntityTexts:
    """One side: names, one per entity, "" for none; all of its texts together; attribute to a text per entity; triples.

    values: of the attributes that are compared. Instead of the texts of all entities there may be a function of some,
    ascending, that makes theirs: making all takes longer than comparing few pairs. triples: (m, 3) head, relation, tail; relations: their names.
    """

    names: Sequence[str]
    whole: Texts
    values: Mapping[str, Texts]
    triples: NDArray[np.uint32] = field(default_factory=lambda: np.zeros((0, 3), dtype=np.uint32))
    relations: Sequence[str] = ()
    _linked: dict[str, Linked] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def linked(self, relation: str) -> Linked:
        """The neighbours by a relation (with INVERSE before it: from tail to head), or by any; none by an unknown one."""
        if relation not in self._linked:
            heads, kinds, tails = self.triples.T
            if relation == NEIGHBORS:
                ends = np.append(heads, tails), np.append(tails, heads)
            else:
                name = relation.removeprefix(INVERSE)
                chosen = kinds == (self.relations.index(name) if name in self.relations else -1)
                ends = (heads[chosen], tails[chosen]) if name == relation else (tails[chosen], heads[chosen])
            self._linked[relation] = Linked.of(*ends, len(self))
        return self._linked[relation]

    def related(self) -> dict[str, int]:
        """Number of entities that have each relation, in both directions, those without any entity left out."""
        found: dict[str, int] = {}
        for mark, column in (("", 0), (INVERSE, 2)):
            packed = np.unique(self.triples[:, 1].astype(np.int64) << 32 | self.triples[:, column].astype(np.int64))
            kinds, counts = np.unique(packed >> 32, return_counts=True)
            found |= {mark + self.relations[kind]: int(n) for kind, n in zip(kinds, counts, strict=True)}
        return found

    def texts(self, attribute: str, rows: NDArray[np.integer]) -> list[str]:
        """The texts of some entities: of an attribute, of NAME or of WHOLE; "" for none."""
        texts = {NAME: self.names, WHOLE: self.whole}.get(attribute, self.values.get(attribute, ()))
        if callable(texts):
            distinct, place = np.unique(rows, return_inverse=True)
            made = texts(distinct)
            return [made[at] for at in place.tolist()]
        return [texts[row] for row in rows.tolist()] if texts else [""] * len(rows)

    def neighbor_names(self, relation: str, rows: NDArray[np.integer], *, most: int) -> list[list[str]]:
        """The names of the neighbours of some entities by a relation, those of smaller numbers first."""
        found = self.linked(relation).of_rows(rows)
        return [[name for one in near[:most].tolist() if (name := self.names[one])] for near in found]
