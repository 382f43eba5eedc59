"""How far a run is and how long it will still take, from what its stages did so far and what was expected of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: The expected seconds of the stages that a run would still compute, by full name; None where nothing is known of one.
Outline = Mapping[str, float | None]

#: Seconds of finished stages from which the rest is expected to be as much faster or slower than was thought, and the
#: most that it is.
_ENOUGH_SECONDS, _MOST = 5.0, 4.0


def duration(seconds: float) -> str:
    """A duration for people: in seconds up to two minutes, then in minutes, then in hours."""
    whole = round(seconds)
    if whole < 120:
        return f"{max(whole, 1)} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


@dataclass
class StageCourse:
    """A stage under way: when it started, its expected seconds if known, its steps, and when which were done.

    parts: how often it announced steps; those of one part, such as a level of a tree, say nothing of the next.
    """

    name: str
    started: float
    expected: float | None = None
    total: int = 0
    parts: int = 0
    points: list[tuple[float, int]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """The steps that are done, with those of an interrupted run."""
        points = self.points
        return points[-1][1] if points else 0

    def advance(self, done: int, now: float) -> None:
        """``done`` steps are finished. Of the times since the start, one in a thousandth of the steps is kept."""
        point = (now, done)
        if len(self.points) > 1 and done - self.points[-2][1] < self.total / 1000:
            self.points[-1] = point
        else:
            self.points.append(point)

    def rate(self, now: float) -> float | None:
        """Steps per second over the last third of the steps, as later ones may take longer; None before two were told.

        Steps that are overdue, such as a long one after many short ones, count as time without any.
        """
        # A stage may announce its next steps meanwhile, which have a list of their own.
        points = self.points
        if not points:
            return None
        (_, none), (last, done) = points[0], points[-1]
        since = (done - none) * 2 / 3 + none
        start = max((at for at, point in enumerate(points[:-1]) if point[1] <= since), default=0)
        then, before = points[start]
        if done <= before or last <= then:
            return None
        return (done - before) / ((now if _overdue(points[start:], now) else last) - then)

    def left(self, now: float, *, pace: float = 1.0) -> float | None:
        """The seconds that are left; None where neither steps nor an expectation tell.

        What the steps tell weighs as much as the fraction of them that is done, the expectation, times ``pace``, as the
        rest.
        """
        spent, rate, points, total = now - self.started, self.rate(now), self.points, self.total
        thought = max(self.expected * pace - spent, 0.0) if self.expected is not None else None
        if rate is None or not (total and points):
            # A stage that takes longer than was thought has no known end.
            return thought or None
        last, done = points[-1]
        told, since = (total - done) / rate, now - last
        # Until the next steps are told, their time passes.
        told -= since if told > since else 0.0
        if thought is None:
            return told
        if self.parts > 1:
            return max(told, thought)
        share = min(done / total, 1.0)
        return share * told + (1 - share) * (thought or told)


def _overdue(points: Sequence[tuple[float, int]], now: float) -> bool:
    """Whether the next steps were told long ago, by the longest time between these."""
    times = [time for time, _ in points]
    return now - times[-1] > 2 * max(after - before for before, after in pairwise(times))


class RunCourse:
    """The course of a run: the stage under way and what follows it. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float], *, flow: str = "") -> None:
        self.clock, self.flow = clock, flow
        self.stage: StageCourse | None = None
        self._outline: dict[str, float | None] | None = None
        self._spent, self._expected = 0.0, 0.0

    def start(self, name: str, expected: float | None) -> None:
        """A stage starts to compute."""
        self.stage = StageCourse(name, self.clock(), expected)

    def begin(self, name: str, total: int) -> None:
        """The stage under way announces its steps; ``name`` is its name where no start was told."""
        stage = self.stage = self.stage or StageCourse(name, self.clock())
        stage.total, stage.points, stage.parts = total, [], stage.parts + 1

    def advance(self, done: int) -> None:
        """``done`` steps of the stage under way are finished; the first that are told may be of an interrupted run."""
        if self.stage is not None:
            self.stage.advance(done, self.clock())

    def end(self, name: str) -> None:
        """A stage ended, computed or reused."""
        if (stage := self.stage) is not None and stage.expected:
            self._spent += self.clock() - stage.started
            self._expected += stage.expected
        self.stage = None
        if self._outline is not None:
            self._outline.pop(name, None)

    def outline(self, stages: Outline) -> None:
        """What the run would still compute, the stage under way included."""
        self._outline = dict(stages)

    @property
    def pace(self) -> float:
        """The seconds of the finished stages over those that were expected of them."""
        if self._spent < _ENOUGH_SECONDS or not self._expected:
            return 1.0
        return min(max(self._spent / self._expected, 1 / _MOST), _MOST)

    def line(self) -> str:
        """The flow, the stage under way, its steps, their rate, and the time left of it and of the run; empty between stages."""
        stage, now = self.stage, self.clock()
        if stage is None:
            return ""
        left = stage.left(now, pace=self.pace)
        parts = [*self._steps(stage, now), f"{duration(now - stage.started)} so far", _left_of_stage(stage, left)]
        flow = f"{self.flow}: " if self.flow else ""
        return f"{flow}{stage.name} {', '.join(parts)}; {self.run_line(left)}"

    def stage_text(self) -> str:
        """The time left of the stage under way, for a live line; empty where nothing tells."""
        stage = self.stage
        left = stage.left(self.clock(), pace=self.pace) if stage else None
        return "" if left is None else f"about {duration(left)} left"

    def run_text(self) -> str:
        """The time left of the run, for a live line; empty where it is not known what follows."""
        stage = self.stage
        if stage is None or self._outline is None:
            return ""
        return self.run_line(stage.left(self.clock(), pace=self.pace))

    def run_line(self, left: float | None) -> str:
        """The time left of the run, where ``left`` seconds are left of the stage under way."""
        stage = self.stage
        if self._outline is None or stage is None:
            return "what follows is not known"
        # A copy, since the stage may end meanwhile.
        known = {name: seconds for name, seconds in dict(self._outline).items() if name != stage.name}
        told = [seconds for seconds in known.values() if seconds is not None]
        unknown = len(known) - len(told) + (left is None)
        after = f"{len(known)} {'stage follows' if len(known) == 1 else 'stages follow'}" if known else "the last stage"
        beside = f", beside {unknown} of unknown length" if unknown else ""
        if not told and left is None:
            return f"time left of the run unknown, {after}"
        return f"about {duration((left or 0.0) + sum(told) * self.pace)} left of the run{beside}, {after}"

    @staticmethod
    def _steps(stage: StageCourse, now: float) -> list[str]:
        if stage.total <= 1:
            return []
        share = 100.0 * stage.done / stage.total
        parts = [f"{stage.done:,} of {stage.total:,} ({share:.0f} %)"]
        if rate := stage.rate(now):
            parts.append(f"{rate:,.0f} a second" if rate >= 10 else f"{rate * 60:,.1f} a minute")
        return parts


def _left_of_stage(stage: StageCourse, left: float | None) -> str:
    if left is not None:
        return f"about {duration(left)} left"
    if stage.expected:
        return f"longer than the {duration(stage.expected)} expected"
    return "time left unknown"
