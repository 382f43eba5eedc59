"""The stages that import labelled embeddings or images, and their vectors, for tuning a threshold."""

import numpy as np
import pyarrow as pa

from fingerpost.schemas import metric as contracts
from fingerpost.schemas.inputs.daily import DailyBatch, DailySource
from fingerpost.schemas.inputs.sources import InputSource
from fingerpost.schemas.matrices import dense_to_arrow, fixed_lists
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.daily_imports import check_one_length, check_some, merged_days, write_day
from fingerpost.tasks.days import newest_rows
from fingerpost.tasks.imports import write_quarantine, write_rows
from fingerpost.tasks.metric.open import given_vectors, open_labelled
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.EMBEDDINGS)
def import_embeddings(run: StageRun, source: InputSource, *, params: ImportParams) -> None:
    """Imports the valid rows of a file of labelled embeddings and quarantines the others with a reason each."""
    batch = source.read()
    figures, rows = write_quarantine(run, source, batch, params), batch.accepted
    columns = {name: rows[name] for name in ("id", "label", "group")} | {"vector": fixed_lists(given_vectors(rows))}
    write_rows(run, "embeddings", pa.table(columns), params)
    run.quality = {"embeddings": rows.num_rows} | figures


@stage(contracts.DAILY_EMBEDDINGS)
def import_daily_embeddings(run: StageRun, source: DailySource, *, params: ImportParams) -> None:
    """Imports the valid rows of one day's file of labelled embeddings, and the ids that it deletes."""
    batch = source.read()
    rows = batch.accepted
    vectors = given_vectors(rows) if rows.num_rows else np.zeros((0, 1), np.float32)
    columns = {name: rows[name] for name in ("id", "label", "group")} | {"vector": fixed_lists(vectors)}
    stored = DailyBatch(pa.table(columns), batch.deleted, batch.quarantined, batch.reasons)
    write_day(run, source, stored, params, limit="corpus.imports.quarantine_share")


@stage(contracts.EMBEDDINGS)
def merge_daily_embeddings(run: StageRun, *days: Ref, rows_per_shard: int) -> None:
    """Merges imported days, oldest first, into embeddings: the newest row of each id that no later day deletes."""
    merged = merged_days(run.store, days, contracts.DAILY_EMBEDDINGS, newest_rows)
    check_some(merged.tables, days)
    check_one_length([table["vector"].type.list_size if table.num_rows else None for table in merged.tables], days)
    rows = pa.concat_tables([table for table in merged.tables if table.num_rows]).combine_chunks()
    write_rows(run, "embeddings", rows, ImportParams(rows_per_shard))
    run.quality = {"embeddings": rows.num_rows} | merged.quality


@stage(contracts.IMAGES)
def import_images(run: StageRun, source: InputSource, *, params: ImportParams) -> None:
    """Imports the valid images of an input with their labels and quarantines the others with a reason each."""
    batch = source.read()
    figures, rows = write_quarantine(run, source, batch, params), batch.accepted
    columns = {name: rows[name] for name in ("id", "label")} | {"pixels": fixed_lists(given_vectors(rows))}
    write_rows(run, "images", pa.table(columns), params)
    run.quality = {"images": rows.num_rows} | figures


@stage(contracts.VECTORS)
def take_embeddings(run: StageRun, documents: Ref, *, normalize: bool) -> None:
    """Extracts the vectors of labelled embeddings, or the pixels of images; scaled to norm 1 with ``normalize``."""
    artifact, table = open_labelled(run.store, documents)
    ends = np.cumsum([0, *(entry.rows for entry in artifact.entries(table))]).tolist()
    shards = [
        Shard(entry.shard, start, stop)
        for entry, start, stop in zip(artifact.entries(table), ends[:-1], ends[1:], strict=True)
    ]
    figures = run.map_shards(_take_shard, shards, documents=documents, normalize=normalize)
    run.quality = {"rows": sum(f["rows"] for f in figures), "dimensions": figures[0]["dimensions"]}


def _take_shard(store: Store, shard: Shard, *, documents: Ref, normalize: bool) -> ShardOutput:
    artifact, table = open_labelled(store, documents)
    rows = given_vectors(artifact.read(table, shard=shard.index))
    if normalize:
        rows = rows / np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    return ShardOutput({"vectors": dense_to_arrow(rows)}, {"rows": len(rows), "dimensions": rows.shape[1]})
