"""What changed in the words of two versions."""

from flows.ops.compare.changes import DataChange, row_changes
from schemas.refs import Ref
from schemas.store import Store
from tests.toy.contracts import WORDS


def words(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Words that were added, removed or have another meaning."""
    return [row_changes(store, before, after, WORDS, "words")]
