"""Timing of functions that take turns: warm-up, repeats, the median without the slowest ones, and the spread."""

from collections.abc import Callable, Sequence

import numpy as np

from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.devices import Latencies

#: Nanoseconds of a clock that never goes back.
Clock = Callable[[], int]


def timed(functions: Sequence[Callable[[], object]], params: CpuParams, *, clock: Clock) -> Latencies:
    """The latencies of some functions, each called in turn with the others, pass after pass.

    Each repeat is a mean over as many calls as last ``least_us``, after a call that does not count: the others took the
    caches meanwhile. Of the repeats, the slowest ``trimmed`` are left out.
    """
    for function in functions:
        for _ in range(params.warmup):
            function()
    calls = [_calls(function, params.least_us, clock) for function in functions]
    measured = np.array(
        [
            [_ms(function, count, clock) for function, count in zip(functions, calls, strict=True)]
            for _ in range(params.repeats)
        ]
    ).reshape(params.repeats, len(functions))
    kept = np.sort(measured, axis=0)[: max(2, round(params.repeats * (1 - params.trimmed)))]
    low, median, high = np.percentile(kept, (25, 50, 75), axis=0)
    return Latencies(median, (high - low) / 2, np.full(len(functions), params.repeats, dtype=np.int64))


def _calls(function: Callable[[], object], least_us: float, clock: Clock) -> int:
    """Calls that together last at least ``least_us`` microseconds, by one call."""
    return max(1, int(np.ceil(least_us / max(1000 * _ms(function, 1, clock), 0.1))))


def _ms(function: Callable[[], object], calls: int, clock: Clock) -> float:
    """Mean milliseconds of a call, after one that brings what it needs back into the caches."""
    function()
    begin = clock()
    for _ in range(calls):
        function()
    return (clock() - begin) / calls / 1e6
