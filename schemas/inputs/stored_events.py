"""Events whose input is gone, rebuilt from the store."""

from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas import autocomplete
from fingerpost.schemas.inputs.events import EventBatch
from fingerpost.schemas.inputs.stored import holding, quarantined_without, with_digests
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class StoredEvents:
    """Missing events, rebuilt from the store with their quarantine, without those of suppressed users and queries."""

    store: Store
    events: Ref
    suppressed: Suppressed

    def __str__(self) -> str:
        return f"what {self.events} was made of"

    def identity(self) -> str:
        """The identity of the missing input with the digests of the suppressed keys."""
        (original,) = self.store.manifest(self.events).identity["input_identities"].values()
        return with_digests(str(original), sorted(digest for digest, _ in self.suppressed.entries))

    def read(self) -> EventBatch:
        """The other events in their order, and the quarantined rows."""
        stored = autocomplete.EVENTS.table("events")
        rows = self.store.open(self.events, autocomplete.EVENTS).read("events")
        hits = holding(rows, self.suppressed, stored.key_columns, spelled=stored.spelled)
        bad, reasons = quarantined_without(self.store, self.events, self.suppressed)
        return EventBatch(rows.filter(pa.array([not hit for hit in hits], pa.bool_())), bad, reasons)
