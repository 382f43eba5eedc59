"""Sets that settings were not chosen on: raw DBLP-ACM, and DBP15K with the names of half of the entities left out."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from fingerpost.schemas.inputs.graph_links import LinkFile
from fingerpost.schemas.inputs.graphs import GraphBatch, GraphSource
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph
from fingerpost.schemas.inputs.graphs_triples import Dbp15k
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from tests.bench.kg_sets import Alignment, imported
from tests.data import data_file
from tests.worlds import DAY

FURTHER = ("dblp-acm-raw", "dbp15k-half-named")
#: Seeds of the names that are left out, one per side.
_SEEDS = (3, 4)


@dataclass(frozen=True)
class HalfNamed:
    """A graph in which every second entity, drawn at random, has no name."""

    source: GraphSource
    seed: int

    def __str__(self) -> str:
        return f"{self.source}, half named"

    def identity(self) -> str:
        """That of its source, and the seed."""
        return f"{self.source.identity()} {self.seed}"

    def check(self) -> None:
        """As its source."""
        self.source.check()

    def read(self) -> GraphBatch:
        """The graph with fewer names."""
        graph = self.source.read()
        names = graph.entities["name"].to_pylist()
        named = np.random.default_rng(self.seed).random(len(names)) < 0.5
        kept = [name if keep else "" for name, keep in zip(names, named, strict=True)]
        place = graph.entities.schema.get_field_index("name")
        return replace(graph, entities=graph.entities.set_column(place, "name", pa.array(kept, pa.string())))


def further(name: str, folder: Path) -> Alignment:
    """One of the sets, imported into a store in a folder; pairs are split by the stage that imports them."""
    env = Environment(Store(str(folder / "store")).prepare(), name, DAY)
    if name == "dblp-acm-raw":
        return _raw_papers(env, folder)
    pair = Dbp15k(str(data_file("dbp15k/zh_en", "ref_ent_ids").parent))
    left, right = (HalfNamed(pair.side(number), seed) for number, seed in zip((1, 2), _SEEDS, strict=True))
    return imported(env, left, right, pair.links(), test_share=0.6, validation_share=0.1)


def _raw_papers(env: Environment, folder: Path) -> Alignment:
    """Papers, authors and venues; known are the pairs of papers."""
    shared = (SharedColumn("authors", ",", "author"), SharedColumn("venue"))
    sides = []
    for file in ("DBLP2.csv", "ACM.csv"):
        source = data_file("matching/dblp-acm-raw", file)
        sides.append(TableGraph(str(source), kind="paper", id="id", shared=shared))
    mapping = folder / "links.csv"
    with open(data_file("matching/dblp-acm-raw", "DBLP-ACM_perfectMapping.csv"), encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    with open(mapping, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("left", "right"), *rows])
    return imported(env, *sides, LinkFile(str(mapping)))
