"""The embedder of a run's entities, read from its vectors; no Prefect, no Dask."""

import pyarrow as pa

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store, parameters_of
from fingerpost.tasks.kg.embeddings import EmbeddingParams, TextEmbedder


def embedder_of(counts: pa.Table, params: EmbeddingParams) -> TextEmbedder:
    """The embedder of a table of frequencies."""
    arrays = tensors_from_arrow(counts)
    return TextEmbedder(arrays["frequencies"], int(arrays["texts"][0]), params)


def read_embedder(store: Store, vectors: Ref) -> TextEmbedder:
    """The embedder that made some vectors, for further texts."""
    params = parameters_of(store, vectors, lambda values: EmbeddingParams(**values["params"]))
    return embedder_of(store.open(vectors, contracts.VECTORS).read("frequencies"), params)
