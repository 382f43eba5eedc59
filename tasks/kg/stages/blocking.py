"""The stage that chooses the candidates among the pairs proposed by vectors, neighbours, rules, links and structure."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.blocking import (
    LINKS,
    NEIGHBORS,
    SOURCES,
    STRUCTURE,
    VECTORS,
    BlockingParams,
    Candidates,
    Proposals,
    found_positives,
    proposed_equal,
    proposed_nearest,
    proposed_scored,
    recalls,
    union,
)
from fingerpost.tasks.kg.stages.embeddings import read_contexts
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.known_pairs import known_positives, paired_types
from fingerpost.tasks.kg.stages.search import read_nearest
from fingerpost.tasks.shards import Shard, ShardOutput, row_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

_log = logging.getLogger("fingerpost.run")
#: Pairs scored a second where no earlier run has measured it.
FIRST_RATE = 5000.0


@stage(contracts.CANDIDATES)
def propose_pairs(
    run: StageRun,
    left: Ref,
    right: Ref,
    left_vectors: Ref,
    right_vectors: Ref,
    left_nearest: Ref,
    right_nearest: Ref,
    left_shared: Ref,
    right_shared: Ref,
    links: Ref,
    *structure: Ref,
    params: BlockingParams,
    rows_per_shard: int,
) -> None:
    """Chooses the candidates of every left entity among all proposals; says how many, and how long scoring them takes."""
    inputs = {"sides": (left, right), "vectors": (left_vectors, right_vectors), "links": links}
    inputs |= {"nearest": (left_nearest, right_nearest), "shared": (left_shared, right_shared)}
    others = other_proposals(run.store, left, right, links, structure, params)
    shards = row_shards(len(GraphTables.open(run.store, left)), rows_per_shard)
    figures = run.map_shards(_union_shard, shards, **inputs, others=others, params=params)
    run.quality = blocking_quality(figures)
    run.measured = _expected(run)
    _log.info(_announced(run))


def other_proposals(
    store: Store, left: Ref, right: Ref, links: Ref, structure: Sequence[Ref], params: BlockingParams
) -> pa.Table:
    """What is proposed by rules, links and structure: left, right, rank and source."""
    sides = [GraphTables.open(store, ref) for ref in (left, right)]
    known = known_positives(store, links, split="training")
    parts = [proposed_scored(known[:, 0], known[:, 1], np.ones(len(known)), LINKS)]
    for rule in params.rules:
        parts.append(proposed_equal(sides[0].values(rule), sides[1].values(rule), most=params.most_equal))
    for ref in structure:
        rows = store.open(ref, contracts.STRUCTURE).read("pairs")
        one, other, score = (rows[name].to_numpy() for name in ("left", "right", "probability"))
        parts.append(proposed_scored(one, other, score, STRUCTURE))
    found = {
        "left": np.concatenate([part.left for part in parts]).astype(np.uint32),
        "right": np.concatenate([part.right for part in parts]).astype(np.uint32),
        "rank": np.concatenate([part.ranks for part in parts]),
        "source": np.concatenate([np.full(len(part.left), part.source, dtype=np.uint8) for part in parts]),
    }
    return pa.table({name: pa.array(column) for name, column in found.items()})


def _union_shard(
    store: Store,
    shard: Shard,
    *,
    sides: tuple[Ref, Ref],
    vectors: tuple[Ref, Ref],
    nearest: tuple[Ref, Ref],
    shared: tuple[Ref, Ref],
    links: Ref,
    others: pa.Table,
    params: BlockingParams,
) -> ShardOutput:
    proposals = [
        *_both_ways(store, shard, nearest, contracts.NEAREST, VECTORS),
        *_both_ways(store, shard, shared, contracts.SHARED, NEIGHBORS),
        *_given(others, shard),
    ]
    ours, theirs = (store.open(ref, contracts.VECTORS) for ref in vectors)
    rows = read_contexts(ours, shard.start, shard.stop), read_contexts(theirs)
    names, types = paired_types(store, *sides, links, chosen=params.types)
    found = union(proposals, types, rows, params, begin=shard.start, within=sides[0] == sides[1])
    figures = figures_of(found, shard, names, types, known_positives(store, links))
    return ShardOutput({"candidates": candidates_table(found)}, figures)


def candidates_table(found: Candidates) -> pa.Table:
    """Candidates as the rows of their table."""
    return pa.table({name: pa.array(column) for name, column in vars(found).items()})


def figures_of(
    found: Candidates,
    shard: Shard,
    names: Sequence[str],
    types: tuple[NDArray[np.int32], NDArray[np.int32]],
    positives: NDArray[np.int64],
) -> dict[str, Any]:
    """Counts of the candidates of a shard of left entities, for `blocking_quality`."""
    sizes = np.bincount(found.left - shard.start, minlength=shard.stop - shard.start)
    sizes = sizes[types[0][shard.start : shard.stop] >= 0]
    positives = positives[(positives[:, 0] >= shard.start) & (positives[:, 0] < shard.stop)]
    hit, kinds = found_positives(found, positives, rights=len(types[1])), types[0][positives[:, 0]]
    return {
        "pairs": len(found.left),
        "entities": len(sizes),
        "without": int((sizes == 0).sum()),
        "most": int(sizes.max(initial=0)),
        "sources": [int((found.sources & bit > 0).sum()) for bit in SOURCES.values()],
        "known": {
            name: [int(hit[kinds == number].sum()), int((kinds == number).sum())] for number, name in enumerate(names)
        },
    }


def _both_ways(store: Store, shard: Shard, refs: tuple[Ref, Ref], contract: Contract, source: int) -> list[Proposals]:
    """The proposals for the left entities of a shard, and those of right entities that concern them."""
    own, their = (store.open(ref, contract).read("nearest") for ref in refs)
    rows = read_nearest(own.slice(shard.start, shard.stop - shard.start))
    turned = proposed_nearest(read_nearest(their), source, turned=True)
    return [proposed_nearest(rows, source, begin=shard.start), turned.of(shard.start, shard.stop)]


def _given(others: pa.Table, shard: Shard) -> list[Proposals]:
    left, right, ranks, sources = (others[name].to_numpy() for name in ("left", "right", "rank", "source"))
    parts = [
        Proposals(left[sources == bit], right[sources == bit], ranks[sources == bit], bit)
        for bit in np.unique(sources).tolist()
    ]
    return [part.of(shard.start, shard.stop) for part in parts]


def blocking_quality(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers of pairs and entities, and the shares of known pairs found by anything but links."""
    pairs, entities, without = (sum(f[name] for f in figures) for name in ("pairs", "entities", "without"))
    sources = np.sum([f["sources"] for f in figures], axis=0).tolist()
    types = list(figures[0]["known"])
    by_type = {name: tuple(np.sum([f["known"][name] for f in figures], axis=0).tolist()) for name in types}
    found, known = (sum(counts[place] for counts in by_type.values()) for place in range(2))
    shares = recalls({"recall": (found, known)} | {f"recall {name}": by_type[name] for name in types if len(types) > 1})
    return {
        "pairs": pairs,
        "pairs_per_entity": round(pairs / max(entities, 1), 3),
        "most_per_entity": max(f["most"] for f in figures),
        "entities": entities,
        "entities_without": without,
        "known": known,
        **{f"by_{name}": count for name, count in zip(SOURCES, sources, strict=True)},
        **{name: round(share, 6) for name, share in shares.items()},
    }


def _expected(run: StageRun) -> dict[str, Any]:
    """The seconds that scoring the pairs takes, at the rate of the last scoring of this collection, if there was one."""
    before = run.env.ledger.latest(contracts.SCORES.name)
    rate, rate_of = FIRST_RATE, "assumed"
    if before is not None and run.store.has(before):
        manifest = run.store.manifest(before)
        rows, seconds = manifest.identity["rows"]["scores"], float(manifest.run.get("seconds", 0.0))
        if rows and seconds:
            rate, rate_of = rows / seconds, "the last scoring"
    seconds = round(run.quality["pairs"] / rate, 1)
    return {"expected_seconds": seconds, "pairs_per_second": round(rate, 1), "rate_of": rate_of}


def _announced(run: StageRun) -> str:
    """What is known of the candidates before they are scored, in a line."""
    found, about = run.quality, run.measured
    recall = f"{found['recall']:.1%} of {found['known']:,} known pairs found" if found["known"] else "no known pairs"
    return (
        f"candidates: {found['pairs']:,} pairs of {found['entities']:,} entities, {found['pairs_per_entity']:.1f} each,"
        f" {recall}; scoring them takes about {about['expected_seconds']:,.0f} s ({about['rate_of']}:"
        f" {about['pairs_per_second']:,.0f} pairs a second)"
    )
