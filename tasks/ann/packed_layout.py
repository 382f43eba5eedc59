"""A graph in the arrays of a packed index: lists in rows of one width, upper levels by position."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.graph import Graph

#: The width of a list is a multiple of this.
GROUP = 8

Shape = tuple[tuple[int, ...], np.dtype[np.generic]]


def array_shapes(
    graph: Graph, *, row_bytes: int, ranges: int, code_bytes: int, matrix: tuple[int, ...], reordered: bool
) -> dict[str, Shape]:
    """Shape and type of every array.

    row_bytes: of a stored vector. ranges: number of ranges of stored values. code_bytes: of a code; 0 without codes.
    matrix: shape of the codes' map.
    """
    n, upper = graph.size, graph.upper
    count = len(upper[0].nodes) if upper else 0
    records = sum(len(level.nodes) for level in upper)
    widest = max((int(np.diff(level.indptr).max(initial=0)) for level in upper), default=0)
    positions = matrix[1] if code_bytes else 0
    octets, numbers, reals = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.float32)
    return {
        "numbers": ((8,), np.dtype(np.int64)),
        "links": ((n, link_width(graph)), numbers),
        "upper_nodes": ((count,), numbers),
        "upper_start": ((count,), numbers),
        "upper_links": ((records, 1 + widest if records else 0), numbers),
        "entries": ((len(graph.entry_points),), numbers),
        "rows": ((n if reordered else 0,), numbers),
        "store": ((n, row_bytes), octets),
        "store_low": ((ranges,), reals),
        "store_step": ((ranges,), reals),
        "codes": ((n if code_bytes else 0, code_bytes), octets),
        "matrix": ((matrix[0] if code_bytes else 0, positions), reals),
        "shift": ((positions,), reals),
        "low": ((positions,), reals),
        "step": ((positions,), reals),
    }


def check_numbers(arrays: Mapping[str, NDArray[np.generic]], *, size: int, top_level: int) -> None:
    """Raises ValueError where numbers in small arrays lead a search out of the index or from a level to none.

    What it takes does not grow with the lists of level 0: a search passes over numbers in those that name no node.
    """
    nodes, start, links, entries, rows = (
        arrays[name] for name in ("upper_nodes", "upper_start", "upper_links", "entries", "rows")
    )
    first = np.append(start.astype(np.int64), len(links))
    heights = np.diff(first)
    fits = len(arrays["links"]) == size and len(rows) in (0, size) and (top_level > 0) == (len(nodes) > 0)
    fits = fits and len(start) == len(nodes) and not (len(nodes) and (first[0] or heights.min() < 1))
    # Of an entry and of a neighbour, the level from which it is reached.
    fits = fits and _below(nodes, size) and _below(entries, len(nodes) or size) and _below(rows, size)
    if fits and len(nodes):
        level = np.arange(len(links)) - np.repeat(first[:-1], heights) + 1
        degrees = links[:, 0].astype(np.int64)
        listed = links[:, 1:][np.arange(links.shape[1] - 1) < degrees[:, None]]
        fits = bool(
            degrees.max() < links.shape[1]
            and _below(listed, len(nodes))
            and heights[entries].min() >= top_level
            and (heights[listed] >= np.repeat(level, degrees)).all()
        )
    if not fits:
        raise ValueError(
            f"packed index: expected numbers of its {size} nodes and {top_level} levels, got others; pack it again"
        )


def _below(numbers: NDArray[np.generic], limit: int) -> bool:
    return not numbers.size or int(numbers.max()) < limit


def link_width(graph: Graph) -> int:
    """Ids of a row of links: the largest degree, rounded up."""
    return max(-(-int(graph.degrees.max(initial=0)) // GROUP) * GROUP, GROUP)


def link_rows(graph: Graph, order: NDArray[np.int64] | None, out: NDArray[np.generic]) -> None:
    """Writes each node's list, filled up with the node's own number; order: the row number of each node."""
    n, width = out.shape
    place = _inverse(order)
    block = max(1, (1 << 22) // width)
    for begin in range(0, n, block):
        nodes = np.arange(begin, min(begin + block, n))
        rows = nodes if order is None else order[nodes]
        degrees = graph.degrees[rows]
        starts = np.repeat(graph.indptr[rows] - np.concatenate([[0], np.cumsum(degrees)[:-1]]), degrees)
        listed = graph.indices[starts + np.arange(len(starts))]
        table = np.repeat(nodes.astype(np.uint32)[:, None], width, axis=1)
        table[np.arange(width) < degrees[:, None]] = listed if place is None else place[listed]
        out[begin : begin + len(nodes)] = table


def upper_arrays(graph: Graph, order: NDArray[np.int64] | None) -> dict[str, NDArray[np.uint32]]:
    """Upper nodes, the first record of each, records and entries; all ids in records and entries are positions."""
    place = _inverse(order)
    entries = graph.entry_points if place is None else place[graph.entry_points]
    if not graph.upper:
        return {"entries": entries.astype(np.uint32)}
    members = [level.nodes if place is None else place[level.nodes] for level in graph.upper]
    nodes = np.sort(members[0]).astype(np.uint32)
    position = np.zeros(graph.size, dtype=np.uint32)
    position[nodes] = np.arange(len(nodes), dtype=np.uint32)
    heights = np.zeros(len(nodes), dtype=np.int64)
    for member in members:
        heights[position[member]] += 1
    start = np.concatenate([[0], np.cumsum(heights)[:-1]]).astype(np.uint32)
    widest = max(int(np.diff(level.indptr).max(initial=0)) for level in graph.upper)
    links = np.zeros((int(heights.sum()), 1 + widest), dtype=np.uint32)
    for number, (level, member) in enumerate(zip(graph.upper, members, strict=True)):
        degrees = np.diff(level.indptr)
        records = start[position[member]].astype(np.int64) + number
        links[records, 0] = degrees
        column = np.arange(len(level.indices)) - np.repeat(level.indptr[:-1], degrees) + 1
        ids = level.indices if place is None else place[level.indices]
        links[np.repeat(records, degrees), column] = position[ids]
    return {"upper_nodes": nodes, "upper_start": start, "upper_links": links, "entries": position[entries]}


def node_order(graph: Graph) -> NDArray[np.int64]:
    """The row number of each node where neighbours lie side by side: breadth-first from the first entry point.

    Nodes that are not reached follow in their order.
    """
    n = graph.size
    seen = np.zeros(n, dtype=np.bool_)
    found: list[NDArray[np.int64]] = []
    frontier = np.unique(graph.entry_points).astype(np.int64)
    seen[frontier] = True
    while len(frontier):
        found.append(frontier)
        degrees = graph.degrees[frontier]
        offsets = np.repeat(graph.indptr[frontier] - np.concatenate([[0], np.cumsum(degrees)[:-1]]), degrees)
        listed = graph.indices[offsets + np.arange(len(offsets))].astype(np.int64)
        fresh = listed[~seen[listed]]
        _, first = np.unique(fresh, return_index=True)
        frontier = fresh[np.sort(first)]
        seen[frontier] = True
    return np.concatenate([*found, np.flatnonzero(~seen)])


def _inverse(order: NDArray[np.int64] | None) -> NDArray[np.uint32] | None:
    if order is None:
        return None
    place = np.empty(len(order), dtype=np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    return place
