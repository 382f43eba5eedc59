"""Alignment of two graphs by structure alone: from seed pairs outwards, without training and without random numbers.

A node is described by its facts: relation and neighbour. Where neighbours are matched and relations hold between the same
matched nodes, the facts of one graph are those of the other, and two nodes are as similar as the facts that they share, a
fact of few nodes counting more. Sinkhorn scaling makes probabilities of similarities, and these match more neighbours in
the next round. (The idea of passing on matches instead of learning vectors: Mao et al., LightEA, EMNLP 2022; relations
aligned by the matched pairs that they connect: Suchanek et al., PARIS, VLDB 2012.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.assignment import mutual_best, row_numbers, sinkhorn
from fingerpost.tasks.kg.facts import Facts, facts_of, similar_relations, translation
from fingerpost.tasks.kg.graph import GraphError, RelationGraph

#: Pairs whose relations are compared at a time.
_PAIRS = 2**23


@dataclass(frozen=True)
class StructureParams:
    """Parameters of an alignment by structure.

    rounds: rounds of matching.
    temperature: temperature of Sinkhorn scaling.
    iterations: iterations of Sinkhorn scaling.
    least_probability: minimum probability of matches that the next round uses.
    least_relation: similarity of relations from which a fact is translated.
    any_relation: weight of a common neighbour whatever the relation.
    kinds: weight of the kinds of relations that two nodes have at all, whoever the neighbours.
    most_nodes: facts of more nodes than this propose no candidates.
    """

    rounds: int = 8
    temperature: float = 0.04
    iterations: int = 10
    least_probability: float = 0.01
    least_relation: float = 0.02
    any_relation: float = 1.0
    kinds: float = 0.3
    most_nodes: int = 1000

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.iterations < 1 or self.temperature <= 0 or self.most_nodes < 1:
            raise ValueError(
                "structure: expected rounds, iterations and most_nodes of at least 1 and a temperature above 0, got"
                f" {self.rounds}, {self.iterations}, {self.most_nodes} and {self.temperature}; correct them"
            )


@dataclass(frozen=True)
class Alignment:
    """Candidate pairs with their probabilities, and the pairs that are each other's best.

    probabilities: CSR float64 (left nodes, right nodes) without the seeds. pairs: int64 (m, 2) left and right, ascending.
    relations: CSR (2 * left relations, 2 * right relations), see `similar_relations`.
    """

    probabilities: sparse.csr_array
    pairs: NDArray[np.int64]
    relations: sparse.csr_array


def aligned(
    left: RelationGraph,
    right: RelationGraph,
    seeds: NDArray[np.integer],
    params: StructureParams,
    *,
    prior: sparse.csr_array | None = None,
) -> Alignment:
    """The alignment of all nodes that are in no seed pair; the last of `alignment_rounds`."""
    *_, last = alignment_rounds(left, right, seeds, params, prior=prior)
    return last


def alignment_rounds(
    left: RelationGraph,
    right: RelationGraph,
    seeds: NDArray[np.integer],
    params: StructureParams,
    *,
    candidates: tuple[NDArray[np.integer], NDArray[np.integer]] | None = None,
    prior: sparse.csr_array | None = None,
) -> Iterator[Alignment]:
    """The alignment after each round; nodes are matched with those of their own type, whose numbers both graphs share.

    seeds: (k, 2) known pairs of left and right nodes. candidates: the left and right nodes to be matched, all that are in
    no seed by default. prior: CSR (left nodes, right nodes), similarities by other means, names for example, added to
    those of the structure. GraphError for seeds out of range or with a node in two of them.
    """
    seeds = checked_pairs(left, right, seeds)
    open_nodes = _open_nodes((left.nodes, right.nodes), seeds, candidates)
    sides = facts_of(left), facts_of(right)
    types = left.types[open_nodes[0]], right.types[open_nodes[1]]
    shape = (left.nodes, right.nodes)
    known = sparse.coo_array((np.ones(len(seeds)), (seeds[:, 0], seeds[:, 1])), shape=shape).tocsr()
    matches, pairs, before = known, seeds, None
    for _ in range(params.rounds):
        relations = similar_relations(left, right, pairs, least=params.least_relation)
        scores = _similarities(sides, matches, relations, open_nodes, types, params)
        if prior is not None:
            scores = (scores + prior[open_nodes[0]][:, open_nodes[1]]).tocsr()
        found = sinkhorn(scores, temperature=params.temperature, iterations=params.iterations)
        # The mean of two rounds: without it, pairs that are nearly as good as others alternate.
        found = found if before is None else sparse.csr_array((found + before) * 0.5)
        before = found
        probabilities = _widened(found, open_nodes, shape)
        best = mutual_best(probabilities)
        yield Alignment(probabilities, best, relations)
        pairs = np.concatenate([seeds, best])
        matches = (known + _at_least(probabilities, params.least_probability)).tocsr()


def checked_pairs(left: RelationGraph, right: RelationGraph, pairs: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pairs of nodes (k, 2) as int64; GraphError for nodes out of range or in two pairs."""
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    for side, graph in enumerate((left, right)):
        nodes = pairs[:, side]
        if len(nodes) and not 0 <= nodes.min() <= nodes.max() < graph.nodes:
            raise GraphError(f"seeds: expected nodes of 0 to {graph.nodes - 1}, got others; correct them")
        if len(np.unique(nodes)) < len(nodes):
            raise GraphError(
                "seeds: expected each node in one pair, got one in several; remove all of its pairs but one"
            )
    return pairs


def _open_nodes(
    counts: tuple[int, int],
    seeds: NDArray[np.int64],
    candidates: tuple[NDArray[np.integer], NDArray[np.integer]] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    chosen = candidates if candidates is not None else tuple(np.arange(count) for count in counts)
    first, second = (np.setdiff1d(nodes, seeds[:, side]).astype(np.int64) for side, nodes in enumerate(chosen))
    return first, second


def _similarities(
    sides: tuple[Facts, Facts],
    matches: sparse.csr_array,
    relations: sparse.csr_array,
    open_nodes: tuple[NDArray[np.int64], NDArray[np.int64]],
    types: tuple[NDArray[np.uint16], NDArray[np.uint16]],
    params: StructureParams,
) -> sparse.csr_array:
    """CSR (open left nodes, open right nodes): cosines of common facts, and of the relations that the nodes have.

    types: those of the open nodes. There are entries between nodes of one type alone.
    """
    left, right = sides
    parts = [
        (_clipped(left.nodes @ translation(left, right, matches, relations)), right.nodes, 1.0),
        (_clipped(left.linked @ matches), right.linked, params.any_relation),
    ]
    weighted = [(_rare(other) * weight, one, other) for one, other, weight in parts]
    rows = [_unit(sparse.hstack([part[side] @ part[0] for part in weighted], format="csr")) for side in (1, 2)]
    few = np.concatenate([_frequency(part[2]) <= params.most_nodes for part in weighted])
    scores = products_by_type(rows[0][open_nodes[0]][:, few], rows[1][open_nodes[1]][:, few], types)
    if params.kinds > 0:
        kinds = _clipped(left.kinds @ relations), right.kinds
        weight = _rare(right.kinds)
        one, other = (_unit(part @ weight)[nodes] for part, nodes in zip(kinds, open_nodes, strict=True))
        scores.data += params.kinds * _products_at(scores, one, other)
    return scores


def products_by_type(
    one: sparse.csr_array, other: sparse.csr_array, types: tuple[NDArray[np.integer], NDArray[np.integer]]
) -> sparse.csr_array:
    """CSR (rows of one, rows of other): one @ other.T between rows of one type; types: those of the rows of both."""
    shape = one.shape[0], other.shape[0]
    places: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for kind in np.intersect1d(*types):
        first, second = (np.flatnonzero(found == kind) for found in types)
        part = (one[first] @ other[second].T).tocoo()
        places.append((first[part.row], second[part.col], part.data))
    rows, columns, data = (np.concatenate(column) for column in zip(*places, strict=True)) if places else ([], [], [])
    found = sparse.coo_array((data, (rows, columns)), shape=shape, dtype=np.float64).tocsr()
    found.sort_indices()
    return sparse.csr_array(found)


def _clipped(matrix: sparse.csr_array) -> sparse.csr_array:
    """The matrix with values of at most 1: two half matches of one fact are one, and three are no more."""
    np.minimum(matrix.data, 1.0, out=matrix.data)
    return matrix


def _frequency(matrix: sparse.csr_array) -> NDArray[np.float64]:
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)


def _rare(right: sparse.csr_array) -> sparse.dia_array:
    """Diagonal of log(nodes / (1 + nodes that have it)) of each column, at least 0; 0 where no node has it."""
    frequency = _frequency(right)
    weights = np.log(max(right.shape[0], 1) / (1 + frequency))
    return sparse.diags_array(np.where(frequency > 0, np.maximum(weights, 0.0), 0.0))


def _unit(matrix: sparse.csr_array) -> sparse.csr_array:
    """The rows divided by their lengths; empty rows stay empty."""
    squares = np.bincount(row_numbers(matrix), matrix.data**2, minlength=matrix.shape[0])
    lengths = np.sqrt(squares)
    factors = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return sparse.csr_array((matrix.data * factors[row_numbers(matrix)], matrix.indices, matrix.indptr), matrix.shape)


def _products_at(places: sparse.csr_array, one: sparse.csr_array, other: sparse.csr_array) -> NDArray[np.float64]:
    """The entries of one @ other.T at the stored places of a matrix."""
    found, turned = np.empty(len(places.data)), sparse.csc_array(other.T)
    step = max(_PAIRS // max(places.shape[1], 1), 1)
    for begin in range(0, places.shape[0], step):
        rows = slice(begin, min(begin + step, places.shape[0]))
        block = np.asarray((one[rows] @ turned).todense())
        inside = slice(places.indptr[rows.start], places.indptr[rows.stop])
        of_row = np.repeat(np.arange(len(block)), np.diff(places.indptr[rows.start : rows.stop + 1]))
        found[inside] = block[of_row, places.indices[inside]]
    return found


def _widened(
    found: sparse.csr_array, nodes: tuple[NDArray[np.int64], NDArray[np.int64]], shape: tuple[int, int]
) -> sparse.csr_array:
    rows, columns = nodes[0][row_numbers(found)], nodes[1][found.indices]
    return sparse.coo_array((found.data, (rows, columns)), shape=shape).tocsr()


def _at_least(matrix: sparse.csr_array, least: float) -> sparse.csr_array:
    kept = matrix.data >= least
    return sparse.coo_array(
        (matrix.data[kept], (row_numbers(matrix)[kept], matrix.indices[kept])), shape=matrix.shape
    ).tocsr()
