"""The published scorer of pairs: all that it looks at, and boosted trees over it, beside what an aligner says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import looked_up, pair_keys
from fingerpost.tasks.kg.pair_features import PairComparer
from fingerpost.tasks.kg.rivals import BestTwo
from fingerpost.tasks.kg.trees import BoostedTrees

#: The features of what a structure and an aligner say.
STRUCTURE, ALIGNER = "(structure):probability", "(aligner):log_odds"
#: Log odds of any pair are cut to these.
_MOST = 30.0

#: The best two partners of the left and of the right entities of pairs.
FindRivals = Callable[[NDArray[np.integer]], tuple[BestTwo, BestTwo]]


#: An aligner's log odds of pairs.
Logits = Callable[[NDArray[np.integer]], NDArray[np.floating]]


@dataclass(frozen=True)
class FeatureParams:
    """What pairs are compared by beside their own texts.

    neighbors: whether pairs are compared by the names of neighbours and by neighbours known to be the same.
    rivals: whether pairs are compared with the best other partners of both among the candidates.
    structure: whether the probability by the structure of both graphs is a feature.
    """

    neighbors: bool = True
    rivals: bool = True
    structure: bool = True


@dataclass(frozen=True)
class StructurePairs:
    """Probabilities by structure, float32 (m,). keys: int64 (m,), sorted, left entity << 32 | right one."""

    keys: NDArray[np.int64]
    values: NDArray[np.float32]

    @staticmethod
    def of(
        left: NDArray[np.integer], right: NDArray[np.integer], probabilities: NDArray[np.floating]
    ) -> "StructurePairs":
        """From pairs in any order."""
        keys = pair_keys(left, right)
        order = np.argsort(keys, kind="stable")
        return StructurePairs(keys[order], probabilities[order].astype(np.float32))

    def probabilities(self, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
        """Of pairs (m, 2), 0 for others; NaN for all where the structure says nothing."""
        wanted = pair_keys(pairs[:, 0], pairs[:, 1])
        if not len(self.keys):
            return np.full(len(wanted), np.nan, dtype=np.float32)
        place, there = looked_up(self.keys, wanted)
        return np.where(there, self.values[place], np.float32(0))


@dataclass(frozen=True)
class PairFeatures:
    """All features of pairs but an aligner's: similarities, rivals and structure."""

    comparer: PairComparer
    rivals: FindRivals | None = None
    structure: StructurePairs | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``attribute:measure`` of each."""
        names = list(self.comparer.names)
        if self.rivals is not None:
            names += [f"{text}:{side}_rival" for side in ("left", "right") for text in self.comparer.own]
        return (*names, STRUCTURE) if self.structure is not None else tuple(names)

    def features(self, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32 (m, features) of pairs (m, 2)."""
        parts = [self.comparer.features(pairs)]
        if self.rivals is not None:
            letters = np.stack(
                [parts[0][:, self.comparer.names.index(f"{text}:letters")] for text in self.comparer.own], axis=1
            )
            of_left, of_right = self.rivals(pairs)
            parts.append(of_left.gaps(pairs[:, 0], pairs[:, 1], letters))
            parts.append(of_right.gaps(pairs[:, 1], pairs[:, 0], letters))
        if self.structure is not None:
            parts.append(self.structure.probabilities(pairs)[:, None])
        return np.concatenate(parts, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Line:
    """A logistic regression: log odds are shift plus the sum over features of slope * (feature - centre); 0 for unknown.

    slopes, centres: float64 (features,).
    """

    slopes: NDArray[np.float64]
    centres: NDArray[np.float64]
    shift: float

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (m,); a sum in the order of the features, so that the other rows of a call change no bit."""
        found = np.full(len(features), self.shift)
        for place in np.flatnonzero(self.slopes).tolist():
            apart = self.slopes[place] * (features[:, place].astype(np.float64) - self.centres[place])
            found += np.where(np.isnan(apart), 0.0, apart)
        return found


@dataclass(frozen=True)
class Stack:
    """Trees of several seeds, whose log odds are averaged, a line beside them, and the weight of an aligner's log odds.

    names: the features that they look at. share: weight of the line against 1 - share of the trees, which with few training
    pairs know few different scores. The sum of both, times ``own``, plus ``aligner`` times the aligner's log odds and
    ``shift`` is the score.
    """

    names: tuple[str, ...]
    forests: tuple[BoostedTrees, ...]
    line: Line
    share: float = 0.0
    own: float = 1.0
    aligner: float = 0.0
    shift: float = 0.0

    def log_odds(
        self, features: NDArray[np.float32], aligner: NDArray[np.floating] | None = None
    ) -> NDArray[np.float64]:
        """float64 (m,); unknown log odds (NaN) of an aligner add nothing."""
        found = self.own * self.of_features(features) + self.shift
        if aligner is not None and self.aligner:
            found = found + self.aligner * np.nan_to_num(np.asarray(aligner, dtype=np.float64), nan=0.0)
        return np.clip(found, -_MOST, _MOST)

    def of_features(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (m,): log odds by trees and line."""
        total = np.zeros(len(features))
        for forest in self.forests:
            total += forest.log_odds(features)
        total *= (1.0 - self.share) / len(self.forests)
        return total + self.share * self.line.log_odds(features) if self.share else total

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Named arrays to store, beside the names."""
        found: dict[str, NDArray[np.generic]] = {
            "stack": np.array([self.share, self.own, self.aligner, self.shift]),
            "line.slopes": self.line.slopes,
            "line.centres": self.line.centres,
            "line.shift": np.array([self.line.shift]),
        }
        for number, forest in enumerate(self.forests):
            found |= forest.arrays(f"{number}.")
        return found

    @staticmethod
    def from_arrays(names: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> "Stack":
        """The inverse of arrays."""
        count = sum(1 for name in arrays if name.endswith(".roots"))
        forests = tuple(BoostedTrees.from_arrays(arrays, f"{number}.") for number in range(count))
        slopes, centres, shift = (
            np.asarray(arrays[f"line.{part}"], np.float64) for part in ("slopes", "centres", "shift")
        )
        weights = np.asarray(arrays["stack"], dtype=np.float64).tolist()
        return Stack(tuple(names), forests, Line(slopes, centres, float(shift[0])), *weights)


@dataclass(frozen=True)
class PairScorer:
    """The published scorer over two graphs; its answers for a pair do not depend on the other pairs asked for.

    logits: an aligner's log odds of pairs, if the stack looks at one.
    """

    pairs: PairFeatures
    stack: Stack
    logits: Logits | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features, ``input:measure``."""
        return self.pairs.names if self.logits is None else (*self.pairs.names, ALIGNER)

    def features(self, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32 (m, features) of any pairs (m, 2), NaN for unknown."""
        found = self.pairs.features(pairs)
        if self.logits is None:
            return found
        return np.concatenate([found, self.logits(pairs)[:, None].astype(np.float32)], axis=1)

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (m,): scores of rows of features, before calibration."""
        if self.logits is None:
            return self.stack.log_odds(features)
        return self.stack.log_odds(features[:, :-1], features[:, -1])

    def scores(self, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
        """float32 (m,): log odds of pairs (m, 2)."""
        return self.log_odds(self.features(pairs)).astype(np.float32)
