"""The alignment of graph_growth.py a day later, when few entities changed: ``graph_refresh.py FOLDER [SHARE]``.

FOLDER is one in which graph_growth.py made and ran an alignment. Of a share of the entities of either side (a hundredth by
default) six of ten have lost a word of their summary, one of ten has another name, and of the rest half are gone and as many
are new. The stages of a refresh are run; printed are the CPU seconds and the greatest memory of each part, and of the full run.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.graph_growth import BLOCKING, EMBEDDING, ROWS_PER_SHARD, SEARCH, environment_of  # isort: skip

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.stored_clusters import ClustersBefore
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.calibrated_scores import CalibrationParams
from fingerpost.tasks.kg.changes import ChangeParams
from fingerpost.tasks.kg.cluster_ids import EVENTS
from fingerpost.tasks.kg.clusters import ClusterParams
from fingerpost.tasks.kg.neighborhoods import SamplingParams
from fingerpost.tasks.kg.one_to_one import AssignmentParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.stages.changes import compare_graphs, read_changes
from fingerpost.tasks.kg.stages.clusters import identify_entities
from fingerpost.tasks.kg.stages.comparison import score_labelled, train_baseline
from fingerpost.tasks.kg.stages.decisions import calibrate_alignment, decide_matches
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.refresh import refresh_labels, refresh_structure, refresh_vectors
from fingerpost.tasks.kg.stages.refresh_candidates import refresh_candidates
from fingerpost.tasks.kg.stages.refresh_rivals import refresh_rivals
from fingerpost.tasks.kg.stages.refresh_scores import refresh_scores
from tests.support.alignments import pairs_artifact
from tests.support.suggestion_artifacts import committed

SIDES = ("left", "right")
#: Parts of what changes: another summary, another name, gone (and as many new).
EDITED, RENAMED, GONE = 0.6, 0.1, 0.15
#: What the stages of a refresh are part of; those of decisions and ids are made in full on both days.
OF_REFRESH = {
    "compare_graphs": "compare",
    "refresh_vectors": "embed",
    "refresh_structure": "propose",
    "refresh_candidates": "propose",
    "refresh_labels": "score",
    "refresh_rivals": "score",
    "refresh_scores": "score",
    "sample_neighborhoods": "sample",
}
OF_DECISIONS = {"decide_matches": "decide", "identify_entities": "identify"}


def later(
    tables: dict[str, pa.Table], share: float, random: np.random.Generator
) -> tuple[dict[str, pa.Table], NDArray[np.int64]]:
    """The tables of a graph a day later, and the row of each entity in it, int64 (entities,), -1 for one that is gone."""
    entities, count = tables["entities"], tables["entities"].num_rows
    chosen = random.permutation(count)[: round(share * count)]
    edited, renamed, gone = np.split(chosen, (np.array([EDITED, EDITED + RENAMED]) * len(chosen)).astype(int))
    gone, copied = np.array_split(gone, 2)
    place = np.ones(count, dtype=np.int64)
    place[gone] = 0
    place = np.where(place > 0, np.cumsum(place) - 1, -1)
    names = entities["name"].to_pylist()
    for row in renamed.tolist():
        names[row] = f"{names[row][1:]}{names[row][:1]}"
    kept = np.flatnonzero(place >= 0)
    said = tables["attributes"]
    owners, values = said["entity"].to_numpy(), said["value"].to_pylist()
    other = np.zeros(count, dtype=bool)
    other[edited] = True
    for at in np.flatnonzero(other[owners]).tolist():
        values[at] = " ".join(values[at].split()[1:]) or f"{values[at]} too"
    there = place[owners] >= 0
    new = np.arange(len(copied)) + len(kept)
    ids, types = entities["id"].to_pylist(), entities["type"].to_pylist()
    rows = kept.tolist()
    found = {
        "entities": pa.table(
            {
                "id": [*(ids[row] for row in rows), *(f"z{ids[row]}" for row in copied.tolist())],
                "type": [*(types[row] for row in rows), *(types[row] for row in copied.tolist())],
                "name": [*(names[row] for row in rows), *(f"{names[row]} new" for row in copied.tolist())],
            }
        ),
        "relation_names": tables["relation_names"],
    }
    owned = pa.array(place[owners[there]].astype(np.uint32))
    mine = said.set_column(said.schema.get_field_index("value"), "value", pa.array(values)).filter(pa.array(there))
    found["attributes"] = mine.set_column(mine.schema.get_field_index("entity"), "entity", owned)
    edges = np.stack([tables["relations"][name].to_numpy() for name in ("head", "relation", "tail")], axis=1).astype(
        np.int64
    )
    edges[:, 0], edges[:, 2] = place[edges[:, 0]], place[edges[:, 2]]
    edges = edges[(edges[:, 0] >= 0) & (edges[:, 2] >= 0)]
    near = kept[random.integers(0, len(kept), (len(new), 2))]
    added = [np.stack([new, np.zeros_like(new), place[near[:, at]]], axis=1) for at in range(2)]
    edges = np.unique(np.concatenate([edges, *added]), axis=0)
    columns = [pa.array(edges[:, at].astype(np.uint32)) for at in range(3)]
    found["relations"] = pa.Table.from_arrays(columns, names=["head", "relation", "tail"])
    return found, place


def moved_links(env: Environment, links: Ref, places: list[NDArray[np.int64]], name: str) -> Ref:
    """Links under the rows of the later graphs."""
    rows = env.store.open(links, kg.LINKS).read("links")
    pairs = [places[at][rows[side].to_numpy()] for at, side in enumerate(SIDES)]
    there = (pairs[0] >= 0) & (pairs[1] >= 0)
    rows = rows.filter(pa.array(there))
    for at, side in enumerate(SIDES):
        column = pa.array(pairs[at][there].astype(np.uint32))
        rows = rows.set_column(rows.schema.get_field_index(side), side, column)
    rows = rows.sort_by([("left", "ascending"), ("right", "ascending")])
    return committed(env.store, kg.LINKS, {"links": rows}, name=name)


def judged(env: Environment, made: dict[str, Ref]) -> dict[str, Ref]:
    """The calibration of a first day."""
    baseline = train_baseline.execute(env, made["features"], made["labels"], params=BoostingParams(trees=10))
    labelled = score_labelled.execute(env, made["features"], made["labels"], baseline, made["scorer"])
    scored = (made["candidates"], made["scores"], labelled, made["labels"])
    calibration = calibrate_alignment.execute(
        env, made["left"], made["right"], *scored, params=CalibrationParams(), assignment=AssignmentParams()
    )
    return {"calibration": calibration}


def decided(env: Environment, made: dict[str, Ref], *before: ClustersBefore) -> dict[str, Ref]:
    """Matches and ids of one day."""
    graphs = made["left"], made["right"]
    scored = (made["candidates"], made["scores"], made["links"], made["calibration"])
    matches = decide_matches.execute(env, *graphs, *scored, params=AssignmentParams())
    evidence = (matches, made["scores"], made["calibration"], made["links"])
    return {
        "matches": matches,
        "clusters": identify_entities.execute(env, *graphs, *evidence, *before, params=ClusterParams()),
    }


def refreshed(env: Environment, old: dict[str, Ref], new: dict[str, Ref]) -> dict[str, Ref]:
    """The stages of a refresh up to the scores."""
    for side in SIDES:
        new[f"{side}_changes"] = compare_graphs.execute(env, new[side], old[side], params=ChangeParams())
        new[f"{side}_vectors"] = refresh_vectors.execute(
            env,
            new[side],
            new[f"{side}_changes"],
            old[f"{side}_vectors"],
            params=EMBEDDING,
            rows_per_shard=ROWS_PER_SHARD,
        )
        sample_neighborhoods.execute(env, new[side], params=SamplingParams(), rows_per_shard=ROWS_PER_SHARD)
    changes, graphs = (new["left_changes"], new["right_changes"]), (new["left"], new["right"])
    new["structure"] = refresh_structure.execute(env, *changes, old["structure"])
    ours = ("left_vectors", "right_vectors", "links", "structure")
    theirs = (
        "left",
        "right",
        "left_vectors",
        "right_vectors",
        "left_index",
        "right_index",
        "links",
        "candidates",
        "matches",
    )
    new["candidates"] = refresh_candidates.execute(
        env,
        *graphs,
        *changes,
        *(new[role] for role in ours),
        *(old[role] for role in theirs),
        search=SEARCH,
        params=BLOCKING,
        rows_per_shard=ROWS_PER_SHARD,
    )
    new["labels"] = refresh_labels.execute(env, new["links"], *changes, old["links"], old["labels"])
    before, texts = (old["left"], old["right"], old["candidates"]), (old["terms"], new["candidates"])
    new["rivals"] = refresh_rivals.execute(
        env, *graphs, *texts, new["labels"], *changes, *before, old["rivals"], params=PairShards()
    )
    compared = (*texts, new["rivals"], new["labels"], old["scorer"])
    new["scores"] = refresh_scores.execute(
        env, *graphs, *compared, *changes, old["candidates"], old["scores"], params=PairShards()
    )
    return new


def costs(env: Environment, first: int, parts: dict[str, str]) -> dict[str, float]:
    """CPU seconds and memory by part, of the stages from the ``first`` on."""
    row: dict[str, float] = {}
    for record in env.records[first:]:
        if record.stage in parts:
            cost, part = env.store.manifest(Ref.parse(record.ref)).run, parts[record.stage]
            row[f"{part}_s"] = round(row.get(f"{part}_s", 0.0) + cost["cpu_seconds"], 2)
            row["memory_mb"] = max(row.get("memory_mb", 0.0), cost["peak_mb"])
    return row | {"all_s": round(sum(value for name, value in row.items() if name.endswith("_s")), 2)}


def ids_of(store: Store, made: dict[str, Ref]) -> list[NDArray[np.object_]]:
    """The id of each entity of either side."""
    rows = store.open(made["clusters"], kg.CLUSTERS).read("members")
    names, sides = np.array(rows["cluster"].to_pylist(), dtype=object), np.array(rows["side"].to_pylist(), dtype=object)
    return [names[sides == side] for side in SIDES]


def untouched(store: Store, old: dict[str, Ref], new: dict[str, Ref]) -> dict[str, int]:
    """Clusters whose members are the same as before and did not change, and how many of these have another id."""
    before, after = ids_of(store, old), ids_of(store, new)
    pairs = []
    for at, side in enumerate(SIDES):
        changes = read_changes(store, new[f"{side}_changes"])
        same = ~changes.changed
        pairs.append((before[at][changes.origin[same]], after[at][same]))
    then, now = (np.concatenate([pair[which] for pair in pairs]) for which in range(2))
    sizes = [dict(zip(*np.unique(np.concatenate(ids), return_counts=True), strict=True)) for ids in (before, after)]
    seen: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for one, other in zip(then.tolist(), now.tolist(), strict=True):
        seen.setdefault(one, set()).add(other)
        counts[one] = counts.get(one, 0) + 1
    same_members = [
        one
        for one, others in seen.items()
        if len(others) == 1 and counts[one] == sizes[0][one] == sizes[1][next(iter(others))]
    ]
    return {"untouched": len(same_members), "untouched_moved": sum(seen[one] != {one} for one in same_members)}


def main(folder: Path, share: float = 0.01) -> dict[str, Any]:
    """The costs of both days, and what became of ids."""
    env = environment_of(folder)
    old = {role: Ref.parse(ref) for role, ref in json.loads((folder / "made.json").read_text("utf-8")).items()}
    old["structure"] = pairs_artifact(env.store, "structure", [], without="pairs")
    old |= judged(env, old)
    old |= decided(env, old)
    decisions = costs(env, 0, OF_DECISIONS)
    random, new, places = np.random.default_rng(1), {}, []
    for side in SIDES:
        artifact = env.store.open(old[side], kg.GRAPH)
        tables = {table.name: artifact.read(table.name) for table in kg.GRAPH.tables}
        found, place = later(tables, share, random)
        new[side] = committed(env.store, kg.GRAPH, found, side=side, later=share)
        places.append(place)
    new["links"] = moved_links(env, old["links"], places, f"links {share}")
    first = len(env.records)
    new = refreshed(env, old, new) | {"calibration": old["calibration"]}
    row = costs(env, first, OF_REFRESH)
    second = len(env.records)
    new |= decided(env, new, ClustersBefore(env.store, old["left"], old["right"], old["clusters"]))
    again = costs(env, second, OF_DECISIONS)
    store = env.store
    changed, rivals, scores = (store.manifest(new[role]).quality for role in ("left_changes", "rivals", "scores"))
    return {
        "refresh_s": row.pop("all_s"),
        "refresh_mb": row.pop("memory_mb"),
        **{f"refresh_{name}": value for name, value in row.items()},
        "decisions_s": decisions["all_s"],
        "decisions_later_s": again["all_s"],
        "changed_share": changed["share"],
        "compared_share": round(rivals["compared"] / rivals["pairs"], 6),
        "scored_share": round(scores["scored"] / scores["pairs"], 6),
        **untouched(store, old, new),
        "events": {name: store.manifest(new["clusters"]).quality[name] for name in EVENTS},
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *map(float, sys.argv[2:]))))
