"""Shared parts of the stages that import an input: the quarantine with its limit, and rows in shards."""

from typing import Any

import pyarrow as pa

from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.inputs.forms import DocumentBatch, first_rows
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.shards import row_shards
from fingerpost.tasks.stage_run import StageRun


def write_quarantine(run: StageRun, source: object, batch: DocumentBatch, params: ImportParams) -> dict[str, Any]:
    """Writes the bad rows of an input, with a reason each, as a companion artifact; returns their number and fraction.

    QuarantineLimitError if the fraction exceeds the limit, or no row is good.
    """
    good, bad = batch.accepted.num_rows, batch.quarantined.num_rows
    share = bad / max(bad + good, 1)
    run.write_companion(QUARANTINE, {"rows": batch.quarantined}, quality={"rows": bad, "reasons": dict(batch.reasons)})
    if share > params.quarantine_share or not good:
        counts = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items()) or "no rows at all"
        raise QuarantineLimitError(
            f"{source}: expected at most {params.quarantine_share:.1%} bad rows and at least one good one, found {bad}"
            f" bad of {bad + good} ({counts}): {first_rows(batch.quarantined)}; fix the input, or raise"
            f" corpus.imports.quarantine_share; `fingerpost quarantine {run.companions[QUARANTINE.name]}` shows all"
        )
    return {"quarantined": bad, "quarantine_share": round(share, 6)}


def write_rows(run: StageRun, table: str, rows: pa.Table, params: ImportParams) -> None:
    """Writes the accepted rows of an input as a table of the artifact, one file per shard."""
    for shard in row_shards(rows.num_rows, params.rows_per_shard):
        run.write(table, rows.slice(shard.start, shard.stop - shard.start), shard=shard.index)
