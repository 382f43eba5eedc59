"""Level-wise training of XR-Linear (PECOS, JMLR 23(98), 2022): negative sampling, and one linear problem per node."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.ext.ranker_solve import LOSSES, MAX_LABELS, Solver
from fingerpost.tasks.xmr.model import Chunk, ChunkBlock, ModelError, RankerModel, join_chunks
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker, ranked_matrix
from fingerpost.tasks.xmr.sparse_rows import MatrixError
from fingerpost.tasks.xmr.tree import LabelTree

#: Rows that a node is solved on. tfn (teacher forcing): those with the true parent; man (matcher-aware): those with the
#: parent among the predicted ones; user: those of user-supplied negatives.
Negatives = Literal["tfn", "man", "tfn+man", "user"]
NEGATIVES: tuple[Negatives, ...] = ("tfn", "man", "tfn+man", "user")

#: The weights of a level and the predicted parents of all rows, as arrays or as files.
Weights = TypeVar("Weights")
Parents = TypeVar("Parents")

#: For a smaller eps the solver does not converge in float32.
_PRECISE_EPS = 1e-2


@dataclass(frozen=True)
class SolverParams:
    """The problem of one label: minimise 1/2 |w|^2 + sum of cost * loss.

    The solver is dual coordinate descent (Hsieh et al., ICML 2008).

    loss: squared_hinge, hinge or logistic.
    cost_positive: cost of the loss of a positive row.
    cost_negative: cost of the loss of a negative row.
    bias: value of the bias feature, which is regularised like any other; 0: no bias.
    eps: spread of the projected gradients below which the solver stops.
    max_iter: maximum number of passes of the solver.
    threshold: weights smaller than this are not stored.
    max_nonzeros: maximum number of stored weights per label; 0: no maximum.
    frequency_discount: a label's value is lowered by this times the logarithm of its positive rows; nodes above the
        labels are not affected. Regularisation keeps the values of rare labels small, so that frequent labels rank
        too high; the idea is that of logit adjustment (Menon et al., ICLR 2021).
    seed: seed of the order in which the solver visits rows.

    PECOS uses costs of 1, a threshold of 0.1 and no discount; the defaults here are a compromise over validation rows
    of a sparse and a dense data set (tests/bench/tune_xmr.py).
    """

    loss: str = "squared_hinge"
    cost_positive: float = 0.7
    cost_negative: float = 0.7
    bias: float = 1.0
    eps: float = 0.1
    max_iter: int = 100
    threshold: float = 0.07
    max_nonzeros: int = 0
    frequency_discount: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss: expected one of {LOSSES}, got {self.loss!r}; choose one of them")
        for name in ("cost_positive", "cost_negative", "eps", "max_iter"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}; raise it")
        for name in ("bias", "threshold", "max_nonzeros", "frequency_discount"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}; raise it")

    @property
    def precise(self) -> bool:
        """Whether the solver has to compute in float64."""
        return self.eps < _PRECISE_EPS or self.loss == "logistic"


@dataclass(frozen=True)
class SolveCounters:
    """Number of labels solved, their passes, (row, label) pairs per pass, and the sum of dual objectives."""

    labels: int = 0
    passes: int = 0
    pairs: int = 0
    objective: float = 0.0

    def __add__(self, other: "SolveCounters") -> "SolveCounters":
        return SolveCounters(
            self.labels + other.labels,
            self.passes + other.passes,
            self.pairs + other.pairs,
            self.objective + other.objective,
        )


@dataclass(frozen=True)
class LevelProblem:
    """The problem of one level.

    targets: CSR (rows, nodes), costs above 0 of the positives.
    active: CSR (rows, parents), the rows that a parent's children are solved on besides their positives; None: all.

    Raises MatrixError for shapes that do not fit the tree.
    """

    tree: LabelTree
    level: int
    targets: sparse.csr_array
    active: sparse.csr_array | None

    def __post_init__(self) -> None:
        nodes, parents = self.tree.width(self.level), self.tree.width(self.level - 1)
        if self.targets.shape[1] != nodes:
            raise MatrixError(f"targets: expected {nodes} columns, got {self.targets.shape[1]}; use the tree's nodes")
        if self.active is not None and self.active.shape != (self.targets.shape[0], parents):
            raise MatrixError(
                f"active rows: expected {(self.targets.shape[0], parents)}, got {self.active.shape}; pass one"
                " column per parent"
            )


class LevelTrainer:
    """Solves parents of one level, in any order: the chunk of a parent does not depend on the others."""

    def __init__(self, features: sparse.csr_array, problem: LevelProblem, params: SolverParams) -> None:
        if features.shape[0] != problem.targets.shape[0]:
            raise MatrixError(
                f"targets: expected {features.shape[0]} rows, got {problem.targets.shape[0]}; pass the same rows"
            )
        self._params = params
        self._discount = params.frequency_discount if problem.level == problem.tree.depth - 1 else 0.0
        self._children = problem.tree.children(problem.level)
        self._chained = problem.tree.chained(problem.level)
        by_node = problem.targets.tocsc()[:, self._children.ids]
        by_node.sort_indices()
        self._start = by_node.indptr.astype(np.int64)
        self._rows = by_node.indices.astype(np.uint32)
        self._costs = None if (by_node.data == 1).all() else by_node.data.astype(np.float32)
        active = None if problem.active is None else problem.active.tocsc()
        self._active = None if active is None else (active.indptr, active.indices.astype(np.uint32))
        self._all = np.arange(features.shape[0], dtype=np.uint32)
        self._solver = Solver(features.indptr, features.indices, features.data, features.shape[1])

    def rows_of(self, parent: int) -> NDArray[np.uint32]:
        """The rows that the children of a parent are solved on, uint32, ascending."""
        if self._active is None:
            return self._all
        first, last = self._children.start[parent], self._children.start[parent + 1]
        indptr, rows = self._active
        positive = self._rows[self._start[first] : self._start[last]]
        return np.union1d(rows[indptr[parent] : indptr[parent + 1]], positive).astype(np.uint32)

    def solve(
        self,
        parent: int,
        *,
        warm: Chunk | None = None,
        only: NDArray[np.int64] | None = None,
        threads: int = 1,
    ) -> tuple[Chunk, SolveCounters]:
        """The chunk of one parent.

        warm: weights of the same children to start from.
        only: int64, ascending indices of the children to solve; the chunk then has only their columns, with equal bits.

        Raises ModelError for more than MAX_LABELS children.
        """
        first, last = int(self._children.start[parent]), int(self._children.start[parent + 1])
        if last - first > MAX_LABELS:
            raise ModelError(f"parent {parent}: expected at most {MAX_LABELS} children, got {last - first}; split it")
        rows = self.rows_of(parent)
        chosen = np.arange(first, last) if only is None else first + only
        sizes = self._start[chosen + 1] - self._start[chosen]
        starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        entries: slice | NDArray[np.int64] = slice(int(self._start[first]), int(self._start[last]))
        if only is not None:
            entries = np.arange(starts[-1]) + np.repeat(self._start[chosen] - starts[:-1], sizes)
        params = self._params
        features, start, columns, values, bias, passes, objective = self._solver.solve(
            rows,
            starts,
            np.searchsorted(rows, self._rows[entries]).astype(np.uint32),
            label_costs=None if self._costs is None else self._costs[entries],
            label_shifts=self._shifts(sizes),
            warm=None if warm is None else columns_of(warm),
            loss=params.loss,
            cost_positive=params.cost_positive,
            cost_negative=params.cost_negative,
            bias=params.bias,
            eps=params.eps,
            max_iter=params.max_iter,
            threshold=params.threshold,
            max_nonzeros=params.max_nonzeros,
            seed=params.seed,
            precise=params.precise,
            threads=threads,
        )
        counters = SolveCounters(len(chosen), int(passes.sum()), len(rows) * len(chosen), float(objective.sum()))
        return (features, start, columns, values, bias), counters

    def _shifts(self, sizes: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Offsets of the values of children with these numbers of positives, float32; None above the labels."""
        if self._discount == 0:
            return None
        return (-self._discount * np.log(np.maximum(sizes, 1))).astype(np.float32)

    def solve_block(
        self, parents: Sequence[int], *, warm: Mapping[int, Chunk] | None = None, threads: int = 1
    ) -> tuple[ChunkBlock, SolveCounters]:
        """The chunks of some parents, but those of chain nodes, as a block; ``warm``: initial weights by parent."""
        chunks, ids, total = [], [], SolveCounters()
        solved = [parent for parent in parents if not self._chained[parent]]
        for parent in solved:
            chunk, counters = self.solve(parent, warm=(warm or {}).get(parent), threads=threads)
            narrow = chunk[2].astype(np.uint8) if len(chunk[4]) <= 256 else chunk[2]
            chunks.append((chunk[0], chunk[1], narrow, chunk[3], chunk[4]))
            ids.append(self._children.of(parent))
            total += counters
        return join_chunks(np.asarray(solved, dtype=np.uint32), chunks, ids), total


def columns_of(chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    """A chunk grouped by child, as initial weights of the solver: start int64, features uint32, values, bias."""
    features, start, columns, values, bias = chunk
    of_entry = np.repeat(features, start[1:] - start[:-1])
    order = np.argsort(columns, kind="stable")
    begin = np.concatenate(([0], np.cumsum(np.bincount(columns, minlength=len(bias))))).astype(np.int64)
    return begin, of_entry[order].astype(np.uint32), values[order], bias


def active_rows(
    targets_above: sparse.csr_array | None,
    negatives: Negatives,
    *,
    predicted: sparse.csr_array | None = None,
    user_parents: sparse.csr_array | None = None,
) -> sparse.csr_array | None:
    """Rows that the children of each parent are solved on, CSR (rows, parents); None (all) on the first level.

    targets_above: CSR (rows, parents), the true parents; None on the first level.
    predicted: CSR (rows, parents), the predicted parents, for matcher-aware negatives.
    user_parents: CSR (rows, parents), the parents of user-supplied negatives.

    Raises ValueError for unknown negatives, MatrixError where the matrix they need is missing or of another shape.
    """
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives: expected one of {NEGATIVES}, got {negatives!r}; choose one of them")
    if targets_above is None:
        return None
    if negatives == "tfn" or (negatives == "user" and user_parents is None):
        return targets_above
    negative_parents = user_parents if negatives == "user" else predicted
    if negative_parents is None or negative_parents.shape != targets_above.shape:
        raise MatrixError(
            f"{negatives} negatives: expected a matrix {targets_above.shape}, got {negative_parents}; pass"
            " one column per parent"
        )
    return (targets_above + negative_parents).tocsr() if negatives == "tfn+man" else negative_parents.tocsr()


@dataclass(frozen=True)
class TrainingParams:
    """Parameters of training.

    negatives: source of negative rows.
    beam: beam search that predicts matcher-aware negatives. A narrow beam adds the few wrong parents that a query is
        routed to: most of the benefit of matcher-aware negatives for a fraction of their rows.
    normalise: whether rows are scaled to unit length first.
    """

    solver: SolverParams = SolverParams()
    negatives: Negatives = "tfn+man"
    beam: BeamParams = field(default_factory=lambda: BeamParams(beam=4))
    normalise: bool = True


def predicted_parents(
    features: sparse.csr_array, partial: RankerModel, beam: BeamParams, *, threads: int = 1
) -> sparse.csr_array:
    """Nodes of the last level of a partial model that the beam search keeps, CSR of ones (rows, nodes)."""
    ranker = Ranker(partial, beam, levels=len(partial.levels))
    return ranked_matrix(ranker.rank(features, beam.beam, threads=threads), ranker.labels)


def train_levels(
    depth: int,
    negatives: Negatives,
    *,
    predict: Callable[[Sequence[Weights]], Parents],
    solve: Callable[[int, Parents | None], Weights],
    solves: Callable[[int], bool] = lambda level: True,
) -> list[Weights]:
    """The weights of all levels from the top; the loop of training and refresh, wherever blocks are solved.

    predict: the parents that the weights so far predict for the rows; called for matcher-aware negatives before each
        level but the first.
    solve: the weights of a level, from the predicted parents (None where they are not needed).
    solves: whether any node of a level is solved; a refresh may keep all its weights.
    """
    levels: list[Weights] = []
    for level in range(depth):
        matched = bool(level) and "man" in negatives and solves(level)
        levels.append(solve(level, predict(levels) if matched else None))
    return levels
