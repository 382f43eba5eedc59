"""Events whose input is gone, rebuilt from the store."""

from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas import autocomplete
from fingerpost.schemas.inputs.events import EventBatch
from fingerpost.schemas.inputs.stored import StoredSource, holding, quarantined_without


@dataclass(frozen=True)
class StoredEvents(StoredSource):
    """Missing events, rebuilt from the store with their quarantine, without those of suppressed users and queries."""

    def read(self) -> EventBatch:
        """The other events in their order, and the quarantined rows."""
        stored = autocomplete.EVENTS.table("events")
        rows = self.store.open(self.imported, autocomplete.EVENTS).read("events")
        hits = holding(rows, self.suppressed, stored.key_columns, spelled=stored.spelled)
        bad, reasons = quarantined_without(self.store, self.imported, self.suppressed)
        return EventBatch(rows.filter(pa.array([not hit for hit in hits], pa.bool_())), bad, reasons)
