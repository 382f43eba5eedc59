"""Pairs by the structure of two graphs, those of seed entities from runs that do not know them.

A seed pair is no candidate of the run that starts from it. So that a matcher can learn from the probabilities of labelled
pairs, the seeds are divided into folds, and the entities of a fold get theirs from a run without its seeds.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.kg.assignment import row_numbers
from fingerpost.tasks.kg.graph import RelationGraph
from fingerpost.tasks.kg.names import NameParams, largest, similar_names
from fingerpost.tasks.kg.structure import StructureParams, aligned


@dataclass(frozen=True)
class PropagationParams:
    """How pairs are found by the structure of both graphs.

    names: whether similar names are added to the structure, where entities of both graphs have names.
    folds: runs for the entities of seeds, each without a part of them; 0: these get no pairs.
    keep: maximum number of pairs of a left entity.
    least: minimum probability of a pair that is kept.
    most_entities: maximum number of entities of a graph; above it there is no alignment by structure.
    """

    structure: StructureParams = field(default_factory=StructureParams)
    names: bool = True
    naming: NameParams = field(default_factory=NameParams)
    folds: int = 3
    keep: int = 50
    least: float = 1e-4
    most_entities: int = 200_000

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1 or self.keep < 1 or not 0 <= self.least < 1 or self.most_entities < 0:
            raise ValueError(
                "structure: expected folds of 0 or from 2 on, keep of at least 1, least from 0 to below 1 and"
                f" most_entities of at least 0, got {self.folds}, {self.keep}, {self.least} and {self.most_entities};"
                " correct them"
            )


def seed_pairs(pairs: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 (k, 2): the pairs (n, 2), each once and sorted, both of whose entities are in no other pair."""
    found: NDArray[np.int64] = np.unique(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=0)
    alone = np.ones(len(found), dtype=bool)
    for side in range(2):
        _, place, count = np.unique(found[:, side], return_inverse=True, return_counts=True)
        alone &= count[place] == 1
    return found[alone]


def name_similarities(
    names: tuple[list[str], list[str]], types: tuple[NDArray[np.integer], NDArray[np.integer]], params: NameParams
) -> sparse.csr_array:
    """CSR float64 (left, right): cosines of the names of entities of one type, up to ``keep`` for each left one."""
    shape = len(names[0]), len(names[1])
    found = sparse.coo_array(shape, dtype=np.float64)
    for kind in np.intersect1d(*types):
        rows = [np.flatnonzero(some == kind) for some in types]
        texts = [[side[row] for row in chosen] for side, chosen in zip(names, rows, strict=True)]
        part = similar_names(texts[0], texts[1], params).tocoo()
        found = found + sparse.coo_array((part.data, (rows[0][part.row], rows[1][part.col])), shape=shape)
    return sparse.csr_array(found)


def propagated(
    left: RelationGraph,
    right: RelationGraph,
    seeds: NDArray[np.int64],
    fold: int,
    params: PropagationParams,
    *,
    prior: sparse.csr_array | None = None,
) -> sparse.csr_array:
    """CSR float64 (left nodes, right nodes): probabilities of one run; fold 0: of all nodes in no seed.

    fold: of 1 to ``folds``, for a run without its seeds: pairs with a node of one of these. seeds: see `seed_pairs`, each
    ``folds``-th is of one fold.
    """
    held = np.arange(len(seeds)) % max(params.folds, 1) == fold - 1
    held &= fold > 0
    found = aligned(left, right, seeds[~held], params.structure, prior=prior).probabilities
    # Columns sum to 1 after the last step, rows may to more: an entity is no likelier matched than certain.
    found.data /= np.maximum(found.sum(axis=1), 1.0)[row_numbers(found)]
    wanted = found.data >= max(params.least, np.finfo(np.float64).tiny)
    if fold:
        of_fold = [np.isin(np.arange(graph.nodes), seeds[held, side]) for side, graph in enumerate((left, right))]
        wanted &= of_fold[0][row_numbers(found)] | of_fold[1][found.indices]
    rows = row_numbers(found)[wanted]
    kept = sparse.coo_array((found.data[wanted], (rows, found.indices[wanted])), shape=found.shape).tocsr()
    return largest(kept, params.keep)
