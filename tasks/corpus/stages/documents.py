"""The stages that import documents, and vectors that they contain."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import corpus as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.daily import DailySource
from fingerpost.schemas.inputs.forms import DOCUMENT_SCHEMA
from fingerpost.schemas.inputs.sources import DistributionSource, InputSource, check_rows
from fingerpost.schemas.matrices import dense_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.daily_imports import check_one_length, check_some, merged_days, write_day
from fingerpost.tasks.days import newest_rows
from fingerpost.tasks.imports import write_quarantine, write_rows
from fingerpost.tasks.shards import Shard, ShardOutput, shards_of
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun


@stage(contracts.EXTRACTS)
def extract_documentation(run: StageRun, packages: DistributionSource, *, distributions: tuple[str, ...]) -> None:
    """Parses the sources of installed distributions into documents, one shard per distribution."""
    shards = [Shard(index, index, index + 1) for index in range(len(distributions))]
    figures = run.map_shards(_extract_distribution, shards, packages=packages, distributions=distributions)
    run.quality = {
        "documents": sum(f["documents"] for f in figures),
        "unparsed_files": sum(f["unparsed"] for f in figures),
    }


def _extract_distribution(
    store: Store, shard: Shard, *, packages: DistributionSource, distributions: tuple[str, ...]
) -> ShardOutput:
    extract = packages.distribution(distributions[shard.index])
    tables = {"documents": extract.documents, "links": extract.links}
    return ShardOutput(tables, {"documents": extract.documents.num_rows, "unparsed": extract.unparsed})


@stage(contracts.DOCUMENTS)
def import_documents(run: StageRun, source: "Ref | InputSource", *, params: ImportParams) -> None:
    """Imports the valid rows of an input as documents and quarantines the others with a reason each."""
    if isinstance(source, Ref):
        batch = check_rows(run.store.open(source, contracts.EXTRACTS).read("documents"))
    else:
        batch = source.read()
    figures, accepted = write_quarantine(run, source, batch, params), batch.accepted
    write_rows(run, "documents", accepted, params)
    run.quality = {
        "documents": accepted.num_rows,
        **figures,
        "vectors": accepted["vector"].null_count == 0,
        "texts": _any_text(accepted),
    }


def _any_text(documents: pa.Table) -> bool:
    """Whether any document has a title or a text."""
    return any(pc.any(pc.greater(pc.binary_length(documents[name]), 0)).as_py() for name in ("title", "text"))


#: The maximum length of vectors that are compared as they are: the square of twice that is below float32's maximum.
_LONGEST = 9e18


@stage(contracts.DAILY_DOCUMENTS)
def import_daily_documents(run: StageRun, source: DailySource, *, params: ImportParams) -> None:
    """Imports the valid rows of one day's file, and the ids that it deletes; quarantines the others."""
    write_day(run, source, source.read(), params, limit="corpus.imports.quarantine_share")


@stage(contracts.DOCUMENTS)
def merge_daily_documents(run: StageRun, *days: Ref, rows_per_shard: int) -> None:
    """Merges imported days, oldest first, into documents: the newest row of each id that no later day deletes."""
    merged = merged_days(run.store, days, contracts.DAILY_DOCUMENTS, newest_rows)
    check_some(merged.tables, days)
    check_one_length([_length(table["vector"]) for table in merged.tables], days)
    # Parquet names the elements of lists differently.
    documents = pa.concat_tables(merged.tables).combine_chunks().cast(DOCUMENT_SCHEMA)
    write_rows(run, "documents", documents, ImportParams(rows_per_shard))
    vectors = documents["vector"].null_count == 0
    run.quality = {"documents": documents.num_rows, **merged.quality, "vectors": vectors, "texts": _any_text(documents)}


def _length(vectors: pa.ChunkedArray) -> int | None:
    """The length of the vectors of a day, which all have the same; None without any."""
    length: int | None = pc.max(pc.list_value_length(vectors)).as_py()
    return length


@stage(contracts.VECTORS)
def take_vectors(run: StageRun, documents: Ref, *, normalize: bool) -> None:
    """Extracts the vectors that the documents contain, scaled to norm 1 with ``normalize``.

    FingerpostError where documents lack them, and for vectors left unscaled that are too long to be compared.
    """
    artifact = run.store.open(documents, contracts.DOCUMENTS)
    if not artifact.quality["vectors"]:
        raise FingerpostError(
            f"artifact {documents}: expected a vector in every row, found rows without; provide text in all rows, or"
            " vectors in all rows"
        )
    figures = run.map_shards(
        _take_shard, shards_of(artifact.entries("documents")), documents=documents, normalize=normalize
    )
    run.quality = {"documents": sum(f["rows"] for f in figures), "dimensions": figures[0]["dimensions"], "zero_rows": 0}


def _take_shard(store: Store, shard: Shard, *, documents: Ref, normalize: bool) -> ShardOutput:
    column = store.open(documents, contracts.DOCUMENTS).read("documents", shard=shard.index)["vector"].combine_chunks()
    rows = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if normalize:
        rows = rows / lengths[:, None]
    elif (longest := lengths.max(initial=0.0)) > _LONGEST:
        raise FingerpostError(
            f"vectors: expected lengths of at most {_LONGEST:.0e}, whose distances float32 can hold, got {longest:.2g};"
            " scale them, or compare them by cosine (ann.hnsw.metric)"
        )
    return ShardOutput({"vectors": dense_to_arrow(rows)}, {"rows": len(rows), "dimensions": rows.shape[1]})
