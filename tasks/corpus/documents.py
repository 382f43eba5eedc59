"""Parameters of importing an input."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImportParams:
    """Parameters of an import.

    rows_per_shard: rows per shard, rounded up to blocks of 4,096.
    quarantine_share: maximum fraction of quarantined rows; an import with more fails.
    """

    rows_per_shard: int = 8192
    quarantine_share: float = 0.05

    def __post_init__(self) -> None:
        if self.rows_per_shard < 1:
            raise ValueError(f"rows_per_shard: expected at least 1, got {self.rows_per_shard}; 8192 is usual")
        if not 0 <= self.quarantine_share <= 1:
            raise ValueError(f"quarantine_share: expected 0 to 1, got {self.quarantine_share}; 0.05 is usual")
