"""The stage that says which entities are one, under ids that stay from run to run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.inputs.stored_clusters import ClustersBefore
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.cluster_ids import EVENTS, History, content_ids, history, kept_clusters, overlaps
from fingerpost.tasks.kg.clusters import (
    NEVER,
    ClusterParams,
    ComparedPairs,
    members_to_split,
    split_components,
)
from fingerpost.tasks.kg.lookups import components
from fingerpost.tasks.kg.stages.scored import read_calibration, read_links
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: The names of the sides, in the order of their entities.
SIDES = ("left", "right")
#: The names under which a manifest names the graphs and clusters of the version before, beside what was measured.
BEFORE, LOGGED = "before", "logged"
#: The digits of an id.
_DIGITS = 16


@stage(contracts.CLUSTERS)
def identify_entities(
    run: StageRun,
    left: Ref,
    right: Ref,
    matches: Ref,
    scores: Ref,
    calibration: Ref,
    links: Ref,
    *before: ClustersBefore,
    params: ClusterParams,
) -> None:
    """Joins matched entities to clusters, and gives each the id of the cluster before with which it has most in common.

    All entities are members, alone or not. ``before``: the version before, if there is one. Scores are read only where
    more than two entities hang together; pairs that are known to be two entities never come into one cluster.
    """
    entities = _Entities.of(run.store, left, right)
    clusters = _clusters(run.store, entities, matches, _Evidence(scores, calibration, links), params)
    logged = all(source.logged for source in before)
    ids, log, common = _identified(entities, clusters, [source.read() for source in before])
    run.write("members", _members_table(entities, ids[clusters]))
    run.write("history", log if logged else log.slice(0, 0))
    run.quality = _quality(clusters, log, common)
    run.measured = {
        BEFORE: [str(ref) for source in before for ref in (source.left, source.right, source.clusters)],
        LOGGED: logged,
    }


@dataclass(frozen=True)
class _Entities:
    """The entities of both sides, one after the other; of one table (left is right) those of the left side alone.

    keys: the users' keys. sizes: entities of each side. order: int64 (entities,), the place of each by side and key.
    """

    keys: pa.Array
    sizes: tuple[int, int]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, store: Store, left: Ref, right: Ref) -> "_Entities":
        sides = [_keys(store, left), _keys(store, right) if right != left else pa.array([], pa.string())]
        order, start = np.empty(len(sides[0]) + len(sides[1]), dtype=np.int64), 0
        for keys in sides:
            order[start + pc.sort_indices(keys).to_numpy()] = start + np.arange(len(keys))
            start += len(keys)
        return cls(pa.concat_arrays(sides), (len(sides[0]), len(sides[1])), order)

    @property
    def one_table(self) -> bool:
        """Whether there are pairs of left entities alone."""
        return not self.sizes[1]

    def side(self, which: int) -> slice:
        """The places of a side."""
        return slice(0, self.sizes[0]) if which == 0 else slice(self.sizes[0], sum(self.sizes))

    def pairs(self, rows: pa.Table) -> NDArray[np.int64]:
        """int64 (m, 2): places of the entities of pairs."""
        return self.places(_numbers(rows["left"]), _numbers(rows["right"]))

    def places(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 (m, 2): places of left and right entities; of one table the smaller first."""
        if self.one_table:
            return np.stack([np.minimum(left, right), np.maximum(left, right)], axis=1)
        return np.stack([left, right + self.sizes[0]], axis=1)


def _keys(store: Store, graph: Ref) -> pa.Array:
    keys = store.open(graph, contracts.GRAPH).read("entities")["id"]
    return pa.concat_arrays(keys.chunks) if keys.num_chunks else pa.array([], pa.string())


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class _Evidence:
    """What is known of pairs beside the matches."""

    scores: Ref
    calibration: Ref
    links: Ref


def _clusters(
    store: Store, entities: _Entities, matches: Ref, evidence: _Evidence, params: ClusterParams
) -> NDArray[np.int64]:
    """int64 (entities,): the cluster of each, from 0."""
    rows = store.open(matches, contracts.MATCHES).read("matches")
    matched = ComparedPairs(entities.pairs(rows), np.asarray(rows["probability"].to_numpy(), dtype=np.float64))
    component = components(matched.pairs, len(entities.keys))
    if not members_to_split(component).any():
        return component
    _, chosen = read_calibration(store, evidence.calibration)
    compared = _compared(store, entities, matched, component, evidence)
    return split_components(component, compared, entities.order, threshold=chosen.threshold, params=params)


def _compared(
    store: Store, entities: _Entities, matched: ComparedPairs, component: NDArray[np.int64], evidence: _Evidence
) -> ComparedPairs:
    """All compared pairs inside components of more than two, each once: as known, as decided, or as scored."""
    links = read_links(store, evidence.links, within=entities.one_table)
    refused = entities.places(links.left, links.right)[links.labels == 0]
    calibration, _ = read_calibration(store, evidence.calibration)
    parts = [ComparedPairs(refused, np.full(len(refused), NEVER)), matched]
    artifact = store.open(evidence.scores, contracts.SCORES)
    for entry in artifact.entries("scores"):
        rows = artifact.read("scores", shard=entry.shard)
        pairs = entities.pairs(rows)
        inside = _inside(component, pairs)
        scores = np.asarray(rows["score"].to_numpy())[inside]
        parts.append(ComparedPairs(pairs[inside], calibration.probabilities(scores)))
    pairs = np.concatenate([part.pairs for part in parts])
    values = np.concatenate([part.probabilities for part in parts])
    inside = _inside(component, pairs)
    _, first = np.unique(pairs[inside] @ np.array([len(component), 1]), return_index=True)
    return ComparedPairs(pairs[inside][first], values[inside][first])


def _inside(component: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs are of one component of more than two."""
    of = component[pairs[:, 0]]
    return members_to_split(component)[pairs[:, 0]] & (of == component[pairs[:, 1]])


def _identified(
    entities: _Entities, clusters: NDArray[np.int64], before: Sequence[pa.Table]
) -> tuple[NDArray[np.uint64], pa.Table, int]:
    """The id of each cluster, the history, and the number of entities that were there before."""
    count = int(clusters.max(initial=-1)) + 1
    earlier = _Earlier.of(entities, before)
    shared = overlaps(clusters, earlier.clusters, entities.order)
    kept = kept_clusters(shared, count)
    ids = np.zeros(count, dtype=np.uint64)
    ids[kept >= 0] = earlier.ids[kept[kept >= 0]]
    first = np.full(count, len(entities.keys), dtype=np.int64)
    np.minimum.at(first, clusters, entities.order)
    new = np.flatnonzero(kept < 0)
    at = np.argsort(entities.order)[first[new]]
    sides = np.where(at < entities.sizes[0], *SIDES).tolist()
    ids[new] = content_ids(entities.keys.take(pa.array(at)).to_pylist(), sides, first[new], earlier.ids)
    log = history(shared, kept, earlier.sizes) if before else history(shared, np.zeros(0, np.int64), earlier.sizes)
    return ids, _history_table(log, ids, earlier.ids), int((earlier.clusters >= 0).sum())


@dataclass(frozen=True)
class _Earlier:
    """The clusters of the version before: the number of that of each entity now (-1: none), and their ids and sizes."""

    clusters: NDArray[np.int64]
    ids: NDArray[np.uint64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, entities: _Entities, before: Sequence[pa.Table]) -> "_Earlier":
        clusters = np.full(len(entities.keys), -1, dtype=np.int64)
        if not before:
            return cls(clusters, np.empty(0, np.uint64), np.empty(0, np.int64))
        rows = before[0]
        ids, numbers, sizes = np.unique(_ids_of(rows["cluster"]), return_inverse=True, return_counts=True)
        for which, side in enumerate(SIDES):
            mine = np.flatnonzero(pc.equal(rows["side"], side).to_numpy())
            there = entities.keys[entities.side(which)]
            found = pc.index_in(there, value_set=rows["id"].take(pa.array(mine)))
            places = np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False))
            clusters[entities.side(which)][places >= 0] = numbers[mine[places[places >= 0]]]
        return cls(clusters, ids, sizes.astype(np.int64))


def _members_table(entities: _Entities, ids: NDArray[np.uint64]) -> pa.Table:
    sides = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat([0, 1], entities.sizes).astype(np.int8)), pa.array(SIDES, pa.string())
    )
    rows = np.concatenate([np.arange(size) for size in entities.sizes]).astype(np.uint32)
    return pa.table({"cluster": _texts_of(ids), "side": sides.cast(pa.string()), "entity": pa.array(rows)})


def _history_table(log: History, ids: NDArray[np.uint64], before: NDArray[np.uint64]) -> pa.Table:
    """The history under ids, sorted by all columns."""
    columns = {
        "event": pa.array(EVENTS, pa.string()).take(pa.array(log.events)),
        "before": _or_empty(before, log.before),
        "after": _or_empty(ids, log.now),
        "members": pa.array(log.members, pa.int64()),
    }
    return pa.table(columns).sort_by([(name, "ascending") for name in columns])


def _or_empty(ids: NDArray[np.uint64], places: NDArray[np.int64]) -> pa.Array:
    """The texts of ids, empty for the place -1."""
    texts = pa.concat_arrays([_texts_of(ids), pa.array([""], pa.string())])
    return texts.take(pa.array(np.where(places < 0, len(ids), places)))


def _texts_of(ids: NDArray[np.uint64]) -> pa.Array:
    """Ids as texts of hexadecimal digits."""
    digits = np.frombuffer(ids.astype(">u8").tobytes().hex().encode(), dtype=f"S{_DIGITS}")
    # Of more than 2**20 byte strings of numpy, pyarrow 26.0.1 makes a chunked array.
    texts = pa.array(digits, pa.binary())
    return (texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts).cast(pa.string())


def _ids_of(texts: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Ids from their texts."""
    return np.frombuffer(bytes.fromhex("".join(texts.to_pylist())), dtype=">u8").astype(np.uint64)


def _quality(clusters: NDArray[np.int64], log: pa.Table, common: int) -> dict[str, object]:
    """Counts of clusters and of events, and the shares of entities whose id is that of the version before, or not."""
    sizes = np.bincount(clusters)
    events = log["event"].to_pylist()
    passed = log.filter(pc.is_in(log["event"], value_set=pa.array(["merged", "split", "moved"])))
    moved = (pc.sum(passed["members"]).as_py() or 0) / max(common, 1)
    return {
        "clusters": len(sizes),
        "joined": int((sizes > 1).sum()),
        "largest": int(sizes.max(initial=0)),
        **{event: events.count(event) for event in EVENTS},
        "kept_share": round(1.0 - moved, 6),
        "moved_share": round(moved, 6),
    }
