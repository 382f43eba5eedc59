"""A threshold beside the live one, for its gates. Imports no Prefect."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.corpus.comparison import dimension_compared
from fingerpost.flows.domains.metric.settings import ThresholdGates
from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store


def threshold_compared(store: Store, live: Ref, ref: Ref, settings: ThresholdGates) -> list[Comparison]:
    """Classes, recall and given vectors of a threshold beside those of the live one."""
    change = settings.change
    old, new = (store.manifest(version).quality for version in (live, ref))
    before, members = (read_members(store, version) for version in (live, ref))
    return [
        fallen("classes_against_live", _classes(old), _classes(new), change.classes),
        fallen("recall_at_1_against_live", old.get("recall_at_1"), new.get("recall_at_1"), change.recall_at_1),
        *(dimension_compared(store, before, members) if change.dimension == "same" else ()),
    ]


def _classes(quality: Mapping[str, Any]) -> float | None:
    """The classes that a threshold was chosen and tested on; None in versions without these figures."""
    sides = [quality.get(name) for name in ("classes", "test_classes")]
    return None if None in sides else float(sum(side for side in sides if side is not None))
