"""The text of an entity, and the text of the entities around it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.graph import RelationGraph
from fingerpost.tasks.kg.lookups import spread


def entity_texts(names: Sequence[str], owners: NDArray[np.integer], values: Sequence[str]) -> list[str]:
    """The name and the distinct values of attributes of each entity, in order, with blanks between.

    owners: (m,) the entity of each value. A value that is the entity's name, or that it has before, is not repeated.
    """
    parts: list[list[str]] = [[name] if name else [] for name in names]
    for owner, value in zip(owners.tolist(), values, strict=True):
        mine = parts[owner]
        if value and value not in mine:
            mine.append(value)
    return [" ".join(mine) for mine in parts]


def neighbor_texts(graph: RelationGraph, names: Sequence[str], begin: int, end: int, *, most: int) -> list[str]:
    """The names of up to ``most`` neighbours of the nodes from ``begin`` to ``end`` (exclusive), as `names_around`."""
    return names_around(graph, names, np.arange(begin, end), most=most)


def names_around(graph: RelationGraph, names: Sequence[str], nodes: NDArray[np.integer], *, most: int) -> list[str]:
    """The names of up to ``most`` neighbours of some nodes.

    First those that few others share the relation with around the node, then those of fewest neighbours of their own, as
    they say most; a neighbour by several relations counts once.
    """
    indptr, degrees = graph.indptr, graph.degrees
    sizes = degrees[nodes]
    owners = np.repeat(np.arange(len(nodes)), sizes)
    places = spread(indptr[nodes], sizes)
    neighbors, runs = graph.neighbors[places], np.searchsorted(graph.starts, places, side="right") - 1
    order = np.lexsort((neighbors, degrees[neighbors], np.diff(graph.starts)[runs], owners))
    chosen: list[dict[str, None]] = [{} for _ in range(len(nodes))]
    for owner, neighbor in zip(owners[order].tolist(), neighbors[order].tolist(), strict=True):
        name = names[neighbor]
        if name and len(chosen[owner]) < most:
            chosen[owner][name] = None
    return [" ".join(mine) for mine in chosen]
