"""What each domain answers over HTTP, through the models that it declares."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.serve.answering import Answering
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.flows.ops.serve.routes import routes
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import LiveIndex
from fingerpost.tasks.autocomplete.open import LiveCompleter
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.metric.calibrated import CalibratedThreshold
from fingerpost.tasks.metric.thresholds import Target
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.xmr.open import LiveRanker, RankedLabel
from tests.ops.watched import run_here
from tests.support.alignments import alignment_of
from tests.support.completers import completer_of

ROUTES = routes()
CODES = {route.path: code for code, route in enumerate(ROUTES)}


def asked(opened: Mapping[str, Any], path: str, question: Mapping[str, Any], *, status: int = 200) -> dict[str, Any]:
    """The reply to a question, which its model accepts as it is; asked alone and in a batch."""
    versions = dict.fromkeys(opened, "the version")
    answering = Answering(ROUTES, opened, versions, Limits())
    found, body = answering.answer(CODES[path], json.dumps(question).encode())
    many = answering.answer(CODES[f"{path}/batch"], json.dumps({"questions": [question] * 2}).encode())
    assert (found, many[0]) == (status, status), body
    reply: dict[str, Any] = json.loads(body)
    if status == 200:
        model = ROUTES[CODES[path]].reply
        assert set(reply) <= set(model.model_fields), "fields that the model does not describe"
        model.model_validate_json(body)
        assert reply.pop("version") == "the version"
        assert json.loads(many[1])["replies"] == [reply, reply]
    return reply


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LiveIndex:
    """A small index of texts, opened to be served."""
    store, _ = run_here(tmp_path_factory.mktemp("served"))
    ref = Pointer(store, "toys", "ann.index").required().artifact
    opened: LiveIndex = named("fingerpost.flows.domains.ann.serving:opened")(Store(store.url), ref)
    return opened


def test_an_index_answers_texts_documents_and_vectors_as_it_does_from_python(index: LiveIndex) -> None:
    served = {"ann.index": index}
    document = index.documents.slice(3, 1).to_pylist()[0]
    text = document["title"]
    reply = asked(served, "/query", {"text": text, "k": 3, "explain": True, "distinct": True})
    answers = index.query(text, k=3, explain=True, distinct=True)
    assert [one["id"] for one in reply["answers"]] == [one.id for one in answers.answers]
    assert [one["score"] for one in reply["answers"]] == [one.score for one in answers.answers]
    assert reply["answers"][0]["terms"]
    assert reply["answers"][0]["snippet"]["text"]
    assert asked(served, "/query", {"text": f"{text} flibbertigibbet", "k": 1})["missing"] == ["flibbertigibbet"]
    like = asked(served, "/similar", {"id": document["id"], "k": 4})
    assert [one["id"] for one in like["answers"]] == [one.id for one in index.similar(document["id"], k=4).answers]
    vector = index.vectors[3].tolist()
    near = asked(served, "/search", {"vector": vector, "k": 2, "filters": f'id != "{document["id"]}"'})
    assert [one["id"] for one in near["answers"]] == [
        one.id for one in index.search(vector, k=2, filters=f'id != "{document["id"]}"').answers
    ]
    assert near["method"] == "dense"
    for path, question, line in (
        ("/similar", {"id": "nobody"}, "id: expected one of the"),
        ("/search", {"vector": [1.0]}, "vector: expected"),
        ("/query", {"text": "a", "filters": "=="}, "filter"),
    ):
        assert asked(served, path, question, status=400)["error"].startswith(line)
    assert asked(served, "/search", {"vector": []}, status=422)["error"].startswith("/search: vector: expected")


def test_a_ranker_answers_with_probabilities() -> None:
    def rank_many(texts: list[str], k: int = 10) -> list[list[RankedLabel]]:
        return [[RankedLabel(text, f"{text}.", 0.5, None if text == "b" else 0.25)][:k] for text in texts]

    ranker = SimpleNamespace(rank_many=rank_many, rank=lambda text, k: rank_many([text], k)[0])
    assert set(dir(LiveRanker)) >= {"rank", "rank_many", "load"}
    served = {"xmr.ranker": ranker}
    first = {"id": "a", "name": "a.", "score": 0.5, "probability": 0.25}
    assert asked(served, "/rank", {"text": "a"}) == {"labels": [first]}
    assert asked(served, "/rank", {"text": "b"})["labels"][0]["probability"] is None
    code, body = CODES["/rank/batch"], json.dumps({"questions": [{"text": "a", "k": 0}, {"text": "a", "k": 1}]})
    replies = json.loads(Answering(ROUTES, served, {"xmr.ranker": "v"}, Limits()).answer(code, body.encode())[1])
    assert replies["replies"] == [{"labels": []}, {"labels": [first]}]


def test_a_completer_answers_prefixes() -> None:
    completer = LiveCompleter.__new__(LiveCompleter)
    vars(completer)["completer"] = completer_of({"numpy zeros": 3.0, "numpy ones": 2.0, "pandas": 1.0})
    served = {"autocomplete.completer": completer}
    found = asked(served, "/complete", {"prefix": "num", "previous": ["pandas", " "], "k": 5})
    assert [one["query"] for one in found["suggestions"]] == ["numpy zeros", "numpy ones"]
    assert (
        asked(served, "/complete", {"prefix": "num", "previous": "pandas", "k": 1})["suggestions"]
        == found["suggestions"][:1]
    )


def test_an_alignment_answers_with_matches(tmp_path: Path) -> None:
    env = Environment(Store(str(tmp_path)).prepare(), "shop", "2026-01-02", SerialExecutor())
    opened = named("fingerpost.flows.domains.kg.serving:opened")(env.store, alignment_of(env))
    served = {"kg.alignment": opened}
    (match,) = asked(served, "/match", {"id": "l1"})["matches"]
    assert (match["left"], match["right"]) == ("l1", "r1")
    assert match["probability"] == pytest.approx(0.88)
    assert asked(served, "/match", {"id": "r1", "side": "right"})["matches"] == [match]
    assert asked(served, "/match", {"id": "nobody"}, status=400)["error"].startswith("id: expected")
    assert "side" in asked(served, "/match", {"id": "l1", "side": "up"}, status=422)["error"]


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_a_threshold_decides_for_pairs_of_vectors(measure: Any) -> None:
    canaries, groups = np.eye(2, dtype=np.float32), {"twins": (0.99 if measure == "cosine" else 0.01, 0.0, 1.0)}
    chosen = CalibratedThreshold(0.5, (0.4, 0.6), measure, Target("far", 0.01), "model", ("a", "b"), canaries, groups)
    served = {"metric.threshold": chosen}
    found = asked(served, "/threshold", {})
    assert found == {
        "threshold": 0.5,
        "interval": [0.4, 0.6],
        "measure": measure,
        "rate": "far",
        "share": 0.01,
        "model": "model",
    }
    assert asked(served, "/threshold", {"group": "twins"})["threshold"] == groups["twins"][0]
    assert "(twins)" in asked(served, "/threshold", {"group": "others"}, status=400)["error"]
    pair = {"left": [1.0, 0.0], "right": [0.9, 0.3]}
    near = asked(served, "/compare", pair)
    expected = 0.9 / np.hypot(0.9, 0.3) if measure == "cosine" else np.hypot(0.1, 0.3)
    assert (near["same"], near["score"]) == (True, pytest.approx(expected))
    assert not asked(served, "/compare", pair | {"group": "twins"})["same"]
    assert not asked(served, "/compare", pair | {"right": [-1.0, 0.0]})["same"]
    assert asked(served, "/compare", {"left": [1.0], "right": [1.0]}, status=400)["error"].startswith(
        "left: expected 2"
    )
    zeros = asked(served, "/compare", pair | {"right": [0.0, 0.0]}, status=400 if measure == "cosine" else 200)
    assert ("error" in zeros) == (measure == "cosine")
