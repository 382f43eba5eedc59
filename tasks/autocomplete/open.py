"""Readers of committed autocomplete artifacts, up to a completer that answers, without Prefect or Dask.

``live()`` opens the published completer::

    from fingerpost.tasks.autocomplete.open import live
    suggestions = live().complete(["numpy.zeros"], "num")
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.ext.trie import Texts
from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas import xmr
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Artifact, Store, find_store, parameters_of
from fingerpost.tasks.answer_count import checked_count
from fingerpost.tasks.autocomplete.blend import Blend, BlendParams
from fingerpost.tasks.autocomplete.completer import Completer, ServingParams, Suggestion
from fingerpost.tasks.autocomplete.contexts import ContextFeaturizer, feature_params
from fingerpost.tasks.autocomplete.request import Request
from fingerpost.tasks.autocomplete.trie import Trie
from fingerpost.tasks.results import Opened
from fingerpost.tasks.xmr.open import read_model, read_tree
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker

PRODUCT = contracts.COMPLETER.name
#: Prefix of the roles of what was rebuilt from all sessions after it was measured.
FINAL = "final_"
#: Roles of the artifacts that a completer answers with; the latter where any query follows another.
COUNTED = ("suggestions", "trie", "followers")
TRAINED = ("vocabulary", "tree", "model")


def texts_of(column: pa.ChunkedArray) -> Texts:
    """A column of strings as a table of texts that refers to its memory."""
    array = column.combine_chunks()
    if not len(array):
        return Texts(np.zeros(1, np.int64), np.empty(0, np.uint8))
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32, count=len(array) + 1, offset=4 * array.offset)
    return Texts(starts.astype(np.int64), np.frombuffer(data, dtype=np.uint8) if data else np.empty(0, np.uint8))


def read_featurizer(store: Store, vocabulary: Ref) -> ContextFeaturizer:
    """The featurizer of requests over a committed vocabulary, with its parameters."""
    arrays = tensors_from_arrow(store.open(vocabulary, contracts.VOCABULARY).read("lookup"))
    params = parameters_of(store, vocabulary, lambda parameters: feature_params(parameters["params"]))
    return ContextFeaturizer(arrays, params)


def read_trie(artifact: Artifact) -> Trie:
    """The trie of an artifact."""
    return Trie(tensors_from_arrow(artifact.read("trie")))


def open_completer(store: Store, members: Mapping[str, Ref], serving: ServingParams) -> Completer:
    """The completer of committed artifacts, by role: those of COUNTED, and those of TRAINED if there are any."""
    suggestions = store.open(members["suggestions"], contracts.SUGGESTIONS).read("suggestions")
    followers = tensors_from_arrow(store.open(members["followers"], contracts.FOLLOWERS).read("followers"))
    ranker = featurizer = None
    if "model" in members:
        tree = read_tree(store.open(members["tree"], xmr.TREE))
        ranker = Ranker(read_model(store.open(members["model"], xmr.MODEL), tree), serving.beam, ranges=True)
        featurizer = read_featurizer(store, members["vocabulary"])
    return Completer(
        texts_of(suggestions["query"]),
        read_trie(store.open(members["trie"], contracts.TRIE)),
        Blend(followers, serving.blend),
        ranker=ranker,
        featurizer=featurizer,
        serving=serving,
    )


def served_members(members: Mapping[str, Ref], *, measured: bool = False) -> dict[str, Ref]:
    """The artifacts that a release answers with, by role: those made from all sessions, if there are any.

    measured: those that were measured instead, which have not seen the held-out sessions.
    """
    prefix = "" if measured or f"{FINAL}suggestions" not in members else FINAL
    return {role: members[prefix + role] for role in (*COUNTED, *TRAINED) if prefix + role in members}


def _serving_params(parameters: Mapping[str, Any]) -> ServingParams:
    given = dict(parameters["serving"])
    beam, blend = BeamParams(**given.pop("beam")), dict(given.pop("blend"))
    return ServingParams(beam=beam, blend=BlendParams(copies=tuple(blend.pop("copies")), **blend), **given)


def _check_texts(previous: object, prefix: object) -> None:
    # One text is a sequence of texts too: its letters.
    if not isinstance(previous, Sequence) or isinstance(previous, (str, bytes)):
        raise FingerpostError(
            f"previous: expected a sequence of queries, got a value of type {type(previous).__name__}; write one query as"
            " [query]"
        )
    for name, value in (*(("previous", query) for query in previous), ("prefix", prefix)):
        if not isinstance(value, str):
            raise FingerpostError(f"{name}: expected texts, got a value of type {type(value).__name__}; convert it")


class LiveCompleter(Opened):
    """A completer release, opened lazily; every file is verified against its checksum when it is read.

    Any number of threads may use it. ``measured``: whether what answers is what was measured, which has not seen the
    held-out sessions.
    """

    def __init__(self, store: Store, ref: Ref, *, measured: bool = False) -> None:
        self.store, self.ref = store, ref
        self.manifest: Manifest = store.open(ref, contracts.COMPLETER).manifest
        self.members = read_members(store, ref)
        self.served = served_members(self.members, measured=measured)

    @cached_property
    def completer(self) -> Completer:
        """The completer, with the parameters that the release was evaluated with."""
        return open_completer(self.store, self.served, parameters_of(self.store, self.ref, _serving_params))

    def to_arrow(self) -> pa.Table:
        """The suggestions."""
        return self.store.open(self.served["suggestions"], contracts.SUGGESTIONS).read("suggestions")

    @cached_property
    def keys(self) -> list[str]:
        """The matching keys of the suggestions."""
        table = self.store.open(self.served["suggestions"], contracts.SUGGESTIONS).read("suggestions")
        keys: list[str] = table["key"].to_pylist()
        return keys

    def load(self) -> "LiveCompleter":
        """Reads and verifies all parts now; returns the completer itself."""
        _ = self.completer
        return self

    def complete(
        self, previous: Sequence[str] = (), prefix: str = "", k: int = 10, *, typos: bool | None = None
    ) -> list[Suggestion]:
        """The k best completions of a prefix, after some queries in the order in which they were asked.

        Only the last three of them count, and known words of a query never seen. Without a prefix: the queries that
        come next. typos: whether suggestions with one typing error in the prefix fill up too few; by default as the
        release was made. FingerpostError for a k below 0, and for what is no text or no sequence of texts.
        """
        _check_texts(previous, prefix)
        return self.completer.complete(previous, prefix, checked_count(k), typos=typos)

    def complete_many(
        self, requests: Sequence[Request], k: int = 10, *, typos: bool | None = None, threads: int = 1
    ) -> list[list[Suggestion]]:
        """The completions of each request; the same as one by one, and faster. FingerpostError as there."""
        for request in requests:
            _check_texts(request.previous, request.prefix)
        return self.completer.complete_many(requests, checked_count(k), typos=typos, threads=threads)


def live(collection: str | None = None, *, store: str | None = None) -> LiveCompleter:
    """The published completer of a collection.

    collection: by default the only one with a published completer, or ``python-docs``.
    store: folder or URL; by default ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above.

    Raises MissingArtifactError where no completer is published.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveCompleter(opened, Pointer(opened, chosen, PRODUCT).required().artifact)
