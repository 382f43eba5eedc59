"""What each domain answers over HTTP, through the models that it declares."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.serve.answering import Answering
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.open import LiveCompleter
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.metric.calibrated import CalibratedThreshold
from fingerpost.tasks.metric.thresholds import Target
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.xmr.open import LiveRanker, RankedLabel
from tests.support.alignments import alignment_of
from tests.support.completers import completer_of
from tests.support.served_products import CODES, ROUTES, asked


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
