"""What stages read of links: the known pairs, and the types that are paired because of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.types import aligned_types, type_numbers


def known_positives(store: Store, links: Ref, *, split: str | None = None, assumed: bool = True) -> NDArray[np.int64]:
    """(m, 2): the pairs known to be one entity, of one split or of all; with those that are assumed, or without."""
    rows = store.open(links, contracts.LINKS).read("links")
    kept = rows["label"].to_numpy() == 1
    if split is not None:
        kept &= np.array([name == split for name in rows["split"].to_pylist()], dtype=bool)
    if not assumed:
        kept &= np.array([source != "assumed" for source in rows["source"].to_pylist()], dtype=bool)
    return np.stack([rows[name].to_numpy() for name in ("left", "right")], axis=1).astype(np.int64)[kept]


def paired_types(
    store: Store, left: Ref, right: Ref, links: Ref, *, chosen: Sequence[str]
) -> tuple[list[str], tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """The types that are paired, and the number of each entity's type among them, -1 for others."""
    ours, theirs = (GraphTables.open(store, ref).types for ref in (left, right))
    names = aligned_types(ours, theirs, known_positives(store, links), chosen=chosen)
    return names, (type_numbers(ours, names), type_numbers(theirs, names))
