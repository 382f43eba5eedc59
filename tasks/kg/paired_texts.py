"""Pairs of texts: the distinct ones of either side, and how alike those of a pair are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.term_rows import Overlap, TermRows, overlap
from fingerpost.tasks.kg.terms import Rarity, TermParams, hashed
from fingerpost.tasks.kg.text_parts import codes, plain

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class PairedEntities:
    """The distinct entities of pairs, and the pairs as places among these, uint32 (m, 2)."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    pairs: NDArray[np.uint32]

    @staticmethod
    def of(pairs: NDArray[np.integer]) -> "PairedEntities":
        """Of pairs (m, 2) of a left and a right entity."""
        left, first = np.unique(np.asarray(pairs)[:, 0].astype(np.int64), return_inverse=True)
        right, second = np.unique(np.asarray(pairs)[:, 1].astype(np.int64), return_inverse=True)
        return PairedEntities(left, right, np.stack([first, second], axis=1).astype(np.uint32))


@dataclass(frozen=True)
class PairedTexts:
    """A text of each of these entities, and the pairs; every measure is an array (m,), NaN where a pair lacks a text."""

    left: Sequence[str]
    right: Sequence[str]
    pairs: NDArray[np.uint32]

    def known(self, values: Floats) -> Floats:
        """Values where both have a text."""
        has = [np.array([bool(text) for text in texts], dtype=bool) for texts in (self.left, self.right)]
        return np.where(has[0][self.pairs[:, 0]] & has[1][self.pairs[:, 1]], values, np.nan)

    def overlap(self, family: str, rarity: Rarity, params: TermParams) -> Overlap:
        """What they have in common of the terms of a family; not NaN for missing ones."""
        return overlap([TermRows.of(texts, family, rarity, params) for texts in (self.left, self.right)], self.pairs)

    def codes(self, params: TermParams) -> dict[str, Floats]:
        """Shares of common words with a digit, each of the same weight, of the lesser side and of both."""
        texts = PairedTexts([codes(text) for text in self.left], [codes(text) for text in self.right], self.pairs)
        rows = [TermRows.alike(*hashed(side, "words", params)[:2]) for side in (texts.left, texts.right)]
        found = overlap(rows, self.pairs)
        return {"codes_contained": texts.known(found.contained), "codes_jaccard": texts.known(found.jaccard)}

    def equal(self) -> Floats:
        """1 where both have the same words, 0 where they have not."""
        numbers: dict[str, int] = {}
        left, right = (
            np.array([numbers.setdefault(plain(text), len(numbers)) for text in texts], dtype=np.int64)
            for texts in (self.left, self.right)
        )
        return self.known((left[self.pairs[:, 0]] == right[self.pairs[:, 1]]).astype(np.float64))

    def ratio(self, measure: Callable[[str], float]) -> Floats:
        """The lesser over the greater of what is measured; 1 for two zeros, NaN where one is unknown."""
        ours, theirs = self._measured(measure)
        least, most = np.minimum(ours, theirs), np.maximum(ours, theirs)
        found = np.where(most > 0, least / np.where(most > 0, most, 1.0), np.where(np.isnan(most), np.nan, 1.0))
        return self.known(found)

    def difference(self, measure: Callable[[str], float]) -> Floats:
        """The absolute difference of what is measured."""
        ours, theirs = self._measured(measure)
        return self.known(np.abs(ours - theirs))

    def _measured(self, measure: Callable[[str], float]) -> tuple[Floats, Floats]:
        left, right = (np.array([measure(text) for text in texts], dtype=float) for texts in (self.left, self.right))
        return left[self.pairs[:, 0]], right[self.pairs[:, 1]]
