"""A graph as an aligner sees it: a row of neighbours per entity, each with the matrix that its relation goes through."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.neighborhoods import Neighborhoods

#: No neighbour.
NONE = -1
#: The vectors (n, d) of texts by their numbers.
ValueVectors = Callable[[NDArray[np.int64]], NDArray[np.float32]]
#: The kinds of relations: to an entity, and to the value of an attribute.
RELATION, ATTRIBUTE = "relation", "attribute"


@dataclass(frozen=True, order=True)
class Matrix:
    """A matrix of an aligner by what goes through it: relations of one name and direction, or an attribute.

    inverse: the relation leads from the neighbour to the entity. An empty name: all that have no matrix of their own.
    """

    kind: str
    name: str
    inverse: bool = False


#: The matrices of what is too rare to have its own.
SHARED = (Matrix(RELATION, ""), Matrix(RELATION, "", True), Matrix(ATTRIBUTE, ""))


@dataclass(frozen=True)
class EntityValues:
    """Values of attributes, a row per value.

    names: of attributes. entities, keys, texts: int (m,), the entity, the number of the attribute and that of the text of
    each. distinct: number of texts.
    """

    names: Sequence[str]
    entities: NDArray[np.integer]
    keys: NDArray[np.integer]
    texts: NDArray[np.integer]
    distinct: int


@dataclass(frozen=True)
class EntityFacts:
    """One side as it is stored.

    vectors: float32 (entities, d). neighborhoods: sampled neighbours; entities without a sample have none.
    relation_names: by number. values: of attributes.
    """

    vectors: NDArray[np.float32]
    neighborhoods: Neighborhoods
    relation_names: Sequence[str]
    values: EntityValues


@dataclass(frozen=True)
class AlignerGraph:
    """One side: nodes are its entities, and after these the distinct texts of values.

    vectors: float32 (entities, d). neighbors: int32 (entities, slots), nodes or `NONE`. matrices: int32 (entities, slots), the
    matrix of each neighbour. texts: number of texts. embed: the vectors (n, d) of texts by number.
    """

    vectors: NDArray[np.float32]
    neighbors: NDArray[np.int32]
    matrices: NDArray[np.int32]
    texts: int
    embed: ValueVectors

    @property
    def entities(self) -> int:
        """Number of entities."""
        return len(self.neighbors)

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.entities + self.texts

    def rows(self, nodes: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32 (n, d): the vectors of nodes, ascending; those of texts are made now."""
        split = int(np.searchsorted(nodes, self.entities))
        own = self.vectors[nodes[:split]]
        if split == len(nodes):
            return own
        return np.concatenate([own, self.embed(np.asarray(nodes[split:], np.int64) - self.entities)])

    def embedded(self) -> "AlignerGraph":
        """The same graph with the vectors of all texts made once, for training."""
        vectors = self.embed(np.arange(self.texts))
        return replace(self, embed=lambda numbers: vectors[numbers])


def matrices_of(*sides: EntityFacts, most: int) -> tuple[Matrix, ...]:
    """The matrices for some graphs: `SHARED`, and those of the ``most`` most frequent relations and attributes.

    Relations of the same name are one in all graphs; of equally frequent ones those of the first names are taken.
    """
    counts: Counter[Matrix] = Counter()
    for side in sides:
        numbers = np.bincount(side.neighborhoods.relations, minlength=2 * len(side.relation_names))
        for name, forth, back in zip(side.relation_names, *numbers.reshape(2, -1).tolist(), strict=True):
            counts[Matrix(RELATION, name)] += forth + back
        for name, count in zip(
            side.values.names, np.bincount(side.values.keys, minlength=len(side.values.names)).tolist(), strict=True
        ):
            counts[Matrix(ATTRIBUTE, name)] += count
    frequent = sorted((matrix for matrix in counts if counts[matrix]), key=lambda matrix: (-counts[matrix], matrix))
    return SHARED + tuple(own for matrix in sorted(frequent[:most]) for own in _directions(matrix))


def _directions(matrix: Matrix) -> tuple[Matrix, ...]:
    return (matrix,) if matrix.kind == ATTRIBUTE else (matrix, Matrix(RELATION, matrix.name, True))


def aligner_graph(
    facts: EntityFacts, matrices: Sequence[Matrix], embed: ValueVectors, *, cap: int, attribute_cap: int
) -> AlignerGraph:
    """The graph of one side.

    embed: see `AlignerGraph`. cap, attribute_cap: sampled neighbours and values of attributes of an entity that are looked
    at; of more values those of the first rows.
    """
    count, values = len(facts.vectors), facts.values
    number = {matrix: place for place, matrix in enumerate(matrices)}
    neighbors = np.full((count, cap + attribute_cap), NONE, np.int32)
    through = np.zeros((count, cap + attribute_cap), np.int32)
    owners = np.repeat(facts.neighborhoods.nodes.astype(np.int64), np.diff(facts.neighborhoods.indptr))
    ways = _relation_matrices(facts.relation_names, number)[facts.neighborhoods.relations]
    _fill(neighbors[:, :cap], through[:, :cap], owners, facts.neighborhoods.neighbors, ways)
    ways = _numbers((Matrix(ATTRIBUTE, name) for name in values.names), number, 2)[values.keys]
    owners = np.asarray(values.entities, np.int64)
    _fill(neighbors[:, cap:], through[:, cap:], owners, np.asarray(values.texts, np.int64) + count, ways)
    return AlignerGraph(facts.vectors, neighbors, through, values.distinct, embed)


def _relation_matrices(names: Sequence[str], number: dict[Matrix, int]) -> NDArray[np.int32]:
    forth = _numbers((Matrix(RELATION, name) for name in names), number, 0)
    back = _numbers((Matrix(RELATION, name, True) for name in names), number, 1)
    return np.concatenate([forth, back])


def _numbers(matrices: Iterable[Matrix], number: dict[Matrix, int], other: int) -> NDArray[np.int32]:
    return np.array([number.get(matrix, other) for matrix in matrices], np.int32)


def _fill(
    neighbors: NDArray[np.int32],
    through: NDArray[np.int32],
    owners: NDArray[np.int64],
    nodes: NDArray[np.integer],
    matrices: NDArray[np.int32],
) -> None:
    """Writes the edges of each owner, given in its order, into its first slots."""
    order = np.argsort(owners, kind="stable")
    owners = owners[order]
    slots = np.arange(len(owners)) - np.searchsorted(owners, owners)
    kept = slots < neighbors.shape[1]
    neighbors[owners[kept], slots[kept]] = nodes[order][kept]
    through[owners[kept], slots[kept]] = matrices[order][kept]
