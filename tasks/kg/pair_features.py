"""Features of pairs of entities: similarities of attributes and names, of neighbours by relation, and known anchors.

What is not there is neither similar nor dissimilar: a feature of a text that either side lacks is NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.anchors import Anchors
from fingerpost.tasks.kg.entity_texts import EntityTexts
from fingerpost.tasks.kg.paired_texts import Floats, PairedEntities, PairedTexts
from fingerpost.tasks.kg.terms import DATE, NEIGHBORS, NUMBER, OF_NEIGHBORS, OF_WHOLE, OWN, Terms
from fingerpost.tasks.kg.text_parts import as_terms, day, number

#: Neighbours that are known to be the same: features of this name.
ANCHORS = "(anchors)"
#: What the baseline looks at, of a text of the entity itself.
PLAIN = ("words", "letters", "length", "number")

Features = dict[str, Floats]


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

    @cached_property
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
        """float32 (m, own): the cosines of character n-grams alone, as among the features."""
        chosen = PairedEntities.of(pairs)
        found = [self._letters(name, self._texts(name, chosen)) for name in self.own]
        return np.stack([np.asarray(one, np.float32) for one in found], axis=1)

    def _features(self, pairs: NDArray[np.integer]) -> Features:
        chosen = PairedEntities.of(pairs)
        found: Features = {}
        for name, kind in self.terms.kinds.items():
            if kind == OF_NEIGHBORS and not self.neighbors:
                continue
            measured = self._of_neighbors(name, chosen) if kind == OF_NEIGHBORS else self._of_text(name, kind, chosen)
            found |= {f"{name}:{measure}": values for measure, values in measured.items()}
        if self.neighbors and NEIGHBORS in self.terms.kinds:
            found |= {f"{ANCHORS}:{measure}": values for measure, values in self._near_anchors.measures(chosen).items()}
        return found

    @cached_property
    def _near_anchors(self) -> Anchors:
        return Anchors.of(self.left.linked(NEIGHBORS), self.right.linked(NEIGHBORS), self.anchors)

    def _texts(self, name: str, chosen: PairedEntities) -> PairedTexts:
        return PairedTexts(self.left.texts(name, chosen.left), self.right.texts(name, chosen.right), chosen.pairs)

    def _letters(self, name: str, texts: PairedTexts) -> Floats:
        return texts.known(texts.overlap("letters", self.terms.rarity[name, "letters"], self.terms.params).cosine)

    def _of_text(self, name: str, kind: str, chosen: PairedEntities) -> Features:
        """The measures of one text of the entity itself."""
        texts = self._texts(name, chosen)
        words = texts.overlap("words", self.terms.rarity[name, "words"], self.terms.params)
        found: Features = {"words": texts.known(words.cosine), "letters": self._letters(name, texts)}
        for measure in ("contained", "jaccard", "rarest_common", "rarest_alone"):
            found[measure] = texts.known(getattr(words, measure))
        found |= texts.codes(self.terms.params)
        found["length"] = texts.ratio(len)
        if kind != OF_WHOLE:
            found |= {"equal": texts.equal(), "number": texts.ratio(number)}
        if kind in (NUMBER, DATE):
            found["difference"] = texts.difference(day if kind == DATE else number)
        return found

    def _of_neighbors(self, name: str, chosen: PairedEntities) -> Features:
        """Common names of neighbours by a relation, and similarities of all of these names as one text."""
        params, relation = self.terms.params, relation_of(name)
        ours = self.left.neighbor_names(relation, chosen.left, most=params.neighbors)
        theirs = self.right.neighbor_names(relation, chosen.right, most=params.neighbors)
        texts = PairedTexts(_joined(ours), _joined(theirs), chosen.pairs)
        keys = PairedTexts([as_terms(names) for names in ours], [as_terms(names) for names in theirs], chosen.pairs)
        common = keys.overlap("words", self.terms.rarity[name, "words"], params)
        found: Features = {
            measure: texts.known(getattr(common, measure)) for measure in ("contained", "jaccard", "rarest_common")
        }
        return found | {"letters": self._letters(name, texts)}


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


def _joined(names: Sequence[Sequence[str]]) -> list[str]:
    return [" ".join(some) for some in names]
