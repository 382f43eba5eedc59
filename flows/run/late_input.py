"""Late input: what a run that waits for the input files of its day sees of them. Imports no Prefect.

A file is complete when its size and its time of change have been the same for ``schedule.wait_interval``, by its own
time of change or from one look to the next; or, where ``schedule.wait_marker`` names a file, when that one exists.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.freshness import Deadline
from fingerpost.flows.run.input_files import files_of_day
from fingerpost.flows.run.waits import Seen, Waiting, end_wait, keep_wait, kept_wait, shown_moment
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.records import moment
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import some


class LateInputError(InputError):
    """Input files that did not come, or were not complete, by the end of the wait."""


@dataclass(frozen=True)
class Look:
    """What a look found: the wait that goes on, None where the input is complete; and a note on a wait that is over."""

    wait: Waiting | None
    note: str = ""


@dataclass(frozen=True)
class Clock:
    """The time, aware, and how to let some seconds of it pass."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


def wait_for_input(
    store: Store,
    flow: str,
    settings: Settings,
    *,
    say: Callable[[str], None],
    leave: Callable[[Waiting], None] = lambda wait: None,
    clock: Clock = Clock(),
) -> str:
    """Returns once the input files of the settings' day are complete, with a note if that took a wait.

    Sleeps between two looks, unless ``leave`` raises. ``say`` gets a line whenever other files are waited for.
    LateInputError if they are not complete at the end of the wait.
    """
    said = ""
    try:
        while (found := look(store, flow, settings, now=clock.now())).wait:
            if found.wait.reason != said:
                said = found.wait.reason
                say(f"input  {settings.input.collection} of {settings.day} {found.wait}")
            leave(found.wait)
            clock.sleep(max(0.0, (moment(found.wait.next) - clock.now()).total_seconds()))
    except KeyboardInterrupt:
        end_wait(store, flow, settings.input.collection, settings.day)
        raise
    return found.note


def look(store: Store, flow: str, settings: Settings, *, now: datetime) -> Look:
    """Looks for the input files of the settings' day at an aware moment, and keeps in the store what it found.

    LateInputError if they are not complete at the end of the wait.
    """
    collection, day = settings.input.collection, settings.day
    before = kept_wait(store, flow, collection, day)
    reason, files = _lacking(settings, flow, before.files if before else {}, now)
    since, until = before.since if before else _text(now), wait_end(settings)
    if reason and now < until:
        following = min(now + timedelta(seconds=settings.schedule.wait_interval), until)
        wait = Waiting(since, _text(until), _text(now), _text(following), reason, files)
        keep_wait(store, flow, collection, day, wait)
        return Look(wait)
    if reason:
        if before:
            keep_wait(store, flow, collection, day, replace(before, reason=reason, files=files, over=True))
        waited = f" after waiting since {shown_moment(since)}" if before else f" at {shown_moment(_text(now))}"
        raise LateInputError(
            f"input of {day}: expected it complete by {shown_moment(_text(until))}, found {reason}{waited}; deliver it,"
            f" and run the day again: `fingerpost run {flow} --collection {collection} --day {day}`"
        )
    if before:
        end_wait(store, flow, collection, day)
    return Look(None, f"The run waited for its input since {shown_moment(since)}: {before.reason}" if before else "")


def would_wait(store: Store, flow: str, settings: Settings, *, now: datetime) -> str:
    """What a run that begins at an aware moment would wait for; empty if it would not wait. Keeps nothing."""
    before = kept_wait(store, flow, settings.input.collection, settings.day)
    reason, _ = _lacking(settings, flow, before.files if before else {}, now)
    end = wait_end(settings)
    return f"would wait for {reason}, until {shown_moment(_text(end))}" if reason and now < end else ""


def wait_end(settings: Settings) -> datetime:
    """The moment (UTC) until which a run waits for the input of the settings' day."""
    rules = settings.schedule
    return replace(Deadline.of(settings), at=rules.wait_until or rules.deadline).moment(settings.day)


def _lacking(settings: Settings, flow: str, before: Mapping[str, Seen], now: datetime) -> tuple[str, dict[str, Seen]]:
    """What is missing of the input, empty if it is complete, and its files as they are."""
    rules, lacking, files = settings.schedule, list[str](), dict[str, Seen]()
    for path in files_of_day(settings, flow):
        state, changed, problem = _state(path)
        known = before.get(path)
        first = moment(known.since) if known and known.state == state else now
        # A clock that is ahead of this one says nothing about how long ago the file changed.
        since = min(first, changed) if changed else first
        files[path] = Seen(state, _text(since))
        if not problem and not rules.wait_marker and now - since < timedelta(seconds=rules.wait_interval):
            problem = "still written"
        lacking += [f"{path} ({problem})"] if problem else []
    if rules.wait_marker and not os.path.exists(rules.wait_marker):
        lacking.append(f"{rules.wait_marker} (not there)")
    return some(lacking), files


def _state(path: str) -> tuple[str, datetime | None, str]:
    """A hash of the sizes and times of change of a file or folder, its newest change, and why it is no input."""
    digest, newest, size = hashlib.sha256(), 0.0, 0
    try:
        for name, found in _files(Path(path)):
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            newest, size = max(newest, found.st_mtime), size + found.st_size
    except FileNotFoundError:
        return "", None, "not there"
    except OSError as problem:
        # A network's folder that is not mounted yet, for example.
        return "", None, problem.strerror or str(problem)
    changed = datetime.fromtimestamp(newest, UTC)
    return digest.hexdigest()[:32], changed, "" if size else "empty"


def _files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """A file, or the files below a folder sorted by their paths in it, with their status."""
    found = root.stat()
    if not stat.S_ISDIR(found.st_mode):
        yield "", found
        return

    def fail(problem: OSError) -> None:
        raise problem

    for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            yield str(file.relative_to(root)), file.stat()


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
