"""What is said of an alignment whose quality was not measured."""

from typing import Any

import pytest

from fingerpost.flows.domains.kg.gates import unmeasured
from fingerpost.schemas.manifests import Manifest

MEASURED = {"links": 60, "positives": 30, "tested": 12, "prauc": 0.9, "precision": 0.9}


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        (MEASURED, ""),
        ({"links": 60, "positives": 30, "tested": 0}, "no known pair is of the split test"),
        ({"links": 60, "positives": 0, "tested": 12}, "no matches are known, so that matches were assumed"),
        ({"links": 0, "positives": 0, "tested": 0}, "no pairs are known, so that matches were assumed"),
    ],
)
def test_it_is_said_that_nothing_was_measured(quality: dict[str, Any], said: str) -> None:
    words = unmeasured(Manifest({"quality": quality}, {}))
    assert said in words
    assert bool(words) == bool(said)
