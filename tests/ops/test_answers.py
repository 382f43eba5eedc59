"""What answers to a text say of themselves: sides, terms, snippets, missing words, near-duplicates; library and command."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex, live
from fingerpost.tasks.environment import Environment
from tests.worlds import build_index, texts

KETTLES = 6
_KETTLE = (
    "A blue enamel kettle of two litres that whistles when water boils.\n\nHandle and knob stay cool, the spout pours slowly,"
    " and the bottom suits gas, induction and ceramic stoves alike."
)
OWN = [
    ("lamp", "reading lamp", "A lamp for the desk.\n\nIts light is warm. The arm can be folded, and the base is heavy.", "home"),
    ("desk", "writing desk", "A desk with a warm oak top for the light of a lamp.", "home"),
    *((f"kettle-{n}", "blue kettle", f"{_KETTLE} Item{n}.", "kitchen") for n in range(KETTLES)),
    ("kettle-red", "red kettle", "A red kettle of copper, hammered by hand.", "kitchen"),
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    folder = tmp_path_factory.mktemp("answers")
    rows = [[row["id"], row["title"], row["text"], row["kind"]] for row in texts(150, 2)]
    with (folder / "documents.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "title", "text", "kind"], *rows, *OWN])
    store = Store(str(folder / "store")).prepare()
    made = build_index(Environment(store, "things", "2026-01-05"), folder / "documents.csv", rank=24)
    Pointer(store, "things", "ann.index").promote(made, gates=[Gate("documents", 1.0, 0.0)])
    return live("things", store=store.url)


def asked(index: LiveIndex, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["query", *arguments, "--store", index.store.url])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_an_answer_says_what_each_side_has_of_it(index: LiveIndex) -> None:
    found = index.query("lamps that can be folded", k=5, explain=True)
    best = found.answers[0]
    assert (best.id, found.method, found.measure, found.search) == ("lamp", "fused", "fused score", index.method)
    assert best.lexical_rank == 1
    assert best.lexical is not None
    assert best.lexical == pytest.approx(sum(term.weight for term in best.terms), abs=1e-4)
    assert {"lamp", "fold"} <= {term.term for term in best.terms if not term.added}
    assert [term.weight for term in best.terms] == sorted((term.weight for term in best.terms), reverse=True)
    assert best.dense is not None
    question = index.engine.question("lamps that can be folded")
    row = index.documents["id"].to_pylist().index("lamp")
    assert best.dense == pytest.approx(float(index.vectors[row] @ question.vector), abs=1e-5)
    for answer in found.answers:
        assert answer.lexical_rank or answer.dense_rank, "one side at least proposed it"
    assert [answer.score for answer in found.answers] == sorted((a.score for a in found.answers), reverse=True)


def test_details_are_made_on_demand_and_change_no_answer(index: LiveIndex) -> None:
    plain, explained = (index.query("blue kettle", k=4, explain=explain) for explain in (False, True))
    assert [(a.id, a.score, a.lexical, a.dense) for a in plain.answers] == [
        (a.id, a.score, a.lexical, a.dense) for a in explained.answers
    ]
    assert {(a.terms, a.snippet) for a in plain.answers} == {((), None)}


def test_a_snippet_is_where_the_words_are(index: LiveIndex) -> None:
    snippet = index.query("folded arm heavy base", k=1, explain=True).answers[0].snippet
    assert snippet is not None
    assert [snippet.text[begin:end] for begin, end in snippet.marks] == ["arm", "folded", "base", "heavy"]
    assert index.query("folded arm", k=1).answers[0].first_sentence == "A lamp for the desk."


def test_words_that_no_document_has_are_named_with_near_ones(index: LiveIndex) -> None:
    found = index.query("a kettel of enamel for zzyzx", k=3)
    assert found.missing == ("kettel", "zzyzx")
    assert found.spellings["kettel"][0] == "kettle"
    assert "zzyzx" not in found.spellings
    assert found.answers[0].id.startswith("kettle-"), "the words that are known still find"
    said = asked(index, "a kettel of enamel")
    assert "no document has 'kettel'; near: 'kettle'" in said
    nothing = index.query("kettel")
    assert (nothing.answers, nothing.spellings["kettel"][0]) == ([], "kettle")


def test_a_name_however_spelled_is_found_and_lacks_no_word(index: LiveIndex) -> None:
    for name in ("readinglamp", "ReadingLamp", "reading_lamp"):
        found = index.query(name, k=1, explain=True)
        assert [answer.id for answer in found.answers] == ["lamp"], name
        assert found.missing == ()
        assert "name readinglamp" in {term.term for term in found.answers[0].terms}


def test_near_duplicates_are_left_out_on_demand_and_counted(index: LiveIndex) -> None:
    every = index.query("a blue enamel kettle for tea", k=KETTLES + 1)
    assert {answer.id for answer in every.answers[:KETTLES]} == {f"kettle-{n}" for n in range(KETTLES)}
    assert every.collapsed == 0
    distinct = index.query("a blue enamel kettle for tea", k=3, distinct=True)
    assert [answer.id for answer in distinct.answers[:2]] == [every.answers[0].id, "kettle-red"]
    assert len(distinct.answers) == 3
    assert distinct.collapsed == KETTLES - 1
    assert distinct.answers[0] == every.answers[0]
    like = index.similar("kettle-0", k=2, distinct=True)
    assert [answer.id[:7] for answer in like.answers] == ["kettle-", "kettle-"]
    assert (like.answers[1].id, like.collapsed) == ("kettle-red", KETTLES - 2), "the document itself is none of them"
    assert f"{KETTLES - 1} near-duplicate(s) of these left out" in asked(
        index, "a blue enamel kettle for tea", "-k", "3", "--distinct"
    )


def test_a_vector_has_distinct_answers_too(index: LiveIndex) -> None:
    row = index.documents["id"].to_pylist().index("kettle-2")
    found = index.search(index.vectors[row], k=2, distinct=True)
    assert found.answers[0].id.startswith("kettle-")
    assert found.answers[1].id == "kettle-red"
    assert (found.method, found.measure, found.collapsed) == ("dense", "cosine similarity", KETTLES - 1)


def test_a_filter_that_few_pass_still_gets_as_many_answers_as_there_are(index: LiveIndex) -> None:
    found = index.query("sort order array stable", k=5, kind="kitchen")
    assert len(found.answers) == 5
    assert {answer.kind for answer in found.answers} == {"kitchen"}
    assert {answer.id for answer in index.query("sort order array", k=5, kind="home").answers} == {"lamp", "desk"}


def test_documents_like_one_share_its_words_and_its_vector(index: LiveIndex) -> None:
    found = index.similar("kettle-red", k=3, explain=True)
    assert found.method == "fused"
    assert "kettle-red" not in {answer.id for answer in found.answers}
    assert found.answers[0].id.startswith("kettle-")
    assert "kettl" in {term.term for term in found.answers[0].terms}
    assert found.missing == ()


def test_within_answers_by_vectors_alone_and_says_so(index: LiveIndex) -> None:
    found = index.query("blue kettle", k=20, within=0.5)
    question = index.engine.question("blue kettle")
    near = np.sort(index.vectors @ question.vector)[::-1]
    expected = near[near >= 0.5][:20]
    assert (found.method, found.measure, found.within) == ("dense", "cosine similarity", 0.5)
    assert [answer.score for answer in found.answers] == pytest.approx(expected.tolist(), abs=1e-5)
    assert {answer.lexical for answer in found.answers} == {None}


def test_the_command_explains(index: LiveIndex) -> None:
    said = asked(index, "lamps that can be folded", "-k", "2", "--explain")
    for heading in ("fused score", "found by", "lexical score", "rank", "similarity", "matched terms"):
        assert heading in said
    assert "words and vectors" in said
    assert "fold " in said
    assert "The arm can be folded" not in said
    plain = asked(index, "lamps that can be folded", "-k", "2")
    assert "The arm can be folded" in plain
    assert "matched terms" not in plain


def test_json_has_all_of_it(index: LiveIndex) -> None:
    told: dict[str, Any] = json.loads(asked(index, "lamps that can be folded zzyzx", "-k", "2", "--json"))
    assert told["missing"] == ["zzyzx"]
    assert {"query", "index", "method", "search", "measure", "spellings", "collapsed", "candidates"} <= told.keys()
    best = told["answers"][0]
    assert {"term", "weight", "added"} == best["terms"][0].keys()
    text, marks = best["snippet"]["text"], best["snippet"]["marks"]
    assert {text[begin:end] for begin, end in marks} >= {"folded"}
    assert best["lexical_rank"] == 1
    assert best["score"] >= told["answers"][1]["score"]


def test_a_store_of_relative_place_is_enough(index: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(index.store.url).parent)
    assert live("things", store="store").query("lamp").answers[0].id == "lamp"
