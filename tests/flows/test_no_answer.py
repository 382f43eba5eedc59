"""No answer is an answer: empty at every door, and one line where a collection has nothing to be searched by."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswIndex, HnswParams
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.corpus.stages.documents import import_documents, take_vectors
from fingerpost.tasks.environment import Environment
from tests.support.commands import refused
from tests.support.products import request_for
from tests.worlds import build_index

pytestmark = pytest.mark.usefixtures("plain_runs")


def published(folder: Path, rows: list[str]) -> LiveIndex:
    """The live index of a few documents."""
    file = folder / "documents.csv"
    file.write_text("\n".join(["id,title,text", *rows]) + "\n")
    store = Store(str(folder / "store")).prepare()
    index = build_index(Environment(store, "few", "2026-01-05"), file)
    Pointer(store, "few", "ann.index").promote(index, gates=[Gate("documents", 1.0, 0.0)])
    return live("few", store=store.url)


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    """A collection of one document."""
    return published(tmp_path_factory.mktemp("only"), ["only,hammer,A hammer for the nail."])


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    rows = ["a,hammer,A hammer for the nail.", "b,bread,Bread with cheese.", "c,horse,A horse on the green."]
    return published(tmp_path_factory.mktemp("few"), rows)


def test_nothing_is_near_enough(few: LiveIndex) -> None:
    for answers in (
        few.query("hammer bread", within=0.9999),
        few.similar("a", within=0.9999),
        few.search(few.vectors[0] + few.vectors[1], within=0.9999),
        few.query("qqqq"),
        few.query(""),
    ):
        assert answers.answers == []
        assert not answers.more


def test_the_only_document_has_none_beside_it(only: LiveIndex) -> None:
    assert only.similar("only").answers == []
    assert only.similar("only", within=0.1).answers == []
    assert [answer.id for answer in only.query("hammer").answers] == ["only"]


@pytest.mark.parametrize("within", [None, 0.0])
def test_none_is_asked_for(few: LiveIndex, within: float | None) -> None:
    vector = few.vectors[0]
    found = [few.query("hammer", k=0, within=within), few.similar("a", k=0, within=within)]
    found.append(few.search(vector, k=0, within=within))
    assert [answers.answers for answers in found] == [[], [], []]
    assert [answers.more for answers in found] == [within is not None] * 3


def test_fewer_than_none_is_refused(few: LiveIndex) -> None:
    for ask in (few.query, few.similar):
        with pytest.raises(FingerpostError, match="k: expected a number of answers of at least 0, got -1"):
            ask("a", k=-1)
    with pytest.raises(FingerpostError, match="k: expected"):
        few.search(few.vectors[0], k=-1)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("hammer bread", "--within", "0.9999"), "no document is that near"),
        (("hammer", "-k", "0"), "none was asked for"),
        (("qqqq",), "none of its words"),
        (("--like", "only"), "there is no other document"),
        (("--like", "only", "-k", "0", "--within", "0.5"), "none was asked for"),
    ],
)
def test_the_command_says_so_and_ends_well(few: LiveIndex, only: LiveIndex, asked: tuple[str, ...], why: str) -> None:
    index = only if "only" in asked else few
    arguments = ["query", *asked, "--store", index.store.url]
    shown = CliRunner().invoke(app, arguments)
    assert (shown.exit_code, shown.exception) == (0, None)
    assert f"no answer; {why}" in shown.output
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert told["answers"] == []


@pytest.mark.parametrize("texts", [["?", "!!!"], ["…", "-- / --"]])
def test_a_collection_without_a_term_is_one_line(tmp_path: Path, texts: list[str]) -> None:
    file = tmp_path / "signs.csv"
    file.write_text("\n".join(["sku,name,about,group", *(f"{row},{text},{text},x" for row, text in enumerate(texts))]))
    with pytest.raises(FingerpostError, match=r"^texts: expected terms, found none in 2 texts; give texts with words"):
        run_flow("nightly", request_for(tmp_path / "store", file), quiet=True)


def test_terms_that_are_all_in_one_document_make_vectors_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "rare.csv"
    file.write_text("sku,name,about,group\n1,hammer,x,x\n2,bread,y,y\n")
    run_flow("featurize_corpus", request_for(tmp_path / "store", file, **{"corpus.features.min_df": 2}), quiet=True)
    store = Store(str(tmp_path / "store"))
    (vectors,) = store.refs("corpus.vectors")
    assert store.manifest(vectors).quality["zero_rows"] == 0


@pytest.mark.parametrize("length", [1e38, 1e20, 1e-25, 1e-44, 1e300, 1e-300])
def test_a_vector_of_any_length_finds_the_nearest_by_cosine(few: LiveIndex, length: float) -> None:
    expected = few.search(few.vectors[1], k=3)
    found = few.search(few.vectors[1].astype(np.float64) * length, k=3)
    assert [answer.id for answer in found.answers] == [answer.id for answer in expected.answers]
    assert [answer.score for answer in found.answers] == pytest.approx([a.score for a in expected.answers], abs=1e-5)


@pytest.mark.parametrize("bad", [[0.0] * 8, [float("inf")] * 8, [float("nan")] * 8, [1.0]])
def test_a_vector_without_a_direction_is_refused(few: LiveIndex, bad: list[float]) -> None:
    vector = bad[: few.vectors.shape[1]]
    with pytest.raises(FingerpostError, match=r"vector: expected \d finite numbers, not all 0"):
        few.search(vector)


def test_vectors_of_any_length_are_indexed_by_their_direction(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    unit = random.standard_normal((60, 8))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    given = (unit * 10.0 ** random.integers(-36, 37, (60, 1))).astype(np.float32)
    pq.write_table(pa.table({"id": [f"v{i}" for i in range(60)], "vector": list(given)}), tmp_path / "vectors.parquet")
    env = Environment(Store(str(tmp_path / "store")).prepare(), "few", "2026-01-05")
    documents = import_documents.execute(env, FileSource(str(tmp_path / "vectors.parquet")), params=ImportParams(4096))
    vectors = take_vectors.execute(env, documents, normalize=True)
    assert read_vectors(env.store.open(vectors, corpus.VECTORS)) == pytest.approx(unit, abs=1e-6)
    order = np.argsort(-(unit @ unit[7]), kind="stable")[:5]
    assert ExactIndex(given, "cosine").search(given[7:8], 5).ids[0].tolist() == order.tolist()
    graph = HnswBuilder(given, HnswParams())
    graph.insert_until(60)
    assert HnswIndex(given, graph.graph(), "cosine").search(given[7:8], 5, ef=60).ids[0].tolist() == order.tolist()


def test_vectors_that_cannot_be_asked_for_are_named_beside_the_answers(few: LiveIndex, tmp_path: Path) -> None:
    dimensions = few.vectors.shape[1]
    file = tmp_path / "vectors.parquet"
    rows = {"id": ["good", "zeros"], "vector": [few.vectors[0].tolist(), [0.0] * dimensions]}
    pq.write_table(pa.table(rows), file)
    arguments = ["query", "--vectors", str(file), "--store", few.store.url, "--json"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    assert "left out 1 row(s)" in shown.stderr
    assert json.loads(shown.stdout)["query"] == "good"


def test_a_file_of_vectors_is_told_to_rename_what_no_option_maps(few: LiveIndex, tmp_path: Path) -> None:
    for columns, missing in (("key,vector", "id"), ("id,text", "vector")):
        (tmp_path / "vectors.csv").write_text(f"{columns}\na,b\n")
        said = refused("query", "--vectors", "vectors.csv", "--store", few.store.url, cwd=tmp_path)
        assert f"expected a column '{missing}', found {columns.replace(',', ', ')}; " in said
        assert "--" not in said


def test_conditions_that_no_document_passes_are_told_as_they_were_written(few: LiveIndex, tmp_path: Path) -> None:
    conditions = ("--filter", 'kind == "fish"', "--filter", 'id != "x"', "--store", few.store.url)
    said = refused("query", "--like", "a", *conditions, cwd=tmp_path)
    assert """got kind == "fish" and id != "x"; leave one out""" in said


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_vectors_too_long_to_be_compared_as_they_are_are_refused(tmp_path: Path, metric: str) -> None:
    file = tmp_path / "vectors.parquet"
    vectors = np.random.default_rng(0).standard_normal((20, 8)) * 1e20
    pq.write_table(pa.table({"id": [f"v{i}" for i in range(20)], "vector": list(vectors)}), file)
    asked = request_for(tmp_path / "store", file, **{"ann.hnsw.metric": metric})
    with pytest.raises(
        FingerpostError, match=r"vectors: expected lengths of at most 9e\+18, .* compare them by cosine"
    ):
        run_flow("featurize_corpus", asked, quiet=True)
