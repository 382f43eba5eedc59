"""A glossary asked for a word: the words whose meanings are as long as its own."""

from collections.abc import Collection, Sequence

from fingerpost.flows.ops.compare.causes import causes
from fingerpost.flows.ops.compare.why import Why, ranked_moves
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from tests.toy.contracts import LENGTHS


class GlossaryAnswers:
    """Words answered with words."""

    def __init__(self, store: Store, ref: Ref) -> None:
        rows = store.open(read_members(store, ref)["lengths"], LENGTHS).read("lengths")
        self.lengths = dict(zip(rows["id"].to_pylist(), rows["length"].to_pylist(), strict=True))

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The first k words of the same length, by name."""
        wanted = [self.lengths.get(text) for text in texts]
        return [sorted(word for word, length in self.lengths.items() if length == one)[:k] for one in wanted]

    def holds(self, ids: Collection[str]) -> set[str]:
        """Which of some ids are words of it."""
        return set(ids) & self.lengths.keys()


def why(store: Store, before: Ref, after: Ref, query: str, *, k: int, method: str) -> Why:
    """The words of the same length in two versions."""
    sides = [GlossaryAnswers(store, ref) for ref in (before, after)]
    old, new = ([(word, 1.0) for word in side.answer([query], k)[0]] for side in sides)
    moves = ranked_moves(old, new, str, lambda key, *_: ("data", "" if sides[0].holds([key]) else "the word is new"))
    return Why(query, k, str(before), str(after), (method, method), moves, [], [], causes(store, before, after))
