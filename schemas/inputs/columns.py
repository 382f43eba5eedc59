"""The columns of documents, and what a reading of an input gives."""

from dataclasses import dataclass, field

import pyarrow as pa

TEXT_COLUMNS = ("id", "title", "text", "kind", "package", "signature", "day")
COLUMNS = (*TEXT_COLUMNS, "vector")

DOCUMENT_SCHEMA = pa.schema([*((name, pa.string()) for name in TEXT_COLUMNS), ("vector", pa.list_(pa.float32()))])
QUARANTINE_SCHEMA = pa.schema(
    [("row", pa.int64()), ("id", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)


@dataclass(frozen=True)
class DocumentBatch:
    """The good rows in the columns of documents, the bad ones with a reason each, and how often each reason occurs."""

    accepted: pa.Table
    quarantined: pa.Table
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class Quarantine:
    """Bad rows as they are found; a row counts once, with the first reason found for it."""

    found: dict[int, tuple[str, str, str]] = field(default_factory=dict)

    def add(self, row: int, key: object, reason: str, detail: object) -> None:
        """Sets a row aside."""
        if row not in self.found:
            self.found[row] = ("" if key is None else str(key)[:200], reason, str(detail)[:200])

    def table(self) -> pa.Table:
        """The rows in the columns of the quarantine, in order."""
        rows = [
            {"row": row, "id": key, "reason": reason, "detail": detail}
            for row, (key, reason, detail) in sorted(self.found.items())
        ]
        return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)

    def reasons(self) -> dict[str, int]:
        """How often each reason occurs, by reason."""
        counts: dict[str, int] = {}
        for _, reason, _ in self.found.values():
            counts[reason] = counts.get(reason, 0) + 1
        return dict(sorted(counts.items()))
