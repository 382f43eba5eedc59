"""When a threshold is not safe to keep its target, and what to do then, in words.

The rule: it was chosen on fewer than ``FEW_CLASSES`` classes with pairs of the target's kind; or the rate of classes left out while
choosing, of the classes that test it, or at either end of its interval is beyond ``FACTOR`` times the target or below it by as
much. How often that was right in simulation: tests/bench/RESULTS.md.
"""

import math
from collections.abc import Iterator

from tasks.metric.pairs import PairHistograms
from tasks.metric.thresholds import ClassRates, ThresholdChoice, class_rates

#: Simulated as in intervals.py: a threshold for FAR 1 % had beyond ``FACTOR`` times the true rate or below it by as much in 47 to 76 % of the
#: sets of 5 classes, 14 to 45 % of those of 10, and 0 to 9 % of those of 20.
FEW_CLASSES = 10
FACTOR = 2.0


def cautions(pairs: PairHistograms, choice: ThresholdChoice, tested: ClassRates | None = None) -> list[str]:
    """Why the target of a threshold chosen on pairs of classes is not safely met; none if it is.

    tested: what other classes get by it, where there are some.
    """
    rate, told = choice.target.rate, choice.target.rate.upper()
    counts = pairs.negatives if rate == "far" else pairs.positives
    classes = int((counts > 0).sum())
    out = []
    if classes < FEW_CLASSES:
        out.append(
            f"the threshold was chosen on {classes} classes, fewer than {FEW_CLASSES}; give more classes, or choose on"
            " a larger share of them (validation_share)"
        )
    found = [(f"{told} of classes left out while choosing is", choice.held_out)]
    if tested is not None:
        found.append((f"{told} of the classes that test it is", _rate(tested, rate)))
    out += [
        f"{words} {_percent(value)}, {off}; give more classes, or set a target that leaves room"
        for words, value, off in _off(found, choice.target.share)
    ]
    ends = [_rate(class_rates(pairs, end), rate) for end in choice.interval]
    if list(_off([("", value) for value in ends], choice.target.share)):
        least, most = (_percent(end) for end in sorted(ends))
        out.append(
            f"at the ends of its interval {told} is {least} and {most} for a target of {_percent(choice.target.share)};"
            " give more classes"
        )
    return out


def _off(found: list[tuple[str, float]], share: float) -> Iterator[tuple[str, float, str]]:
    """Those rates that are beyond the factor, and by how much."""
    for words, value in found:
        if math.isnan(value):
            continue
        if share == 0:
            if value > 0:
                yield words, value, "for a target of 0"
        elif not 1 / FACTOR <= value / share <= FACTOR:
            yield words, value, f"{value / share:.2g} times the target"


def _rate(rates: ClassRates, rate: str) -> float:
    return rates.global_far if rate == "far" else rates.global_frr


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"
