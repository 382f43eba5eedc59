"""The terms of suppressed documents in the counts that were made of them, and those of all other documents."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus
from fingerpost.schemas.inputs.stored import KeyTexts, holding
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


def terms_about(store: Store, ref: Ref, suppressed: Suppressed) -> KeyTexts:
    """The terms of suppressed documents, and of all others, in every artifact of counts over documents.

    Nothing of another artifact, or of documents that were not counted.
    """
    if ref.name != corpus.DOCUMENTS.name:
        return KeyTexts()
    sides = [side for counts in _counts_of(store, ref) for side in _sides(store, ref, counts, suppressed)]
    own = {term: None for terms, _ in sides for term in terms.to_pylist()}
    return KeyTexts(parts=tuple(own), other_parts=tuple(others for _, others in sides))


def _counts_of(store: Store, documents: Ref) -> list[Ref]:
    """The artifacts of counts over documents."""
    found = []
    for ref in store.refs(corpus.TERM_COUNTS.name):
        inputs = store.manifest(ref).identity["inputs"]
        if inputs["documents"].get("ref") == str(documents):
            found.append(ref)
    return found


def _sides(store: Store, documents: Ref, counts: Ref, suppressed: Suppressed) -> Iterator[tuple[pa.Array, pa.Array]]:
    """The terms of suppressed documents and of others, shard by shard."""
    rows, counted = store.open(documents, corpus.DOCUMENTS), store.open(counts, corpus.TERM_COUNTS)
    for entry in rows.entries("documents"):
        gone = np.array(holding(rows.read("documents", shard=entry.shard), suppressed), dtype=bool)
        terms = counted.read("terms", shard=entry.shard)["term"].combine_chunks()
        lists = counted.read("counts", shard=entry.shard)["terms"].combine_chunks()
        owner = np.repeat(gone, lists.value_lengths().to_numpy(zero_copy_only=False))
        places = lists.flatten().to_numpy(zero_copy_only=False)
        yield tuple(terms.take(pa.array(np.unique(places[side]))) for side in (owner, ~owner))
