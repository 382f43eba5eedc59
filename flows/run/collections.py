"""The collection that a command means where none is named. Imports no Prefect."""

from collections.abc import Mapping

from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.publish import only_collection
from fingerpost.schemas.store import Store, find_store
from fingerpost.tasks.ledger import partitioned

#: The settings that name a collection, or the documents of one.
_NAMING = ("input.collection", "input.source")


def collection_with_days(store: Store, flow: str = "") -> str:
    """The only collection of a store that has days of a flow, or of any flow where none has days of that one.

    The built-in sample if it is among them or there are none; MissingArtifactError for several.
    """
    known = partitioned(store)
    return only_collection({name for ran, name in known if ran == flow} or {name for _, name in known})


def names_collection(origins: Mapping[str, str]) -> bool:
    """Whether the origins of settings say that a collection or its documents are named."""
    return any(key in origins for key in _NAMING)


def with_collection(request: RunRequest, flow: str) -> RunRequest:
    """The request for the only collection of its store, unless it, the environment or its profile names one."""
    if request.collection or request.input:
        return request
    settings, origins = request.with_origins()
    if names_collection(origins):
        return request
    found = collection_with_days(Store(settings.store or find_store()), flow)
    return request if found == settings.input.collection else request.model_copy(update={"collection": found})
