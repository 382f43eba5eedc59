"""The `embed` command: vectors or images of a file, embedded by the live threshold's embedder. Imports no Prefect."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.progress import track

from fingerpost.flows.run.console import TextConsole
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.embeddings import EMBEDDINGS, read_embeddings
from fingerpost.schemas.inputs.forms import DocumentBatch
from fingerpost.schemas.inputs.images import IMAGES, ImageFiles, ImageShape
from fingerpost.schemas.inputs.rankings import RowWriter
from fingerpost.tasks.metric.embedders import Embedder
from fingerpost.tasks.metric.open import given_vectors, live

SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("vector", pa.list_(pa.float32()))])
#: Optional columns: an embedder needs no labels, but they are kept.
_VECTORS = replace(EMBEDDINGS, option="--map ", needed=("id", "vector"))
_IMAGES = replace(IMAGES, option="--map ", needed=("id", "image"))
#: The number of rows that are embedded and written together: a multiple of the embedder's own blocks.
_TOGETHER = 4096


def embed_file(
    source: Path, output: Path, mapping: Mapping[str, str], *, collection: str | None, store: str | None
) -> str:
    """Writes the embeddings of a file's rows and returns a one-line summary; bad rows are left out and counted.

    FingerpostError if the live threshold has no embedder, or the rows do not fit it.
    """
    writer, tuned = RowWriter(output, SCHEMA), live(collection, store=store)
    embedder = tuned.embedder()
    if embedder is None:
        raise FingerpostError(
            f"{tuned.collection}: expected a threshold of a trained embedder, found one of vectors as they were given; "
            "compare your vectors with it directly (fingerpost threshold --check)"
        )
    batch = _read(source, mapping, embedder)
    ids, labels = (batch.accepted[name].to_pylist() for name in ("id", "label"))
    rows = _inputs(source, batch, embedder)
    try:
        from fingerpost.tasks.metric.trainer import embed
    except ImportError as problem:
        raise FingerpostError(
            f"embed: expected torch, found {problem.name} missing; install the extra neural (pip install"
            " 'fingerpost[neural]')"
        ) from problem
    starts = range(0, len(rows), _TOGETHER)
    with writer:
        for start in track(starts, "embedding", console=TextConsole(stderr=True), transient=True):
            part = slice(start, start + _TOGETHER)
            vectors = embed(embedder, rows[part])
            if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
                raise FingerpostError(
                    f"{source}: expected rows that the embedder's float32 numbers can hold, found too large ones in"
                    f" {ids[start + int(bad[0])]!r}; scale them like those that it was trained on"
                )
            for row in zip(ids[part], labels[part], vectors, strict=True):
                writer.add(*row)
    out = batch.quarantined.num_rows
    reasons = ", ".join(f"{count} {reason}" for reason, count in batch.reasons.items())
    return f"{output}: {len(rows):,} embeddings of {tuned.threshold.model}" + (
        f"; left out {out:,} ({reasons})" if out else ""
    )


def _read(source: Path, mapping: Mapping[str, str], embedder: Embedder) -> DocumentBatch:
    if len(embedder.shape) == 1:
        return read_embeddings(source, mapping=mapping, form=_VECTORS)
    shape = ImageShape(*embedder.shape)
    return ImageFiles(str(source), shape, tuple(sorted(mapping.items())), form=_IMAGES).read()


def _inputs(source: Path, batch: DocumentBatch, embedder: Embedder) -> NDArray[np.float32]:
    """The rows in the embedder's input form; FingerpostError without any, or for vectors of another length."""
    count = batch.accepted.num_rows
    if not count:
        reasons = ", ".join(f"{times} {reason}" for reason, times in batch.reasons.items()) or "none"
        raise FingerpostError(f"{source}: expected rows that can be embedded, found {reasons}; fix the file")
    flat = given_vectors(batch.accepted)
    if flat.shape[1] != int(np.prod(embedder.shape)):
        raise FingerpostError(
            f"{source}: expected vectors of {embedder.shape[0]} numbers as the embedder was trained on, found"
            f" {flat.shape[1]}; give vectors of the same model"
        )
    return np.ascontiguousarray(flat, dtype=np.float32).reshape(count, *embedder.shape)
