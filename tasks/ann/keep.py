"""The rows that a search may return: one set for all queries of a batch, or one for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Rows of one word of a set.
WORD = 64


@dataclass(frozen=True)
class Keep:
    """Sets of the rows of an index as bits, as the search kernels read them.

    size: number of rows n. bits: uint64 (s, ceil(n / 64)); row r of set i passes where bit r % 64 of bits[i, r // 64] is
    set, and bits beyond the last row are 0. of_query: int64 (q,), the set of each query; None where the first set counts
    for all. ValueError for arrays of other shapes, types or values.
    """

    size: int
    bits: NDArray[np.uint64]
    of_query: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        words = -(-self.size // WORD)
        bits = self.bits
        if bits.dtype != np.uint64 or bits.ndim != 2 or bits.shape[1] != words or not bits.flags.c_contiguous:
            raise ValueError(
                f"keep: expected contiguous uint64 (sets, {words}) for {self.size} rows, got {bits.dtype} {bits.shape};"
                " make it with keep_rows"
            )
        last = int(np.bitwise_or.reduce(bits[:, -1])) if words else 0
        if self.size % WORD and last >> self.size % WORD:
            raise ValueError(f"keep: expected no bits beyond row {self.size - 1}, got some; make it with keep_rows")
        owners = self.of_query
        if owners is None:
            if len(bits) != 1:
                raise ValueError(f"keep: expected one set for all queries, got {len(bits)}; say which query has which")
        elif (
            owners.dtype != np.int64
            or owners.ndim != 1
            or (len(owners) and not 0 <= owners.min() <= owners.max() < len(bits))
        ):
            raise ValueError(f"keep: expected a set below {len(bits)} for each query, got others; correct of_query")

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of rows of each set, int64 (s,)."""
        return np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64)

    @property
    def sets(self) -> int:
        """Number of sets."""
        return len(self.bits)

    def owners(self, queries: int) -> NDArray[np.int64]:
        """The set of each of q queries, int64 (q,); ValueError for another number than the sets were made for."""
        if self.of_query is None:
            return np.zeros(queries, dtype=np.int64)
        if len(self.of_query) != queries:
            raise ValueError(
                f"keep: expected the sets of {queries} queries, got {len(self.of_query)}; give one for each"
            )
        return self.of_query

    def shared(self, queries: int) -> NDArray[np.int64]:
        """Number of queries of each set among q queries, int64 (s,); ValueError as :meth:`owners`."""
        if self.of_query is None:
            return np.array([queries], dtype=np.int64)
        return np.bincount(self.owners(queries), minlength=self.sets)

    def mask(self, number: int) -> NDArray[np.bool_]:
        """The rows of a set as a mask, bool (n,)."""
        octets = self.bits[number].astype("<u8", copy=False).view(np.uint8)
        return np.unpackbits(octets, count=self.size, bitorder="little").astype(np.bool_)

    def rows(self, number: int) -> NDArray[np.int64]:
        """The rows of a set, int64 (m,), ascending."""
        return self._only if self.sets == 1 else self._rows(number)

    @cached_property
    def _only(self) -> NDArray[np.int64]:
        """The rows of the one set that all queries share."""
        return self._rows(0)

    def _rows(self, number: int) -> NDArray[np.int64]:
        # Words without a row are passed over: most are where few rows pass.
        words = np.flatnonzero(self.bits[number])
        octets = self.bits[number][words].astype("<u8", copy=False).view(np.uint8)
        at = np.flatnonzero(np.unpackbits(octets, bitorder="little").view(np.bool_))
        return words[at // WORD] * WORD + at % WORD

    def without(self, removed: NDArray[np.bool_]) -> "Keep":
        """The same sets without rows that were removed, bool (n,)."""
        return Keep(self.size, self.bits & ~packed_mask(removed[None]), self.of_query)

    def both(self, other: "Keep", queries: int) -> "Keep":
        """What sets of these and of others for the same queries have in common."""
        pairs = np.stack([self.owners(queries), other.owners(queries)], axis=1)
        distinct, owners = np.unique(pairs, axis=0, return_inverse=True)
        return Keep(
            self.size, self.bits[distinct[:, 0]] & other.bits[distinct[:, 1]], owners.reshape(-1).astype(np.int64)
        )


def packed_mask(mask: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """The bits uint64 (s, ceil(n / 64)) of masks bool (s, n)."""
    words = -(-mask.shape[1] // WORD)
    octets = np.zeros((len(mask), words * WORD // 8), dtype=np.uint8)
    packed = np.packbits(mask, axis=1, bitorder="little")
    octets[:, : packed.shape[1]] = packed
    return octets.view("<u8").astype(np.uint64, copy=False)


#: What callers give: bool (n,) for all queries; bool (q, n) or a list of row numbers for each query; or sets made before.
KeepLike = Keep | NDArray[np.bool_] | Sequence[ArrayLike]


def keep_rows(keep: KeepLike, *, size: int, queries: int) -> Keep:
    """Sets of the rows of an index of ``size`` rows for a number of queries.

    keep: a mask bool (n,) of the rows that all queries may find, a mask bool (q, n) with one row for each query, or a
    list with the allowed row numbers of each query (ascending or not; what is named twice counts once). Equal sets are
    stored once. ValueError for other shapes and types and for rows out of range.
    """
    if isinstance(keep, Keep):
        if keep.size != size:
            raise ValueError(
                f"keep: expected sets of the index's {size} rows, got {keep.size}; make them for this index"
            )
        keep.owners(queries)
        return keep
    if isinstance(keep, np.ndarray) and keep.dtype == np.bool_:
        if keep.shape == (size,):
            return Keep(size, packed_mask(keep[None]))
        if keep.shape != (queries, size):
            raise ValueError(
                f"keep: expected a mask ({size},) or one for each query ({queries}, {size}), got {keep.shape}; correct it"
            )
        return _distinct(size, packed_mask(keep))
    if isinstance(keep, np.ndarray) or len(keep) != queries:
        raise ValueError(
            f"keep: expected a mask, or lists of rows for {queries} queries, got {_described(keep)}; give one for each"
        )
    if queries == 1:
        return Keep(size, _listed(np.asarray(keep[0]), size, 0)[None])
    masks = np.zeros((queries, -(-size // WORD)), dtype=np.uint64)
    for query, listed in enumerate(keep):
        masks[query] = _listed(np.asarray(listed), size, query)
    return _distinct(size, masks)


def _listed(rows: NDArray[np.generic], size: int, query: int) -> NDArray[np.uint64]:
    if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
        raise ValueError(f"keep of query {query}: expected row numbers (m,), got {rows.dtype} {rows.shape}; give rows")
    numbers = rows.astype(np.int64, copy=False)
    # As numbers without a sign, those below 0 are beyond any size.
    if len(rows) and int(numbers.view(np.uint64).max()) >= size:
        raise ValueError(f"keep of query {query}: expected rows 0 to {size - 1}, got others; choose among the index's")
    if len(rows) * WORD < size:
        bits = np.zeros(-(-size // WORD), dtype=np.uint64)
        np.bitwise_or.at(bits, numbers // WORD, np.left_shift(np.uint64(1), (numbers % WORD).astype(np.uint64)))
        return bits
    mask = np.zeros(-(-size // WORD) * WORD, dtype=np.bool_)
    mask[numbers] = True
    return np.packbits(mask, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def _distinct(size: int, bits: NDArray[np.uint64]) -> Keep:
    """Sets of each query with equal ones stored once, in the order in which they first come."""
    if len(bits) == 1:
        return Keep(size, bits)
    known: dict[bytes, int] = {}
    owners = np.array([known.setdefault(row.tobytes(), len(known)) for row in bits], dtype=np.int64)
    _, first = np.unique(owners, return_index=True)
    return Keep(size, np.ascontiguousarray(bits[first]), owners)


def _described(keep: object) -> str:
    if isinstance(keep, np.ndarray):
        return f"{keep.dtype} {keep.shape}"
    return f"{len(keep)} lists" if isinstance(keep, Sequence) else type(keep).__name__
