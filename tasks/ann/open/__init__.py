"""Searchable objects from committed ann artifacts, without Prefect or Dask.

``live()`` opens the published index::

    from fingerpost.tasks.ann.open import live
    answers = live().query("return a sorted copy of an array")
"""

from fingerpost.schemas import ann as contracts
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.store import Store, find_store
from fingerpost.tasks.ann.open.live_index import LiveIndex
from fingerpost.tasks.ann.open.parts import EngineParts, open_engine
from fingerpost.tasks.ann.open.readers import (
    kernel_metric,
    open_deferred,
    open_finger,
    open_packed,
    read_answer_params,
    read_basis,
    read_certificate,
    read_coder,
    read_graph,
)

__all__ = [
    "PRODUCT",
    "EngineParts",
    "LiveIndex",
    "kernel_metric",
    "live",
    "open_deferred",
    "open_engine",
    "open_finger",
    "open_packed",
    "read_answer_params",
    "read_basis",
    "read_certificate",
    "read_coder",
    "read_graph",
]

PRODUCT = contracts.INDEX.name


def live(
    collection: str | None = None, *, store: str | None = None, method: str = "auto", mapped: bool = True
) -> LiveIndex:
    """The published index of a collection, ready for queries.

    collection: by default the only one with a published index (or ``python-docs``). store: a folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above. mapped: whether the index is used where
    its files lie, which opens it at once; without, or if the store is no folder, it is read into memory and verified.
    Raises MissingArtifactError if nothing is live.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveIndex(opened, Pointer(opened, chosen, PRODUCT).required().artifact, method=method, mapped=mapped)
