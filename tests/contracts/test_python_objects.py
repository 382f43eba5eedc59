"""The built-in graphs: the objects of numpy and of dask.array, and the pairs that dask itself documents."""

import importlib
import re

import pytest

from fingerpost.schemas.inputs import OBJECTS_SAMPLE
from fingerpost.schemas.inputs.graph_links import LinkBatch, known_links
from fingerpost.schemas.inputs.graph_sources import form_of, graph_source, link_source
from fingerpost.schemas.inputs.graphs import GraphBatch
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.kg import GRAPH


@pytest.fixture(scope="module")
def sides() -> tuple[GraphBatch, GraphBatch]:
    left, right = (graph_source(OBJECTS_SAMPLE, side=side).read() for side in ("left", "right"))
    return left, right


@pytest.fixture(scope="module")
def links() -> LinkBatch:
    return link_source(OBJECTS_SAMPLE).read()


def relations(graph: GraphBatch) -> set[tuple[str, str, str]]:
    ids, names = graph.entities["id"].to_pylist(), graph.relation_names["name"].to_pylist()
    return {(ids[row["head"]], names[row["relation"]], ids[row["tail"]]) for row in graph.relations.to_pylist()}


def attributes(graph: GraphBatch) -> dict[tuple[str, str], str]:
    ids = graph.entities["id"].to_pylist()
    return {(ids[row["entity"]], row["key"]): row["value"] for row in graph.attributes.to_pylist()}


def test_objects_and_how_they_are_related(sides: tuple[GraphBatch, GraphBatch]) -> None:
    for graph in sides:
        for name, table in graph.tables().items():
            GRAPH.table(name).check(table, where=name)
        assert {"module", "class", "function", "method", "parameter", "exception"} <= set(
            graph.entities["type"].to_pylist()
        )
    left, right = map(relations, sides)
    assert {
        ("numpy.fft", "has function", "numpy.fft.rfft"),
        ("numpy.percentile", "takes", "parameter=axis"),
        ("numpy.random.Generator", "has method", "numpy.random.Generator.normal"),
        ("numpy.random.Generator.normal", "takes", "parameter=loc"),
    } <= left
    assert {
        ("dask.array.nanmean", "calls", "dask.array.reduction"),
        ("dask.array.nanmean", "takes", "parameter=axis"),
        ("dask.array.random", "has class", "dask.array.random.Generator"),
    } <= right
    assert any(name == "raises" and end == "exception=ValueError" for _, name, end in right)
    assert {"numpy.add", "numpy.matmul", "numpy.linalg.norm"} <= set(sides[0].entities["id"].to_pylist())


def test_pairs_are_what_is_documented_at_run_time(links: LinkBatch, sides: tuple[GraphBatch, GraphBatch]) -> None:
    ids = [graph.entities["id"] for graph in sides]
    known = known_links([links], *ids, within=False)
    assert links.quarantine.reasons() == {}
    assert int(known.labels.sum()) >= 200
    assert int((known.labels == 0).sum()) >= 50
    rows = links.links.to_pylist()
    positives = [(row["left"], row["right"]) for row in rows if row["label"]]
    assert len({one for one, _ in positives}) == len({other for _, other in positives}) == len(positives)
    assert {("numpy.fft.rfft", "dask.array.fft.rfft"), ("numpy.add", "dask.array.add")} <= set(positives)
    assert ("numpy.random.RandomState.wald", "dask.array.random.RandomState.wald") in positives
    told = [(left, _said(right)) for left, right in positives]
    contradicted = [(left, said) for left, said in told if said and found(said) != found(left)]
    assert contradicted == []
    assert sum(said != "" for _, said in told) / len(told) > 0.9


def _said(name: str) -> str:
    """What an object is documented to mirror, by the line that dask puts into its documentation at run time: the oracle."""
    said = re.search(r"(?:copied from|Wrapping of) ([\w.]+\w)", found(name).__doc__ or "")
    return said[1] if said else ""


def found(name: str) -> object:
    parts = name.split(".")
    for stop in range(len(parts), 0, -1):
        try:
            one: object = importlib.import_module(".".join(parts[:stop]))
        except ImportError:
            continue
        for part in parts[stop:]:
            one = getattr(one, part)
        return one
    raise AssertionError(name)


def test_nothing_of_the_right_side_tells_what_it_mirrors(
    links: LinkBatch, sides: tuple[GraphBatch, GraphBatch]
) -> None:
    mirrored = {row["right"] for row in links.links.to_pylist() if row["label"]}
    texts = {key: value for key, value in attributes(sides[1]).items() if key[0] in mirrored}
    assert texts
    assert {key for _, key in texts} == {"signature"}
    assert not [value for value in texts.values() if "numpy" in value or "np." in value]
    assert not [value for value in attributes(sides[1]).values() if "copied from" in value or "derived" in value]
    assert not [one for one in sides[1].entities["id"].to_pylist() if one.startswith("numpy")]
    assert not [end for _, _, end in relations(sides[1]) if end.startswith("numpy")]


def test_a_forgotten_object_is_in_neither_graph_nor_links(links: LinkBatch) -> None:
    suppressed = Suppressed.of(["numpy.add"], b"salt")
    graph, without = (
        graph_source(OBJECTS_SAMPLE, suppressed=suppressed),
        link_source(OBJECTS_SAMPLE, suppressed=suppressed),
    )
    assert "numpy.add" not in graph.read().entities["id"].to_pylist()
    mine = [row for row in links.links.to_pylist() if row["left"] == "numpy.add"]
    assert mine
    assert without.read().links.num_rows == links.links.num_rows - len(mine)
    assert without.identity() != link_source(OBJECTS_SAMPLE).identity()
    assert form_of(OBJECTS_SAMPLE, "auto") == OBJECTS_SAMPLE
    assert len({graph_source(OBJECTS_SAMPLE, side=side).identity() for side in ("left", "right")}) == 2
