"""Real pairs of graphs as an aligner sees them, for benchmarks: the Magellan sets, and papers with their authors and venues."""

import csv
import io
import re
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas.inputs.graph_sources import graph_source
from fingerpost.schemas.inputs.graphs import GraphBatch
from fingerpost.tasks.kg.aligner_graphs import (
    AlignerGraph,
    EntityFacts,
    EntityValues,
    Matrix,
    aligner_graph,
    matrices_of,
)
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams, TextEmbedder, frequencies
from fingerpost.tasks.kg.graph import relation_graph
from fingerpost.tasks.kg.names import NameParams, similar_names
from fingerpost.tasks.kg.neighborhoods import SamplingParams, sampled_neighborhoods
from fingerpost.tasks.kg.texts import entity_texts
from tests.data import data_file

SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}
#: The names of each set's rows, and the columns that rows may share.
NAMES = {"itunes-amazon": "Song_Name", "dblp-acm": "title", "walmart-amazon": "title", "abt-buy": "name"}
SONG_COLUMNS = ("Artist_Name", "Album_Name", "Genre:,", "Price", "CopyRight", "Time", "Released")
#: Similar names of an entity that become candidates.
KEPT = 5


@dataclass(frozen=True)
class Pairs:
    """Pairs (m, 2) of entities of one type, their labels, the cosines of their names, and their splits, if they have any."""

    pairs: NDArray[np.int64]
    labels: NDArray[np.int64]
    cosines: NDArray[np.float64]
    splits: NDArray[np.str_]


@dataclass(frozen=True)
class World:
    """Two graphs, with the matrices that an aligner of them has, and pairs by the type of their entities."""

    left: AlignerGraph
    right: AlignerGraph
    matrices: tuple[Matrix, ...]
    types: tuple[NDArray[np.int64], NDArray[np.int64]]
    pairs: Mapping[str, Pairs]


def world_of(
    sides: Sequence[GraphBatch],
    pairs: Mapping[str, Pairs],
    params: AlignerParams,
    *,
    weighted: bool = True,
) -> World:
    """The world of two graphs; neighbours drawn by their relation, or uniformly."""
    texts = [_texts(side) for side in sides]
    embedding = EmbeddingParams()
    counts = frequencies([text for side in texts for text in side], embedding)
    embedder = TextEmbedder(counts, sum(map(len, texts)), embedding)
    sampling = SamplingParams(cap=params.neighbors, hops=1, weighted=weighted)
    facts = [_facts(side, embedder.vectors(own), sampling) for side, own in zip(sides, texts, strict=True)]
    matrices = matrices_of(*(one for one, _ in facts), most=params.relations)
    graphs = []
    for one, values in facts:
        vectors = embedder.vectors(values)
        graph = aligner_graph(one, matrices, vectors.__getitem__, cap=params.neighbors, attribute_cap=params.attributes)
        graphs.append(graph)
    kinds = [side.entities["type"].to_pylist() for side in sides]
    number = {kind: place for place, kind in enumerate(sorted({*kinds[0], *kinds[1]}))}
    types = tuple(np.array([number[kind] for kind in side], np.int64) for side in kinds)
    return World(graphs[0], graphs[1], matrices, (types[0], types[1]), pairs)


def _texts(graph: GraphBatch) -> list[str]:
    owners, values = graph.attributes["entity"].to_numpy(), graph.attributes["value"].to_pylist()
    return entity_texts(graph.entities["name"].to_pylist(), owners, values)


def _facts(graph: GraphBatch, vectors: NDArray[np.float32], sampling: SamplingParams) -> tuple[EntityFacts, list[str]]:
    triples = np.stack([graph.relations[name].to_numpy() for name in ("head", "relation", "tail")], axis=1)
    names = graph.relation_names["name"].to_pylist()
    related = relation_graph(triples, nodes=len(vectors), relations=len(names))
    sampled = sampled_neighborhoods(related, np.arange(len(vectors)), sampling)
    keys, texts = (graph.attributes[name].combine_chunks().dictionary_encode() for name in ("key", "value"))
    values = EntityValues(
        keys.dictionary.to_pylist(),
        graph.attributes["entity"].to_numpy(),
        keys.indices.to_numpy(),
        texts.indices.to_numpy(),
        len(texts.dictionary),
    )
    return EntityFacts(vectors, sampled, names, values), texts.dictionary.to_pylist()


def blanked(graph: GraphBatch, kind: str, name: str, share: float, *, seed: int) -> GraphBatch:
    """A graph without the names of a share of its entities of a type; name: the attribute that repeats them."""
    chosen = np.array([one == kind for one in graph.entities["type"].to_pylist()])
    chosen &= np.random.default_rng(seed).random(len(chosen)) < share
    names = ["" if lost else one for one, lost in zip(graph.entities["name"].to_pylist(), chosen.tolist(), strict=True)]
    entities = graph.entities.set_column(2, "name", pa.array(names))
    kept = ~(chosen[graph.attributes["entity"].to_numpy()] & (np.array(graph.attributes["key"].to_pylist()) == name))
    return replace(graph, entities=entities, attributes=graph.attributes.filter(pa.array(kept)))


def matching_world(
    name: str, params: AlignerParams, *, shared: tuple[str, ...] = (), weighted: bool = True, lost: float = 0.0
) -> World:
    """A Magellan set with the given splits; lost: share of the rows of either side whose names are blanked."""
    sides = [
        graph_source(
            str(data_file(f"matching/{name}", f"{side}.csv")), form="table", id="id", name=NAMES[name], shared=shared
        ).read()
        for side in ("left", "right")
    ]
    rows = [{key: row for row, key in enumerate(side.entities["id"].to_pylist())} for side in sides]
    sides = [blanked(side, "row", NAMES[name], lost, seed=number) for number, side in enumerate(sides)]
    with open(data_file(f"matching/{name}", "pairs.csv"), encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    pairs = np.array([(rows[0][row["left_id"]], rows[1][row["right_id"]]) for row in found], np.int64)
    labels = np.array([int(row["label"]) for row in found])
    splits = np.array([SPLIT_NAMES[row["split"]] for row in found])
    return world_of(sides, {"row": Pairs(pairs, labels, np.zeros(len(pairs)), splits)}, params, weighted=weighted)


def paper_world(params: AlignerParams, *, weighted: bool = True, lost: float = 0.0) -> World:
    """Raw DBLP and ACM: papers with authors and venues as entities; candidates are pairs of similar names.

    Papers: the given mapping is the truth. Authors: two names are one author where two matched papers have both at the same
    place among as many authors, with the same last name and the same initial; or anywhere, spelled alike but for case,
    accents and signs.
    """
    tables = [_utf8(name) for name in ("DBLP2", "ACM")]
    choice: dict[str, Any] = {"id": "id", "name": "title", "kind": "paper", "shared": ("authors:,", "venue")}
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for number, text in enumerate(tables):
            path = Path(folder) / f"{number}.csv"
            path.write_text(text, encoding="utf-8")
            sides.append(graph_source(str(path), form="table", **choice).read())
    rows = [{key: row for row, key in enumerate(side.entities["id"].to_pylist())} for side in sides]
    known = [row.split(",") for row in _utf8("DBLP-ACM_perfectMapping").replace('"', "").split()]
    mapped = [(one, other) for one, other in known if one in rows[0] and other in rows[1]]
    truth = {
        "paper": {(rows[0][one], rows[1][other]) for one, other in mapped},
        "authors": _same_authors(tables, mapped, rows),
    }
    pairs = {kind: _candidates(sides, kind, truth[kind]) for kind in truth}
    sides = [blanked(side, "paper", "title", lost, seed=number) for number, side in enumerate(sides)]
    return world_of(sides, pairs, params, weighted=weighted)


def _utf8(name: str) -> str:
    return data_file("matching/dblp-acm-raw", f"{name}.csv").read_text(encoding="latin-1")


def _same_authors(
    tables: Sequence[str], mapped: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, int]]
) -> set[tuple[int, int]]:
    authors = []
    for text, known in zip(tables, rows, strict=True):
        found = {}
        for row in csv.DictReader(io.StringIO(text, newline="")):
            names = [" ".join(name.split()) for name in row["authors"].split(",")]
            found[row["id"]] = [(known[f"authors={name.casefold()}"], _plain(name)) for name in names if name]
        authors.append(found)
    same = set()
    for one, other in mapped:
        left, right = authors[0][one], authors[1][other]
        same |= {(a, b) for a, mine in left for b, theirs in right if mine and mine == theirs}
        if len(left) == len(right):
            for (a, mine), (b, theirs) in zip(left, right, strict=True):
                if mine and theirs and (mine[-1], mine[0][0]) == (theirs[-1], theirs[0][0]):
                    same.add((a, b))
    return same


def _plain(name: str) -> tuple[str, ...]:
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return tuple(re.findall(r"\w+", letters))


def _candidates(sides: Sequence[GraphBatch], kind: str, truth: set[tuple[int, int]]) -> Pairs:
    """The pairs of most similar names of entities of a type, from both sides."""
    rows = [np.flatnonzero([one == kind for one in side.entities["type"].to_pylist()]) for side in sides]
    names = [
        [side.entities["name"][row].as_py() for row in own.tolist()] for side, own in zip(sides, rows, strict=True)
    ]
    found: dict[tuple[int, int], float] = {}
    for first, second in ((0, 1), (1, 0)):
        scores = similar_names(names[first], names[second], NameParams(keep=KEPT)).tocoo()
        for one, other, value in zip(scores.row.tolist(), scores.col.tolist(), scores.data.tolist(), strict=True):
            pair = (one, other) if first == 0 else (other, one)
            found[(int(rows[0][pair[0]]), int(rows[1][pair[1]]))] = value
    pairs = sorted(found)
    labels = np.array([pair in truth for pair in pairs]).astype(np.int64)
    cosines = np.array([found[pair] for pair in pairs])
    return Pairs(np.array(pairs, np.int64), labels, cosines, np.full(len(pairs), "", dtype="<U10"))
