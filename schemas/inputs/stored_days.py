"""Days of an input whose files are gone, rebuilt from their imports in the store."""

from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas.contract import Contract
from fingerpost.schemas.inputs.daily import DailyBatch
from fingerpost.schemas.inputs.stored import holding, quarantined_without, with_digests
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class StoredDay:
    """One imported day, without suppressed rows; its identity is that of its file if it holds none.

    contract: of the import: a table of rows, and one of deleted keys.
    """

    store: Store
    imported: Ref
    contract: Contract
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return f"what {self.imported} was made of"

    def identity(self) -> str:
        """The recorded identity of the file, with the digests of the suppressed keys in its rows."""
        (original,) = self.store.manifest(self.imported).identity["input_identities"].values()
        return with_digests(str(original), self._digests())

    def read(self) -> DailyBatch:
        """The other rows and deleted keys, and the quarantined rows."""
        rows, deleted = (self._without(self._table(number), number) for number in range(2))
        nothing = self.suppressed or Suppressed(b"", frozenset())
        bad, reasons = quarantined_without(self.store, self.imported, nothing)
        return DailyBatch(rows, deleted, bad, reasons)

    def _table(self, number: int) -> pa.Table:
        return self.store.open(self.imported, self.contract).read(self.contract.tables[number].name)

    def _digests(self) -> list[str]:
        """The sorted digests of the suppressed keys in rows and deleted keys."""
        if self.suppressed is None:
            return []
        found: set[str] = set()
        for number, table in enumerate(self.contract.tables):
            keys = self._table(number).select(list(table.key_columns))
            hits = self._hits(keys, number)
            if any(hits):
                for row in keys.filter(pa.array(hits)).to_pylist():
                    for name, value in row.items():
                        found |= self.suppressed.match(value, spelled=name in table.spelled)
        return sorted(found)

    def _without(self, table: pa.Table, number: int) -> pa.Table:
        if self.suppressed is None:
            return table
        return table.filter(pa.array([not hit for hit in self._hits(table, number)], pa.bool_()))

    def _hits(self, table: pa.Table, number: int) -> list[bool]:
        assert self.suppressed is not None
        stored = self.contract.tables[number]
        return holding(table, self.suppressed, stored.key_columns, spelled=stored.spelled)


@dataclass(frozen=True)
class StoredDays:
    """The days that an artifact was merged from, for a run that rewrites it without suppressed keys."""

    store: Store
    merged: Ref
    suppressed: Suppressed

    def days(self, contract: Contract) -> dict[str, StoredDay]:
        """The imported days, oldest first."""
        found = days_of(self.store, self.merged, contract.name)
        return {day: StoredDay(self.store, ref, contract, self.suppressed) for day, ref in found.items()}


def days_of(store: Store, merged: Ref, name: str) -> dict[str, Ref]:
    """The imports of days (artifacts of that name) that an artifact was made of, by day, oldest first."""
    inputs = store.manifest(merged).identity["inputs"].values()
    refs = [Ref.parse(given["ref"]) for given in inputs if "ref" in given]
    return {ref.day: ref for ref in sorted(refs, key=lambda ref: ref.day) if ref.name == name}
