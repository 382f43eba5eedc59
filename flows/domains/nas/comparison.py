"""A network beside the live one, for its gates. Imports no Prefect."""

from fingerpost.flows.domains.nas.settings import NetworkGates
from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


def network_compared(store: Store, live: Ref, ref: Ref, settings: NetworkGates) -> list[Comparison]:
    """Accuracy and number of classes of a network beside those of the live one."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    return [
        fallen("accuracy_against_live", old.get("accuracy"), new.get("accuracy"), change.accuracy),
        fallen("classes_against_live", old.get("classes"), new.get("classes"), change.classes),
    ]
