"""Queries of a published index with conditions on documents: one by one, in batches, and from the command line."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.collection import Collection
from tests.worlds import texts

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """A store with an index of texts."""
    made = tmp_path_factory.mktemp("filters")
    with (made / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "text", "kind"])
        writer.writeheader()
        writer.writerows(texts(ROWS, 1))
    gates = {"ann.gates.recall_at_10": 0.3, "ann.gates.documents": 10, "corpus.svd.rank": 8}
    run_flow(
        "build_ann_index",
        RunRequest(
            profile="tiny",
            store=str(made / "store"),
            day="2026-01-05",
            input=str(made / "rows.csv"),
            collection="rows",
            settings=gates,
        ),
        quiet=True,
    )
    return made


@pytest.fixture(scope="module")
def index(folder: Path) -> LiveIndex:
    return live("rows", store=str(folder / "store"))


def nearest(index: LiveIndex, query: np.ndarray, keep: np.ndarray, k: int) -> list[str]:
    order = np.argsort(-(index.vectors.astype(np.float64) @ query), kind="stable")
    ids = index.documents["id"].to_pylist()
    return [ids[row] for row in order if keep[row]][:k]


def test_each_query_of_a_batch_has_its_condition(index: LiveIndex) -> None:
    kinds = np.array(index.documents["kind"].to_pylist())
    queries = index.vectors[:20] + np.float32(0.01)
    names = sorted(set(kinds))
    conditions = [f'kind == "{names[row % len(names)]}"' if row % 4 else None for row in range(20)]
    found = index.search_batch(queries, k=5, ef=200, filters=conditions)
    for row, condition in enumerate(conditions):
        keep = kinds == names[row % len(names)] if condition else np.ones(ROWS, dtype=bool)
        assert found.ids[row].tolist() == nearest(index, queries[row], keep, 5)
    assert np.allclose(found.scores[0], np.sort(found.scores[0])[::-1])
    one = index.search_batch(queries, k=5, ef=200, filters=f'kind == "{names[0]}"')
    assert set(one.to_pandas()["id"]) <= set(np.array(index.documents["id"].to_pylist())[kinds == names[0]])
    assert len(one.to_pandas()) == 100


def test_allowed_documents_and_tables_of_queries(index: LiveIndex) -> None:
    ids = index.documents["id"].to_pylist()
    frame = pd.DataFrame({"id": ["first", "second"], "vector": list(index.vectors[[3, 9]])})
    found = index.search_batch(frame, k=4, keep=[ids[:2], [*ids[5:30], ids[9]]])
    assert found.queries == ["first", "second"]
    assert sorted(found.ids[0][:2].tolist()) == sorted(ids[:2])
    assert found.found.tolist() == [2, 4]
    assert found.ids[1, 0] == ids[9]
    near = index.search_batch(index.vectors[:3], k=ROWS, within=0.9)
    for row in range(3):
        scores = index.vectors.astype(np.float64) @ index.vectors[row]
        expected = {ids[place] for place in np.flatnonzero(scores >= 0.9 + 1e-6)}
        assert expected <= set(near.ids[row][: near.found[row]].tolist())
        assert near.scores[row][: near.found[row]].min() >= 0.9 - 1e-6


def test_texts_are_asked_in_batches_each_with_its_condition(index: LiveIndex) -> None:
    asked = [index.documents["text"][row].as_py() for row in (1, 2, 3)]
    kind = index.documents["kind"][1].as_py()
    conditions = [f'kind == "{kind}"', f'kind == "{kind}" and kind == "none"', None]
    docs = Collection(index.store, "rows")
    for found in (index.query_batch(asked, k=3, filters=conditions), docs.query(asked, k=3, filters=conditions)):
        assert found[0].ids == index.query(asked[0], k=3, kind=kind).ids
        assert [len(each) for each in found] == [3, 0, 3]
        assert found[2] == index.query(asked[2], k=3)
        assert found.to_pandas()["query"].tolist() == [asked[0]] * 3 + [asked[2]] * 3
    with pytest.raises(FingerpostError, match="filters: expected one for each of 3 queries, got 1"):
        docs.query(asked, filters=conditions[:1])
    with pytest.raises(FingerpostError, match="expected conditions that a document passes"):
        docs.query(asked, filters=conditions[1])


def test_single_queries_take_conditions(index: LiveIndex) -> None:
    text, title = (index.documents[name][4].as_py() for name in ("text", "title"))
    kind = index.documents["kind"][4].as_py()
    conditions = [f'kind == "{kind}"', f"title != {title!r}"]
    answers = index.query(text, k=5, filters=conditions).answers
    assert {answer.kind for answer in answers} == {kind}
    assert title not in {answer.title for answer in answers}
    key = index.documents["id"][4].as_py()
    assert {a.kind for a in index.similar(key, k=5, filters=conditions[0]).answers} == {kind}
    assert {a.kind for a in index.search(index.vectors[4], k=5, filters=conditions[:1]).answers} == {kind}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": ["kind == 'a'"]}, "filters: expected one for each of 2 queries, got 1"),
        ({"filters": "colour == 'red'"}, "expected a column, got 'colour'"),
        ({"filters": "import os"}, "expected a condition on columns"),
        ({"keep": [["nobody"], []]}, "keep of query 0: expected ids of documents, got 'nobody'"),
        ({"keep": np.ones(3, dtype=bool)}, r"expected a mask \(200,\)"),
        ({"k": -1}, "k: expected"),
    ],
)
def test_what_cannot_be_asked_is_refused(index: LiveIndex, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FingerpostError, match=message):
        index.search_batch(index.vectors[:2], **options)


def test_vectors_that_do_not_fit_are_refused(index: LiveIndex) -> None:
    with pytest.raises(FingerpostError, match=r"vectors: expected numbers \(q, 8\)"):
        index.search_batch(index.vectors[:, :3])
    with pytest.raises(FingerpostError, match="row 1: expected finite numbers"):
        index.search_batch(index.vectors[:2] * np.array([[1], [0]], np.float32))
    with pytest.raises(FingerpostError, match="filter: expected conditions that a document passes"):
        index.query("sort", filters='kind == "nothing at all"')


def test_the_command_takes_conditions(folder: Path, index: LiveIndex) -> None:
    kind = index.documents["kind"][0].as_py()
    arguments = ["query", "sort order array", "--collection", "rows", "--store", str(folder / "store"), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--filter", f'kind == "{kind}"', "--filter", '"a" in title'])
    assert done.exit_code == 0, done.output
    answers = json.loads(done.stdout)["answers"]
    assert answers
    assert {answer["kind"] for answer in answers} == {kind}
    assert all("a" in answer["title"] for answer in answers)
    refused = CliRunner().invoke(app, [*arguments, "--filter", "__import__('os')"])
    assert refused.exit_code == 1
