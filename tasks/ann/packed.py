"""An index of vectors in the form in which it is searched, stored and mapped into memory: a set of named arrays.

Search: best-first over the graph (Malkov and Yashunin, arXiv 1603.09320, algorithm 5); where the index has codes, by
distances estimated from them, and the nearest candidates once more by exact distances.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import packed as kernel
from fingerpost.tasks.ann.codes import BLOCK_ROWS, LINE, Codes
from fingerpost.tasks.ann.filter_methods import packed_methods
from fingerpost.tasks.ann.graph import MAX_NODES, Graph
from fingerpost.tasks.ann.keep import Keep, KeepLike, keep_rows
from fingerpost.tasks.ann.packed_layout import array_shapes, check_numbers, link_rows, node_order, upper_arrays
from fingerpost.tasks.ann.packed_store import KEEPINGS, Keeping, StoredRange, fits, store_rows, stored_range, unit_block
from fingerpost.tasks.ann.search import (
    Metric,
    SearchCounters,
    SearchResult,
    VectorError,
    check_metric,
    check_search,
    checked_vectors,
    no_direction,
)
from fingerpost.tasks.ann.set_products import by_sets, nearest_of_set, prepared_rows

#: Version of the arrays' meaning; the first of ``numbers``.
FORMAT = 1
#: Candidates of an estimated search that are compared exactly at least, unless an index says otherwise.
RERANK = 30
_METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class PackedHeader:
    """What the arrays of a packed index mean.

    size: nodes. dim: columns of vectors. top_level: of the graph. keeping: form of the stored vectors. bits: of a code's
    position, 0 without codes. rerank: candidates of an estimated search that are compared exactly at least.
    """

    size: int
    dim: int
    metric: Metric
    top_level: int
    keeping: Keeping
    bits: int
    rerank: int

    def numbers(self) -> NDArray[np.int64]:
        """The header as int64 (8,); :meth:`of` is the inverse."""
        kinds = _METRICS.index(self.metric), KEEPINGS.index(self.keeping)
        values = (FORMAT, self.size, self.dim, kinds[0], self.top_level, kinds[1], self.bits, self.rerank)
        return np.array(values, dtype=np.int64)

    @classmethod
    def of(cls, numbers: NDArray[np.generic]) -> Self:
        """The header of stored numbers; ValueError for another version."""
        values = [int(value) for value in numbers]
        if len(values) != 8 or values[0] != FORMAT:
            raise ValueError(f"packed index: expected format {FORMAT}, got {values[:1]}; pack it again")
        _, size, dim, metric, top_level, keeping, bits, rerank = values
        kinds = 0 <= metric < len(_METRICS) and 0 <= keeping < len(KEEPINGS) and bits in (0, 4, 8)
        if not kinds or not 0 < size <= MAX_NODES or not 0 < dim < 2**31 or not 0 <= top_level < 256 or rerank < 0:
            raise ValueError(f"packed index: expected the numbers of an index, got {values}; pack it again")
        return cls(size, dim, _METRICS[metric], top_level, KEEPINGS[keeping], bits, rerank)


class PackedIndex:
    """A searchable index over arrays that are read where they lie, such as views of a mapped file.

    Distances in results are exact, but for vectors kept in 12 bits a value: then they are those of the kept values.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self._arrays: Arrays = dict(arrays)
        self.header = PackedHeader.of(self._arrays["numbers"])
        header = self.header
        self.metric: Metric = header.metric
        check_numbers(self._arrays, size=header.size, top_level=header.top_level)
        self._index = kernel.Index(
            self._arrays,
            metric=header.metric,
            dim=header.dim,
            top_level=header.top_level,
            keeping=header.keeping,
            bits=header.bits,
        )

    @classmethod
    def pack(
        cls,
        vectors: ArrayLike,
        graph: Graph,
        metric: Metric,
        *,
        codes: Codes | None = None,
        keeping: Keeping | None = None,
        reordered: bool = False,
        rerank: int = RERANK,
        out: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> Self:
        """The index of vectors (n, d), one row per node of the graph.

        codes: what candidates are found by; None compares them exactly. keeping: the form of the vectors for exact
        distances; by default integers where all values are whole numbers of 8 bits, else float32. reordered: whether
        nodes that are neighbours get numbers side by side. out: arrays by name to write into, of the shapes that
        :func:`packed_shapes` gives; without it, read-only vectors are kept where they lie if their bytes are what would be
        kept. Raises VectorError for vectors that do not fit.
        """
        check_metric(metric)
        rows = checked_vectors(vectors)
        if len(rows) != graph.size:
            raise VectorError(
                f"vectors: expected {graph.size} rows, one per node, got {len(rows)}; pass the graph's rows"
            )
        if codes is not None and (codes.dim != rows.shape[1] or codes.metric != metric):
            raise ValueError(
                f"codes: expected those of {rows.shape[1]} columns under {metric}, got {codes.dim} under"
                f" {codes.metric}; fit them to these vectors"
            )
        keeping = keeping or ("integers" if fits("integers", rows, metric) else "float32")
        stored = stored_range(rows, metric, keeping)
        header = PackedHeader(
            graph.size, rows.shape[1], metric, len(graph.upper), keeping, 0 if codes is None else codes.bits, rerank
        )
        arrays = _empty(header, graph, codes, reordered, out)
        lent = out is None and not reordered and _lasting(rows, header)
        if lent:
            arrays["store"] = rows.view(np.uint8)
        _fill(arrays, header, rows, graph, codes, stored, reordered, lent=lent)
        return cls(arrays)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """The inverse of :meth:`arrays`; copies nothing. ValueError for another version or shapes that do not fit."""
        return cls(arrays)

    def arrays(self) -> Arrays:
        """The index as named arrays."""
        return dict(self._arrays)

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.header.size

    @property
    def exact(self) -> bool:
        """Whether distances are those of the vectors as given."""
        return self.header.keeping != "bits12"

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._arrays.values())

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The kept vectors float32 (n, d) by row number, for cosine of length one; decoded, or read-only where they lie."""
        store = self._arrays["store"]
        if self.header.keeping == "float32" and self._nodes is None and store.shape[1] == self.header.dim * 4:
            kept = store.view(np.float32)
            kept.setflags(write=False)
            return kept
        return self._index.decoded()

    def kept(self, rows: ArrayLike) -> NDArray[np.float32]:
        """The kept vectors float32 (m, d) of row numbers (m,), for cosine of length one; no others are decoded."""
        numbers = np.asarray(rows, dtype=np.int64)
        return self._index.decoded(numbers if self._nodes is None else self._nodes[numbers])

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        ef: int,
        threads: int = 1,
        keep: KeepLike | None = None,
        rerank: int | None = None,
    ) -> SearchResult:
        """The approximate k nearest of each query (q, d), by a search of width max(ef, k).

        keep: the rows that may be returned, for all queries or for each, as :func:`keep_rows` takes them. Few are compared
        all; of more, the search finds about as many as one without keep and of the same width. rerank: candidates that are
        compared exactly, at least k; by default the index's own number or half of ef, whichever is greater, and all of a
        search as wide as the index.
        """
        check_search(k, ef, threads)
        rows = checked_vectors(queries, "queries", columns=self.header.dim)
        # No more than all are found, however wide a search is; the kernel makes room for its width.
        ef = min(ef, self.size)
        most = self._reranked(ef) if rerank is None else min(rerank, self.size)
        if keep is None:
            return self._searched(rows, k, ef, most, threads)
        sets = keep_rows(keep, size=self.size, queries=len(rows))
        methods = packed_methods(
            sets.counts,
            sets.shared(len(rows)),
            size=self.size,
            columns=self.header.dim,
            ef=max(ef, k),
            lines=self._code_lines,
            exact_rows=kernel.EXACT_ROWS,
        )
        return by_sets(
            rows,
            sets,
            methods,
            k,
            product=lambda asked, own: self._product(asked, own, k),
            search=lambda asked, own: self._searched(asked, k, ef, most, threads, own, methods),
        )

    def nearest(self, query: NDArray[np.float32], k: int, *, ef: int) -> SearchResult:
        """As :meth:`search` of one query, C-contiguous float32 (1, d), that is known to be finite; checks no more."""
        ef = min(ef, self.size)
        return self._searched(query, k, ef, self._reranked(ef), 1)

    def _reranked(self, ef: int) -> int:
        """Candidates of a search that are compared exactly."""
        return min(max(self.header.rerank, ef if ef == self.size else ef // 2), self.size)

    def _searched(
        self,
        queries: NDArray[np.float32],
        k: int,
        ef: int,
        rerank: int,
        threads: int,
        sets: Keep | None = None,
        methods: NDArray[np.uint8] | None = None,
    ) -> SearchResult:
        kept = () if sets is None else (sets.bits, sets.counts, methods, sets.of_query)
        ids, distances, full, estimates, expansions, bad = self._index.search(queries, k, ef, rerank, threads, *kept)
        if bad >= 0:
            raise no_direction("queries", bad)
        return SearchResult(ids, distances, SearchCounters(full, expansions, estimates))

    def _product(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> SearchResult:
        """The k nearest among some rows by a matrix product."""
        held = self.kept(rows)
        asked = prepared_rows(queries, "queries", self.metric)
        halved = self.metric == "cosine" and self.header.keeping == "bits12"
        found = nearest_of_set(asked, held, rows, k, "l2" if halved else self.metric)
        return replace(found, distances=found.distances * np.float32(0.5)) if halved else found

    @cached_property
    def _nodes(self) -> NDArray[np.int64] | None:
        """The node of each row; None where they are the same."""
        order = self._arrays["rows"]
        return np.argsort(order).astype(np.int64) if len(order) else None

    @property
    def _code_lines(self) -> int | None:
        """Cache lines of a code; None without codes."""
        return -(-self._arrays["codes"].shape[1] // 64) if self.header.bits else None


def packed_shapes(
    graph: Graph, dim: int, *, codes: Codes | None, keeping: Keeping, reordered: bool = False
) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Shape and type of every array of a packed index."""
    return array_shapes(
        graph,
        row_bytes=kernel.row_bytes(keeping, dim),
        ranges={"float32": 0, "integers": 1, "bits12": kernel.row_bytes("integers", dim)}[keeping],
        code_bytes=0 if codes is None else codes.row_bytes,
        matrix=(0, 0) if codes is None else codes.matrix.shape,
        reordered=reordered,
    )


def _empty(
    header: PackedHeader,
    graph: Graph,
    codes: Codes | None,
    reordered: bool,
    out: Mapping[str, NDArray[np.generic]] | None,
) -> Arrays:
    arrays: Arrays = {}
    for name, (shape, dtype) in packed_shapes(
        graph, header.dim, codes=codes, keeping=header.keeping, reordered=reordered
    ).items():
        given = aligned(shape, dtype) if out is None else out[name]
        if given.shape != shape or given.dtype != dtype:
            raise ValueError(
                f"out {name}: expected {dtype} {shape}, got {given.dtype} {given.shape}; see packed_shapes"
            )
        arrays[name] = given
    return arrays


def _lasting(rows: NDArray[np.float32], header: PackedHeader) -> bool:
    """Whether rows are what the store of an index holds, on a cache line and never changed."""
    as_they_are = header.keeping == "float32" and header.metric != "cosine"
    whole_rows = kernel.row_bytes("float32", header.dim) == rows.shape[1] * rows.itemsize
    return bool(as_they_are and whole_rows and not rows.flags.writeable and rows.ctypes.data % LINE == 0)


def aligned(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """An array of zeros on a cache line."""
    count = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(count + LINE, dtype=np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + count].view(dtype).reshape(shape)


def _fill(
    arrays: Arrays,
    header: PackedHeader,
    rows: NDArray[np.float32],
    graph: Graph,
    codes: Codes | None,
    stored: StoredRange,
    reordered: bool,
    *,
    lent: bool,
) -> None:
    order = node_order(graph) if reordered else None
    arrays["numbers"][:] = header.numbers()
    link_rows(graph, order, arrays["links"])
    for name, values in upper_arrays(graph, order).items():
        arrays[name][...] = values
    if order is not None:
        arrays["rows"][:] = order
    arrays["store_low"][:], arrays["store_step"][:] = stored.low, stored.step
    if codes is not None:
        arrays["matrix"][...], arrays["shift"][:] = codes.matrix, codes.query_shift
        arrays["low"][:], arrays["step"][:] = codes.low, codes.step
    for begin in range(0, header.size, BLOCK_ROWS):
        end = min(begin + BLOCK_ROWS, header.size)
        block = rows[begin:end] if order is None else rows[order[begin:end]]
        if header.metric == "cosine":
            block = unit_block(block, order, begin)
        if not lent:
            store_rows(block, stored, header.keeping, arrays["store"][begin:end])
        if codes is not None:
            codes.encode(block, arrays["codes"][begin:end].view(np.uint8))
