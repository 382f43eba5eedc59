"""What is live of a collection, and which versions may answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from fingerpost.schemas.errors import FingerpostError, MissingArtifactError, StoreUnreachableError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class Live:
    """The live version of a product: its reference, the generation of its pointer, and when it became live.

    gone: references of versions that must not answer any more, since something in them was forgotten.
    """

    ref: str
    generation: int
    at: str
    gone: frozenset[str]


class Pointers:
    """The pointers of a collection's products."""

    def __init__(self, store: Store, collection: str, products: Iterable[str]) -> None:
        self._pointers = {name: Pointer(store, collection, name) for name in products}
        self._known: dict[str, Live] = {}

    def look(self) -> tuple[dict[str, Live], str]:
        """What is live now, by product, without those of which nothing is; and why a pointer could not be read.

        A product whose pointer cannot be read, or is gone, is as it was before. StoreUnreachableError if none can be.
        """
        problem = ""
        for name, pointer in self._pointers.items():
            try:
                live = self._of(name, pointer)
            except StoreUnreachableError:
                raise
            except FingerpostError as fault:
                problem = " ".join(str(fault).split())
                continue
            if live is None:
                self._known.pop(name, None)
            else:
                self._known[name] = live
        return dict(self._known), problem

    def _of(self, name: str, pointer: Pointer) -> Live | None:
        live, known = pointer.live(), self._known.get(name)
        if live is None:
            # What is withdrawn has a record of that; where nothing is left, a disk is gone, or is being restored.
            if known is not None and not pointer.history():
                raise MissingArtifactError(
                    f"publication {pointer.folder}: expected generation {known.generation} or a later one in store"
                    f" {pointer.store.url}, found none; mount or restore the store"
                )
            return None
        if known is not None and known.generation == live.generation:
            return known
        gone = {ref for move in pointer.history() for ref in (*move.replaced, *move.lost)}
        return Live(live.ref, live.generation, live.at, frozenset(gone - {live.ref}))
