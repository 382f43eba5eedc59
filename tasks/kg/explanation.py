"""Why a pair is a match, or none: what each attribute, its neighbours and the structure say, and how it was decided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Decision = Literal["known match", "known as two", "match", "below the threshold", "rival", "not compared"]


@dataclass(frozen=True)
class Entity:
    """An entity of a graph; joined: the id of the joined entity that it belongs to."""

    id: str
    type: str
    name: str
    joined: str

    def __str__(self) -> str:
        return self.id if self.name in ("", self.id) else f"{self.id} ({self.name})"


@dataclass(frozen=True)
class Input:
    """What one attribute, or another part of the model, says of a pair.

    left, right: its values, as texts. similarities: its features by the name of their measure, None where unknown. contribution: the
    log odds of the pair, less those that it would have if these features were unknown; contributions of inputs that say the
    same are small each, so they do not add up to the log odds.
    """

    name: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    similarities: Mapping[str, float | None]
    contribution: float


@dataclass(frozen=True)
class Neighbor:
    """A neighbour of one entity of a pair that the aligner looked at, with its weight; those of an entity sum to one.

    into: whether the relation leads from the neighbour to the entity. same: the neighbour of the other entity that is the
    same joined entity, if there is one. An attribute's value has no id.
    """

    side: str
    relation: str
    into: bool
    id: str
    name: str
    weight: float
    same: str = ""


@dataclass(frozen=True)
class Other:
    """Another entity that one was compared with, or is known to be: score (None if never compared), probability, decision."""

    id: str
    name: str
    score: float | None
    probability: float
    match: bool


@dataclass(frozen=True)
class Rival:
    """Another pair of one entity of a pair, whose side says which, with the other entity."""

    side: str
    other: Other


@dataclass(frozen=True)
class Explanation:
    """A pair and all that was decided of it.

    score: log odds before calibration. probability: calibrated. sources: what proposed it as a candidate, empty where
    nothing did; similarity: the cosine of the vectors of a candidate. structure: the probability by structure alone, None
    where it has none. rivals: of both entities, the most probable first.
    """

    left: Entity
    right: Entity
    decision: Decision
    because: str
    score: float
    probability: float
    threshold: float
    sources: tuple[str, ...] = ()
    similarity: float | None = None
    structure: float | None = None
    inputs: tuple[Input, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def accepted(self) -> bool:
        """Whether the pair is a match."""
        return self.decision in ("match", "known match")


def grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """The features of each input, by the names ``input:measure`` of features; a name without a measure is its own."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name.rpartition(":")[0] or name, []).append(place)
    return groups


def contributions(
    score: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    row: NDArray[np.float32],
    groups: Mapping[str, list[int]],
) -> dict[str, float]:
    """The log odds of a pair less those without each input, whose features are unknown (NaN) then; the largest first.

    score: log odds of rows of features (m, f); row: float32 (f,).
    """
    rows = np.tile(np.asarray(row, np.float32), (len(groups) + 1, 1))
    for place, features in enumerate(groups.values(), 1):
        rows[place, features] = np.nan
    values = score(rows)
    found = {name: float(values[0] - without) for name, without in zip(groups, values[1:], strict=True)}
    return dict(sorted(found.items(), key=lambda pair: (-abs(pair[1]), pair[0])))


def decided(
    *,
    label: int | None,
    source: str,
    compared: bool,
    probability: float,
    threshold: float,
    matched: bool,
    rivals: Sequence[str],
) -> tuple[Decision, str]:
    """The decision on a pair, and its reason.

    label: of a known pair, whose source is ``source``. rivals: the matches of either entity with others, as text.
    """
    if label is not None and (label == 1) == matched:
        return (
            ("known match", f"known to be the same ({source})")
            if label
            else ("known as two", f"known to be two ({source})")
        )
    if matched:
        return (
            "match",
            f"probability {probability:.4f}, at least the threshold {threshold:.4f}, and no more probable rival",
        )
    if not compared:
        reached = "at least" if probability >= threshold else "below"
        return "not compared", (
            f"no part of blocking proposed this pair; scored now, its probability is {probability:.4f}, {reached} the threshold"
            f" {threshold:.4f}"
        )
    if probability < threshold:
        return "below the threshold", f"probability {probability:.4f}, below the threshold {threshold:.4f}"
    reached = f"probability {probability:.4f}, at least the threshold {threshold:.4f}, but"
    if rivals:
        return "rival", f"{reached} a rival was matched: {'; '.join(rivals)}"
    return "rival", f"{reached} a more probable pair of one of them stands against it, or enough pairs were accepted"
