"""Names of versions: a reference, the beginning of a fingerprint, live, live~1, a day, or a run.

Imports no Prefect.
"""

import re
from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains import products
from fingerpost.schemas.errors import FingerpostError, MissingArtifactError, UsageError
from fingerpost.schemas.publish import Pointer, Publication, published_collection
from fingerpost.schemas.refs import Ref, checked_day
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import read_run, run_ids, runs

_FORMS = (
    "a reference as `fingerpost history` prints it, the beginning of a fingerprint, live, live~1, a day YYYY-MM-DD, or"
    " a run"
)
_LIVE = re.compile(r"live(?:~(\d+))?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RUN = re.compile(r"\d{8}T[\w-]*")
_PREFIX = re.compile(r"(?:([a-z0-9_.]+)[:/])?([0-9a-f]{4,64})")


@dataclass(frozen=True)
class Version:
    """The object that a text names: an artifact, or the record of a run."""

    name: str
    ref: Ref | None = None
    run: dict[str, Any] | None = None

    def artifact(self, contract: str) -> Ref:
        """The artifact itself, or the artifact of that contract that the run made or reused."""
        if self.ref is not None:
            return self.ref
        assert self.run is not None
        for record in self.run["stages"]:
            if record["ref"].startswith(f"{contract}/"):
                return Ref.parse(record["ref"])
        raise FingerpostError(f"run {self.run['id']}: expected an artifact {contract}, found none; name another run")


def find_version(store: Store, text: str, *, collection: str | None = None, product: str = "") -> Version:
    """The version that a text names; MissingArtifactError if there is none, FingerpostError if it is ambiguous.

    ``live`` and days name versions of ``product``, by default of the first product.
    """
    product = product or next(iter(products()))
    if "/day=" in text:
        ref = Ref.parse(text)
        store.manifest(ref)
        return Version(text, ref)
    if found := _LIVE.fullmatch(text):
        chosen = published_collection(store, collection, product=product)
        return Version(text, _published(store, chosen, int(found[1] or 0), product))
    if _DAY.fullmatch(text):
        chosen = published_collection(store, collection, product=product)
        return Version(text, product_of_day(store, chosen, checked_day(text), product))
    if _RUN.fullmatch(text):
        return Version(text, run=_run(store, text))
    if found := _PREFIX.fullmatch(text):
        return Version(text, _by_prefix(store, found[1], found[2]))
    raise UsageError(f"version: expected {_FORMS}, got {text!r}; correct it")


def find_product(store: Store, text: str, *, product: str, collection: str | None = None) -> Ref:
    """The version of a product that a text names; FingerpostError if it names another object."""
    ref = find_version(store, text, collection=collection, product=product).artifact(product)
    if ref.name != product:
        raise UsageError(f"version {text}: expected an artifact {product}, found {ref}; see `fingerpost history`")
    return ref


def publications_of(store: Store, ref: Ref) -> list[Publication]:
    """The promotions of an artifact in its collection, oldest first, without rollbacks, which check no gate."""
    collection = store.manifest(ref).run.get("collection")
    if collection is None:
        return []
    moves = Pointer(store, str(collection), ref.name).history()
    return [move for move in moves if move.ref == str(ref) and move.action != "rollback"]


def product_of_day(store: Store, collection: str, day: str, product: str) -> Ref:
    """A product's version of a day: the last published one, else that of the newest run, else the only one.

    Versions that are gone, as after a document was forgotten, are passed over.
    """
    for move in reversed(Pointer(store, collection, product).history()):
        if move.artifact.day == day and store.has(move.artifact):
            return move.artifact
    for record in runs(store, newest=500):
        if record["collection"] == collection and record["day"] == day:
            for made in record["stages"]:
                if made["ref"].startswith(f"{product}/") and store.has(Ref.parse(made["ref"])):
                    return Ref.parse(made["ref"])
    there = [ref for ref in store.refs(product) if ref.day == day]
    mine = [ref for ref in there if store.manifest(ref).run.get("collection") == collection]
    return _only(mine, f"day {day} of {collection}", f"an artifact {product}", store)


def _published(store: Store, collection: str, back: int, product: str) -> Ref:
    pointer = Pointer(store, collection, product)
    pointer.required()
    line = pointer.line()
    if back >= len(line):
        raise MissingArtifactError(
            f"version live~{back}: expected at least {back + 1} versions of {collection}/{product}, found {len(line)};"
            " see `fingerpost history`"
        )
    return line[-1 - back].artifact


def _run(store: Store, text: str) -> dict[str, Any]:
    found = [name for name in run_ids(store) if name.startswith(text)]
    if len(found) != 1:
        raise FingerpostError(
            f"run {text!r}: expected one run, found"
            f" {len(found) or 'none'}{': ' + ', '.join(found[:4]) if found else ''}; see `fingerpost history`"
        )
    return read_run(store, found[0])


def _by_prefix(store: Store, name: str | None, prefix: str) -> Ref:
    found = [ref for ref in store.refs(name) if ref.fingerprint.startswith(prefix)]
    if len({ref.identity for ref in found}) > 1:
        # Companions of an artifact, such as the quarantine, have the same fingerprint.
        found = [ref for ref in found if "written_by" not in store.manifest(ref).run]
    newest = {ref.identity: ref for ref in sorted(found, key=lambda ref: ref.day)}
    return _only(sorted(newest.values()), f"fingerprint {prefix}", "an artifact", store)


def _only(found: list[Ref], what: str, expected: str, store: Store) -> Ref:
    if len(found) == 1:
        return found[0]
    if not found:
        raise MissingArtifactError(
            f"{what}: expected {expected}, found none in store {store.url}; see `fingerpost history`"
        )
    listed = ", ".join(str(ref) for ref in found[:4])
    raise FingerpostError(f"{what}: expected one artifact, found {len(found)}: {listed}; name one of them")
