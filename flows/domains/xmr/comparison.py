"""A ranker beside the live one, for its gates. Imports no Prefect."""

from fingerpost.flows.domains.corpus.comparison import vocabulary_compared
from fingerpost.flows.domains.xmr.settings import RankerGates
from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store


def ranker_compared(store: Store, live: Ref, ref: Ref, settings: RankerGates) -> list[Comparison]:
    """Labels, recall and words of a ranker's queries beside those of the live one."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    before, members = (read_members(store, version) for version in (live, ref))
    old_recall, new_recall = (side.get("recall_at_10") if side.get("tested") else None for side in (old, new))
    return [
        fallen("labels_against_live", old.get("labels"), new.get("labels"), change.labels),
        fallen("ranker_recall_at_10_against_live", old_recall, new_recall, change.recall_at_10),
        *vocabulary_compared(store, before, members, least=change.vocabulary),
    ]
