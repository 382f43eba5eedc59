"""The split of known pairs into training, validation and test, so that what is learned of an entity is not tested on it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.lookups import components

#: The names of the splits, by their numbers.
SPLITS = ("training", "validation", "test")
TRAINING, VALIDATION, TEST = range(3)
#: The number of a pair without a split.
NONE = -1


@dataclass(frozen=True)
class SplitParams:
    """validation_share, test_share: fractions of the entities with known pairs that are held out where the input names no
    splits, sampled by a hash of their ids and ``seed``.
    """

    validation_share: float = 0.1
    test_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("validation_share", "test_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}; correct it")
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share and test_share: expected less than 1 together, got {self.validation_share} and"
                f" {self.test_share}; leave pairs to train on"
            )


@dataclass(frozen=True)
class LinkParams(SplitParams):
    """Of an import of known pairs: how they are split, and the maximum fraction of quarantined rows; one with more fails.

    validation_share: fraction of the entities with known pairs that are held out for validation where the input names
        no splits, sampled by a hash of their ids and ``seed``.
    test_share: fraction of the entities with known pairs that are held out for the test where the input names no
        splits, sampled in the same way.
    seed: seed of the choice of held-out entities.
    quarantine_share: maximum fraction of quarantined rows; an import with more fails.
    """

    quarantine_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.quarantine_share <= 1:
            raise ValueError(f"quarantine_share: expected 0 to 1, got {self.quarantine_share}; 0.05 is usual")


@dataclass(frozen=True)
class KnownPairs:
    """Pairs of entities with their labels, in any order.

    left, right: (m,), row numbers. labels: (m,), 1 for the same entity, 0 for two. splits: (m,), numbers of ``SPLITS``, NONE
    for a pair without one. within: whether left and right are rows of one graph.
    """

    left: NDArray[np.integer]
    right: NDArray[np.integer]
    labels: NDArray[np.integer]
    splits: NDArray[np.integer]
    within: bool = False


def filled_splits(pairs: KnownPairs, keys: Sequence[str], params: SplitParams) -> NDArray[np.int8]:
    """int8 (m,): the split of each pair; the splits that are given stay.

    keys: (m,), the id of each pair's left entity. Entities that positive pairs connect are together in one split, chosen by
    a hash of the smallest of their left ids; another pair is in the split of its left entity. So all pairs of a left entity
    are in one split, and the right entity of a negative pair alone may be in another too. Where a group has pairs of a
    given split, its others are in that one, training before validation before test. A split that is given for any pair is
    filled with no further groups. Where training is given for all pairs but those of the test, validation is taken from
    it. At least one group of positives is in each split that is filled, if there are three.
    """
    splits = np.asarray(pairs.splits, dtype=np.int8).copy()
    if not len(splits):
        return splits
    groups = _groups(pairs)
    count = int(groups.max()) + 1
    order = sorted(range(len(keys)), key=lambda row: keys[row])
    smallest = dict(zip(groups[order[::-1]].tolist(), (keys[row] for row in reversed(order)), strict=True))
    fractions = np.array([_fraction(smallest[group], params.seed) for group in range(count)])
    positive = np.bincount(groups, weights=pairs.labels, minlength=count) > 0
    empty = splits == NONE
    if not empty.any():
        return _with_validation(splits, groups, fractions, positive, params)
    shares = [0.0 if (splits == number).any() else share for number, share in _shares(params)]
    chosen = _chosen(fractions, positive, shares)
    for number in (TEST, VALIDATION, TRAINING):
        chosen[groups[splits == number]] = number
    splits[empty] = chosen[groups[empty]]
    return splits


def _shares(params: SplitParams) -> tuple[tuple[int, float], ...]:
    return (TEST, params.test_share), (VALIDATION, params.validation_share)


def _with_validation(
    splits: NDArray[np.int8],
    groups: NDArray[np.int64],
    fractions: NDArray[np.float64],
    positive: NDArray[np.bool_],
    params: SplitParams,
) -> NDArray[np.int8]:
    """Given splits with validation taken from training where none is given."""
    trained = np.zeros(len(fractions), dtype=bool)
    trained[groups[splits == TRAINING]] = True
    if (splits == VALIDATION).any() or not (trained & positive).any():
        return splits
    # Only groups that are of the training alone, in the same order as if the others were not there.
    trained[groups[splits != TRAINING]] = False
    places = np.flatnonzero(trained)
    chosen = np.full(len(fractions), NONE, dtype=np.int8)
    chosen[places] = _chosen(fractions[places], positive[places], [0.0, params.validation_share])
    splits[(splits == TRAINING) & (chosen[groups] == VALIDATION)] = VALIDATION
    return splits


def _chosen(fractions: NDArray[np.float64], positive: NDArray[np.bool_], shares: Sequence[float]) -> NDArray[np.int8]:
    """int8 (groups,): the split of each group by its fraction: test first, then validation, then training."""
    bounds = np.cumsum([0.0, *shares])
    chosen = np.full(len(fractions), TRAINING, dtype=np.int8)
    places = np.flatnonzero(positive)
    ranked = places[np.argsort(fractions[places], kind="stable")]
    least = 1 if len(ranked) >= len(SPLITS) else 0
    begin = 0
    for number, share, bound in zip((TEST, VALIDATION), shares, bounds[1:], strict=True):
        end = int(np.searchsorted(fractions[ranked], bound))
        end = max(end, begin + (least if share > 0 else 0))
        chosen[ranked[begin:end]] = number
        begin = end
        others = ~positive & (fractions >= bound - share) & (fractions < bound)
        chosen[others] = number
    return chosen


def _groups(pairs: KnownPairs) -> NDArray[np.int64]:
    """int64 (m,): the number of the group of each pair's left entity, those that positive pairs connect being one."""
    left, right = np.asarray(pairs.left, dtype=np.int64), np.asarray(pairs.right, dtype=np.int64)
    if not pairs.within:
        right = right + int(left.max()) + 1
    _, nodes = np.unique(np.concatenate([left, right]), return_inverse=True)
    left, right = nodes[: len(left)], nodes[len(left) :]
    same = np.asarray(pairs.labels) == 1
    component = components(np.stack([left[same], right[same]], axis=1), int(nodes.max()) + 1)
    _, groups = np.unique(component[left], return_inverse=True)
    return groups.astype(np.int64)


def _fraction(key: str, seed: int) -> float:
    """A number from 0 to below 1 that depends on a key and the seed alone."""
    digest = hashlib.blake2b(f"{seed} {key}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") / 2**64
