"""Advice to an expert: which edits of an architecture save what on a device, at which expected accuracy.

"Optimizing neural networks for special-purpose hardware" (Amazon Science, 2023), expert in the loop: what each edit saves in
latency, memory and size is estimated for the network at hand; what it changes in accuracy is expected from patterns of earlier
searches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.edits import EDIT_KINDS, Edit, EditKind, channels_of, edited, possible_edits
from fingerpost.tasks.nas.limits import CandidateCosts, Limits
from fingerpost.tasks.nas.patterns import Pattern, expected_change
from fingerpost.tasks.nas.space_choices import rounded_channels

#: The costs of architectures on a device.
Costing = Callable[[Sequence[Architecture]], Sequence[CandidateCosts]]
#: Savings below this fraction are none.
_LEAST = 0.002
#: The least accuracy that an edit is taken to cost, by which savings of edits that cost none are compared.
_FLOOR = 2e-4


@dataclass(frozen=True)
class AdviceParams:
    """What may be advised.

    parallelism: the factor that numbers of channels are aligned with. accuracy: the largest expected loss of accuracy of all
    edits together, as a fraction. kinds: of edits. caution: standard deviations of an expected accuracy that are taken off
    it where edits are compared. assumed: whether a plan may have edits of which no search tells. most: most edits that are planned.
    """

    parallelism: int = 16
    accuracy: float = 0.005
    kinds: tuple[EditKind, ...] = EDIT_KINDS
    caution: float = 1.0
    assumed: bool = True
    most: int = 60

    def __post_init__(self) -> None:
        if self.parallelism < 1 or self.accuracy < 0 or self.caution < 0 or self.most < 1:
            raise ValueError(
                "advice: expected a parallelism and most of at least 1, and an accuracy and caution of at least 0, got"
                f" {self.parallelism}, {self.most}, {self.accuracy} and {self.caution}; correct them"
            )
        if unknown := [kind for kind in self.kinds if kind not in EDIT_KINDS]:
            raise ValueError(f"advice: expected kinds among {', '.join(EDIT_KINDS)}, got {unknown}; correct them")


@dataclass(frozen=True)
class Advice:
    """An edit of an architecture, and what it brings.

    before, after: the costs on the device. accuracy_change, accuracy_spread: the expected change of accuracy, as a fraction,
    and its standard deviation. tried: networks of earlier searches that tell of it; 0: nothing was measured.
    """

    edit: Edit
    base: Architecture
    architecture: Architecture
    before: CandidateCosts
    after: CandidateCosts
    accuracy_change: float
    accuracy_spread: float
    tried: int

    @property
    def latency_saving(self) -> float:
        """The fraction of the latency that it saves; negative where it costs some."""
        return 1 - self.after.latency_ms / self.before.latency_ms

    @property
    def memory_saving(self) -> float:
        """The fraction of the peak activation memory that it saves."""
        return 1 - self.after.memory_bytes / self.before.memory_bytes

    @property
    def size_saving(self) -> float:
        """The fraction of the parameters that it saves."""
        return 1 - self.after.parameters / self.before.parameters


def advise(
    architecture: Architecture, costs: Costing, patterns: Sequence[Pattern], *, params: AdviceParams
) -> tuple[Advice, ...]:
    """Every edit that saves latency, memory or size, each by itself, the largest saving of latency first.

    A fused block or a standard convolution that takes longer is not among them, unless it saves memory and size.
    """
    found = [one for one in _steps(architecture, costs, patterns, params) if _saves(one)]
    return tuple(sorted(found, key=lambda one: (-one.latency_saving, -one.memory_saving, -one.size_saving)))


def plan(
    architecture: Architecture,
    costs: Costing,
    patterns: Sequence[Pattern],
    *,
    params: AdviceParams,
    limits: Limits | None = None,
) -> tuple[Advice, ...]:
    """Edits one after the other, each of the network that the ones before gave.

    Each time the edit that gains most for the accuracy that it is expected to cost: towards the limits, which end the plan when
    they are kept, or in latency without any. The plan ends, too, where no edit gains, or all together would cost more than
    ``params.accuracy``. In the end, edits without which the limits are kept all the same are left out.

    Patterns add up single edits: they do not tell what fewer channels cost a stage that lost its expansions. So the channels of a
    stage of standard convolutions are rounded to the parallelism factor as soon as it was replaced, never below 0.9 of what
    they were, where the device takes no longer than before; and without limits no edit takes them, or rounds any, below that.
    """
    steps: list[Advice] = []
    current, seen = architecture, {architecture.id}
    while len(steps) < params.most:
        now = costs([current])[0]
        if limits is not None and limits.largest and limits.keeps(now):
            return _needed(steps, costs, patterns, params, limits)
        rivals = [one for one in _steps(current, costs, patterns, params) if one.architecture.id not in seen]
        if limits is None or not limits.largest:
            rivals = [one for one in rivals if _keeps_channels(one, architecture)]
        allowed = [one for one in rivals if _allowed(one, architecture, patterns, params)]
        best = max(allowed, key=lambda one: _worth(one, limits, params), default=None)
        if best is None or _worth(best, limits, params) <= 0:
            break
        steps += [best, *_aligned(best, architecture, costs, patterns, params, limits)]
        current = steps[-1].architecture
        seen.add(current.id)
    return tuple(steps)


def applied(architecture: Architecture, edits: Sequence[Edit]) -> Architecture:
    """The architecture after some edits, in whatever order they are given; blocks are removed last.

    Of edits of overlapping places the more special one counts: a block that is replaced is not fused with its stage, and a
    stage whose channels are rounded is not made even. ValueError where two edits change the same place.
    """
    found = architecture
    places = [(_property(edit), edit.stage, edit.block) for edit in edits]
    for place in places:
        if places.count(place) > 1:
            same = [number for number, other in enumerate(places, start=1) if other == place]
            raise ValueError(
                f"advice: expected one edit for each place, got {len(same)} that change the {place[0]} of"
                f" {f'stage {place[1]}' if place[1] else 'the stem or the network'}; choose one of them"
            )
    for edit in sorted(edits, key=_turn):
        if edit.kind == "shrink_expansion" and _is_plain(found, edit):
            continue
        found = edited(found, edit)
    return found


def _turn(edit: Edit) -> tuple[int, int]:
    """By which edits are ordered. Of kinds of blocks the special ones come first, as the others change only bottlenecks."""
    special = (edit.stage > 0) + (edit.block >= 0)
    if _property(edit) == "kind":
        return 0, -special
    return (2, 0) if edit.kind == "shrink_depth" else (1, edit.kind != "even")


def _property(edit: Edit) -> str:
    """What an edit changes."""
    if edit.kind in ("fuse", "replace_depthwise", "replace_fused"):
        return "kind"
    return "channels" if edit.kind in ("round", "narrow") else edit.kind.removeprefix("shrink_")


def _is_plain(architecture: Architecture, edit: Edit) -> bool:
    """Whether the block of an edit is a plain convolution, which has no expansion."""
    return architecture.stages[edit.stage - 1].blocks[edit.block].kind == "conv"


def _steps(
    architecture: Architecture, costs: Costing, patterns: Sequence[Pattern], params: AdviceParams
) -> list[Advice]:
    """All edits of the chosen kinds, with what they bring."""
    edits = [edit for edit in possible_edits(architecture, parallelism=params.parallelism) if edit.kind in params.kinds]
    networks = [edited(architecture, edit) for edit in edits]
    before, *after = costs([architecture, *networks])
    return [
        Advice(edit, architecture, network, before, cost, *expected_change(patterns, architecture, network))
        for edit, network, cost in zip(edits, networks, after, strict=True)
    ]


def _allowed(one: Advice, first: Architecture, patterns: Sequence[Pattern], params: AdviceParams) -> bool:
    """Whether what an edit leads to may lose its expected accuracy against the first network, and searches tell of it."""
    known = params.assumed or one.tried > 0
    return known and -expected_change(patterns, first, one.architecture)[0] <= params.accuracy


def _keeps_channels(one: Advice, first: Architecture) -> bool:
    """Whether an edit leaves at least 0.9 of the first network's channels, where it rounds them or where blocks were replaced."""
    places = zip(*(channels_of(each) for each in (first, one.base, one.architecture)), strict=True)
    for place, (before, now, after) in enumerate(places):
        if after < min(now, 0.9 * before) and (one.edit.kind == "round" or _replaced(first, one.base, place)):
            return False
    return True


def _replaced(first: Architecture, network: Architecture, place: int) -> bool:
    """Whether a stage of a network has standard convolutions in place of other blocks of the first network."""
    if not 1 <= place <= len(first.stages):
        return False
    blocks = zip(first.stages[place - 1].blocks, network.stages[place - 1].blocks, strict=False)
    return any(old.kind != "conv" and new.kind == "conv" for old, new in blocks)


def _aligned(
    step: Advice,
    first: Architecture,
    costs: Costing,
    patterns: Sequence[Pattern],
    params: AdviceParams,
    limits: Limits | None,
) -> list[Advice]:
    """Roundings up of the channels of stages that consist of standard convolutions after a step, and of the stem before such a
    stage, as long as the device takes no longer than before the step and no limit is exceeded further."""
    found: list[Advice] = []
    if step.edit.kind not in ("replace_depthwise", "replace_fused") or "round" not in params.kinds:
        return found
    stages = step.architecture.stages
    plain = [number for number, stage in enumerate(stages, start=1) if {one.kind for one in stage.blocks} == {"conv"}]
    current, now = step.architecture, step.after
    for place in ([0] if 1 in plain else []) + plain:
        channels = channels_of(current)[place]
        value = rounded_channels(channels, 1.0, params.parallelism)
        if value <= channels:
            continue
        (rounded,) = _taken([Edit("round", place, value=value)], current, costs, patterns)
        exceeds = limits is not None and limits.excess(rounded.after) > limits.excess(now)
        longer = rounded.after.latency_ms > step.before.latency_ms
        if not exceeds and not longer and _allowed(rounded, first, patterns, params):
            found.append(rounded)
            current, now = rounded.architecture, rounded.after
    return found


def _saves(one: Advice) -> bool:
    savings = (one.latency_saving, one.memory_saving, one.size_saving)
    return max(savings) > _LEAST and (one.latency_saving > -_LEAST or min(savings[1:]) > _LEAST)


def _needed(
    steps: Sequence[Advice], costs: Costing, patterns: Sequence[Pattern], params: AdviceParams, limits: Limits
) -> tuple[Advice, ...]:
    """The steps of a plan without those that the limits do not need, the ones expected to cost most accuracy first."""
    kept = list(steps)
    for one in sorted(steps, key=lambda step: -_cost(step, params)):
        fewer = _taken([step.edit for step in kept if step.edit != one.edit], steps[0].base, costs, patterns)
        if fewer and limits.keeps(fewer[-1].after):
            kept = fewer
    return tuple(kept)


def _taken(
    edits: Sequence[Edit], architecture: Architecture, costs: Costing, patterns: Sequence[Pattern]
) -> list[Advice]:
    """Edits one after the other, with what each brings; those that change nothing are left out."""
    networks = [architecture]
    chosen = []
    for edit in edits:
        network = edited(networks[-1], edit)
        if network != networks[-1]:
            networks.append(network)
            chosen.append(edit)
    found = costs(networks)
    return [
        Advice(edit, base, network, before, after, *expected_change(patterns, base, network))
        for edit, base, network, before, after in zip(
            chosen, networks[:-1], networks[1:], found[:-1], found[1:], strict=True
        )
    ]


def _worth(one: Advice, limits: Limits | None, params: AdviceParams) -> float:
    """What an edit gains for each bit of accuracy; 0 or less where it gains nothing."""
    if limits is not None and limits.largest:
        gain = limits.excess(one.before) - limits.excess(one.after)
    else:
        gain = one.latency_saving
    if gain <= _LEAST:
        return 0.0
    return gain / max(_cost(one, params), _FLOOR)


def _cost(one: Advice, params: AdviceParams) -> float:
    """The accuracy that an edit may cost."""
    return -one.accuracy_change + params.caution * one.accuracy_spread
