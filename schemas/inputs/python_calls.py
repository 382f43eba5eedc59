"""The built-in events: in the sources of installed packages, each function is a session, and its calls are the queries.

They are real, and free to publish: what programmers call next, for a completion that knows what was called before.
"""

from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas.inputs import CALLS_SAMPLE
from fingerpost.schemas.inputs.event_times import NO_TIME
from fingerpost.schemas.inputs.events import EVENT_SCHEMA, LONGEST_QUERY, EventBatch
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.suppression import Suppressed, hashed_key
from fingerpost.schemas.refs import digest_of

#: Modules are no people, and so their hashes are the same in every store.
_NO_SALT = b""


@dataclass(frozen=True)
class CallEvents:
    """The events of one distribution, and its number of sources that could not be parsed."""

    events: pa.Table
    unparsed: int


@dataclass(frozen=True)
class CallSequences:
    """The calls of installed distributions: a module is a user, a function a session, a call a query.

    suppressed: modules, functions (``module:name``) and calls that are left out.
    """

    distributions: tuple[str, ...]
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return CALLS_SAMPLE

    def identity(self) -> str:
        """A digest of names, versions and recorded hashes, and of all suppressed keys; reads no source."""
        from fingerpost.schemas.inputs.python_docs import python_docs_fingerprint

        digests = sorted(digest for digest, _ in self.suppressed.entries) if self.suppressed else []
        return digest_of([CALLS_SAMPLE, python_docs_fingerprint(self.distributions), digests])

    def calls(self, distribution: str) -> CallEvents:
        """The events of one distribution; the unit of parallel work."""
        from fingerpost.schemas.inputs.python_docs.calls import calls_of

        found = calls_of(distribution)
        rows = [
            (one.module, f"{one.module}:{one.function}", call)
            for one in found.functions
            for call in one.calls
            if len(call) <= LONGEST_QUERY
        ]
        kept = [row for row in rows if not self._leaves_out(*row)]
        modules, functions, calls = zip(*kept, strict=True) if kept else ((), (), ())
        columns = [_hashed(modules), _hashed(functions), pa.array([NO_TIME] * len(kept), pa.int64())]
        columns.append(pa.array(calls, pa.string()))
        return CallEvents(pa.Table.from_arrays(columns, schema=EVENT_SCHEMA), found.unparsed)

    def read(self) -> EventBatch:
        """The events of all distributions."""
        events = pa.concat_tables(
            [EVENT_SCHEMA.empty_table(), *(self.calls(name).events for name in self.distributions)]
        )
        return EventBatch(events, Quarantine().table())

    def _leaves_out(self, module: str, function: str, call: str) -> bool:
        suppressed = self.suppressed
        if suppressed is None:
            return False
        return bool(suppressed.match(module) or suppressed.match(function) or suppressed.match(call, spelled=True))


def _hashed(keys: tuple[str, ...]) -> pa.Array:
    hashes = {key: hashed_key(_NO_SALT, key) for key in dict.fromkeys(keys)}
    return pa.array([hashes[key] for key in keys], pa.string())
