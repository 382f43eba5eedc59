"""Prediction with XR-Linear (PECOS, JMLR 23(98), 2022): beam search down the label tree of a trained model."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.ranker_beam import CHAIN, NONE, Searcher
from fingerpost.tasks.corpus.weighed_rows import SparseRows
from fingerpost.tasks.xmr.label_ranges import LabelRanges, RangeError
from fingerpost.tasks.xmr.model import RankerModel
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows
from fingerpost.tasks.xmr.tree import LabelTree

if TYPE_CHECKING:  # ranking makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse

#: How query and chunk are intersected (MSCM, Etter et al., WWW 2022); "chosen": per chunk, by its density.
Lookup = Literal["chosen", "march", "binary", "hash", "dense"]

_POST = re.compile(r"(log-)?(?:l([1-6])-hinge|(sigmoid))|(noop)")


@dataclass(frozen=True)
class BeamParams:
    """Parameters of the beam search.

    beam: number of nodes kept per level.
    post_processor: l1-hinge to l6-hinge, exp(-max(0, 1 - v)^p) of a node's value v, or sigmoid, multiplied along the
        path; with the prefix log-, their logarithms, added; noop: the label's value only. A chain node has its parent's.
    """

    beam: int = 10
    post_processor: str = "l6-hinge"

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise ValueError(f"beam: expected at least 1, got {self.beam}; raise it")
        if not _POST.fullmatch(self.post_processor):
            raise ValueError(
                "post_processor: expected l1-hinge to l6-hinge, sigmoid, log- and one of these, or noop, "
                f"got {self.post_processor!r}; choose one of them"
            )

    def transform(self) -> tuple[str, int, bool]:
        """The kernel's transform, the power of the hinge, and whether scores are products."""
        match = _POST.fullmatch(self.post_processor)
        assert match is not None
        log, power, sigmoid, noop = match.groups()
        if noop:
            return "noop", 1, False
        return ("sigmoid" if sigmoid else "hinge"), int(power or 1), not log


@dataclass(frozen=True)
class RankCounters:
    """Chunks multiplied by each lookup, chunks skipped as they cannot contribute, and features matched in chunks."""

    march: int = 0
    binary: int = 0
    hash: int = 0
    dense: int = 0
    left_out: int = 0
    hits: int = 0


@dataclass(frozen=True)
class Ranking:
    """Labels uint32 (q, k) and scores float32 (q, k), best first, ties by label; padded with 0xFFFFFFFF."""

    ids: NDArray[np.uint32]
    scores: NDArray[np.float32]
    counters: RankCounters = RankCounters()


class Matcher(Protocol):
    """Anything that ranks labels for sparse rows: a ranker, or an ensemble."""

    @property
    def labels(self) -> int: ...

    def rank(self, queries: "sparse.csr_array | SparseRows", k: int, *, threads: int = 1) -> Ranking: ...


class Ranker:
    """A model ready for prediction: ``Ranker(model).rank(rows, k)``. Keeps references to the model's arrays."""

    def __init__(
        self,
        model: RankerModel,
        params: BeamParams = BeamParams(),
        *,
        lookup: Lookup = "chosen",
        levels: int = 0,
        ranges: bool = False,
    ) -> None:
        """``levels``: rank the nodes of this level, counted from the top, instead of the labels; 0: the labels.

        ranges: whether labels will be ranked within ranges, for which the labels below each node are kept: at most 4
        bytes per label and per node on each level.
        """
        if lookup not in get_args(Lookup):
            raise ValueError(f"lookup: expected one of {get_args(Lookup)}, got {lookup!r}; choose one of them")
        depth = levels or len(model.levels)
        self.features = model.features
        self.params = params
        self._normalise = model.normalised
        self._nodes = model.tree.width(depth - 1)
        chained = [model.tree.chained(level) for level in range(depth)]
        self._searcher = Searcher(model.features, [len(of_parent) - int(of_parent.sum()) for of_parent in chained])
        self.range_bytes = self._keep_labels(model.tree, depth) if ranges else 0
        self._ranges = ranges
        for level in range(depth):
            if chained[level].any():
                self._searcher.set_places(level, _places(model.tree, level, chained[level]))
            for block in model.levels[level]:
                self._searcher.add_chunks(
                    level,
                    block.parents,
                    block.feature_start,
                    block.features,
                    block.start,
                    block.entry_start,
                    block.columns,
                    block.values,
                    block.child_start,
                    block.ids,
                    block.bias,
                )
        self._searcher.build(lookup)

    def _keep_labels(self, tree: LabelTree, depth: int) -> int:
        """Gives the search the labels below each node; returns their bytes."""
        if depth != tree.depth:
            raise RangeError(
                f"label ranges: expected a ranker of labels, got one of the nodes of level {depth - 1}; rank all levels"
            )
        held = 0
        for level, below in tree.labels_below():
            start = below.start.astype(np.uint32)
            in_order = bool((below.ids == np.arange(len(below.ids))).all())
            self._searcher.set_labels(level, start, None if in_order else below.ids)
            held += start.nbytes + (0 if in_order else below.ids.nbytes)
        return held

    @property
    def labels(self) -> int:
        """Number of labels (or nodes) that are ranked."""
        return self._nodes

    @property
    def lookup_bytes(self) -> int:
        """Bytes of the lookups, in addition to the weights."""
        return self._searcher.lookup_bytes

    def rank(
        self,
        queries: "sparse.csr_array | SparseRows",
        k: int = 10,
        *,
        params: BeamParams | None = None,
        ranges: LabelRanges | None = None,
        threads: int = 1,
    ) -> Ranking:
        """The k best labels within the beam for each query of CSR (q, features).

        ranges: only labels of these are ranked, with the scores that they have among all; the beam keeps only nodes
        above such labels.

        Raises ValueError for k or threads below 1, MatrixError for another number of columns and non-finite values,
        RangeError for ranges that do not fit and where the ranker was made without them.
        """
        chosen = params or self.params
        if k < 1 or threads < 1:
            raise ValueError(f"k and threads: expected at least 1, got {k} and {threads}; raise them")
        if queries.shape[1] != self.features:
            raise MatrixError(f"queries: expected {self.features} columns, got {queries.shape[1]}; use one vocabulary")
        if ranges is not None:
            self._checked(ranges, queries.shape[0])
        rows = queries if queries.format == "csr" else queries.tocsr()
        try:
            return self._search((rows.indptr, rows.indices, rows.data), k, chosen, ranges, threads)
        except ValueError:
            # Indices not ascending, or non-finite values: sort and retry; checked_rows refuses the latter.
            rows = checked_rows(rows.tocsr(), "queries")
            return self._search((rows.indptr, rows.indices, rows.data), k, chosen, ranges, threads)

    def rank_row(
        self,
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        k: int = 10,
        ranges: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None,
        *,
        params: BeamParams | None = None,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Labels uint32 (k,) and scores float32 (k,) of one query, as :func:`rank` has them.

        indices, values: ascending features and their finite values. ranges: low and high of its ranges.

        Raises ValueError for other features, RangeError for ranges that do not fit.
        """
        wanted = None
        if ranges is not None:
            wanted = self._checked(LabelRanges(np.array([0, len(ranges[0])]), *ranges), 1)
        found = self._search((np.array([0, len(indices)]), indices, values), k, params or self.params, wanted, 1)
        return found.ids[0], found.scores[0]

    def _checked(self, ranges: LabelRanges, queries: int) -> LabelRanges:
        if not self._ranges:
            raise RangeError("label ranges: expected a ranker made for them, got another; pass ranges=True to it")
        ranges.check(queries, self.labels)
        return ranges

    def _search(
        self,
        rows: tuple[NDArray, NDArray, NDArray],
        k: int,
        params: BeamParams,
        ranges: LabelRanges | None,
        threads: int,
    ) -> Ranking:
        transform, power, exponential = params.transform()
        ids, scores, counters = self._searcher.search(
            np.asarray(rows[0], dtype=np.int64),
            np.asarray(rows[1], dtype=np.int32),
            np.asarray(rows[2], dtype=np.float32),
            k=k,
            beam=params.beam,
            transform=transform,
            power=power,
            exponential=exponential,
            normalise=self._normalise,
            range_start=None if ranges is None else np.asarray(ranges.start, dtype=np.int64),
            low=None if ranges is None else np.asarray(ranges.low, dtype=np.uint32),
            high=None if ranges is None else np.asarray(ranges.high, dtype=np.uint32),
            threads=threads,
        )
        return Ranking(ids, scores, RankCounters(*counters))


def _places(tree: LabelTree, level: int, chained: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """The place of each parent's chunk among those of the level, or its chain node, uint32 (parents,)."""
    children = tree.children(level)
    places = (np.cumsum(~chained) - 1).astype(np.uint32)
    places[chained] = CHAIN + children.ids[children.start[:-1][chained]]
    return places


def ranked_matrix(ranking: Ranking, labels: int) -> "sparse.csr_array":
    """The ranked labels, CSR of ones (q, labels)."""
    from scipy import sparse

    real = ranking.ids != NONE
    indptr = np.concatenate(([0], np.cumsum(real.sum(axis=1))))
    matrix = sparse.csr_array(
        (np.ones(int(indptr[-1]), np.float32), ranking.ids[real].astype(np.int32), indptr),
        shape=(len(ranking.ids), labels),
    )
    matrix.sort_indices()
    return matrix
