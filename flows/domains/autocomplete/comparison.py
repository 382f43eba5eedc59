"""A completer beside the live one, for its gates. Imports no Prefect."""

from fingerpost.flows.domains.autocomplete.settings import CompleterGates
from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


def completer_compared(store: Store, live: Ref, ref: Ref, settings: CompleterGates) -> list[Comparison]:
    """Suggestions and MRR of a completer beside those of the live one."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    old_mrr, new_mrr = (side.get("mrr") if side.get("tested") else None for side in (old, new))
    return [
        fallen("suggestions_against_live", old.get("suggestions"), new.get("suggestions"), change.suggestions),
        fallen("completer_mrr_against_live", old_mrr, new_mrr, change.mrr),
    ]
