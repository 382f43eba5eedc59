"""A pair of entities of an open alignment, explained by all that is stored of it. Imports no Prefect."""

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.schemas.alignments import SIDES, structure_of
from fingerpost.tasks.kg.explanation import (
    Entity,
    Explanation,
    Input,
    Neighbor,
    Rival,
    contributions,
    decided,
    grouped,
)
from fingerpost.tasks.kg.terms import NAME, NEIGHBORS

if TYPE_CHECKING:
    from fingerpost.tasks.kg.open import LiveAlignment

#: What proposed a candidate, by its bit.
PROPOSERS = {1: "vectors", 2: "neighbours", 4: "rules", 8: "links", 16: "structure"}
#: Rivals of each entity that an explanation names.
_RIVALS = 3


class ExplainedPair:
    """A pair of rows of an open alignment, and what its parts say of it."""

    def __init__(self, live: "LiveAlignment", left: int, right: int) -> None:
        self.live, self.rows = live, {"left": left, "right": right}
        self.place = live.compared.place(left, right)

    def explanation(self) -> Explanation:
        """Everything."""
        live, place = self.live, self.place
        left, right = (self._entity(side, self.rows[side]) for side in SIDES)
        score, inputs, notes = self._scored(left, right)
        probability = float(live.probabilities(np.array([score]))[0])
        label, source = live.labels.get((self.rows["left"], self.rows["right"]), (None, ""))
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
        return Entity(**self.live.graphs[side].entity(row), joined=self.live.joined_of(side, row))

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
        now = float(np.float32(scorer.log_odds(row[None])[0]))
        score = now if self.place is None else float(self.live.compared.scores[self.place])
        notes = []
        if score != now:
            notes.append(
                f"its log odds are {now:.3f} by what is known now: they were {score:.3f} when it was scored, before what"
                " stands around it changed"
            )
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
        return structure_of(self.live.store, self.live.members["structure"], *self.rows.values())

    def _neighbors(self) -> tuple[Neighbor, ...]:
        """The neighbours that the aligner looked at, of both entities; those that are one joined entity name each other."""
        if self.live.attention is None:
            return ()
        attended = dict(zip(SIDES, self.live.attention.attended(*self.rows.values()), strict=True))
        joined = {
            side: {one.row: self.live.joined_of(side, one.row) for one in found if one.row >= 0}
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
