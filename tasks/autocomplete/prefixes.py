"""What is typed: character n-grams that count more at the beginning, and the prefixes that pairs are trained on.

Source: Yadav et al., KDD 2021 (arXiv 2012.07654), section 4.2, and the published code (``examples/qp2q``): an n-gram that
begins at position i, from 0, counts 1 / (i + 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.terms import PREFIX, FamilyEntries, mixed
from fingerpost.tasks.xmr.sparse_rows import csr_rows, normalised_rows

if TYPE_CHECKING:  # a completion makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse

#: position: 1 / (i + 1) at position i; plain: 1 at each.
Weighting = Literal["position", "plain"]


@dataclass(frozen=True)
class PrefixParams:
    """Parameters of prefixes and of the characters of suggestions.

    lengths: lengths of the prefixes that each pair is trained on, in characters; 0 is the empty one.
    sampled: number of further prefixes of each pair, of any length with equal probability.
    weighting: how n-grams count: position (the first ones most) or plain (all alike).
    max_ngram: longest n-gram of characters.
    characters: number of first characters of a text that count.
    weight: weight of the prefix in a row.
    seed: seed of the sampled prefixes.

    With the empty prefix alone a row has no features of a prefix. That is the default, since the search for completions
    considers suggestions that begin with the prefix only; a search without that filter needs the others.
    """

    lengths: tuple[int, ...] = (0,)
    sampled: int = 0
    weighting: Weighting = "position"
    max_ngram: int = 3
    characters: int = 32
    weight: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.lengths, default=0) < 0 or self.sampled < 0 or not (self.lengths or self.sampled):
            raise ValueError(
                f"lengths and sampled: expected prefixes of at least 0 characters, got {self.lengths} and {self.sampled};"
                " give a length"
            )
        if self.weighting not in get_args(Weighting):
            raise ValueError(f"weighting: expected one of {get_args(Weighting)}, got {self.weighting!r}; choose one")
        if not 1 <= self.max_ngram <= self.characters:
            raise ValueError(
                f"max_ngram and characters: expected 1 <= max_ngram <= characters, got {self.max_ngram} and"
                f" {self.characters}; correct them"
            )
        if not self.weight > 0:
            raise ValueError(f"weight: expected more than 0, got {self.weight}; raise it")

    @property
    def featurized(self) -> bool:
        """Whether prefixes have features."""
        return self.sampled > 0 or any(self.lengths)


def ngram_entries(texts: Sequence[str], params: PrefixParams) -> FamilyEntries:
    """The character n-grams of texts, one row each; the origin of an entry is text * characters + first character.

    Entries of a text are in the order of their lengths, then of their positions.
    """
    width = params.characters
    cut = [text[:width] for text in texts]
    sizes = np.array([len(text) for text in cut], dtype=np.int64)
    letters = np.array(cut, dtype=f"<U{width}").view(np.uint32).reshape(len(cut), width).astype(np.uint64)
    places = np.arange(width)
    value = 1.0 / (places + 1) if params.weighting == "position" else np.ones(width)
    hashes: NDArray[np.uint64] = np.full(letters.shape, PREFIX, dtype=np.uint64)
    found = []
    for length in range(1, params.max_ngram + 1):
        shifted = letters[:, length - 1 :]
        hashes = mixed(hashes[:, : shifted.shape[1]].reshape(-1), shifted.reshape(-1)).reshape(shifted.shape)
        rows, begins = np.nonzero(places[None, : shifted.shape[1]] + length <= sizes[:, None])
        found.append((rows, hashes[rows, begins], value[begins], rows * width + begins))
    rows, ids, values, origins = (np.concatenate([part[i] for part in found]) for i in range(4))
    return FamilyEntries(rows, ids, values, PREFIX, origins)


def ngram_text(texts: Sequence[str], origin: int, ids: NDArray[np.uint64], params: PrefixParams) -> str:
    """The n-gram at an origin whose hash is ``ids[0]``."""
    text, begin = texts[origin // params.characters][: params.characters], origin % params.characters
    for length in range(1, params.max_ngram + 1):
        gram = text[begin : begin + length]
        if ngram_entries([gram], params).ids[-1] == ids[0]:
            return gram
    raise ValueError(f"n-gram {ids[0]}: expected it at position {begin}, found others; pass the text it is from")


def trained_prefixes(
    lengths: NDArray[np.int64], numbers: NDArray[np.int64], params: PrefixParams
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The prefixes that pairs are trained on: the row of each one's pair, ascending, and its length, int64 both.

    lengths: int64 (p,), characters of each pair's next query; numbers: int64 (p,), a number of each pair, by which the
    sampled lengths are drawn. A prefix is at most the whole query; the same one does not count twice.
    """
    columns = [np.minimum(lengths, length) for length in params.lengths]
    for draw in range(params.sampled):
        seed = np.full(len(lengths), (params.seed << 16) + draw, dtype=np.uint64)
        fraction = (mixed(seed, numbers) >> np.uint64(11)).astype(np.float64) / 2.0**53
        columns.append(np.minimum(1 + (fraction * lengths).astype(np.int64), lengths))
    table = np.sort(np.stack(columns, axis=1), axis=1)
    new = np.ones(table.shape, dtype=bool)
    new[:, 1:] = table[:, 1:] != table[:, :-1]
    rows, which = np.nonzero(new)
    return rows.astype(np.int64), table[rows, which]


def inverse_frequencies(frequencies: NDArray[np.int64], texts: int) -> NDArray[np.float32]:
    """Smoothed inverse document frequencies, float32: log((1 + texts) / (1 + frequency)) + 1."""
    return (np.log((1 + texts) / (1 + frequencies)) + 1).astype(np.float32)


def ngram_frequencies(texts: Sequence[str], params: PrefixParams) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct n-grams of texts, ascending, and the number of texts with each, int64."""
    found = ngram_entries(texts, params)
    order = np.lexsort((found.rows, found.ids))
    ids, rows = found.ids[order], found.rows[order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = (ids[1:] != ids[:-1]) | (rows[1:] != rows[:-1])
    distinct, counts = np.unique(ids[first], return_counts=True)
    return distinct, counts


def summed_frequencies(
    parts: Sequence[tuple[NDArray[np.uint64], NDArray[np.int64]]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The frequencies of several parts of the texts, as one."""
    distinct, place = np.unique(np.concatenate([ids for ids, _ in parts]), return_inverse=True)
    counts = np.bincount(place, weights=np.concatenate([counts for _, counts in parts]), minlength=len(distinct))
    return distinct, counts.astype(np.int64)


def text_features(
    texts: Sequence[str], ids: NDArray[np.uint64], idf: NDArray[np.float32], params: PrefixParams
) -> "sparse.csr_array":
    """Position-weighted n-grams of texts times idf, scaled to unit length: CSR float32 (texts, ids).

    ids: uint64, ascending, of the columns; every n-gram of the texts must be among them.
    """
    found = ngram_entries(texts, params)
    columns = np.searchsorted(ids, found.ids)
    from scipy import sparse

    matrix = sparse.coo_array(
        (found.values * idf[columns], (found.rows, columns)), shape=(len(texts), len(ids))
    ).tocsr()
    matrix.sum_duplicates()
    return normalised_rows(
        csr_rows(
            matrix.data.astype(np.float32),
            matrix.indices.astype(np.int32),
            matrix.indptr.astype(np.int64),
            columns=len(ids),
        )
    )
