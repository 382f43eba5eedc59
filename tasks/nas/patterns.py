"""Patterns of edits: what an edit of a kind, in a part of a network, changes in accuracy, latency, memory and size.

Networks that searches evaluated differ from each other in many edits at once; a linear model of the edits tells their parts
from each other (the pairs of networks that differ by one edit alone are a special case). Of the accuracy it is a Bayesian one
(Bishop, "Pattern Recognition and Machine Learning", 3.3), whose prior are built-in patterns: the observations of "Optimizing
neural networks for special-purpose hardware" (Amazon Science, 2023), put into numbers by us.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.edits import channels_of
from fingerpost.tasks.nas.pattern_params import PatternParams

#: The parts of a network by position, the first stage having the smallest one.
PARTS: dict[str, tuple[float, float]] = {
    "early": (0.0, 1 / 3),
    "middle": (1 / 3, 2 / 3),
    "late": (2 / 3, 1.0),
    "everywhere": (0.0, 1.0),
}
#: Kinds of edits that change the whole network.
_WHOLE = ("shrink_input", "shrink_output")
#: What one edit (or one halving, of channels, expansion and pixels) is assumed to change in accuracy before anything is
#: measured, as a fraction, in the early, middle and late part; or everywhere. The source names no figures.
_BUILT_IN: dict[str, tuple[float, ...]] = {
    "fuse": (0.0, 0.0, -0.001),
    "replace_depthwise": (-0.0005, -0.001, -0.001),
    "narrow": (-0.004, -0.006, -0.006),
    "shrink_expansion": (-0.002, -0.002, -0.002),
    "shrink_kernel": (-0.001, -0.001, -0.001),
    "shrink_depth": (-0.004, -0.004, -0.004),
    "shrink_input": (-0.02,),
    "shrink_output": (-0.01,),
}
#: Standard deviation of what is assumed, besides its own size.
_UNCERTAINTY = 0.003
#: Median absolute deviations below the median at which a training counts as failed.
_FAILED = 6.0
#: What counts as no difference.
_EPSILON = 1e-6

Key = tuple[str, str]


@dataclass(frozen=True)
class Observed:
    """A network that a search evaluated: its accuracy, its costs, and whether it is on the Pareto front."""

    architecture: Architecture
    accuracy: float
    latency_ms: float | None
    parameters: int
    memory_bytes: int
    front: bool = False


@dataclass(frozen=True)
class Compared:
    """The networks of a search that are compared with its first one."""

    first: Architecture
    networks: tuple[Observed, ...]


@dataclass(frozen=True)
class Pattern:
    """What one edit of a kind in a part of a network changes; one halving, of channels, expansion, input and output.

    tried: networks that differ by it, or by its opposite, from the first network of their search. chosen: fraction of the networks of the Pareto
    fronts that differ by it. accuracy_change: expected, as a fraction; accuracy_spread: its standard deviation. The other changes are
    relative: -0.1 is 10 % less.
    """

    edit: str
    part: str
    tried: int
    chosen: float
    accuracy_change: float
    accuracy_spread: float
    latency_change: float
    memory_change: float
    size_change: float

    @property
    def measured(self) -> bool:
        """Whether any network was evaluated that tells of it."""
        return self.tried > 0


def part_of(stage: int, stages: int) -> str:
    """The part of a network that a stage is in: 0 is the stem, ``stages`` + 1 the head."""
    position = (min(max(stage, 1), stages) - 0.5) / stages
    return next(name for name, (low, high) in PARTS.items() if low <= position < high)


def changes(before: Architecture, after: Architecture) -> dict[Key, float]:
    """The edits by which one architecture differs from another, by (kind, part): how many, negative for their opposites.

    Of numbers, how many halvings. What a block lost with its expansion, or with itself, is no further edit. Stages and blocks
    are compared by position.
    """
    found: dict[Key, float] = {}

    def add(kind: str, part: str, value: float) -> None:
        if abs(value) > _EPSILON:
            found[kind, part] = found.get((kind, part), 0.0) + value

    count = len(before.stages)
    for number, (old, new) in enumerate(zip(channels_of(before), channels_of(after), strict=False)):
        if old and new:
            add("narrow", part_of(number, count), math.log2(old / new))
    for number, (stage, theirs) in enumerate(zip(before.stages, after.stages, strict=False), start=1):
        part = part_of(number, count)
        add("shrink_depth", part, float(len(stage.blocks) - len(theirs.blocks)))
        for block, rival in zip(stage.blocks, theirs.blocks, strict=False):
            add("fuse", part, float(rival.kind == "fused") - float(block.kind == "fused"))
            add("replace_depthwise", part, float(rival.kind == "conv") - float(block.kind == "conv"))
            add("shrink_kernel", part, (block.kernel - rival.kernel) / 2)
            if "conv" not in (block.kind, rival.kind):
                add("shrink_expansion", part, math.log2(block.expansion / rival.expansion))
    add("shrink_input", "everywhere", math.log2(before.resolution / after.resolution))
    if before.output and after.output:
        add("shrink_output", "everywhere", math.log2(before.output / after.output))
    return {key: value for key, value in found.items() if abs(value) > _EPSILON}


def built_in_patterns() -> tuple[Pattern, ...]:
    """The patterns that hold before anything is measured; their accuracies are assumptions, their costs are not known."""
    return tuple(
        Pattern(kind, part, 0, 0.0, value, _spread(value), 0.0, 0.0, 0.0) for (kind, part), value in _assumed().items()
    )


def compared(searches: Sequence[Sequence[Observed]], *, params: PatternParams) -> list[Compared]:
    """The searches with at least ``params.least`` networks that no search before them has.

    Searches share evaluations: a network of the same accuracy beside the same first network is one training.
    """
    found, seen = list[Compared](), set[tuple[str, str, float]]()
    for networks in filter(None, searches):
        first = networks[0].architecture
        keyed = {(first.text, one.architecture.text, one.accuracy): one for one in networks}
        new = tuple(one for key, one in keyed.items() if key not in seen)
        if len(new) >= params.least:
            found.append(Compared(first, new))
            seen |= set(keyed)
    return found


def mined_patterns(searches: Sequence[Sequence[Observed]], *, params: PatternParams) -> tuple[Pattern, ...]:
    """Patterns of the networks of searches that are ``compared``; kinds and parts that none tells of are as built in."""
    usable = compared(searches, params=params)
    assumed = _assumed()
    keys = list(assumed)
    if not usable:
        return built_in_patterns()
    edits, accuracies, tried, chosen = [], [], np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys))
    costs: list[NDArray[np.float64]] = []
    fronts = 0
    for each in usable:
        search = [one for one, kept in zip(each.networks, _finished(each.networks), strict=True) if kept]
        rows = np.array([[changes(each.first, one.architecture).get(key, 0.0) for key in keys] for one in search])
        tried += (np.abs(rows) > _EPSILON).sum(axis=0)
        front = np.array([one.front for one in search])
        chosen += (rows[front] > _EPSILON).sum(axis=0)
        fronts += int(front.sum())
        edits.append(rows - rows.mean(axis=0))
        accuracies.append(_centered(np.array([one.accuracy for one in search])))
        costs.append(_log_costs(search))
    moved = np.concatenate(edits)
    means, spreads = _posterior(moved, np.concatenate(accuracies), np.array(list(assumed.values())), params)
    relative = np.expm1(_ridge(moved, np.concatenate(costs)))
    return tuple(
        Pattern(
            kind,
            part,
            int(tried[row]),
            round(float(chosen[row]) / max(fronts, 1), 6),
            float(means[row]),
            float(spreads[row]),
            *(float(value) for value in relative[row]),
        )
        for row, (kind, part) in enumerate(keys)
    )


def expected_change(patterns: Sequence[Pattern], before: Architecture, after: Architecture) -> tuple[float, float, int]:
    """The expected change of accuracy between two architectures, its standard deviation, and the fewest networks that tell
    of one of the edits between them (0: an assumption is part of it)."""
    by_key = {(pattern.edit, pattern.part): pattern for pattern in patterns}
    moved = changes(before, after)
    known = [(value, by_key[key]) for key, value in moved.items() if key in by_key]
    mean = sum(value * pattern.accuracy_change for value, pattern in known)
    variance = sum((value * pattern.accuracy_spread) ** 2 for value, pattern in known)
    return float(mean), math.sqrt(variance), min((pattern.tried for _, pattern in known), default=0)


def _assumed() -> dict[Key, float]:
    """The built-in changes of accuracy by (kind, part)."""
    return {
        (kind, part): value
        for kind, values in _BUILT_IN.items()
        for part, value in zip(("everywhere",) if kind in _WHOLE else ("early", "middle", "late"), values, strict=True)
    }


def _spread(value: float) -> float:
    return _UNCERTAINTY + abs(value)


def _finished(search: Sequence[Observed]) -> list[bool]:
    """Whether each training succeeded: one far below all others would drown what these say."""
    values = np.array([one.accuracy for one in search])
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    finished: list[bool] = (values >= middle - max(_FAILED * spread, 0.02)).tolist()
    return finished


def _centered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values - values.mean(axis=0), dtype=np.float64)


def _log_costs(search: Sequence[Observed]) -> NDArray[np.float64]:
    """The logarithms of latency, memory and size, float64 (n, 3), around those of the search; 0 where none is known."""
    latencies = [one.latency_ms for one in search]
    known = [1.0 if None in latencies else float(value or 1.0) for value in latencies]
    rows = [(known[row], one.memory_bytes, one.parameters) for row, one in enumerate(search)]
    return _centered(np.log(np.maximum(np.array(rows, dtype=np.float64), _EPSILON)))


def _posterior(
    edits: NDArray[np.float64], accuracies: NDArray[np.float64], prior: NDArray[np.float64], params: PatternParams
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (k,) of what each edit changes; the noise is that of the residuals, or ``params.noise``."""
    precision = params.prior / np.array([_spread(float(value)) for value in prior]) ** 2
    noise = params.noise
    for _ in range(20):
        inverse = np.asarray(np.linalg.inv(edits.T @ edits / noise**2 + np.diag(precision)), dtype=np.float64)
        means = inverse @ (edits.T @ accuracies / noise**2 + precision * prior)
        free = max(1.0, len(edits) - float(np.trace(inverse @ edits.T @ edits)) / noise**2)
        noise = max(params.noise, math.sqrt(float(np.sum((accuracies - edits @ means) ** 2)) / free))
    return means, np.sqrt(np.diagonal(inverse))


def _ridge(edits: NDArray[np.float64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each edit (k,) changes of each logarithm (m,), float64 (k, m)."""
    return np.linalg.solve(edits.T @ edits + 0.1 * np.eye(edits.shape[1]), edits.T @ logs).astype(np.float64)
