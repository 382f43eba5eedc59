"""All that is published of the built-in sample, opened in one call from Python; the notebook's cells run on it."""

import json
import pickle
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fingerpost
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError, MissingArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.collection import Collection, published_names
from fingerpost.tasks.results import Opened

pytestmark = pytest.mark.usefixtures("plain_runs")

NOTEBOOK = Path(__file__).resolve().parents[2] / "infra" / "python.ipynb"
SETTINGS = {
    "input.distributions": ["numpy"],
    "xmr.input": "python-docs-see-also",
    "autocomplete.input": "python-calls",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> str:
    place = str(tmp_path_factory.mktemp("collection") / "store")
    run_flow("nightly", RunRequest(profile="tiny", store=place, day="2026-01-05", settings=SETTINGS), quiet=True)
    return place


@pytest.fixture(scope="module")
def docs(store: str) -> Collection:
    return fingerpost.open("python-docs", store=store)


def test_every_published_product_opens_and_is_a_table(docs: Collection) -> None:
    assert {"index", "ranker", "completer"} <= set(docs.versions) <= set(published_names())
    for name, ref in docs.versions.items():
        opened = getattr(docs, name)
        assert isinstance(opened, Opened)
        assert str(ref) in repr(opened)
        table = opened.to_pandas()
        assert len(table) == opened.to_arrow().num_rows > 0
        text = pydoc.render_doc(type(opened), renderer=pydoc.plaintext)
        assert "to_pandas" in text
        assert type(opened).__doc__
    told = repr(docs).splitlines()
    assert [line.split()[0] for line in told[1:]] == list(docs.versions)
    assert docs.to_pandas()["product"].tolist() == list(docs.versions)


def test_what_is_not_published_is_named(docs: Collection, store: str) -> None:
    with pytest.raises(MissingArtifactError, match=r"metric.threshold: expected a live version"):
        _ = docs.threshold
    with pytest.raises(MissingArtifactError, match="choose from python-docs"):
        fingerpost.open("nothing", store=store)
    with pytest.raises(FingerpostError, match="number 1: expected a text"):
        docs.query(["sort", 3])  # type: ignore[list-item]
    table: Any = pd.DataFrame({"query": ["sort"]})
    for asked in (table, {"query": ["sort"]}, 3):
        for ask in (docs.query, docs.similar, docs.rank, docs.complete):
            with pytest.raises(FingerpostError, match="expected a text or a sequence of texts"):
                ask(asked)
    with pytest.raises(FingerpostError, match="ef: expected a width"):
        docs.search(docs.index.vectors[:2], ef=0)


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (lambda docs: docs.query(None), "texts: expected a text or a sequence of texts"),
        (lambda docs: docs.query("sort", within=float("nan")), "within: expected a number, got nan"),
        (lambda docs: docs.search([[1.0, 2.0], [3.0]]), "vectors: expected numbers .* rows of several lengths"),
        (lambda docs: docs.search(docs.index.vectors[:2], threads=0), "threads: expected at least 1, got 0"),
        (lambda docs: docs.rank("sort", threads=0), "threads: expected at least 1, got 0"),
        (lambda docs: docs.complete("s", threads=0), "threads: expected at least 1, got 0"),
    ],
)
def test_mistakes_are_errors_of_one_line(docs: Collection, ask: Callable[[Collection], object], problem: str) -> None:
    with pytest.raises(FingerpostError, match=problem):
        ask(docs)


def test_a_collection_in_another_process_answers_with_the_same_versions(docs: Collection) -> None:
    _ = docs.index
    other = pickle.loads(pickle.dumps(docs))
    assert other.versions == docs.versions
    assert other.index is not docs.index
    assert list(other.query("sort", k=2)) == list(docs.query("sort", k=2))


def test_answers_of_a_batch_are_those_of_each_question(docs: Collection) -> None:
    texts = ["sort an array", "inverse of a matrix"]
    both = docs.query(texts, k=3)
    assert list(both) == [docs.query(text, k=3) for text in texts]
    assert docs.similar(["numpy.sort"], k=3)[0] == docs.similar("numpy.sort", k=3)
    assert list(docs.rank(texts, k=2)[1]) == list(docs.rank(texts[1], k=2))
    assert list(docs.complete(["num"], k=2)[0]) == list(docs.complete("num", k=2))
    assert both.to_pandas()["query"].unique().tolist() == texts


def test_answers_by_vectors_are_the_nearest_whichever_way_they_are_read(docs: Collection) -> None:
    vectors, ids = docs.index.vectors, docs.index.ids.at(list(range(len(docs.index.ids))))
    asked = np.flatnonzero(vectors.any(axis=1))[:20]
    batch = docs.search(vectors[asked], k=4, ef=len(vectors))
    of_column = docs.search(pd.Series(list(vectors[asked])), k=4, ef=len(vectors))
    np.testing.assert_array_equal(of_column.ids, batch.ids)
    np.testing.assert_array_equal(of_column.scores, batch.scores)
    for place, row in enumerate(asked.tolist()):
        found = docs.search(vectors[row], k=4, ef=len(vectors))
        before = found.ids, found.scores
        assert before == ([answer.id for answer in found], [answer.score for answer in found])
        products = vectors @ (vectors[row] / np.linalg.norm(vectors[row]))
        assert found.scores == pytest.approx(np.sort(products)[::-1][:4], abs=1e-5)
        assert found.scores == pytest.approx(batch.scores[place], abs=1e-5)
        assert [match.id for match in batch[place]] == [ids[match.row] for match in batch[place]]


def test_a_collection_follows_a_rollback_when_it_is_told_to(docs: Collection, store: str) -> None:
    before = fingerpost.open("python-docs", store=store)
    kept, ranker = before.index, before.ranker
    pointer = Pointer(Store(store), "python-docs", "ann.index")
    other = pointer.required().artifact
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(before, "_pinned", {**before.versions, "index": other.__class__(other.name, other.day, "0" * 32)})
        assert before.moved() == ["index"]
        assert before.index is kept
        assert before.refresh() == ["index"]
    assert before.index is not kept
    assert before.ranker is ranker
    assert before.moved() == []
    answers = before.rank("sort an array", k=1)
    away = Path(store).rename(Path(store).with_name("away"))
    try:
        for look in (before.moved, before.refresh):
            with pytest.raises(MissingArtifactError, match="expected a store, found none"):
                look()
        assert before.rank("sort an array", k=1) == answers
    finally:
        away.rename(store)
    assert before.refresh() == []


def test_the_cells_of_the_notebook_run(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINGERPOST_STORE", store)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == 10
    names: dict[str, object] = {}
    for cell in cells:
        assert cell["outputs"] == []
        exec(compile("".join(cell["source"]), "cell", "exec"), names)
    assert len(names["found"]) == 2  # type: ignore[arg-type]
