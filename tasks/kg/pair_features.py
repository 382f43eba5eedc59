"""Features of pairs of entities: similarities of attributes and names, of neighbours by relation, and known anchors.

What is not there is neither similar nor dissimilar: a feature of a text that either side lacks is NaN.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.entity_texts import EntityTexts, Linked, as_terms, codes, plain
from fingerpost.tasks.kg.term_rows import TermRows, overlap
from fingerpost.tasks.kg.terms import DATE, NEIGHBORS, NUMBER, OF_NEIGHBORS, OF_WHOLE, OWN, Terms, hashed

#: Neighbours that are known to be the same: features of this name.
ANCHORS = "(anchors)"
#: What the baseline looks at, of a text of the entity itself.
PLAIN = ("words", "letters", "length", "number")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Features = dict[str, NDArray[np.floating]]


@dataclass(frozen=True)
class PairComparer:
    """Features of pairs of two sides; shards of pairs give the same as all at once.

    anchors: (m, 2) pairs known to be the same, in training. neighbors: also compare neighbours.
    """

    left: EntityTexts
    right: EntityTexts
    terms: Terms
    anchors: NDArray[np.integer]
    neighbors: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, ``attribute:measure``."""
        return tuple(self._features(np.zeros((0, 2), dtype=np.uint32)))

    @property
    def own(self) -> tuple[str, ...]:
        """The texts of the entities themselves, those whose letters have rivals."""
        return self.terms.of_kinds(*OWN)

    def features(self, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32 (m, features) of pairs (m, 2) of a left and a right entity."""
        return np.stack([np.asarray(one, np.float32) for one in self._features(pairs).values()], axis=1)

    def letters(self, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32 (m, own): the cosines of character n-grams alone, NaN where a text is empty."""
        chosen = _Chosen.of(pairs)
        return np.stack([self._letters(name, chosen, *chosen.texts(self, name)) for name in self.own], axis=1)

    def _features(self, pairs: NDArray[np.integer]) -> Features:
        chosen = _Chosen.of(pairs)
        found: Features = {}
        for name, kind in self.terms.kinds.items():
            if kind == OF_NEIGHBORS and not self.neighbors:
                continue
            measured = self._of_neighbors(name, chosen) if kind == OF_NEIGHBORS else self._of_text(name, kind, chosen)
            found |= {f"{name}:{measure}": values for measure, values in measured.items()}
        if self.neighbors and NEIGHBORS in self.terms.kinds:
            found |= {f"{ANCHORS}:{measure}": values for measure, values in self._of_anchors(chosen).items()}
        return found

    def _letters(self, name: str, chosen: "_Chosen", ours: list[str], theirs: list[str]) -> NDArray[np.float32]:
        rows = [
            TermRows.of(texts, "letters", self.terms.rarity[name, "letters"], self.terms.params)
            for texts in (ours, theirs)
        ]
        return _known(overlap(*rows, chosen.pairs).cosine, chosen.has(ours, theirs))

    def _of_text(self, name: str, kind: str, chosen: "_Chosen") -> Features:
        """The measures of one text of the entity itself."""
        ours, theirs = chosen.texts(self, name)
        has = chosen.has(ours, theirs)
        rows = [
            TermRows.of(texts, "words", self.terms.rarity[name, "words"], self.terms.params) for texts in (ours, theirs)
        ]
        words = overlap(*rows, chosen.pairs)
        found: Features = {
            "words": words.cosine,
            "letters": self._letters(name, chosen, ours, theirs),
            "contained": words.contained,
            "jaccard": words.jaccard,
            "rarest_common": words.rarest_common,
            "rarest_alone": words.rarest_alone,
            **self._of_codes(chosen, ours, theirs),
            "length": chosen.ratio(*(np.array([len(text) for text in texts], float) for texts in (ours, theirs))),
        }
        if kind != OF_WHOLE:
            found["equal"] = chosen.equal([plain(text) for text in ours], [plain(text) for text in theirs])
            found["number"] = chosen.ratio(*(np.array([number(text) for text in texts]) for texts in (ours, theirs)))
        if kind in (NUMBER, DATE):
            measure = day if kind == DATE else number
            found["difference"] = chosen.difference(
                *(np.array([measure(text) for text in texts]) for texts in (ours, theirs))
            )
        return {measure: _known(values, has) for measure, values in found.items()}

    def _of_codes(self, chosen: "_Chosen", ours: list[str], theirs: list[str]) -> Features:
        """Shares of common words with a digit, each of the same weight, of the lesser side and of both."""
        sides = [[codes(text) for text in texts] for texts in (ours, theirs)]
        found = overlap(*(_alike(*hashed(texts, "words", self.terms.params)[:2]) for texts in sides), chosen.pairs)
        has = chosen.has(*sides)
        return {"codes_contained": _known(found.contained, has), "codes_jaccard": _known(found.jaccard, has)}

    def _of_neighbors(self, name: str, chosen: "_Chosen") -> Features:
        """Common names of neighbours by a relation, and similarities of all of these names as one text."""
        most, params = self.terms.params.neighbors, self.terms.params
        relation = relation_of(name)
        near = [
            side.neighbor_names(relation, rows, most=most)
            for side, rows in ((self.left, chosen.left), (self.right, chosen.right))
        ]
        texts = [[" ".join(names) for names in side] for side in near]
        keys = [[as_terms(names) for names in side] for side in near]
        words = overlap(
            *(TermRows.of(side, "words", self.terms.rarity[name, "words"], params) for side in keys), chosen.pairs
        )
        has = chosen.has(*texts)
        found = {measure: getattr(words, measure) for measure in ("contained", "jaccard", "rarest_common")}
        return {measure: _known(values, has) for measure, values in found.items()} | {
            "letters": self._letters(name, chosen, *texts)
        }

    @cached_property
    def _anchors(self) -> tuple[list[Linked], NDArray[np.float32]]:
        """The anchors next to the entities of both sides, by their numbers, and how rare each is there."""
        linked = [side.linked(NEIGHBORS) for side in (self.left, self.right)]
        numbered = [_anchored(one, self.anchors[:, side]) for side, one in enumerate(linked)]
        counts = sum(np.bincount(one.neighbors, minlength=len(self.anchors)) for one in numbered)
        return numbered, np.log((1.0 + len(self.left) + len(self.right)) / (1.0 + counts)).astype(np.float32)

    def _of_anchors(self, chosen: "_Chosen") -> Features:
        """Common anchors among the neighbours: shares as of words, weighted by how few entities they are next to."""
        numbered, rarity = self._anchors
        rows = [_taken(one, picked, rarity) for one, picked in zip(numbered, (chosen.left, chosen.right), strict=True)]
        found = overlap(*rows, chosen.pairs)
        has = np.logical_and(*(np.diff(one.indptr)[chosen.pairs[:, side]] > 0 for side, one in enumerate(rows)))
        return {
            measure: _known(getattr(found, measure), has)
            for measure in ("cosine", "contained", "jaccard", "rarest_common")
        }


@dataclass(frozen=True)
class _Chosen:
    """The distinct entities of pairs, and the pairs as places among these."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    pairs: NDArray[np.uint32]

    @staticmethod
    def of(pairs: NDArray[np.integer]) -> "_Chosen":
        left, first = np.unique(np.asarray(pairs)[:, 0].astype(np.int64), return_inverse=True)
        right, second = np.unique(np.asarray(pairs)[:, 1].astype(np.int64), return_inverse=True)
        return _Chosen(left, right, np.stack([first, second], axis=1).astype(np.uint32))

    def texts(self, comparer: PairComparer, name: str) -> tuple[list[str], list[str]]:
        if comparer.terms.kinds[name] == OF_NEIGHBORS:
            raise ValueError(f"{name}: expected a text of entities, got one of neighbours; compare their names")
        return comparer.left.texts(name, self.left), comparer.right.texts(name, self.right)

    def has(self, ours: Sequence[str], theirs: Sequence[str]) -> NDArray[np.bool_]:
        """Whether both have a text."""
        return self._both(
            *(np.array([bool(text) for text in texts], dtype=bool) for texts in (ours, theirs)), np.logical_and
        )

    def ratio(self, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The lesser over the greater; 1 for two zeros, NaN where one is unknown."""
        least, most = self._both(ours, theirs, np.minimum), self._both(ours, theirs, np.maximum)
        return np.where(most > 0, least / np.where(most > 0, most, 1.0), np.where(np.isnan(most), np.nan, 1.0))

    def difference(self, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log of 1 and the difference."""
        return np.log1p(np.abs(self._both(ours, theirs, np.subtract)))

    def equal(self, ours: list[str], theirs: list[str]) -> NDArray[np.float64]:
        """1 where texts are equal, 0 where they are not."""
        numbers: dict[str, int] = {}
        sides = [
            np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)
            for texts in (ours, theirs)
        ]
        return self._both(*sides, np.equal).astype(np.float64)

    def _both(self, ours: NDArray, theirs: NDArray, what: Callable[..., NDArray]) -> NDArray:
        return what(ours[self.pairs[:, 0]], theirs[self.pairs[:, 1]])


def neighbor_attribute(relation: str) -> str:
    """The name of the features of the neighbours by a relation; of NEIGHBORS itself for any."""
    return relation if relation == NEIGHBORS else f"{relation}>"


def relation_of(attribute: str) -> str:
    """The inverse of neighbor_attribute."""
    return attribute if attribute == NEIGHBORS else attribute.removesuffix(">")


def baseline_names(names: Sequence[str], kinds: Mapping[str, str]) -> tuple[str, ...]:
    """Those features that look at nothing but TF-IDF, numbers and lengths of the entities' own texts."""
    parted = [(name, *name.rpartition(":")[::2]) for name in names]
    return tuple(name for name, attribute, measure in parted if kinds.get(attribute) in OWN and measure in PLAIN)


def number(text: str) -> float:
    """The first number of a text, commas before three digits being no decimal points; NaN for none."""
    found = _NUMBER.search(text)
    if found is None:
        return np.nan
    digits = re.sub(r",(?=\d{3}(?:\D|$))", "", found.group()).replace(",", ".")
    whole, _, rest = digits.partition(".")
    return float(f"{whole}.{rest.replace('.', '') or 0}")


def day(text: str) -> float:
    """The number of the day of a date that begins a text; NaN for none and for no day of the calendar."""
    found = _DAY.match(text)
    try:
        return np.nan if found is None else float(np.datetime64(found.group(), "D").astype(np.int64))
    except ValueError:
        return np.nan


def _known(values: NDArray[np.floating], has: NDArray[np.bool_]) -> NDArray[np.floating]:
    return np.where(has, values, np.nan)


def _alike(indptr: NDArray[np.int64], terms: NDArray[np.uint32]) -> TermRows:
    """Rows whose terms have the same weight."""
    ones = np.ones(len(terms), dtype=np.float32)
    return TermRows(indptr, terms, ones, ones)


def _anchored(linked: Linked, anchors: NDArray[np.integer]) -> Linked:
    """The neighbours that are anchors, by the number of these."""
    entities = len(linked.indptr) - 1
    numbers = np.full(entities, -1, dtype=np.int64)
    numbers[anchors[::-1]] = np.arange(len(anchors))[::-1]
    found = numbers[linked.neighbors]
    owners = np.repeat(np.arange(entities), np.diff(linked.indptr))
    return Linked.of(owners[found >= 0], found[found >= 0], entities)


def _taken(linked: Linked, rows: NDArray[np.int64], rarity: NDArray[np.float32]) -> TermRows:
    """Some rows as terms of a rarity."""
    sizes = np.diff(linked.indptr)[rows]
    indptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
    places = np.arange(indptr[-1]) + np.repeat(linked.indptr[rows] - indptr[:-1], sizes)
    terms = linked.neighbors[places]
    return TermRows.weighted(indptr, terms, np.ones(len(terms)), rarity[terms])
