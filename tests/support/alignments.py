"""Two small graphs, and committed artifacts of an alignment of them, made by hand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows, table_of
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.releases import members_table
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.calibration import uncalibrated
from fingerpost.tasks.kg.joining import JoiningParams
from fingerpost.tasks.kg.stages.joining import join_graphs
from fingerpost.tasks.kg.stages.stored_aligner import NeighborWeight
from fingerpost.tasks.stage_run import identity_of
from tests.support.suggestion_artifacts import committed
from tests.worlds import DAY

#: id, type, name, attributes
Entity = tuple[str, str, str, Mapping[str, str]]

SHOP: tuple[Entity, ...] = (
    ("l1", "product", "red kettle 1.5 l", {"price": "30", "maker": "Acme", "seen": "2026-01-01"}),
    ("l2", "product", "blue kettle", {"price": "25"}),
    ("l3", "product", "bread knife", {"price": "12", "maker": "Sharp"}),
    ("b1", "brand", "Acme", {}),
)
CATALOGUE: tuple[Entity, ...] = (
    ("r1", "product", "Kettle, red, Acme", {"price": "29", "maker": "Acme", "seen": "2026-02-01"}),
    ("r2", "product", "Blue kettle by Acme", {"price": "25"}),
    ("r9", "product", "garden hose", {"price": "40"}),
    ("c1", "brand", "ACME", {}),
)
SHOP_RELATIONS = (("l1", "made by", "b1"), ("l2", "made by", "b1"), ("l1", "next to", "l2"))
CATALOGUE_RELATIONS = (("r1", "made by", "c1"), ("r1", "next to", "r9"))


def graph_of(entities: Iterable[Entity], relations: Iterable[tuple[str, str, str]] = ()) -> GraphBatch:
    """A graph of entities and relations."""
    rows = GraphRows()
    for key, kind, name, attributes in entities:
        rows.entity(key, kind=kind, name=name)
        for attribute, value in attributes.items():
            rows.attribute(key, Attribute(attribute, value))
    for relation in relations:
        rows.relation(*relation)
    return rows.batch()


def graph_artifact(store: Store, graph: GraphBatch, *, side: str) -> Ref:
    """A committed graph."""
    return committed(store, kg.GRAPH, graph.tables(), side=side)


def shop_and_catalogue(store: Store) -> tuple[Ref, Ref]:
    """The two small graphs, committed."""
    return (
        graph_artifact(store, graph_of(SHOP, SHOP_RELATIONS), side="left"),
        graph_artifact(store, graph_of(CATALOGUE, CATALOGUE_RELATIONS), side="right"),
    )


def clusters_artifact(
    store: Store, rows: Iterable[tuple[str, str, int]], history: Iterable[tuple[object, ...]] = (), **quality: object
) -> Ref:
    """Committed clusters: rows of id, side and entity."""
    members, events = kg.CLUSTERS.tables
    tables = {"members": table_of(members, list(rows)), "history": table_of(events, list(history))}
    return committed(store, kg.CLUSTERS, tables, **quality)


def pairs_artifact(store: Store, name: str, rows: Iterable[tuple[object, ...]], **quality: object) -> Ref:
    """A committed artifact with one table, of the contract of that name."""
    contract = next(one for one in kg.CONTRACTS if one.name == f"kg.{name}")
    (table,) = contract.tables
    tables: dict[str, pa.Table] = {table.name: table_of(table, list(rows))}
    return committed(store, contract, tables, **quality)


#: Rows of the entities by id, as they are sorted.
LEFT = {"b1": 0, "l1": 1, "l2": 2, "l3": 3}
RIGHT = {"c1": 0, "r1": 1, "r2": 2, "r9": 3}
#: Candidates: left, right, cosine, bits of what proposed them, score.
CANDIDATES = (
    ("b1", "c1", 0.9, 1, 3.0),
    ("l1", "r1", 0.8, 3, 2.0),
    ("l1", "r2", 0.6, 1, 0.5),
    ("l2", "r1", 0.5, 2, -0.5),
    ("l2", "r2", 0.7, 5, 1.5),
    ("l3", "r9", 0.1, 1, -4.0),
)
MATCHES = (("b1", "c1", 1.0), ("l1", "r1", 0.88), ("l2", "r2", 0.82))
LINKS = (("b1", "c1", 1, "training", "given"), ("l3", "r2", 0, "training", "reviewed"))
#: Clusters: id, side, row.
CLUSTERED = (
    ("k3", "left", 1),
    ("k3", "right", 1),
    ("k1", "left", 2),
    ("k1", "right", 2),
    ("k4", "left", 3),
    ("k2", "right", 3),
    ("k5", "left", 0),
    ("k5", "right", 0),
)


@dataclass(frozen=True)
class Changed:
    """What another version of the small alignment has, where it differs."""

    candidates: Sequence[tuple[str, str, float, int, float]] = CANDIDATES
    matches: Sequence[tuple[str, str, float]] = MATCHES
    links: Sequence[tuple[str, str, int, str, str]] = LINKS
    clusters: Sequence[tuple[str, str, int]] = CLUSTERED
    threshold: float = 0.5
    shop: Sequence[Entity] = SHOP
    catalogue: Sequence[Entity] = CATALOGUE


def alignment_of(env: Environment, changed: Changed = Changed()) -> Ref:
    """A release of the small alignment, made by hand; its graphs are joined by the stage."""
    store, mark = env.store, digest_of(repr(changed))
    graphs = (graph_of(changed.shop, SHOP_RELATIONS), graph_of(changed.catalogue, CATALOGUE_RELATIONS))
    rows = [{key: row for row, key in enumerate(graph.entities["id"].to_pylist())} for graph in graphs]

    def numbered(given: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return sorted((rows[0][left], rows[1][right], *rest) for left, right, *rest in given)

    def one(name: str, found: Iterable[tuple[object, ...]]) -> Ref:
        return pairs_artifact(store, name, found, mark=mark)

    left, right = (
        graph_artifact(store, graph, side=f"{side} {mark}")
        for side, graph in zip(("left", "right"), graphs, strict=True)
    )
    clusters = clusters_artifact(store, changed.clusters, mark=mark)
    calibration, thresholds = kg.CALIBRATION.tables
    measured = ("given", 3, 1.0, 0.7, 1.0, 1.0, True)
    chosen = [
        ("f1", 0.0, changed.threshold, 0.4, 0.6, *measured, True),
        ("precision", 0.95, 0.9, 0.8, 0.97, *measured, False),
    ]
    members = {
        "left": left,
        "right": right,
        "links": one("links", numbered(changed.links)),
        "candidates": one("candidates", [row[:4] for row in numbered(changed.candidates)]),
        "scores": one("scores", [(*row[:2], row[4]) for row in numbered(changed.candidates)]),
        "structure": one("structure", numbered([("l1", "r1", 0.7)])),
        "calibration": committed(
            store,
            kg.CALIBRATION,
            {calibration.name: tensors_to_arrow(uncalibrated().tensors), thresholds.name: table_of(thresholds, chosen)},
            mark=mark,
        ),
        "matches": one("matches", numbered(changed.matches)),
        "clusters": clusters,
        "joined": join_graphs.execute(env, left, right, clusters, params=JoiningParams()),
    }
    return members_of(store, members, mark=mark)


def members_of(store: Store, members: Mapping[str, Ref], **quality: object) -> Ref:
    """A release of some members."""
    return committed(store, kg.ALIGNMENT, {"members": members_table(members)}, **quality)


class HandScorer:
    """A scorer whose log odds are sums of features made by hand: those of ``CANDIDATES``, and -6 for other pairs."""

    names = ("price:equal", "price:number", "maker:words", "(name):letters", "made by>:words")
    _shares = np.array([0.4, 0.1, 0.2, 0.2, 0.1])

    def __init__(self, candidates: Sequence[tuple[str, str, float, int, float]] = CANDIDATES) -> None:
        self._scores = {(LEFT[left], RIGHT[right]): score for left, right, _, _, score in candidates}

    def features(self, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Shares of the log odds; the makers of entities without one are unknown."""
        scores = np.array([self._scores.get((left, right), -6.0) for left, right in pairs.tolist()])
        found = np.outer(scores, self._shares)
        found[:, 2] = np.where(np.isin(pairs, (0, 2)).any(axis=1), np.nan, found[:, 2])
        return found.astype(np.float32)

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sums of what is known."""
        return np.nansum(features.astype(np.float64), axis=1)


class HandAttention:
    """Neighbours with weights made by hand."""

    def attended(self, left: int, right: int) -> tuple[list[NeighborWeight], list[NeighborWeight]]:
        """Of the kettles: the brand, the value of an attribute, and what stands next to them."""
        ours = [
            NeighborWeight(0, "", "made by", False, 0.7),
            NeighborWeight(-1, "30", "price", False, 0.2),
            NeighborWeight(2, "", "next to", False, 0.1),
        ]
        theirs = [NeighborWeight(0, "", "made by", False, 0.9), NeighborWeight(3, "", "next to", False, 0.1)]
        return ours, theirs


def review_artifact(store: Store, rows: Iterable[tuple[object, ...]], matches: Ref) -> Ref:
    """A committed queue of doubtful pairs, made from some matches."""
    (table,) = kg.REVIEW.tables
    ref = Ref(kg.REVIEW.name, DAY, digest_of([kg.REVIEW.name, str(matches)])[:32])
    entries = [store.write_table(ref, kg.REVIEW, table.name, table_of(table, list(rows)))]
    inputs = {"matches": {"ref": str(matches)}}
    store.commit(
        ref, Manifest(identity_of(kg.REVIEW, {"parameters": {}, "inputs": inputs, "code": ""}, entries, {}), {})
    )
    return ref
