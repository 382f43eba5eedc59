"""Labelled images whose input is gone, rebuilt from the store."""

from dataclasses import dataclass

from fingerpost.schemas import nas
from fingerpost.schemas.inputs.forms import DocumentBatch
from fingerpost.schemas.inputs.labelled_images import COLUMNS
from fingerpost.schemas.inputs.stored import StoredSource, quarantined_without, rows_without


@dataclass(frozen=True)
class StoredImages(StoredSource):
    """Missing images, rebuilt from the store with their quarantine, without suppressed ones.

    They have the splits that they were given; those that a limit on their number left out are not in the store.
    """

    def check(self) -> None:
        """Nothing: what is committed is there."""

    def read(self) -> DocumentBatch:
        """The other images, with their splits."""
        rows = rows_without(self.store.open(self.imported, nas.IMAGES).read("images"), self.suppressed)
        bad, reasons = quarantined_without(self.store, self.imported, self.suppressed)
        return DocumentBatch(rows.select(list(COLUMNS)), bad, reasons)
