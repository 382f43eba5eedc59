"""When a flow and collection had no schedule: its days are then not expected. Imports no Prefect.

``.schedules/<flow>/<collection>.json`` in the store has the newest such time; without it every day is expected.
"""

import json
from dataclasses import asdict, dataclass

from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.records import built, decoded, leave_out
from fingerpost.schemas.refs import checked_day, checked_name
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class Pause:
    """The days later than ``after`` and earlier than ``before`` (empty: all later days) that no schedule asked for."""

    after: str = ""
    before: str = ""

    def holds(self, day: str) -> bool:
        """Whether no schedule asked for a day."""
        return bool(self.after) and day > self.after and (not self.before or day < self.before)


def _day_or_none(value: str) -> str:
    return checked_day(value) if value else value


_SHAPE = {"after": _day_or_none, "before": _day_or_none}


def pause_of(store: Store, flow: str, collection: str) -> Pause:
    """The newest pause of a flow and collection; one without days if there was none, or if it cannot be read."""
    path = _path(flow, collection)
    advice = "`fingerpost undeploy` replaces it"
    try:
        return built(Pause, decoded(store.files.read(path), _SHAPE, where=f"schedule {path}", advice=advice))
    except FileNotFoundError:
        return Pause()
    except CorruptArtifactError as problem:
        leave_out(problem)
        return Pause()


def end_schedule(store: Store, flow: str, collection: str, *, day: str) -> None:
    """Notes that no day later than this one is expected any more."""
    _write(store, flow, collection, Pause(day))


def begin_schedule(store: Store, flow: str, collection: str, *, day: str) -> None:
    """Notes that days from this one on are expected again; does nothing where no schedule was ended."""
    pause = pause_of(store, flow, collection)
    if pause.after and not pause.before:
        _write(store, flow, collection, Pause(pause.after, day))


def _write(store: Store, flow: str, collection: str, pause: Pause) -> None:
    store.files.write(_path(flow, collection), json.dumps(asdict(pause)).encode())


def _path(flow: str, collection: str) -> str:
    return f".schedules/{checked_name(flow)}/{checked_name(collection)}.json"
