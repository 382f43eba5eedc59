"""Which pairs are compared at all: ``python -m tests.bench.bench_kg_blocking``.

The share of true pairs among the candidates, at most 20 for a left entity, by the stages at their defaults: on the Magellan
sets, once with all columns as attributes and once with some of them as entities that rows share; on raw DBLP-ACM with papers,
authors and venues; on DBP15K Chinese-English with 30 % of the links known, by what proposes a pair. CPU seconds of all stages
in one process. The rival, where ``FINGERPOST_PEERS`` has an environment ``blocking``: TF-IDF of scikit-learn over the same
texts, and the 20 largest products by sparse_dot_topn.

Authors of raw DBLP-ACM are the same where a matched paper has as many on both sides and their names fit best; venues where
most matched papers have both.
"""

import argparse
import csv
import json
import tempfile
import time
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graph_links import known_links
from fingerpost.schemas.inputs.graphs import GraphBatch
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph
from fingerpost.schemas.inputs.graphs_triples import Dbp15k
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.blocking import LINKS, SOURCES
from fingerpost.tasks.kg.held_out import PropagationParams
from fingerpost.tasks.kg.stages.structure import align_structure
from fingerpost.tasks.kg.texts import entity_texts
from tests.bench.peers import PeerProcess, peer_python
from tests.bench.results import print_table, write_rows
from tests.data import data_file
from tests.support.blocking import blocked, graphs_of, links_of

DAY = "2026-01-02"
#: The columns that are names, and those whose values are entities in the second round.
SETS = {
    "itunes-amazon": ("Song_Name", ("Artist_Name", "Album_Name", "Genre")),
    "dblp-acm": ("title", ("authors:,", "venue")),
    "walmart-amazon": ("title", ("brand", "category")),
    "abt-buy": ("name", ()),
}
Pairs = NDArray[np.int64]


def table_graph(path: Path, kind: str, name: str, shared: tuple[str, ...], **options: Any) -> GraphBatch:
    """A table as a graph; shared: columns, with their separator after a colon."""
    columns = tuple(SharedColumn(*text.split(":")) for text in shared)
    return TableGraph(str(path), kind=kind, id="id", name=name, shared=columns, **options).read()


def rows_of(graph: GraphBatch) -> dict[str, int]:
    """The row of each entity's id."""
    return {key: row for row, key in enumerate(graph.entities["id"].to_pylist())}


def matching_rows(name: str) -> list[dict[str, Any]]:
    """One of the Magellan sets, with and without shared entities; the first beside the rival."""
    column, shared = SETS[name]
    found = []
    for some in ((), shared) if shared else ((),):
        folder = f"matching/{name}"
        sides = [table_graph(data_file(folder, f"{side}.csv"), "row", column, some) for side in ("left", "right")]
        places = [rows_of(side) for side in sides]
        with data_file(folder, "pairs.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["label"] == "1"]
        pairs = np.unique([(places[0][row["left_id"]], places[1][row["right_id"]]) for row in rows], axis=0)
        setting = "shared: " + ", ".join(text.split(":")[0] for text in some) if some else "all attributes"
        found.append({"dataset": name, "setting": setting, **candidate_figures(sides, pairs)})
        if not some:
            found += rival_rows(name, sides, pairs)
    return found


def raw_rows() -> list[dict[str, Any]]:
    """Raw DBLP-ACM by type, all types in one run."""
    names, shared = ("DBLP2", "ACM"), ("authors:,", "venue")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            text = data_file("matching/dblp-acm-raw", f"{name}.csv").read_text("latin-1")
            (Path(folder) / f"{name}.csv").write_text(text, "utf-8")
        tables = []
        for name in names:
            with (Path(folder) / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                tables.append({row["id"]: row for row in csv.DictReader(file)})
        sides = [table_graph(Path(folder) / f"{name}.csv", "paper", "title", shared) for name in names]
    pairs = raw_pairs(tables, [rows_of(side) for side in sides])
    figures = candidate_figures(sides, np.concatenate(list(pairs.values())), by_type=True)
    return [{"dataset": "dblp-acm-raw", "setting": ", ".join(pairs), **figures}]


def raw_pairs(tables: list[dict[str, dict[str, str]]], places: list[dict[str, int]]) -> dict[str, Pairs]:
    """The true pairs of each type."""
    with data_file("matching/dblp-acm-raw", "DBLP-ACM_perfectMapping.csv").open(encoding="latin-1", newline="") as file:
        papers = [row for row in csv.reader(file) if row[0] in tables[0] and row[1] in tables[1]]
    found = {"paper": np.array([(places[0][one], places[1][other]) for one, other in papers])}
    for column in (SharedColumn("authors", ","), SharedColumn("venue")):
        counts: Counter[tuple[int, int]] = Counter()
        for ids in papers:
            one, other = (column.keys(table[key][column.column]) for table, key in zip(tables, ids, strict=True))
            if len(one) == len(other) > 0:
                likeness = [[SequenceMatcher(None, mine[0], theirs[0]).ratio() for theirs in other] for mine in one]
                for row, place in zip(*linear_sum_assignment(-np.array(likeness)), strict=True):
                    counts[places[0][one[row][0]], places[1][other[place][0]]] += 1
        found[column.type] = np.array(mutual_most(counts))
    return found


def mutual_most(counts: Counter[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs whose ends occur most often with each other."""
    left, right = dict[int, int](), dict[int, int]()
    for (one, other), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        left.setdefault(one, other)
        right.setdefault(other, one)
    return [(one, other) for one, other in left.items() if right[other] == one]


def dbp15k_rows() -> list[dict[str, Any]]:
    """DBP15K: names and shared neighbours, and structure beside them."""
    folder = Dbp15k(str(data_file("dbp15k/zh_en", "ref_ent_ids").parent))
    sides = [folder.side(1).read(), folder.side(2).read()]
    links = known_links([folder.links().read()], *(side.entities["id"] for side in sides), within=False)
    pairs = np.stack([links.left, links.right], axis=1).astype(np.int64)
    known = np.random.default_rng(0).permutation(len(pairs)) < round(0.3 * len(pairs))
    found = []
    for setting, structure in (("names and neighbours", False), ("structure too", True)):
        figures = candidate_figures(sides, pairs, known=known, structure=structure)
        found.append({"dataset": "dbp15k zh-en", "setting": f"{setting}, 30 % known", **figures})
    return found


def candidate_figures(
    sides: list[GraphBatch],
    pairs: Pairs,
    *,
    known: NDArray[np.bool_] | None = None,
    structure: bool = False,
    by_type: bool = False,
) -> dict[str, Any]:
    """Recall of the pairs that are not known, candidates of an entity of either side, and CPU seconds."""
    known = np.zeros(len(pairs), dtype=bool) if known is None else known
    with tempfile.TemporaryDirectory() as folder:
        env = Environment(Store(f"{folder}/store").prepare(), "blocking", DAY)
        left, right = graphs_of(env.store, *sides)
        rows = [
            (*pair, 1, "training" if is_known else "test", "given")
            for pair, is_known in zip(pairs.tolist(), known.tolist(), strict=True)
        ]
        links, start = links_of(env.store, rows), time.process_time()
        more = (align_structure.execute(env, left, right, links, params=PropagationParams()),) if structure else ()
        made = blocked(env, left, right, links, *more, rows_per_shard=2**16)
        seconds = time.process_time() - start
        table = env.store.open(made["candidates"], kg.CANDIDATES).read("candidates")
        one, other, sources = (table[name].to_numpy() for name in ("left", "right", "sources"))
        quality = env.store.manifest(made["candidates"]).quality
    found = sources_of(one, other, sources, pairs[~known])
    figures: dict[str, Any] = {"contender": "fingerpost", "recall": float((found & ~LINKS > 0).mean())}
    figures |= {"per_entity": quality["pairs_per_entity"], "most": quality["most_per_entity"]}
    figures |= {"per_right": float(len(other) / max(len(np.unique(other)), 1)), "seconds": seconds}
    if by_type:
        figures |= {name: value for name, value in quality.items() if name.startswith("recall ")}
    if structure or known.any():
        figures |= {f"by_{name}": float((found & bit > 0).mean()) for name, bit in SOURCES.items() if bit != LINKS}
    return figures


def sources_of(left: NDArray[Any], right: NDArray[Any], sources: NDArray[Any], pairs: Pairs) -> NDArray[np.int64]:
    """The bits of each pair's sources, 0 where it is no candidate."""
    keys = left.astype(np.int64) << 32 | right
    order = np.argsort(keys)
    wanted = pairs[:, 0] << 32 | pairs[:, 1]
    place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][place] == wanted, sources[order][place], 0).astype(np.int64)


def rival_rows(name: str, sides: list[GraphBatch], pairs: Pairs) -> list[dict[str, Any]]:
    """The rival on the same texts; nothing where it is not installed."""
    python = peer_python("blocking")
    if python is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(dict(zip(("left", "right"), map(texts_of, sides), strict=True))), "utf-8")
        peer = PeerProcess(python, Path(__file__).with_name("peer_blocking.py"), str(file))
        version, answer = peer.ask({"do": "probe"})["version"], peer.ask({"do": "block", "keep": 20})
        peer.close()
    left, right = (np.array(column) for column in answer["pairs"])
    found = sources_of(left, right, np.ones(len(left)), pairs)
    row: dict[str, Any] = {"dataset": name, "contender": f"sparse_dot_topn {version}", "setting": "all attributes"}
    row |= {"recall": float((found > 0).mean()), "per_entity": len(left) / len(np.unique(left))}
    return [row | {"most": int(np.bincount(left).max()), "seconds": answer["seconds"]}]


def texts_of(graph: GraphBatch) -> list[str]:
    """The text of each entity."""
    owners, values = graph.attributes["entity"].to_numpy(), graph.attributes["value"].to_pylist()
    return entity_texts(graph.entities["name"].to_pylist(), owners, values)


def main() -> None:
    """Measure, print and write ``bench-results/kg_blocking.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without DBP15K")
    quick = parser.parse_args().quick
    if peer_python("blocking") is None:
        print("no peer: expected <FINGERPOST_PEERS>/blocking/bin/python with scikit-learn and sparse_dot_topn")
    rows = [row for name in SETS for row in matching_rows(name)] + raw_rows()
    rows += [] if quick else dbp15k_rows()
    print_table(rows, "Pairs that are compared")
    print(f"written to {write_rows('kg_blocking', rows, quick=quick)}")


if __name__ == "__main__":
    main()
