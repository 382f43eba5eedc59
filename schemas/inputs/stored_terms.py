"""The terms of suppressed documents in the counts that were made of them, and those of all other documents."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus
from fingerpost.schemas.inputs.stored import holding
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class KeyTerms:
    """The terms of a suppressed key in an artifact, and those of all others (arrays of texts)."""

    own: tuple[str, ...] = ()
    others: tuple[pa.Array, ...] = ()


def terms_about(store: Store, ref: Ref, suppressed: Suppressed) -> KeyTerms:
    """The terms of suppressed documents, and of all others, in every artifact of counts over documents.

    Nothing of another artifact, or of documents that were not counted.
    """
    if ref.name != corpus.DOCUMENTS.name:
        return KeyTerms()
    sides = [side for counts in _counts_of(store, ref) for side in _sides(store, ref, counts, suppressed)]
    own = {term: None for terms, _ in sides for term in terms.to_pylist()}
    return KeyTerms(tuple(own), tuple(others for _, others in sides))


def _counts_of(store: Store, documents: Ref) -> list[Ref]:
    """The artifacts of counts over documents."""
    made = {ref: store.manifest(ref).identity["inputs"] for ref in store.refs(corpus.TERM_COUNTS.name)}
    return [ref for ref, inputs in made.items() if inputs["documents"].get("ref") == str(documents)]


def _sides(store: Store, documents: Ref, counts: Ref, suppressed: Suppressed) -> Iterator[tuple[pa.Array, pa.Array]]:
    """The terms of suppressed documents and of others, shard by shard."""
    rows, counted = store.open(documents, corpus.DOCUMENTS), store.open(counts, corpus.TERM_COUNTS)
    for entry in rows.entries("documents"):
        gone = np.array(holding(rows.read("documents", shard=entry.shard), suppressed), dtype=bool)
        terms = counted.read("terms", shard=entry.shard)["term"].combine_chunks()
        lists = counted.read("counts", shard=entry.shard)["terms"].combine_chunks()
        owned = np.repeat(gone, lists.value_lengths().to_numpy(zero_copy_only=False))
        places = lists.flatten().to_numpy(zero_copy_only=False)
        own, others = (terms.take(pa.array(np.unique(places[side]))) for side in (owned, ~owned))
        yield own, others
