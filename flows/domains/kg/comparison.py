"""An alignment beside the live one, for its gates. Imports no Prefect."""

from fingerpost.flows.domains.kg.changes import moved_ids
from fingerpost.flows.domains.kg.settings import AlignmentGates
from fingerpost.schemas.comparison import Comparison, attempted, fallen, unmeasured
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store


def alignment_compared(store: Store, live: Ref, ref: Ref, settings: AlignmentGates) -> list[Comparison]:
    """PRAUC and matches of an alignment beside those of the live one, and the entities whose id is another."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    return [
        fallen("alignment_prauc_against_live", old.get("prauc"), new.get("prauc"), change.prauc),
        fallen("matches_against_live", old.get("matches"), new.get("matches"), change.matches),
        attempted("moved_ids_against_live", lambda: _moved(store, live, ref, change.moved)),
    ]


def _moved(store: Store, live: Ref, ref: Ref, most: float) -> Comparison:
    """The fraction of the entities of both versions whose id is another."""
    before, after = (read_members(store, version) for version in (live, ref))
    moved, both = moved_ids(store, before, after)
    if not both:
        return unmeasured("moved_ids_against_live", "the versions have no entity in common")
    return Comparison("moved_ids_against_live", round(moved / both, 6), most, "at_most")
