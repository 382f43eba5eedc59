"""Sampled neighbourhoods, and alignment by structure: ``python -m tests.bench.bench_kg``.

Neighbours drawn without replacement, one and two hops deep, beside a vectorised numpy version of the same; and per edge
beside DGL's uniform sampler, where ``FINGERPOST_PEERS`` has an environment ``dgl`` (dgl 1.1.3 and torch). CPU seconds of
one thread, the best of some repeats.

DBP15K Chinese-English from 30 % of its links as seeds, the candidates of a test entity being all test entities of the
other side: by structure alone, by names alone, and by both; and through the stages of the flow. Published, with the same seeds by size: LightEA 0.81, Dual-AMN
0.73, RREA 0.72, BootEA 0.63, GCN-Align 0.41.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas.inputs.graph_links import known_links
from fingerpost.schemas.inputs.graphs_triples import Dbp15k
from fingerpost.tasks.kg.graph import RelationGraph, relation_graph
from fingerpost.tasks.kg.names import NameParams, similar_names
from fingerpost.tasks.kg.neighborhoods import SamplingParams, sampled_neighborhoods
from fingerpost.tasks.kg.ranks import rank_figures, ranks_of
from fingerpost.tasks.kg.structure import StructureParams, alignment_rounds
from tests.bench.kg_structure import measure_stages
from tests.bench.peers import PeerProcess, peer_python
from tests.bench.results import print_table, write_rows
from tests.data import data_file

CAP = 10
RELATIONS = 50
#: Nodes whose keys numpy draws at a time: the fastest of 10^3 to 10^6 here.
BLOCK = 20_000


def power_law_graph(nodes: int, triples: int, *, seed: int = 0) -> RelationGraph:
    """A graph whose degrees follow a power law of exponent 2.5, relations as uneven (exponent 2)."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(np.minimum(rng.pareto(1.5, nodes) + 1, nodes / 50))
    heads = np.sort(np.searchsorted(ends, rng.random(triples) * ends[-1]))
    tails = rng.permutation(np.sort(np.searchsorted(ends, rng.random(triples) * ends[-1])))
    relations = np.minimum(rng.pareto(1.0, triples), RELATIONS - 1).astype(np.int64)
    return relation_graph(np.stack([heads, relations, tails], axis=1), nodes=nodes, relations=RELATIONS)


def numpy_samples(
    graph: RelationGraph, nodes: NDArray[np.integer], weights: NDArray[np.float32] | None, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Sizes and neighbours of the nodes' samples: keys of all their edges, sorted, the first of each node."""
    indptr, sizes, found = graph.indptr, [], []
    for begin in range(0, len(nodes), BLOCK):
        block = nodes[begin : begin + BLOCK]
        first, degrees = indptr[block], indptr[block + 1] - indptr[block]
        starts = np.cumsum(degrees) - degrees
        owners = np.repeat(np.arange(len(block)), degrees)
        edges = np.arange(degrees.sum()) + np.repeat(first - starts, degrees)
        keys = rng.standard_exponential(len(edges), dtype=np.float32)
        if weights is not None:
            keys *= weights[edges]
        # One sort by owner and key: positive floats are ordered as their bits.
        packed = (owners.astype(np.int64) << 32) | keys.view(np.uint32)
        order = np.argsort(packed)
        places = np.arange(len(edges)) - np.repeat(starts, degrees)
        found.append(graph.neighbors[edges[order[places < CAP]]])
        sizes.append(np.minimum(degrees, CAP))
    return np.concatenate(sizes), np.concatenate(found)


def numpy_neighborhoods(graph: RelationGraph, roots: NDArray[np.integer], hops: int, *, weighted: bool) -> int:
    """Number of edges of the samples of the roots and of the nodes that they reach."""
    rng = np.random.default_rng(0)
    sizes = np.diff(graph.starts)
    weights = np.repeat(sizes, sizes).astype(np.float32) if weighted else None
    known, frontier, edges = np.zeros(graph.nodes, bool), roots, 0
    for _ in range(hops):
        known[frontier] = True
        found = numpy_samples(graph, frontier, weights, rng)[1]
        edges += len(found)
        reached = np.zeros(graph.nodes, bool)
        reached[found] = True
        frontier = np.flatnonzero(reached & ~known)
    return edges


def best(function: Callable[[], int], repeats: int) -> tuple[float, int]:
    """The least CPU seconds of some calls, and the edges that they found."""
    seconds, edges = float("inf"), 0
    for _ in range(repeats):
        begin = time.process_time()
        edges = function()
        seconds = min(seconds, time.process_time() - begin)
    return seconds, edges


def measure_sampling(nodes: int, *, repeats: int) -> list[dict[str, Any]]:
    """Our sampler, numpy's and DGL's over one graph.

    One hop is all nodes at once. Two hops are all nodes in ten shards, each of which samples what it reaches once; numpy
    does the first shard alone.
    """
    graph = power_law_graph(nodes, 8 * nodes)
    name = f"{nodes:,} nodes, {len(graph.neighbors):,} edges, most {graph.degrees.max():,}"
    rows: list[dict[str, Any]] = []
    for weighted in (True, False):
        for hops in (1, 2):
            params = SamplingParams(CAP, hops, weighted=weighted)
            setting = f"{'weighted' if weighted else 'uniform'}, {hops} hop{'s' * (hops - 1)}"
            roots = np.random.default_rng(1).permutation(nodes) if hops > 1 else np.arange(nodes)
            shards = np.array_split(roots, 10 if hops > 1 else 1)
            ours = best(lambda params=params, shards=shards: sampled(graph, shards, params), repeats)
            rival = best(
                lambda hops=hops, weighted=weighted, shards=shards: numpy_neighborhoods(
                    graph, shards[0], hops, weighted=weighted
                ),
                1,
            )
            for contender, (seconds, edges) in {"fingerpost": ours, "numpy": rival}.items():
                row = {"dataset": name, "contender": contender, "setting": setting, "edges": edges, "seconds": seconds}
                row["nanoseconds_per_edge"] = seconds / edges * 1e9
                rows.append(row)
            rows[-2] |= {"ratio": rows[-1]["nanoseconds_per_edge"] / rows[-2]["nanoseconds_per_edge"], "rival": "numpy"}
    return rows + beside_dgl(graph, name, rows, repeats=repeats)


def sampled(graph: RelationGraph, shards: list[NDArray[np.integer]], params: SamplingParams) -> int:
    """Number of edges of the shards' samples and of those of the nodes that they reach."""
    return sum(len(sampled_neighborhoods(graph, shard, params).neighbors) for shard in shards)


def beside_dgl(graph: RelationGraph, name: str, rows: list[dict[str, Any]], *, repeats: int) -> list[dict[str, Any]]:
    """DGL's uniform sampler over all nodes; our uniform one is given its ratio. Nothing where it is not installed."""
    python = peer_python("dgl")
    if python is None:
        print("dgl: not measured, no environment of that name in FINGERPOST_PEERS")
        return []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "edges.npy"
        edges = graph.edges()
        np.save(file, edges[:, [2, 0]].astype(np.int64))
        peer = PeerProcess(python, Path(__file__).with_name("peer_kg.py"), str(file), str(graph.nodes))
        answer = peer.ask({"do": "sample", "cap": CAP, "repeats": repeats})
        peer.close()
    each = answer["seconds"] / answer["edges"] * 1e9
    row = {"dataset": name, "contender": f"dgl {answer['version']}", "setting": "uniform, 1 hop"}
    for ours in rows:
        if ours["contender"] == "fingerpost" and ours["setting"].endswith("1 hop"):
            ours |= {"dgl_ratio": each / ours["nanoseconds_per_edge"]}
    return [row | {"edges": answer["edges"], "seconds": answer["seconds"], "nanoseconds_per_edge": each}]


def measure_alignment(splits: int) -> list[dict[str, Any]]:
    """hits@1, hits@10 and MRR of some random splits of the links, their mean and least; CPU seconds of one split."""
    folder = Dbp15k(str(data_file("dbp15k/zh_en", "ref_ent_ids").parent))
    graphs = folder.side(1).read(), folder.side(2).read()
    known = known_links([folder.links().read()], *(side.entities["id"] for side in graphs), within=False)
    left, right = (
        relation_graph(
            np.stack([side.relations[name].to_numpy() for name in ("head", "relation", "tail")], axis=1),
            nodes=side.entities.num_rows,
            relations=side.relation_names.num_rows,
        )
        for side in graphs
    )
    names = [side.entities["name"].to_pylist() for side in graphs]
    begin = time.process_time()
    prior = similar_names(names[0], names[1], NameParams())
    named_seconds = time.process_time() - begin
    links = np.stack([known.left, known.right], axis=1).astype(np.int64)
    rows = []
    for contender, some in (("structure", None), ("structure and names", prior), ("names", prior)):
        figures, seconds = [], []
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(len(links))
            seeds, test = np.split(links[order], [round(0.3 * len(links))])
            begin = time.process_time()
            if contender == "names":
                scores = prior
            else:
                *_, last = alignment_rounds(
                    left, right, seeds, StructureParams(), candidates=(test[:, 0], test[:, 1]), prior=some
                )
                scores = last.probabilities
            seconds.append(time.process_time() - begin + (named_seconds if some is not None else 0.0))
            # Without the columns of no test entity, and in an order that is not that of the rows.
            columns = np.sort(test[:, 1])
            figures.append(rank_figures(ranks_of(scores[test[:, 0]][:, columns], np.searchsorted(columns, test[:, 1]))))
        row = {"dataset": "dbp15k zh-en", "contender": contender, "setting": f"{splits} splits, 30 % seeds"}
        row |= {name: float(np.mean([some[name] for some in figures])) for name in figures[0]}
        rows.append(row | {"least_hits_at_1": min(some["hits_at_1"] for some in figures), "seconds": max(seconds)})
    return rows


def main() -> None:
    """Measure, print and write ``bench-results/kg.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundred thousand nodes, one split, one seed")
    quick = parser.parse_args().quick
    rows = measure_sampling(100_000 if quick else 1_000_000, repeats=1 if quick else 3)
    print_table(rows, "Sampled neighbourhoods")
    aligned = measure_alignment(1 if quick else 3) + measure_stages()
    print_table(aligned, "Alignment")
    print(f"written to {write_rows('kg', rows + aligned, quick=quick)}")


if __name__ == "__main__":
    main()
