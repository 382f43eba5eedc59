"""The built-in interactions as files, in the columns that the reader of interactions expects."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs import NAMES_SAMPLE, SEE_ALSO_SAMPLE
from fingerpost.schemas.inputs.interactions import FirstSentenceSource, SeeAlsoSource
from fingerpost.schemas.inputs.merging import InteractionBatch

_SOURCES: dict[str, type[SeeAlsoSource] | type[FirstSentenceSource]] = {
    SEE_ALSO_SAMPLE: SeeAlsoSource,
    NAMES_SAMPLE: FirstSentenceSource,
}


def write_sample(name: str, folder: Path, distributions: tuple[str, ...] | None = None) -> list[Path]:
    """Writes the built-in interactions of a name; returns the paths of both files. InputError for another name."""
    if name not in _SOURCES:
        raise InputError(f"sample: expected {' or '.join(_SOURCES)}, got {name!r}; there is no other")
    from fingerpost.schemas.inputs.python_docs import DISTRIBUTIONS

    return write_interactions(_SOURCES[name](distributions or DISTRIBUTIONS).read(), folder)


def write_interactions(batch: InteractionBatch, folder: Path) -> list[Path]:
    """Writes ``interactions.parquet`` and ``labels.parquet`` into ``folder``, which is created; returns the paths.

    Reading them gives the queries, labels and pairs of the batch again, queries and pairs in the same order.
    """
    queries = batch.queries.take(batch.pairs["query"])
    rows = {"query": queries["text"], "label": batch.labels["id"].take(batch.pairs["label"])}
    rows |= {"weight": batch.pairs["weight"], "day": queries["day"]}
    if not pc.all(pc.equal(queries["id"], queries["text"])).as_py():
        rows["query_id"] = queries["id"]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in (("interactions", pa.table(rows)), ("labels", batch.labels)):
        path = folder / f"{name}.parquet"
        partial = path.with_suffix(".partial")
        pq.write_table(table.combine_chunks(), partial, compression="zstd")
        partial.replace(path)
        paths.append(path)
    return paths
