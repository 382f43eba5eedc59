"""Baselines of completion by counts alone: the most popular completions, and those after the previous query."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.blend import Blend
from fingerpost.tasks.autocomplete.trie import Trie


def popular(trie: Trie, prefix: str, k: int) -> NDArray[np.uint32]:
    """The k most popular completions of a prefix, uint32; filled up with those of shorter prefixes."""
    found = np.empty(0, dtype=np.uint32)
    for length in range(len(prefix), -1, -1):
        found = _filled(found, trie.best(trie.range_of(prefix[:length]), 2 * k), k)
        if len(found) == k:
            break
    return found


def following(blend: Blend, trie: Trie, previous: str, prefix: str, k: int) -> NDArray[np.uint32]:
    """The k completions that most often followed the previous query, uint32; filled up with popular ones.

    Ties go to the more popular suggestion, then to the smaller row.
    """
    ranges = trie.range_of(prefix)
    rows, counts = blend.followers(previous, ranges)
    order = np.lexsort((rows, -blend.popularity(rows), -counts))
    return _filled(rows[order][:k], popular(trie, prefix, 2 * k), k)


def _filled(rows: NDArray[np.uint32], further: NDArray[np.uint32], k: int) -> NDArray[np.uint32]:
    return np.concatenate((rows, further[~np.isin(further, rows)]))[:k]


def popular_many(trie: Trie, prefixes: Sequence[str], k: int) -> list[NDArray[np.uint32]]:
    """The completions of each prefix by popularity; equal prefixes are looked up once."""
    known = {prefix: popular(trie, prefix, k) for prefix in dict.fromkeys(prefixes)}
    return [known[prefix] for prefix in prefixes]
