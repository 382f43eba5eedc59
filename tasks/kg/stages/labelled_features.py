"""Labelled pairs with their features, as the stages that train on them read both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.matrices import dense_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.stages.scoring_inputs import open_aligner, pairs_of


@dataclass(frozen=True)
class LabelledFeatures:
    """pairs: int64 (m, 2). labels, splits: (m,). names: of the features; plain: those that the baseline looks at.

    source: the artifact of the links.
    """

    pairs: NDArray[np.int64]
    labels: NDArray[np.integer]
    splits: NDArray[np.object_]
    names: tuple[str, ...]
    plain: tuple[bool, ...]
    features: NDArray[np.float32]
    source: Ref

    @staticmethod
    def read(store: Store, features: Ref, links: Ref) -> "LabelledFeatures":
        """From the features of these very links."""
        artifact, rows = store.open(features, contracts.FEATURES), store.open(links, contracts.LINKS).read("links")
        names = artifact.read("names")
        return LabelledFeatures(
            pairs_of(rows),
            rows["label"].to_numpy(),
            np.array(rows["split"].to_pylist(), dtype=object),
            tuple(names["name"].to_pylist()),
            tuple(names["plain"].to_pylist()),
            dense_from_arrow(artifact.read("features")),
            links,
        )

    def columns(self, names: Sequence[str]) -> NDArray[np.float32]:
        """The features of some names."""
        return self.features[:, [self.names.index(name) for name in names]]

    def logits(self, store: Store, members: Mapping[str, Ref], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """An aligner's log odds of some pairs."""
        return np.asarray(open_aligner(store, members)(self.pairs[chosen]), dtype=np.float64)
