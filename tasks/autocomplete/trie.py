"""The trie over the matching keys of suggestions: rows by prefix, exact or with a typing error, and by weight.

Suggestions are sorted by the UTF-8 bytes of their distinct keys, so those that begin with a prefix are a range [low, high)
of rows. A trie is a handful of arrays: it is stored as they are, and opened without being built.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import trie as kernel

#: Characters of a prefix from which on typing errors are looked for: most of what is one edit from a shorter one has
#: nothing to do with it.
LEAST_CHARACTERS = 4

_DTYPES: Mapping[str, type[np.generic]] = {
    "low": np.uint32,
    "first_child": np.uint32,
    "first_byte": np.uint8,
    "tail_start": np.uint32,
    "tails": np.uint8,
    "weights": np.float32,
    "maxima": np.uint32,
}


#: Ranges [low, high) of rows: two arrays uint32 (r,), ascending; the ranges do not overlap, and none is empty.
Ranges: TypeAlias = tuple[NDArray[np.uint32], NDArray[np.uint32]]


class TrieError(ValueError):
    """Arrays that are no trie."""


def flat_texts(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Texts (n,) as UTF-8: offsets int64 (n + 1,) into bytes uint8."""
    encoded = [text.encode() for text in texts]
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(encoded) + 1)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


def build_trie(keys: Sequence[str], weights: ArrayLike) -> "Trie":
    """The trie over keys (n,), distinct and sorted, and the weights (n,) of their suggestions.

    Raises ValueError for keys in another order, and for weights that are not finite or not one per key.
    """
    offsets, data = flat_texts(keys)
    heavy = np.ascontiguousarray(weights, dtype=np.float32)
    if heavy.shape != (len(keys),) or not np.isfinite(heavy).all():
        raise ValueError(f"weights: expected {len(keys)} finite numbers, got {heavy.shape}; pass one per key")
    maxima = kernel.range_maxima(heavy)
    return Trie({**kernel.build_trie(offsets, data), "weights": heavy, "maxima": maxima})


class Trie:
    """A trie of stored arrays: those of ext/trie, the weights float32 (n,) of its rows, and their maxima.

    Refers to the arrays, which must not be modified. Raises TrieError for arrays that do not belong together.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        _check(arrays)
        self._arrays = {name: arrays[name] for name in _DTYPES}
        self._trie = kernel.Trie(self.keys, *(arrays[name] for name in list(_DTYPES)[:5]))
        self._heaviest = kernel.Heaviest(arrays["weights"], arrays["maxima"])

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to store."""
        return dict(self._arrays)

    @property
    def keys(self) -> int:
        """Number of keys."""
        return len(self._arrays["weights"])

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self._arrays["low"])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes: 35 to 50 a key for names and queries."""
        return sum(array.nbytes for array in self._arrays.values())

    @property
    def weights(self) -> NDArray[np.float32]:
        """The weight of each row, float32 (n,)."""
        return self._arrays["weights"]

    def find(self, prefix: str) -> tuple[int, int]:
        """The range of rows whose keys begin with a prefix key; an empty one, (0, 0), where there are none."""
        return self._trie.find(prefix.encode())

    def range_of(self, prefix: str) -> Ranges:
        """The same range as `best` takes it: one, or none."""
        low, high = self.find(prefix)
        bounds = (low, high) if low < high else ()
        return np.array(bounds[:1], dtype=np.uint32), np.array(bounds[1:], dtype=np.uint32)

    def find_many(self, prefixes: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The ranges of prefix keys (q,), of which some may be empty: low and high uint32 (q,)."""
        return self._trie.find_many(*flat_texts(prefixes))

    def best(self, ranges: Ranges, k: int) -> NDArray[np.uint32]:
        """The k rows of ranges with the largest weights, or all of them: the largest first, ties by the smaller row."""
        return self._heaviest.best(*ranges, k)

    def best_many(
        self, indptr: NDArray[np.int64], ranges: Ranges, k: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The same for each of (q,), whose ranges are those from indptr[i] to indptr[i + 1].

        Returns rows uint32 (q, k), padded with 2**32 - 1, and their numbers int64 (q,).
        """
        return self._heaviest.best_many(indptr, *ranges, k)

    def within_one_edit(self, prefix: str) -> Ranges:
        """The rows whose keys do not begin with a prefix key, but with a text one typing error from it.

        A typing error: a character missing, too many or another, or two neighbours exchanged. None for a prefix of fewer
        than LEAST_CHARACTERS.
        """
        if len(prefix) < LEAST_CHARACTERS:
            return np.empty(0, np.uint32), np.empty(0, np.uint32)
        return self._trie.within_one_edit(prefix.encode())

    def within_one_edit_many(self, prefixes: Sequence[str]) -> tuple[NDArray[np.int64], Ranges]:
        """The same for prefix keys (q,): indptr int64 (q + 1,), and all ranges; those of i from indptr[i] on."""
        long = [len(prefix) >= LEAST_CHARACTERS for prefix in prefixes]
        asked = [prefix for prefix, kept in zip(prefixes, long, strict=True) if kept]
        found, low, high = self._trie.within_one_edit_many(*flat_texts(asked))
        numbers = np.zeros(len(prefixes) + 1, dtype=np.int64)
        numbers[1:][np.array(long, dtype=bool)] = np.diff(found)
        return np.cumsum(numbers), (low, high)


def _check(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises TrieError for arrays that a search could leave; their bytes are checked by the store."""
    for name, dtype in _DTYPES.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or not array.flags.c_contiguous:
            found = "none" if array is None else f"{array.dtype} {array.shape}"
            raise TrieError(f"{name}: expected a contiguous array of {np.dtype(dtype)}, got {found}; rebuild the trie")
    nodes, rows = len(arrays["low"]), len(arrays["weights"])
    children, tails, low = arrays["first_child"], arrays["tail_start"], arrays["low"]
    if nodes == 0 or not len(arrays["first_byte"]) + 1 == len(children) == len(tails) == nodes + 1:
        raise TrieError(f"nodes: expected one entry of each kind for {nodes} nodes, got others; rebuild the trie")
    parents_first = bool((children[:-1] > np.arange(nodes, dtype=np.uint32)).all())
    if not parents_first or not _ascends(children, nodes) or not _ascends(tails, len(arrays["tails"])):
        raise TrieError(
            "nodes: expected children after their parents, and tails in order, got others; rebuild the trie"
        )
    if int(low.max()) > max(rows - 1, 0):
        raise TrieError(f"rows: expected numbers below {rows}, got {int(low.max())}; rebuild the trie")


def _ascends(pointers: np.ndarray, last: int) -> bool:
    return bool((pointers[1:] >= pointers[:-1]).all()) and int(pointers[-1]) == last
