"""Changes of graphs, pairs and ids between two alignments. Imports no Prefect.

An entity is the same one in both versions if its id in the user's graph is.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.flows.ops.compare.changes import (
    DataChange,
    counted,
    figure_changes,
    listed,
    row_changes,
    share,
    tables_of,
)
from fingerpost.schemas import kg
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_SIDES = ("left", "right")


def graph(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Entities that appeared, vanished or changed, and the numbers of relations and attributes."""
    figures: dict[str, Any] = {}
    for table in ("relations", "attributes"):
        sides = tables_of(store, before, after, kg.GRAPH, table)
        figures |= {f"{table} {when}": side.num_rows for when, side in zip(("before", "after"), sides, strict=True)}
    return [row_changes(store, before, after, kg.GRAPH, "entities"), DataChange("facts", figures)]


def links(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Numbers of known pairs, by label, split and source."""
    figures: dict[str, Any] = {}
    for when, table in zip(("before", "after"), tables_of(store, before, after, kg.LINKS, "links"), strict=True):
        figures[when] = table.num_rows
        for name, words in (("label", {1: "the same", 0: "two"}), ("split", {"": "no split"}), ("source", {})):
            counts = counted(words.get(value, value) for value in table[name].to_pylist())
            figures |= {f"{word} {when}": count for word, count in sorted(counts.items())}
    return [DataChange("links", figures)]


def calibration(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Thresholds that moved."""
    sides = tables_of(store, before, after, kg.CALIBRATION, "thresholds")
    figures = {
        f"threshold {when}": round(float(row["threshold"]), 6)
        for when, table in zip(("before", "after"), sides, strict=True)
        for row in table.to_pylist()
        if row["chosen"]
    }
    return [DataChange("thresholds", figures)]


def evaluation(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Changed metrics of blocking, baseline, parts of the model and decisions."""
    return [figure_changes(store, before, after, kg.EVALUATION)]


def matches(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Pairs that appeared and vanished, by the ids of their entities."""
    left, right = (_pairs(store, ref) for ref in (before, after))
    appeared, vanished = (_without(one, other) for one, other in ((right, left), (left, right)))
    figures = {
        "before": left.num_rows,
        "after": right.num_rows,
        "appeared": appeared.num_rows,
        "vanished": vanished.num_rows,
        "share kept": share(left.num_rows - vanished.num_rows, left.num_rows),
    }
    named = (("appeared", appeared), ("vanished", vanished))
    examples = [f"{word}: {listed(_told(pairs))}" for word, pairs in named if pairs.num_rows]
    return [DataChange("matches", figures, examples)]


def _pairs(store: Store, ref: Ref) -> pa.Table:
    """The matches of an artifact as ids (left, right) with their probabilities, in falling order of these."""
    artifact = store.open(ref, kg.MATCHES)
    inputs = _graphs_of(store, ref)
    table = artifact.read("matches").sort_by([("probability", "descending"), ("left", "ascending")])
    columns = {side: inputs[side].take(table[side]) for side in _SIDES}
    return pa.table({**columns, "probability": table["probability"]})


def _graphs_of(store: Store, ref: Ref) -> dict[str, pa.ChunkedArray]:
    """The ids of the entities of both graphs that an artifact was made from, by side."""
    given = store.manifest(ref).identity["inputs"]
    refs = {side: Ref.parse(given.get(side, given["left"])["ref"]) for side in _SIDES}
    return {side: store.open(one, kg.GRAPH).read("entities")["id"] for side, one in refs.items()}


def _without(table: pa.Table, other: pa.Table) -> pa.Table:
    """The pairs of a table that another has not, in their order."""
    keys = [pc.binary_join_element_wise(one["left"], one["right"], "\0") for one in (table, other)]
    return table.filter(pc.invert(pc.is_in(keys[0], value_set=keys[1].combine_chunks())))


def _told(pairs: pa.Table) -> list[str]:
    first = pairs.slice(0, 10)
    return [
        f"{left} = {right} ({probability:.3f})"
        for left, right, probability in zip(*(first[name].to_pylist() for name in first.column_names), strict=True)
    ]


def clusters(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """Ids of joined entities that appeared, vanished, merged, split or moved, as the later version's history has them."""
    left, right = (_ids(store, ref) for ref in (before, after))
    moved, both = _moved(left, right)
    history = store.open(after, kg.CLUSTERS).read("history")
    figures = {
        "entities of both": both,
        "whose id moved": moved,
        **{f"ids {event}": count for event, count in sorted(counted(history["event"].to_pylist()).items())},
    }
    return [DataChange("ids", figures)]


def moved_ids(store: Store, before: Mapping[str, Ref], after: Mapping[str, Ref]) -> tuple[int, int]:
    """The entities of two releases' members whose id is another, and all that both have."""
    return _moved(*(_ids(store, members["clusters"]) for members in (before, after)))


def _ids(store: Store, ref: Ref) -> pa.Table:
    """The id of each entity's joined entity by side and the user's id, in one column ``entity``."""
    members, graphs = store.open(ref, kg.CLUSTERS).read("members"), _graphs_of(store, ref)
    parts = []
    for side in _SIDES:
        mine = members.filter(pc.equal(members["side"], side))
        names = pc.binary_join_element_wise(pa.scalar(side), graphs[side].take(mine["entity"]), "\0")
        parts.append(pa.table({"entity": names, "cluster": mine["cluster"]}))
    return pa.concat_tables(parts)


def _moved(before: pa.Table, after: pa.Table) -> tuple[int, int]:
    place: NDArray[np.int64] = pc.fill_null(
        pc.index_in(after["entity"], value_set=before["entity"].combine_chunks()), -1
    ).to_numpy()
    common = np.flatnonzero(place >= 0)
    old = before["cluster"].take(pa.array(place[common]))
    new = after["cluster"].take(pa.array(common))
    return int(pc.sum(pc.not_equal(old, new)).as_py() or 0), len(common)
