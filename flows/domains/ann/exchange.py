"""The `export-index` and `import-index` commands: indexes for faiss and hnswlib, and of theirs. Imports no Prefect."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.flows.run.console import wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.errors import FingerpostError, InputError, UsageError
from fingerpost.schemas.exchanged_files import check_new, write_parts, write_vectors
from fingerpost.schemas.inputs.index_files import IndexFile
from fingerpost.tasks.ann.exchanged import ExchangedIndex, ExchangeError, capacity
from fingerpost.tasks.ann.faiss_format import write_faiss
from fingerpost.tasks.ann.hnswlib_format import write_hnswlib
from fingerpost.tasks.ann.imported import names_metric, read_index
from fingerpost.tasks.ann.open import LiveIndex, kernel_metric, live, read_graph
from fingerpost.tasks.ann.search import Metric

_WRITERS: dict[str, Callable[[ExchangedIndex], Iterator[bytes | memoryview]]] = {
    "faiss": write_faiss,
    "hnswlib": write_hnswlib,
}
_METRICS: dict[str, Metric] = {"l2": "l2", "ip": "ip", "cosine": "cosine"}
#: A number as it is written, so that its text and the number are one id.
_NUMBER = re.compile(r"0|-?[1-9]\d{0,19}")
#: The ids that each library holds.
_IDS = {"faiss": np.int64, "hnswlib": np.uint64}


def exported(*, output: Path, collection: str | None, form: str, force: bool, as_json: bool, store: str | None) -> None:
    """Writes the live index of a collection to a file."""
    if form not in (*_WRITERS, "parquet"):
        raise UsageError(f"--format: expected faiss, hnswlib or parquet, got {form!r}; choose one of them")
    check_new(output, force=force)
    index = live(collection, store=store)
    ids = index.documents["id"]
    numbers = _numbers(ids, form)
    if form == "parquet":
        size = write_vectors(output, ids, index.vectors)
    else:
        try:
            size = write_parts(output, _WRITERS[form](_exchanged(index, numbers)))
        except ExchangeError as problem:
            raise FingerpostError(f"{index.ref}: {problem}") from problem
    named = "documents" if form == "parquet" or numbers is not None else "rows"
    if as_json:
        echo_json(
            {
                "index": str(index.ref),
                "output": str(output),
                "format": form,
                "rows": len(ids),
                "dimensions": int(index.vectors.shape[1]),
                "metric": index.metric,
                "ids": named,
                "bytes": size,
            }
        )
        return
    console = wide_console()
    shape = f"{len(ids):,} vectors of {index.vectors.shape[1]} numbers, metric {index.metric}"
    console.tell(f"{output}: {shape}, {size / 1e6:,.1f} MB")
    if named == "rows":
        console.tell("ids: row numbers from 0, the positions of the rows that --format parquet writes")
    if index.metric == "cosine":
        console.tell("vectors have length one: scale queries likewise, and compare by inner product")
    console.tell(str(index.ref), style="dim")


def imported(*, file: Path, output: Path, metric: str, force: bool, as_json: bool) -> None:
    """Writes ids and vectors of a file, and prints the run that imports its graph."""
    if metric not in ("", *_METRICS):
        raise UsageError(f"--metric: expected l2, ip or cosine, got {metric!r}; choose one of them")
    check_new(output, force=force)
    index = _read(file, metric)
    kept = ~index.deleted
    size = write_vectors(output, pa.array(index.ids[kept]).cast(pa.string()), index.vectors[kept])
    command = (
        f"fingerpost run nightly --input {shlex.quote(str(output))} --set ann.graph.file={shlex.quote(str(file))} --set"
        f" ann.hnsw.metric={index.metric}"
    )
    if as_json:
        figures: dict[str, Any] = {
            "file": str(file),
            "output": str(output),
            "rows": int(kept.sum()),
            "deleted": int(index.deleted.sum()),
            "dimensions": index.dimensions,
            "metric": index.metric,
            "max_neighbors": index.max_neighbors,
            "ef_construction": index.ef_construction,
            "bytes": size,
            "command": command,
        }
        echo_json(figures)
        return
    console = wide_console()
    gone = f"; deleted and left out: {int(index.deleted.sum()):,}" if index.deleted.any() else ""
    console.tell(
        f"{file}: {int(kept.sum()):,} vectors of {index.dimensions} numbers, metric {index.metric}, M"
        f" {index.max_neighbors}, efConstruction {index.ef_construction}{gone}"
    )
    if not metric and not names_metric(IndexFile(str(file)).content()):
        console.tell("a file of hnswlib does not say its metric: give --metric ip or cosine if it is not l2")
    console.tell(f"{output}: ids and vectors, {size / 1e6:,.1f} MB; to publish them with this graph:")
    console.tell(command)


def _read(file: Path, metric: str) -> ExchangedIndex:
    """The index of a file; without a metric that of the file, or l2 where the file does not say it."""
    content = IndexFile(str(file)).content()
    try:
        return read_index(content, metric=_METRICS.get(metric), name=str(file))
    except ExchangeError as problem:
        raise InputError(str(problem)) from problem


def _exchanged(index: LiveIndex, numbers: np.ndarray | None) -> ExchangedIndex:
    """A live index as other libraries hold one."""
    graph = read_graph(index.store.open(index.members["graph"], contracts.GRAPH))
    own = index.store.manifest(index.members["graph"])
    params = own.identity["parameters"].get("params", {})
    neighbors = int(own.quality.get("max_neighbors", params.get("max_neighbors", 2)))
    ids = np.arange(graph.size, dtype=np.int64) if numbers is None else numbers
    return ExchangedIndex(
        np.ascontiguousarray(index.vectors, dtype=np.float32),
        graph,
        ids,
        kernel_metric(index.metric),
        capacity(graph, neighbors),
        int(params.get("ef_construction", 200)),
    )


def _numbers(ids: pa.ChunkedArray, form: str) -> np.ndarray | None:
    """Ids as integers (n,), None unless all are written as numbers that the library can hold."""
    texts = ids.to_pylist()
    if not all(_NUMBER.fullmatch(text) for text in texts):
        return None
    numbers, held = [int(text) for text in texts], np.iinfo(_IDS.get(form, np.int64))
    if min(numbers) < held.min or max(numbers) > held.max:
        return None
    return np.array(numbers, dtype=held.dtype)
