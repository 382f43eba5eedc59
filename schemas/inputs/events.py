"""Reader of events: rows (user, session, time, query) of query logs.

Rows are about people. Keys of users and sessions leave the reader as keyed hashes only; what is quarantined has a position
and a reason, and neither messages nor records quote a row.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pyarrow as pa

from fingerpost.schemas.inputs.daily import DailyBatch, DailyFile
from fingerpost.schemas.inputs.days import identity_once
from fingerpost.schemas.inputs.event_rows import (
    DAILY_EVENTS,
    EVENT_SCHEMA,
    EVENTS,
    LONGEST_QUERY,
    KeyHashes,
    PrivateQuarantine,
    check_events,
)
from fingerpost.schemas.inputs.files import input_fingerprint
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import DocumentBatch, Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.keyed_files import dropped_in, read_files
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

__all__ = [
    "DAILY_EVENTS",
    "EVENTS",
    "EVENT_SCHEMA",
    "LONGEST_QUERY",
    "DailyEvents",
    "EventBatch",
    "EventFile",
    "EventSource",
]


@dataclass(frozen=True)
class EventBatch(DocumentBatch):
    """The accepted events in the columns of ``EVENT_SCHEMA``, in the order of the input; the quarantined rows with a reason
    each, and their number by reason. empty: number of rows without a query, which logs of searches have many of.
    """

    empty: int = 0


class EventSource(Protocol):
    """Events from outside the store; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of its content, which does not depend on the salt of the store."""
        ...

    def read(self) -> EventBatch:
        """The events, bad rows quarantined."""
        ...


@dataclass(frozen=True)
class EventFile:
    """A file of events (or a folder of Parquet files).

    mapping: pairs (our column, the file's) where they differ. time_format: of ``strptime``, for times in another form than
    `time_cells` understands. suppressed: users, sessions and texts of queries whose rows are left out. salt: of the store,
    for the hashes of users and sessions.
    """

    path: str
    mapping: tuple[tuple[str, str], ...] = ()
    time_format: str = ""
    suppressed: Suppressed | None = None
    salt: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """A digest of contents, mapping, the format of times, and the suppressed keys in them.

        InputError if it cannot be read.
        """
        return identity_once(self.path, self._identity, "events", self.mapping, self.time_format, self.suppressed)

    def _identity(self) -> str:
        return _identity(self.path, self._reading(keys_only=True), self.time_format)

    def read(self) -> EventBatch:
        """The events, bad rows quarantined; InputError if it cannot be read, FingerpostError without a salt."""
        reading, hashes = self._reading(), KeyHashes(self.salt)
        batches = hashes.hashed(read_files(self.path, reading), reading.quarantine)
        events, empty = check_events(batches, quarantine=reading.quarantine, time_format=self.time_format)
        return EventBatch(events, reading.quarantine.table(), reading.quarantine.reasons(), empty)

    def _reading(self, *, keys_only: bool = False) -> Reading:
        mapping = checked_mapping(dict(self.mapping), EVENTS)
        return Reading(mapping, PrivateQuarantine(), suppressed=self.suppressed, keys_only=keys_only, form=EVENTS)


@dataclass(frozen=True)
class DailyEvents(DailyFile):
    """One day's file of events; a deleted row withdraws what its user asked in the days before, in these words.

    time_format, salt: as of `EventFile`.
    """

    form: ClassVar[Form] = DAILY_EVENTS
    keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"user": ("user",), "query": ("query",)}
    time_format: str = ""
    salt: bytes = field(default=b"", repr=False)

    def identity(self) -> str:
        """A digest of contents, mapping, the format of times, and the suppressed keys in them.

        InputError if it cannot be read.
        """
        return identity_once(self.path, self._identity, "events", self.mapping, self.time_format, self.suppressed)

    def _identity(self) -> str:
        return _identity(self.path, self._reading(keys_only=True), self.time_format)

    def read(self) -> DailyBatch:
        """The events, the withdrawn queries of users, and bad rows quarantined.

        InputError if it cannot be read, FingerpostError without a salt.
        """
        KeyHashes(self.salt)
        return super().read()

    def _reading(self, *, keys_only: bool = False) -> Reading:
        mapping, bad = dict(self.mapping), PrivateQuarantine()
        return Reading(mapping, bad, suppressed=self.suppressed, keys_only=keys_only, form=self.form)

    def _batches(self, reading: Reading) -> Iterator[RawBatch]:
        """The rows as read, users and sessions hashed: deletions and rows are compared by their hashes."""
        salt = self.salt or b"compared only"  # where a caller looks for deletions, without reading
        return KeyHashes(salt).hashed(read_files(self.path, reading), reading.quarantine)

    def _accepted(self, batches: Iterable[RawBatch], quarantine: Quarantine) -> pa.Table:
        return check_events(batches, quarantine=quarantine, time_format=self.time_format)[0]


def _identity(path: str, reading: Reading, time_format: str) -> str:
    """A digest of a file's contents, its mapping, the format of its times, and the suppressed keys in it."""
    parts, dropped = [input_fingerprint(path, reading.mapping), time_format], dropped_in(path, reading)
    return digest_of([*parts, dropped] if dropped else parts)
