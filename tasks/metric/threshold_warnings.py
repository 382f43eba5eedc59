"""Warnings that a threshold may miss its target rate, with advice, as human-readable sentences.

A threshold is warned about if it does not keep its target because no threshold does, if it was chosen on fewer than ``FEW_CLASSES`` classes with pairs of the target's kind, or
if a rate deviates from the target by more than ``FACTOR`` in either direction: the rate of held-out classes, of the
test classes, or at either end of the threshold's interval. Simulated hit rates: tests/bench/RESULTS.md.

The sentences are part of artifacts: changing their wording changes the identity of every assessment.
"""

import math
from collections.abc import Iterator

import numpy as np

from fingerpost.tasks.metric.pairs import PairHistograms
from fingerpost.tasks.metric.scores import score_of, threshold_of
from fingerpost.tasks.metric.thresholds import ClassRates, ThresholdChoice, class_rates

#: Below this number of classes thresholds for FAR 1 % often miss the target by more than ``FACTOR`` (see RESULTS.md).
FEW_CLASSES = 10
FACTOR = 2.0


def threshold_warnings(pairs: PairHistograms, choice: ThresholdChoice, tested: ClassRates | None = None) -> list[str]:
    """Reasons why a threshold chosen on ``pairs`` may miss its target; empty if there are none.

    tested: the rates of test classes at the threshold, if there are test classes.
    """
    rate, name = choice.target.rate, choice.target.rate.upper()
    counts = pairs.negatives if rate == "far" else pairs.positives
    classes = int((counts > 0).sum())
    out = [] if choice.kept else [cannot_be_kept(choice.target.share, choice.rates.global_far)]
    if classes < FEW_CLASSES:
        out.append(
            f"the threshold was chosen on {classes} classes, fewer than {FEW_CLASSES}; give more classes, or choose on"
            " a larger share of them (validation_share)"
        )
    measured = [(f"{name} of classes left out while choosing is", choice.held_out)]
    if tested is not None:
        measured.append((f"{name} of the classes that test it is", _rate(tested, rate)))
    out += [
        f"{words} {_percent(value)}, {deviation}; give more classes, or set a target that leaves room"
        for words, value, deviation in _deviating(measured, choice.target.share)
    ]
    ends = [_rate(class_rates(pairs, end), rate) for end in _counted_ends(pairs, choice.interval)]
    if list(_deviating([("", value) for value in ends], choice.target.share)):
        low, high = (_percent(end) for end in sorted(ends))
        out.append(
            f"at the ends of its interval {name} is {low} and {high} for a target of {_percent(choice.target.share)};"
            " give more classes"
        )
    return out


def cannot_be_kept(share: float, far: float, group: str = "") -> str:
    """The warning that no threshold keeps a FAR, with the FAR of the strictest one."""
    of = f" of group {group}" if group else ""
    return (
        f"no threshold{of} keeps FAR {_percent(share)}: {_percent(far)} of the pairs of two classes are as close as"
        " scores can tell, and pass at the strictest threshold too; look for the same rows in two classes, or set a"
        " higher target"
    )


def _counted_ends(pairs: PairHistograms, interval: tuple[float, float]) -> list[float]:
    """The thresholds with exact counts at the ends of an interval, or next beyond them."""
    edges = pairs.edges[1:-1]
    low, high = sorted(score_of(end, pairs.measure) for end in interval)
    below, above = np.searchsorted(edges, low, side="right") - 1, np.searchsorted(edges, high, side="left")
    return [threshold_of(edges[np.clip(at, 0, len(edges) - 1)], pairs.measure) for at in (below, above)]


def _deviating(measured: list[tuple[str, float]], share: float) -> Iterator[tuple[str, float, str]]:
    """The rates that deviate from the target by more than the factor, and by how much."""
    for words, value in measured:
        if math.isnan(value):
            continue
        if share == 0:
            if value > 0:
                yield words, value, "for a target of 0"
        elif not 1 / FACTOR <= value / share <= FACTOR:
            yield words, value, f"{_two_digits(value / share)} times the target"


def _rate(rates: ClassRates, rate: str) -> float:
    return rates.global_far if rate == "far" else rates.global_frr


def _percent(value: float) -> str:
    return f"{_two_digits(100 * value)} %"


def _two_digits(value: float) -> str:
    """A number with two digits, or of a hundred and more all before the point: never 1e+02."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}"
