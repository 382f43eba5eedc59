"""The number of days per run, and of runs to start. Pure arithmetic."""

from collections.abc import Sequence
from math import ceil
from statistics import median

#: Seconds from submitting a run to Prefect until its process works, and the maximum fraction of a run's time for it.
START_SECONDS, START_SHARE = 10.0, 0.1
#: Seconds that a day takes in addition to its stages, and the default estimate of a day.
DAY_SECONDS, UNKNOWN_SECONDS = 2.0, 20.0


def day_seconds(planned: Sequence[float | None], measured: Sequence[float] = ()) -> float:
    """The expected seconds of a day: measured in this backfill, else planned, else a default."""
    if measured:
        return max(median(measured), 0.1)
    known = [seconds for seconds in planned if seconds is not None]
    return median(known) + DAY_SECONDS if known else UNKNOWN_SECONDS


def days_a_run(seconds: float) -> int:
    """The minimum number of days for which a run's start stays within its fraction of their time; 1 for slow days."""
    return max(1, ceil(START_SECONDS / START_SHARE / max(seconds, 0.01) - 1e-9))


def runs_to_start(days: int, *, size: int, active: int, most: int) -> int:
    """The number of runs to start for the days that no run has claimed, in addition to the active runs."""
    if not days:
        return 0
    return max(0, min(most, ceil(days / size)) - active)
