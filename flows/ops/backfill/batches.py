"""How many days go to one run, and how many runs are started. Pure arithmetic."""

from collections.abc import Sequence
from math import ceil
from statistics import median

#: Seconds from asking Prefect for a run until its process works, and the share of a run's time that this may be.
START_SECONDS, START_SHARE = 10.0, 0.1
#: Seconds that a day takes beside its stages, and what it is taken to take where nothing is known.
DAY_SECONDS, UNKNOWN_SECONDS = 2.0, 20.0


def day_seconds(planned: Sequence[float | None], measured: Sequence[float] = ()) -> float:
    """What a day is expected to take: what days of this backfill took, or what their plans say, or a guess."""
    if measured:
        return max(median(measured), 0.1)
    known = [seconds for seconds in planned if seconds is not None]
    return median(known) + DAY_SECONDS if known else UNKNOWN_SECONDS


def days_a_run(seconds: float) -> int:
    """The least number of days for which a run's start is no more than its share of their time; slow days go one by one."""
    return max(1, ceil(START_SECONDS / START_SHARE / max(seconds, 0.01) - 1e-9))


def runs_to_start(days: int, *, size: int, active: int, most: int) -> int:
    """How many runs to start for the days that no run took yet, beside those that are active."""
    if not days:
        return 0
    return max(0, min(most, ceil(days / size)) - active)
