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
import pyarrow.compute as pc
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
from fingerpost.tasks.kg.explanation import (
    Entity,
    Explanation,
    Input,
    Neighbor,
    Other,
    Rival,
    contributions,
    decided,
    grouped,
)
from fingerpost.tasks.kg.names import NameParams, similar_names
from fingerpost.tasks.kg.pair_scorer import PairScorer
from fingerpost.tasks.kg.stages.scoring_inputs import open_scorer
from fingerpost.tasks.kg.stages.stored_aligner import NeighborWeight, StoredAligner
from fingerpost.tasks.kg.terms import NAME, NEIGHBORS

PRODUCT = contracts.ALIGNMENT.name
#: What proposed a candidate, by its bit.
PROPOSERS = {1: "vectors", 2: "neighbours", 4: "rules", 8: "links", 16: "structure"}
#: Ids that an error names, and rivals of each entity that an explanation names.
_NEAR = 3
_RIVALS = 3


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


class LiveAlignment:
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

    def cluster_of(self, key: str, *, side: str | None = None) -> str:
        """The id of the joined entity that an entity belongs to."""
        return self._joined_of(*self.place_of(key, side=side))

    def _joined_of(self, side: str, row: int) -> str:
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
    def _labels(self) -> dict[tuple[int, int], tuple[int, str]]:
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
        return _Explained(self, one, other).explanation()


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


class _Explained:
    """A pair of rows of an open alignment, and what its parts say of it."""

    def __init__(self, live: LiveAlignment, left: int, right: int) -> None:
        self.live, self.rows = live, {"left": left, "right": right}
        self.place = live.compared.place(left, right)

    def explanation(self) -> Explanation:
        """Everything."""
        live, place = self.live, self.place
        left, right = (self._entity(side, self.rows[side]) for side in SIDES)
        score, inputs, notes = self._scored(left, right)
        probability = float(live.probabilities(np.array([score]))[0])
        label, source = live._labels.get((self.rows["left"], self.rows["right"]), (None, ""))
        decision, because = decided(
            label=label,
            source=source,
            compared=place is not None,
            probability=probability,
            threshold=live.threshold,
            matched=any(pair[:2] == tuple(self.rows.values()) for pair in live.decided.of("left", self.rows["left"])),
            rivals=[f"{one} = {other}" for one, other in self._taken()],
        )
        return Explanation(
            left,
            right,
            decision,
            because,
            score,
            probability,
            live.threshold,
            ()
            if place is None
            else tuple(name for bit, name in PROPOSERS.items() if int(live.compared.sources[place]) & bit),
            None if place is None else float(live.compared.similarities[place]),
            self._structure(),
            inputs,
            self._neighbors(),
            self._rivals(),
            notes,
        )

    def _entity(self, side: str, row: int) -> Entity:
        return Entity(**self.live.graphs[side].entity(row), joined=self.live._joined_of(side, row))

    def _scored(self, left: Entity, right: Entity) -> tuple[float, tuple[Input, ...], tuple[str, ...]]:
        """The score of the pair, what the inputs of the scorer say, and what a reader has to know of them."""
        scorer, pair = self.live.scorer, np.array([list(self.rows.values())], np.int64)
        row = scorer.features(pair)[0]
        groups = grouped(scorer.names)
        parts = contributions(scorer.log_odds, row, groups)
        values = [self._said(side) for side in SIDES]
        found = [
            Input(
                name,
                tuple(values[0].get(name, ())),
                tuple(values[1].get(name, ())),
                {
                    scorer.names[place].removeprefix(f"{name}:"): None if np.isnan(row[place]) else float(row[place])
                    for place in groups[name]
                },
                part,
            )
            for name, part in parts.items()
        ]
        score = (
            float(scorer.log_odds(row[None])[0]) if self.place is None else float(self.live.compared.scores[self.place])
        )
        notes = []
        if left.type != right.type:
            notes.append(
                f"their types differ, {left.type or 'none'} and {right.type or 'none'}: such pairs are never compared"
            )
        return score, tuple(found), tuple(notes)

    def _said(self, side: str) -> dict[str, list[str]]:
        """The values of an entity's attributes, its name, and the names of its neighbours, by the inputs made of them."""
        graph, row = self.live.graphs[side], self.rows[side]
        entity = graph.entity(row)
        found = {NAME: [entity["name"]] if entity["name"] else []}
        for relation, _, other in graph.relations(row):
            neighbor = graph.entity(other)
            for key in (f"{relation}>", NEIGHBORS):
                found.setdefault(key, []).append(neighbor["name"] or neighbor["id"])
        return found | graph.values(row)

    def _structure(self) -> float | None:
        if "structure" not in self.live.members:
            return None
        pairs = self.live.store.open(self.live.members["structure"], contracts.STRUCTURE).read("pairs")
        mine = pc.and_(*(pc.equal(pairs[side], pa.scalar(row, pa.uint32())) for side, row in self.rows.items()))
        found = pairs.filter(mine)["probability"].to_pylist()
        return float(found[0]) if found else None

    def _neighbors(self) -> tuple[Neighbor, ...]:
        """The neighbours that the aligner looked at, of both entities; those that are one joined entity name each other."""
        if self.live.attention is None:
            return ()
        attended = dict(zip(SIDES, self.live.attention.attended(*self.rows.values()), strict=True))
        joined = {
            side: {one.row: self.live._joined_of(side, one.row) for one in found if one.row >= 0}
            for side, found in attended.items()
        }
        found = []
        for side, other in (SIDES, SIDES[::-1]):
            opposite = {cluster: row for row, cluster in reversed(joined[other].items())}
            for one in attended[side]:
                entity = self.live.graphs[side].entity(one.row) if one.row >= 0 else {"id": "", "name": one.text}
                twin = opposite.get(joined[side].get(one.row, ""))
                same = self.live.graphs[other].entity(twin)["id"] if twin is not None else ""
                found.append(Neighbor(side, one.relation, one.into, entity["id"], entity["name"], one.weight, same))
        return tuple(found)

    def _taken(self) -> list[tuple[str, str]]:
        """The matches of either entity with others, as ids."""
        rows = [pair[:2] for side in SIDES for pair in self.live.decided.of(side, self.rows[side])]
        others = sorted(set(rows) - {tuple(self.rows.values())})
        return [(self.live.graphs["left"].ids([a])[0], self.live.graphs["right"].ids([b])[0]) for a, b in others]

    def _rivals(self) -> tuple[Rival, ...]:
        """The matches of each entity with others, then the most probable other pairs."""
        found = []
        for side, other in (SIDES, SIDES[::-1]):
            own = self.live.graphs[other].entity(self.rows[other])["id"]
            others = [one for one in self.live.others_at(side, self.rows[side]) if one.id != own]
            found += [Rival(side, one) for one in others[:_RIVALS]]
        return tuple(found)


def live(collection: str | None = None, *, store: str | None = None) -> LiveAlignment:
    """The published alignment of a collection.

    collection: by default the only one with a published alignment. store: folder or URL; by default
    ``FINGERPOST_STORE``, else the nearest ``.fingerpost`` in this folder or above.

    Raises MissingArtifactError where no alignment is published.
    """
    opened = Store(store or find_store()).checked()
    chosen = published_collection(opened, collection, product=PRODUCT)
    return LiveAlignment(opened, Pointer(opened, chosen, PRODUCT).required().artifact)
