"""The terms, such as stems, that nothing but a forgotten document has: what must be in no lexicon any more."""

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.stored_terms import KeyTerms
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


def distinct_terms(store: Store, wanted: Suppressed, holders: Iterable[str], refs: Collection[str]) -> list[str]:
    """The terms of a key in the artifacts that hold it, without those that others have in any of ``refs``."""
    found = sorted({term for ref in holders for term in terms_in(store, ref, wanted).own})
    for ref in refs if found else ():
        for stored in terms_in(store, ref, wanted).others:
            found = _lacking(stored, found)
    return found


def terms_in(store: Store, ref: str, wanted: Suppressed) -> KeyTerms:
    """What was made of the texts of a key in an artifact, and of those of others."""
    owner = next((domain for domain in domains.DOMAINS if domain.terms and ref.startswith(f"{domain.word}.")), None)
    try:
        found: KeyTerms = named(owner.terms)(store, Ref.parse(ref), wanted) if owner is not None else KeyTerms()
    except FingerpostError as problem:
        leave_out(problem)  # its files are searched for the texts
        return KeyTerms()
    return found


def _lacking(stored: pa.Array, terms: list[str]) -> list[str]:
    """The terms that are none of the stored ones."""
    places = pc.index_in(pa.array(terms, pa.string()), value_set=stored)
    return [term for term, place in zip(terms, places.to_pylist(), strict=True) if place is None]
