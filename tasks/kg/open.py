"""Readers of committed kg artifacts, up to an alignment that answers, without Prefect or Dask.

``live()`` opens the published alignment::

    from fingerpost.tasks.kg.open import live
    match = live().match("numpy.linalg.norm")
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.alignments import SIDES, ComparedPairs, StoredGraph, StoredMatches
from fingerpost.schemas.errors import InputError, MissingArtifactError
from fingerpost.schemas.joined_graphs import JoinedGraph, read_joined
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store, find_store
from fingerpost.schemas.wording import shown
from fingerpost.tasks.kg.calibration import Calibration
from fingerpost.tasks.kg.explanation import Explanation, Other
from fingerpost.tasks.kg.names import NameParams, similar_names
from fingerpost.tasks.kg.pair_scorer import PairScorer
from fingerpost.tasks.kg.stages.explained import ExplainedPair
from fingerpost.tasks.kg.stages.scoring_inputs import open_scorer
from fingerpost.tasks.kg.stages.stored_aligner import NeighborWeight, StoredAligner
from fingerpost.tasks.results import Opened

PRODUCT = contracts.ALIGNMENT.name
#: Ids that an error names.
_NEAR = 3


class Attention(Protocol):
    """An aligner that says which neighbours of a pair it looked at."""

    def attended(self, left: int, right: int) -> tuple[Sequence[NeighborWeight], Sequence[NeighborWeight]]:
        """The neighbours of both entities, the heaviest first."""
        ...


@dataclass(frozen=True)
class Match:
    """An accepted pair of entities; joined: the id of the joined entity that they belong to."""

    left: str
    right: str
    left_name: str
    right_name: str
    probability: float
    joined: str


def read_calibration(store: Store, ref: Ref) -> tuple[Calibration, float]:
    """From scores to probabilities, and the probability from which pairs are accepted."""
    artifact = store.open(ref, contracts.CALIBRATION)
    thresholds = artifact.read("thresholds")
    chosen = thresholds.filter(thresholds["chosen"])["threshold"].to_pylist()
    return Calibration(tensors_from_arrow(artifact.read("calibration"))), min(chosen, default=1.0)


class LiveAlignment(Opened):
    """An alignment release, opened lazily; every file is verified against its checksum when it is read.

    Entities are named by their ids in the graphs that were aligned. An id that both graphs have is that of the left one
    unless ``side`` says otherwise. Unknown ids raise InputError, which names near ones.
    """

    def __init__(self, store: Store, ref: Ref) -> None:
        self.store, self.ref = store, ref
        self.manifest: Manifest = store.open(ref, contracts.ALIGNMENT).manifest
        self.members = read_members(store, ref)

    @property
    def within(self) -> bool:
        """Whether one graph was searched for duplicates."""
        return "right" not in self.members

    @cached_property
    def graphs(self) -> dict[str, StoredGraph]:
        """The graphs by side; the same one twice where one was aligned with itself."""
        left = StoredGraph(self.store, self.members["left"])
        return {"left": left, "right": left if self.within else StoredGraph(self.store, self.members["right"])}

    @cached_property
    def decided(self) -> StoredMatches:
        """The accepted pairs and the ids of joined entities."""
        return StoredMatches(self.store, self.members)

    @cached_property
    def compared(self) -> ComparedPairs:
        """The candidate pairs with their scores."""
        return ComparedPairs.read(self.store, self.members)

    @cached_property
    def _calibrated(self) -> tuple[Calibration, float]:
        return read_calibration(self.store, self.members["calibration"])

    @property
    def threshold(self) -> float:
        """The probability from which pairs are accepted."""
        return self._calibrated[1]

    def probabilities(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 (m,): calibrated probabilities of scores."""
        return np.asarray(self._calibrated[0].probabilities(scores), dtype=np.float64)

    @cached_property
    def scorer(self) -> PairScorer:
        """The published scorer."""
        return read_pair_scorer(self.store, self.members)

    @cached_property
    def attention(self) -> Attention | None:
        """The aligner, where the release has one."""
        return read_attention(self.store, self.members) if "aligner" in self.members else None

    def match(self, key: str, *, side: str | None = None) -> Match | None:
        """The match of an entity, the most probable of several; None where it has none."""
        found = self.matches_of(key, side=side)
        return found[0] if found else None

    def matches_of(self, key: str, *, side: str | None = None) -> list[Match]:
        """The matches of an entity, the most probable first."""
        where, row = self.place_of(key, side=side)
        sides = SIDES if self.within else (where,)
        rows = [pair for one in sides for pair in self.decided.of(one, row)]
        return [self._match(*pair) for pair in sorted(rows, key=lambda pair: (-pair[2], pair[0], pair[1]))]

    def _match(self, left: int, right: int, probability: float) -> Match:
        one, other = self.graphs["left"].entity(left), self.graphs["right"].entity(right)
        joined = self.decided.cluster_of("left", left)
        return Match(one["id"], other["id"], one["name"], other["name"], probability, joined)

    def others_of(self, key: str, *, side: str | None = None) -> list[Other]:
        """The entities that one is matched with, then those that it was compared with, each the most probable first."""
        return self.others_at(*self.place_of(key, side=side))

    def others_at(self, side: str, row: int) -> list[Other]:
        """As `others_of`, of the entity in a row."""
        found = dict[int, Other]()
        for one in SIDES if self.within else (side,):
            other = SIDES[one == "left"]
            entities = self.graphs[other]
            matched = self.decided.partners(one, row)
            places = self.compared.of(one, row)
            scores = dict(
                zip(getattr(self.compared, other)[places].tolist(), self.compared.scores[places].tolist(), strict=True)
            )
            for partner, probability in zip(
                scores, self.probabilities(self.compared.scores[places]).tolist(), strict=True
            ):
                entity, decided = entities.entity(partner), matched.get(partner, probability)
                found[partner] = Other(entity["id"], entity["name"], scores[partner], decided, partner in matched)
            for partner, probability in matched.items():
                if partner not in scores:
                    entity = entities.entity(partner)
                    found[partner] = Other(entity["id"], entity["name"], None, probability, True)
        return sorted(found.values(), key=lambda one: (not one.match, -one.probability, one.id))

    def matches(self) -> pa.Table:
        """All matches, the most probable first; columns: `fingerpost.schemas.alignments.MATCHES`."""
        return self.decided.table(*(self.graphs[side] for side in SIDES))

    def to_arrow(self) -> pa.Table:
        """The matches, as `matches`."""
        return self.matches()

    def cluster_of(self, key: str, *, side: str | None = None) -> str:
        """The id of the joined entity that an entity belongs to."""
        return self.joined_of(*self.place_of(key, side=side))

    def joined_of(self, side: str, row: int) -> str:
        """The id of the joined entity of an entity in a row."""
        return self.decided.cluster_of("left" if self.within else side, row)

    def joined(self) -> JoinedGraph:
        """The joined graph."""
        return read_joined(self.store, self.members["joined"])

    def review(self) -> pa.Table:
        """The pairs whose review helps most, the most doubtful first; MissingArtifactError where none were listed."""
        matches = str(self.members["matches"])
        for ref in sorted(self.store.refs(contracts.REVIEW.name), key=lambda ref: ref.day, reverse=True):
            given = self.store.manifest(ref).identity["inputs"].values()
            if any(entry.get("ref") == matches for entry in given):
                return self.store.open(ref, contracts.REVIEW).read("pairs")
        raise MissingArtifactError(
            f"alignment {self.ref}: expected a queue of doubtful pairs made with it, found none; run `fingerpost align` again"
        )

    def place_of(self, key: str, *, side: str | None = None) -> tuple[str, int]:
        """The side and the row of an entity; InputError for an unknown id."""
        if side not in (None, *SIDES):
            raise InputError(f"side: expected left or right, got {shown(side)}; leave it out, or name one of these")
        sides = ("left",) if self.within else SIDES if side is None else (side,)
        for one in sides:
            row = self.graphs[one].row_of(key)
            if row is not None:
                return one, row
        where = (
            f"the {sides[0]} graph"
            if len(sides) == 1 and not self.within
            else "the graph"
            if self.within
            else "either graph"
        )
        near = [text for one in sides for text in near_ids(self.graphs[one], key)]
        advice = f"near it: {', '.join(dict.fromkeys(near))}" if near else "see the ids of the input"
        raise InputError(f"id: expected that of an entity of {where}, got {shown(key)}; {advice}")

    @cached_property
    def labels(self) -> dict[tuple[int, int], tuple[int, str]]:
        rows = self.store.open(self.members["links"], contracts.LINKS).read("links")
        columns = (rows[name].to_pylist() for name in ("left", "right", "label", "source"))
        return {(left, right): (label, source) for left, right, label, source in zip(*columns, strict=True)}

    def explain(self, left: str, right: str) -> Explanation:
        """Why a pair is a match, or none; also for a pair that was never compared.

        An input's contribution is the log odds of the pair less those with this input unknown.
        """
        one = self.place_of(left, side="left")[1]
        other = self.place_of(right, side="right")[1]
        if self.within:
            if one == other:
                raise InputError(f"pair: expected two entities, got {shown(left)} twice; name another")
            one, other = min(one, other), max(one, other)
        return ExplainedPair(self, one, other).explanation()


def read_pair_scorer(store: Store, members: Mapping[str, Ref]) -> PairScorer:
    """The published scorer of a release's members, over its graphs."""
    graphs = {"right": members["left"], "links": members["labels"]}
    # Without the rivals of all entities: those of the entities that are asked for are soon found.
    return open_scorer(store, graphs | {role: ref for role, ref in members.items() if role not in ("links", "rivals")})


def read_attention(store: Store, members: Mapping[str, Ref]) -> Attention:
    """The aligner of a release's members, over its graphs."""
    return StoredAligner(store, members)


def near_ids(graph: StoredGraph, key: str) -> list[str]:
    """The ids of the entities whose id or name is most like a text, at most three, the nearest first."""
    found = dict[str, float]()
    for column in ("id", "name"):
        texts = graph.entities[column].to_pylist()
        scores = similar_names([key.casefold()], [text.casefold() for text in texts], NameParams(keep=_NEAR))
        for row, value in zip(scores.indices.tolist(), scores.data.tolist(), strict=True):
            (own,) = graph.ids([row])
            found[own] = max(found.get(own, 0.0), value)
    return sorted(found, key=lambda own: (-found[own], own))[:_NEAR]


def live(collection: str | None = None, *, store: str | None = None) -> LiveAlignment:
    """The published alignment of a collection.

    collection: by default the only one with a published alignment. store: folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above.

    Raises MissingArtifactError where no alignment is published.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveAlignment(opened, Pointer(opened, chosen, PRODUCT).required().artifact)
