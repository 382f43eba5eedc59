"""An index beside the live one, for its gates. Imports no Prefect."""

from fingerpost.flows.domains.ann.settings import IndexGates
from fingerpost.flows.domains.corpus.comparison import dimension_compared, vocabulary_compared
from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store


def index_compared(store: Store, live: Ref, ref: Ref, settings: IndexGates) -> list[Comparison]:
    """Documents, recall, words and given vectors of an index beside the live one's."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    before, members = (read_members(store, version) for version in (live, ref))
    return [
        fallen("documents_against_live", old.get("documents"), new.get("documents"), change.documents),
        fallen("recall_at_10_against_live", old.get("recall_at_10"), new.get("recall_at_10"), change.recall_at_10),
        *vocabulary_compared(store, before, members, least=change.vocabulary),
        *(dimension_compared(store, before, members) if change.dimension == "same" else ()),
    ]
