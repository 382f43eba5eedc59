"""The stages that import interactions and list their queries."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.inputs import SEE_ALSO_SAMPLE
from fingerpost.schemas.inputs.daily import Catalogue, DailySource, rows_of_days
from fingerpost.schemas.inputs.forms import first_rows
from fingerpost.schemas.inputs.interactions import (
    FirstSentenceSource,
    InteractionBatch,
    InteractionSource,
    SeeAlsoSource,
)
from fingerpost.schemas.matrices import sparse_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.daily_imports import check_some, merged_days, write_day
from fingerpost.tasks.days import undeleted_rows
from fingerpost.tasks.shards import even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.interactions import (
    CALIBRATION,
    SPLITS,
    TEST,
    TRAINING,
    InteractionParams,
    label_text,
    query_text,
    splits_of,
)
from fingerpost.tasks.xmr.open import rows_of


@stage(contracts.INTERACTIONS)
def import_interactions(
    run: StageRun, source: "Ref | InteractionSource", *, params: InteractionParams, sample: str = ""
) -> None:
    """Imports queries, labels and chosen labels, quarantines bad rows, and splits the queries.

    sample: name of the built-in interactions, where ``source`` is the extracts of the built-in documentation.
    """
    batch = _sample_interactions(run.store, source, sample) if isinstance(source, Ref) else source.read()
    bad = batch.quarantined.num_rows
    run.write_companion(
        corpus.QUARANTINE, {"rows": batch.quarantined}, quality={"rows": bad, "reasons": dict(batch.reasons)}
    )
    share = bad / max(bad + batch.pairs.num_rows, 1)
    splits = splits_of(batch.queries["id"].to_pylist(), params)
    if share > params.quarantine_share or TRAINING not in splits:
        raise _too_bad(source, batch, params, run.companions[corpus.QUARANTINE.name])
    targets = _matrix(batch, batch.pairs, batch.pairs["weight"].to_numpy().astype(np.float32))
    run.write("queries", batch.queries.append_column("split", pa.array(splits, pa.string())))
    run.write("labels", batch.labels)
    run.write("targets", sparse_to_arrow(targets))
    if batch.negatives is not None:
        ones = np.ones(batch.negatives.num_rows, np.float32)
        run.write("negatives", sparse_to_arrow(_matrix(batch, batch.negatives, ones)))
    run.quality = _quality(batch, splits, targets.nnz, share)


@stage(contracts.DAILY_INTERACTIONS)
def import_daily_interactions(run: StageRun, source: DailySource, *, params: ImportParams) -> None:
    """Imports the valid rows of one day's file of interactions, and what it withdraws; quarantines the others."""
    write_day(run, source, source.read(), params, limit="xmr.interactions.quarantine_share")


@stage(contracts.INTERACTIONS)
def merge_daily_interactions(run: StageRun, catalogue: Catalogue, *days: Ref, params: InteractionParams) -> None:
    """Merges imported days, oldest first, as if their rows were in one file; the labels are those of the catalogue.

    Weights of a query and label are summed over the days, without rows that a later day deletes; a query has its newest
    text.
    """
    merged = merged_days(run.store, days, contracts.DAILY_INTERACTIONS, undeleted_rows)
    check_some(merged.tables, days)
    rows = _Days(f"days {days[0].day} to {days[-1].day}", catalogue, merged.tables)
    import_interactions.function(run, rows, params=params)
    unknown = run.quality["quarantined"]
    run.quality |= merged.quality | {"quarantined": merged.quality["quarantined"] + unknown}


@dataclass(frozen=True)
class _Days:
    """The interactions of several days, as a source."""

    name: str
    catalogue: Catalogue
    tables: list[pa.Table]

    def __str__(self) -> str:
        return self.name

    def read(self) -> InteractionBatch:
        """Queries, labels and pairs."""
        return self.catalogue.batch(rows_of_days(self.tables))


def _too_bad(
    source: object, batch: InteractionBatch, params: InteractionParams, quarantine: str
) -> QuarantineLimitError:
    """The error for an import with too many bad rows, or without a training query."""
    counts = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items()) or "no rows to train on"
    return QuarantineLimitError(
        f"{source}: expected at most {params.quarantine_share:.1%} bad rows and a query to train on, found"
        f" {batch.quarantined.num_rows} bad and {batch.pairs.num_rows} good ({counts}): {first_rows(batch.quarantined)};"
        f" fix the input, or raise xmr.interactions.quarantine_share; `fingerpost quarantine {quarantine}` shows all"
    )


def _matrix(batch: InteractionBatch, pairs: pa.Table, values: np.ndarray) -> sparse.csr_array:
    """Values float32 (pairs,) of (query, label) pairs as CSR (queries, labels), indices ascending in each row."""
    rows, columns = (pairs[name].to_numpy() for name in ("query", "label"))
    matrix = sparse.csr_array((values, (rows, columns)), shape=(batch.queries.num_rows, batch.labels.num_rows))
    matrix.sort_indices()
    return matrix


def _quality(batch: InteractionBatch, parts: list[str], pairs: int, share: float) -> dict[str, object]:
    """The counts of an import."""
    counts = {
        "queries": batch.queries.num_rows,
        "labels": batch.labels.num_rows,
        "pairs": pairs,
        "quarantined": batch.quarantined.num_rows,
        "quarantine_share": round(share, 6),
        "named_labels": sum(map(bool, _label_texts(batch.labels))),
    }
    unwanted = {} if batch.negatives is None else {"negatives": batch.negatives.num_rows}
    return counts | {name: parts.count(name) for name in SPLITS} | dict(batch.figures) | unwanted


def _sample_interactions(store: Store, extracts: Ref, sample: str) -> InteractionBatch:
    from fingerpost.schemas.inputs.python_docs.links import DistributionPages, pages_from

    artifact, pages = store.open(extracts, corpus.EXTRACTS), []
    for entry in artifact.entries("links"):
        documents, links = (artifact.read(name, shard=entry.shard) for name in ("documents", "links"))
        pages.append(DistributionPages("", pages_from(documents, links), 0))
    pages.append(DistributionPages("", (), artifact.quality["unparsed_files"]))
    return (SeeAlsoSource(()) if sample == SEE_ALSO_SAMPLE else FirstSentenceSource(())).batch(pages)


@stage(contracts.QUERIES)
def list_queries(run: StageRun, interactions: Ref, *, held_out: bool, label_words: int, rows_per_shard: int) -> None:
    """Lists the texts to featurize: held-out queries, or training queries followed by one row per label text.

    label_words: number of words of a label text that are used.
    """
    artifact = run.store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    mine = rows_of(queries, (CALIBRATION, TEST) if held_out else (TRAINING,))
    keys = [f"query {key}" for key in queries["id"].take(mine).to_pylist()]
    texts = [query_text(text) for text in queries["text"].take(mine).to_pylist()]
    days = queries["day"].take(mine).to_pylist()
    if not held_out:
        own_keys, own_texts = _label_rows(artifact, label_words)
        keys, texts, days = keys + own_keys, texts + own_texts, days + [""] * len(own_keys)
    columns = {"id": keys, "text": texts, "day": days}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    for shard in even_shards(len(keys), rows_per_shard):
        run.write("queries", table.slice(shard.start, shard.stop - shard.start), shard=shard.index)
    run.quality = {"rows": len(keys), "queries": len(mine)}


def _label_rows(artifact: Artifact, label_words: int) -> tuple[list[str], list[str]]:
    """Keys and texts of the labels, each truncated to ``label_words`` words."""
    labels = artifact.read("labels")
    keys = [f"label {key}" for key in labels["id"].to_pylist()]
    return keys, [" ".join(text.split()[:label_words]) for text in _label_texts(labels)]


def _label_texts(labels: pa.Table) -> list[str]:
    columns = (labels[name].to_pylist() for name in ("id", "name", "text"))
    return [label_text(key, name, text) for key, name, text in zip(*columns, strict=True)]
