"""The pairs whose truth is known, out of the links of one split: what thresholds are chosen on, and what is measured.

Two populations. Given: the labelled pairs as they are, however they were drawn. Linked: what is decided about the entities
with a known counterpart: all of their candidates are judged, since who is matched one to one has no other. The first is a
sample of pairs that somebody chose, the second one of entities, with as many wrong candidates as there are.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import components, looked_up, pair_keys
from fingerpost.tasks.kg.one_to_one import ScoredPairs, mutual

Population = Literal["given", "sampled", "linked", "estimated"]


@dataclass(frozen=True)
class Links:
    """Known pairs of entities.

    left, right: int64 (n,). labels: int8 (n,), 1 or 0. splits, sources: str (n,). within: whether both are of one graph.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    labels: NDArray[np.int8]
    splits: NDArray[np.str_]
    sources: NDArray[np.str_]
    within: bool = False

    def where(self, chosen: NDArray[np.bool_]) -> "Links":
        """Some of the links."""
        return replace(
            self,
            left=self.left[chosen],
            right=self.right[chosen],
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            sources=self.sources[chosen],
        )

    def of(self, *splits: str) -> "Links":
        """The links of some splits."""
        return self.where(np.isin(self.splits, splits))

    def without_assumed(self) -> "Links":
        """The links without those that are only assumed to be wrong."""
        return self.where((self.labels == 1) | (self.sources != "assumed"))

    def known(self) -> "Links":
        """The links that are known, not assumed: those that decisions are made with."""
        return self.where(self.sources != "assumed")

    def keys(self) -> NDArray[np.int64]:
        """int64 (n,): a number for each pair."""
        return pair_keys(self.left, self.right)


def among(values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (n,): which entities are among others; by a table, which is many times as fast as sorting."""
    size = 1 + int(max(values.max(initial=-1), wanted.max(initial=-1)))
    table = np.zeros(size, dtype=bool)
    table[wanted] = True
    return table[values]


def are_links(left: NDArray[np.int64], right: NDArray[np.int64], links: "Links") -> NDArray[np.bool_]:
    """bool (n,): which pairs are links."""
    found = among(left, links.left) & among(right, links.right)
    rows = np.flatnonzero(found)
    found[rows] = np.isin(pair_keys(left[rows], right[rows]), links.keys())
    return found


class SameEntities:
    """Which pairs are one entity by the positive links, directly or over others."""

    def __init__(self, links: Links) -> None:
        positives = links.where(links.labels == 1)
        #: Nodes of the left graph are even, those of the right one odd; within one graph all are even.
        ends = positives.left * 2, positives.right * 2 + (not links.within)
        self._within = links.within
        self._nodes, place = np.unique(np.concatenate(ends), return_inverse=True)
        one, other = np.split(place, 2)
        self._groups = components(np.stack([one, other], axis=1), len(self._nodes))

    def classes(self, left: NDArray[np.integer], right: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
        """int64 (n,) each: a number of the entity of both ends; below 0 for one without a link."""
        return self._class(left.astype(np.int64) * 2), self._class(right.astype(np.int64) * 2 + (not self._within))

    def _class(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        if not len(self._nodes):
            return -1 - nodes
        place, there = looked_up(self._nodes, nodes)
        return np.where(there, self._groups[place], -1 - nodes)


@dataclass(frozen=True)
class Judged:
    """Pairs with their truth.

    pairs: with their scores. truth: float64 (m,), 1 or 0, or a probability where it is an estimate. missed: matches that
    are not among the pairs. decided: bool (m,), whether a pair is the best of both of its entities; all where an entity may
    have several partners.
    """

    population: Population
    pairs: ScoredPairs
    truth: NDArray[np.float64]
    missed: float
    decided: NDArray[np.bool_]

    @property
    def usable(self) -> bool:
        """Whether there are pairs of both labels."""
        return bool(np.any(self.truth == 1) and np.any(self.truth == 0))

    def decisions(self) -> "Judged":
        """Those of its pairs that are the best of both entities; the other matches are missed."""
        kept = self.decided
        missed = self.missed + float(self.truth[~kept].sum())
        return Judged(self.population, self.pairs.where(kept), self.truth[kept], missed, np.ones(int(kept.sum()), bool))


def given_pairs(links: Links, scored: ScoredPairs) -> Judged:
    """The labelled pairs with their scores (``scored`` has those of any pairs); matches without one are missed."""
    among_links = are_links(scored.left, scored.right, links)
    scored = scored.where(among_links)
    keys = pair_keys(scored.left, scored.right)
    order = np.argsort(keys, kind="stable")
    place, known = looked_up(keys[order], links.keys())
    truth = links.labels.astype(np.float64)
    found = links.where(known)
    scores = scored.scores[order][place[known]] if len(keys) else np.zeros(0)
    pairs = ScoredPairs(found.left, found.right, scores)
    return Judged("given", pairs, truth[known], float(truth[~known].sum()), np.ones(len(scores), dtype=bool))


def open_pairs(links: Links, candidates: ScoredPairs, *, exclusive: bool) -> NDArray[np.bool_]:
    """bool (m,): the candidates that are still to be decided, where some links are known.

    Those are decided that are links themselves, and, if matches exclude each other, those of an entity with a match.
    """
    is_open = ~are_links(candidates.left, candidates.right, links)
    if exclusive:
        matches = links.where(links.labels == 1)
        is_open &= ~(among(candidates.left, matches.left) | among(candidates.right, matches.right))
    return is_open


def linked_pairs(links: Links, split: str, candidates: ScoredPairs, *, exclusive: bool) -> Judged:
    """The candidates of entities that have a match of a split, and the labelled ones of it; training links are known.

    exclusive: whether an entity has one match at most. candidates: proposed without looking at links of the split.
    """
    own = links.of(split)
    matches = own.where(own.labels == 1)
    opened = candidates.where(open_pairs(links.of("training").known(), candidates, exclusive=exclusive))
    best = mutual(opened) if exclusive else np.ones(len(opened.scores), dtype=bool)
    judged = among(opened.left, matches.left) | among(opened.right, matches.right)
    judged |= are_links(opened.left, opened.right, own)
    if links.within:
        judged |= among(opened.left, matches.right) | among(opened.right, matches.left)
    found = opened.where(judged)
    one, other = SameEntities(links).classes(found.left, found.right)
    missed = float((~np.isin(matches.keys(), pair_keys(found.left, found.right))).sum())
    return Judged("linked", found, (one == other).astype(np.float64), missed, best[judged])
