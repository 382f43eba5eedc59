"""What changed in the words of two versions."""

from fingerpost.flows.ops.compare.changes import DataChange, row_changes
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.toy.contracts import WORDS


def words(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Words that were added, removed or have another meaning."""
    return [row_changes(store, before, after, WORDS, "words")]
