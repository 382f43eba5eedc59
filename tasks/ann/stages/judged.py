"""The stage that imports judged queries; their reader, and the writer of the judgement of their answers."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import ann as contracts
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.inputs.forms import first_rows
from fingerpost.schemas.inputs.judged import JudgedBatch, JudgedSource
from fingerpost.schemas.matrices import figures_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.ann.judged import JudgedParams, JudgedQueries, Judgements, for_tuning
from fingerpost.tasks.ann.judgement import Judgement, judged_by
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

TUNING, JUDGING = "tuning", "judging"


@stage(contracts.JUDGED)
def import_judged(run: StageRun, documents: Ref, source: JudgedSource, *, params: JudgedParams) -> None:
    """Imports judged queries and the grades of documents for them, and quarantines bad rows.

    A hash of its id says whether answering is tuned on a query or judged by it.
    """
    batch, ids = source.read(), _ids(run.store, documents)
    judgements = _of_documents(batch, ids)
    run.quality = _quarantined(run, source, batch, params, good=judgements.size)
    keys = batch.queries["id"].to_pylist()
    tuned = for_tuning(keys, params)
    purposes = pa.array([TUNING if one else JUDGING for one in tuned.tolist()], pa.string())
    run.write("queries", batch.queries.append_column("purpose", purposes))
    run.write("judgements", judgements.table())
    run.quality |= judgements.counts(len(keys), tuned)
    if not run.quality[JUDGING]:
        raise QuarantineLimitError(
            f"{source}: expected a query with a relevant document to judge by, found none among"
            f" {len(keys) - int(tuned.sum())} of {len(keys)} queries (the others are for tuning); give more, or set"
            " ann.judged.imports.tuning=0"
        )


@dataclass(frozen=True)
class _Judged:
    """Judgements by rows of queries and documents, sorted by both."""

    queries: np.ndarray
    documents: np.ndarray
    grades: np.ndarray

    @property
    def size(self) -> int:
        return len(self.grades)

    def table(self) -> pa.Table:
        """The judgements as they are stored."""
        types = {"query": np.uint32, "document": np.uint32, "grade": np.float64}
        columns = zip(types.items(), (self.queries, self.documents, self.grades), strict=True)
        return pa.table({name: pa.array(values.astype(kind)) for (name, kind), values in columns})

    def counts(self, queries: int, tuned: np.ndarray) -> dict[str, int]:
        """Numbers of queries and judgements; a query counts where a document is relevant."""
        relevant = np.bincount(self.queries[self.grades > 0], minlength=queries) > 0
        return {
            "queries": queries,
            "judgements": self.size,
            "queries_without_relevant": int((~relevant).sum()),
            TUNING: int((relevant & tuned).sum()),
            JUDGING: int((relevant & ~tuned).sum()),
        }


def _ids(store: Store, documents: Ref) -> pa.Array:
    return store.open(documents, corpus.DOCUMENTS).read("documents")["id"].combine_chunks()


def _of_documents(batch: JudgedBatch, ids: pa.Array) -> _Judged:
    """The judgements of known documents; the others are quarantined."""
    table = batch.judgements
    rows = pc.fill_null(pc.index_in(table["document"], value_set=ids), -1).to_numpy().astype(np.int64)
    names = batch.queries["id"]
    for i in np.flatnonzero(rows < 0).tolist():
        position, query, document, _ = (table[name][i].as_py() for name in table.column_names)
        detail = f"no document has the id {document!r}"
        batch.quarantine.add(position, names[query].as_py(), "unknown document", detail)
    queries, grades = table["query"].to_numpy(), table["grade"].to_numpy()
    order = np.lexsort((rows, queries))
    order = order[rows[order] >= 0]
    return _Judged(queries[order], rows[order], grades[order])


def _quarantined(
    run: StageRun, source: object, batch: JudgedBatch, params: JudgedParams, *, good: int
) -> dict[str, float]:
    """Writes bad rows as a companion artifact; their number and fraction.

    QuarantineLimitError for too large a fraction, and where no judgement is good.
    """
    bad = pa.concat_tables([batch.bad_queries.table(), batch.quarantine.table()])
    reasons = dict(sorted((batch.bad_queries.reasons() | batch.quarantine.reasons()).items()))
    run.write_companion(corpus.QUARANTINE, {"rows": bad}, quality={"rows": bad.num_rows, "reasons": reasons})
    share = bad.num_rows / max(bad.num_rows + good + batch.queries.num_rows, 1)
    if share > params.quarantine_share or not good:
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no rows at all"
        raise QuarantineLimitError(
            f"{source}: expected at most {params.quarantine_share:.1%} bad rows and at least one good judgement, found"
            f" {bad.num_rows} bad rows and {good} good judgements ({counts}): {first_rows(bad)}; fix the files, or raise"
            f" ann.judged.imports.quarantine_share; `fingerpost quarantine {run.companions[corpus.QUARANTINE.name]}` shows"
            " all"
        )
    return {"quarantined": bad.num_rows, "quarantine_share": round(share, 6)}


def read_judged(artifact: Artifact, purpose: str) -> JudgedQueries:
    """The queries of a purpose, ``TUNING`` or ``JUDGING``, of which a document is relevant."""
    queries, table = artifact.read("queries"), artifact.read("judgements")
    columns = (table[name].to_numpy() for name in ("query", "document", "grade"))
    judgements = Judgements.of(*columns, count=queries.num_rows)
    mine = pc.equal(queries["purpose"], purpose).to_numpy()
    rows = np.flatnonzero(mine & (judgements.relevant > 0)).astype(np.int64)
    ids, texts = (queries[name].take(pa.array(rows)).to_pylist() for name in ("id", "text"))
    return JudgedQueries(ids, texts, judgements.take(rows))


def write_judgement(run: StageRun, asked: JudgedQueries, ids: list[str], found: Judgement) -> None:
    """Writes the means and the metrics of each query; ids: those of all documents."""
    run.write("figures", figures_to_arrow(found.figures))
    digests, count = judged_by(asked.texts, ids, asked.judgements), len(asked.ids)
    tables = [
        pa.table(
            {
                "id": pa.array(asked.ids, pa.string()),
                "method": pa.array([method] * count, pa.string()),
                "judged": pa.array(digests, pa.string()),
                **{name: pa.array(values) for name, values in metrics.items()},
            }
        )
        for method, metrics in found.metrics.items()
    ]
    run.write("queries", pa.concat_tables(tables))
    run.quality = dict(found.quality)
