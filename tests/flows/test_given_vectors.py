"""Documents with vectors of one's own: these for similarity, the texts beside them for words."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.ops.compare.why import why
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import live
from fingerpost.tasks.ledger import runs
from tests.worlds import texts

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS = 60


def write_rows(path: Path, *, vectors: int = ROWS) -> np.ndarray:
    """Documents, the first of them with a vector."""
    points = np.random.default_rng(3).normal(size=(ROWS, 5)).astype(np.float32)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "text", "kind", "vector"])
        writer.writeheader()
        for row, document in enumerate(texts(ROWS, 1)):
            given = json.dumps(points[row].tolist()) if row < vectors else ""
            writer.writerow({**document, "vector": given})
    return points


def request(folder: Path, **settings: object) -> RunRequest:
    return RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day="2026-01-05",
        input=str(folder / "rows.csv"),
        collection="rows",
        settings={"ann.gates.recall_at_10": 0.3, "ann.gates.documents": 10, "corpus.svd.rank": 8, **settings},
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> tuple[Path, np.ndarray]:
    """An index of documents with texts and vectors, without a word on which to use."""
    folder = tmp_path_factory.mktemp("both")
    points = write_rows(folder / "rows.csv")
    run_flow("build_ann_index", request(folder), quiet=True)
    return folder, points


def asked(folder: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(app, ["query", *arguments, "--collection", "rows", "--store", str(folder / "store")])
    assert done.exit_code in (0, 1), repr(done.exception)
    return done


def test_similarity_is_that_of_the_given_vectors(both: tuple[Path, np.ndarray]) -> None:
    folder, points = both
    index = live("rows", store=str(folder / "store"))
    assert index.vectors.shape == points.shape
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    scores = unit @ unit[7]
    expected = [int(row) for row in np.argsort(-scores) if row != 7][:5]
    ids = index.documents["id"].to_pylist()
    assert [answer.id for answer in index.similar(ids[7], k=5).answers] == [ids[row] for row in expected]
    assert [answer.id for answer in index.search(points[7], k=1).answers] == [ids[7]]


def test_texts_are_answered_by_their_words(both: tuple[Path, np.ndarray]) -> None:
    folder, _ = both
    index = live("rows", store=str(folder / "store"))
    documents = index.documents.to_pylist()
    found = index.query(documents[11]["text"], k=3)
    assert (found.answers[0].id, found.method) == (documents[11]["id"], "lexical")
    assert found.answers[0].score > found.answers[1].score > 0
    kinds = {answer.kind for answer in index.query("sort order array", k=5, kind="sorting").answers}
    assert kinds == {"sorting"}
    assert index.query("zzzz", k=3).answers == []
    said = asked(folder, "sort order array", "--json")
    assert json.loads(said.stdout)["method"] == "lexical"


def test_a_text_has_no_similarity_to_given_vectors(both: tuple[Path, np.ndarray]) -> None:
    folder, _ = both
    said = asked(folder, "sort order array", "--within", "0.5")
    assert said.exit_code == 1
    index = live("rows", store=str(folder / "store"))
    with pytest.raises(FingerpostError, match="--like ID or --vectors FILE"):
        index.query("sort order array", within=0.5)
    for ask in (index.search, lambda vector, within: index.search_batch([vector], within=within)):
        with pytest.raises(FingerpostError, match="within: expected a number, got nan"):
            ask([1, 2, 3, 4, 5], within=float("nan"))
    ref = Pointer(Store(str(folder / "store")), "rows", "ann.index").required().artifact
    explained = why(index.store, ref, ref, "sort order array", k=3)
    assert [move.id for move in explained.moves] == [a.id for a in index.query("sort order array", k=3).answers]
    assert explained.verdict == ["the answers are the same"]


def test_the_width_of_a_search_is_given_or_looked_up_in_the_certificate(both: tuple[Path, np.ndarray]) -> None:
    folder, _ = both
    index = live("rows", store=str(folder / "store"))
    assert index.certificate is not None
    lowest = index.certificate.curve[0]
    assert index.width_for(lowest.low) == lowest.ef
    for options in (("--ef", "20"), ("--target-recall", str(lowest.low))):
        assert asked(folder, "--like", index.documents["id"][3].as_py(), *options).exit_code == 0
    refused = {
        ("--like", "x", "--ef", "20", "--target-recall", "0.5"): "expected --ef or --target-recall, got both",
        ("some words", "--ef", "20"): "a query that words answer too",
    }
    for options, words in refused.items():
        done = asked(folder, *options)
        assert done.exit_code == 1
        assert words in " ".join((done.stderr or str(done.exception)).split())
    wrong = CliRunner().invoke(app, ["query", "--like", "x", "--target-recall", "1.5"])
    assert wrong.exit_code == 2
    with pytest.raises(FingerpostError, match="which the certificate of this index reaches with ef"):
        index.width_for(1.5)


def test_what_is_made_of_an_input_follows_what_it_has(both: tuple[Path, np.ndarray]) -> None:
    folder, _ = both
    stages = [stage["stage"] for stage in runs(Store(str(folder / "store")), newest=1)[0]["stages"]]
    words = ["choose_analyzer", "count_terms", "merge_lexicon", "choose_field_weights", "build_postings"]
    assert stages[:7] == ["import_documents", *words, "take_vectors"]
    assert "fit_projection" not in stages
    planned = [stage.stage for stage in plan_of("build_ann_index", request(folder)).stages]
    assert planned == stages
    computed = plan_of("build_ann_index", request(folder, **{"input.vectors": "computed"})).stages
    assert "fit_projection" in {stage.stage for stage in computed}


def test_another_metric_than_that_of_the_live_index_is_noted(both: tuple[Path, np.ndarray]) -> None:
    folder, _ = both

    def noted(**settings: object) -> list[str]:
        plan = plan_of("build_ann_index", request(folder, **settings))
        return [note for note in plan.notes if "ann.hnsw.metric" in note]

    assert noted() == []
    assert noted(**{"ann.hnsw.metric": "l2"}) == [
        "Vectors are compared by l2, those of the live index by cosine: ann.hnsw.metric is not remembered, so name it in"
        " a profile"
    ]


def test_vectors_of_some_rows_are_not_left_aside_without_a_word(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", vectors=7)
    run_flow("featurize_corpus", request(tmp_path), quiet=True)
    record = runs(Store(str(tmp_path / "store")), newest=1)[0]
    assert "embed_documents" in {stage["stage"] for stage in record["stages"]}
    assert any("7 of 60" in note for note in record["notes"])
