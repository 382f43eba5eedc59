"""The stages that make documents, and vectors that came with them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import corpus as contracts
from schemas.errors import FingerpostError
from schemas.inputs.sources import DistributionSource, InputSource, check_rows
from schemas.matrices import dense_to_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.corpus.documents import ImportParams
from tasks.imports import write_quarantine, write_rows
from tasks.shards import Shard, ShardOutput, shards_of
from tasks.stage import stage
from tasks.stage_run import StageRun


@stage(contracts.EXTRACTS)
def extract_documentation(run: StageRun, packages: DistributionSource, *, distributions: tuple[str, ...]) -> None:
    """Parses the sources of installed distributions into documents, one shard a distribution."""
    shards = [Shard(index, index, index + 1) for index in range(len(distributions))]
    figures = run.map_shards(_extract_distribution, shards, packages=packages, distributions=distributions)
    run.quality = {
        "documents": sum(f["documents"] for f in figures),
        "unparsed_files": sum(f["unparsed"] for f in figures),
    }


def _extract_distribution(
    store: Store, shard: Shard, *, packages: DistributionSource, distributions: tuple[str, ...]
) -> ShardOutput:
    found = packages.distribution(distributions[shard.index])
    tables = {"documents": found.documents, "links": found.links}
    return ShardOutput(tables, {"documents": found.documents.num_rows, "unparsed": found.unparsed})


@stage(contracts.DOCUMENTS)
def import_documents(run: StageRun, source: "Ref | InputSource", *, params: ImportParams) -> None:
    """Takes the good rows of an input over as documents and sets the bad ones aside with a reason each."""
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


@stage(contracts.VECTORS)
def take_vectors(run: StageRun, documents: Ref, *, normalize: bool) -> None:
    """Takes over the vectors that came with the documents, scaled to norm 1 if asked for."""
    artifact = run.store.open(documents, contracts.DOCUMENTS)
    if not artifact.quality["vectors"]:
        raise FingerpostError(
            f"artifact {documents}: expected a vector in every row, found rows without; give text to all, or vectors"
            " to all"
        )
    figures = run.map_shards(
        _take_shard, shards_of(artifact.entries("documents")), documents=documents, normalize=normalize
    )
    run.quality = {"documents": sum(f["rows"] for f in figures), "dimensions": figures[0]["dimensions"], "zero_rows": 0}


def _take_shard(store: Store, shard: Shard, *, documents: Ref, normalize: bool) -> ShardOutput:
    column = store.open(documents, contracts.DOCUMENTS).read("documents", shard=shard.index)["vector"].combine_chunks()
    rows = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    if normalize:
        rows = rows / np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    return ShardOutput({"vectors": dense_to_arrow(rows)}, {"rows": len(rows), "dimensions": rows.shape[1]})
