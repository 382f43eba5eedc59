"""Known pairs of entities of two graphs from users' files."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import Form, checked_mapping
from fingerpost.schemas.inputs.graphs import GraphBatch, Link, links_table
from fingerpost.schemas.inputs.interaction_rows import RowReport
from fingerpost.schemas.inputs.keyed_files import keyed_identity, read_files
from fingerpost.schemas.inputs.suppression import Suppressed

LINKS = Form(
    ("left", "right", "label", "split"),
    needed=("left", "right"),
    option="--set kg.columns.",
    keys=("left", "right"),
    numbers=(),
)
LABELS = {"1": 1, "true": 1, "0": 0, "false": 0}
SPLITS = {
    "": "",
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("valid", "validation", "dev"), "validation"),
    "test": "test",
}


@dataclass(frozen=True)
class LinkFile:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) of left, right, label and split.

    label: 1 or true for the same entity, 0 or false for two, 1 without the column. split: training, validation or test,
    also as train, valid and dev; empty for none. mapping: pairs (our column, the file's) where they differ. suppressed: ids
    to leave out.
    """

    path: str
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None

    def identity(self) -> str:
        """sha256 over contents, mapping and the digests of suppressed ids in them; InputError if it cannot be read."""
        return keyed_identity(self.path, self._reading(keys_only=True))

    def read(self, left: GraphBatch, right: GraphBatch) -> tuple[pa.Table, pa.Table, dict[str, int]]:
        """The links between two graphs in the table of their contract; the quarantined rows, and their number by reason.

        Reasons: no left, no right, unknown label, unknown split, unknown entity, duplicate link. InputError if the file
        cannot be read.
        """
        reading = self._reading()
        batches = read_files(self.path, reading)
        links = (link for batch in batches for link in _links(batch, reading))
        table = links_table(links, left, right, quarantine=reading.quarantine)
        return table, reading.quarantine.table(), reading.quarantine.reasons()

    def _reading(self, *, keys_only: bool = False) -> Reading:
        mapping = checked_mapping(dict(self.mapping), LINKS)
        return Reading(mapping, suppressed=self.suppressed, keys_only=keys_only, form=LINKS)


def _links(batch: RawBatch, reading: Reading) -> Iterator[Link]:
    report = RowReport(batch, reading.quarantine, batch.columns["left"])
    empty = pa.array([""] * len(batch.rows))
    cells = [_texts(batch.columns.get(name, empty), name, report) for name in LINKS.names]
    for i, (left, right, label, split) in enumerate(zip(*cells, strict=True)):
        if not left or not right:
            report(i, "no left" if not left else "no right", "the cell is empty")
        elif "label" in batch.columns and label.lower() not in LABELS:
            report(i, "unknown label", f"{label!r} is none of {', '.join(LABELS)}")
        elif split.lower() not in SPLITS:
            report(i, "unknown split", f"{split!r} is none of {', '.join(filter(None, SPLITS))}")
        elif batch.rows[i] not in reading.quarantine.found:
            yield Link(batch.rows[i], left, right, LABELS.get(label.lower(), 1), SPLITS[split.lower()])


def _texts(cells: "pa.Array | list[object]", name: str, report: RowReport) -> list[str]:
    if isinstance(cells, pa.Array) and pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.string())
    elif not isinstance(cells, pa.Array):
        cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
    return [text.strip() for text in text_cells(name, cells, report, keys=LINKS.names).to_pylist()]
