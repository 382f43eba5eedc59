"""The collection that a command means where none is named."""

import json
from pathlib import Path

import pytest

from fingerpost.flows.run.collections import collection_with_days
from fingerpost.schemas.errors import MissingArtifactError
from fingerpost.schemas.remembered import Remembered, remember_inputs
from fingerpost.schemas.store import Store
from tests.ops.watched import note_day
from tests.support.commands import fingerpost_here, refused

DAY = "2026-01-05"


def store_with(folder: Path, *days: tuple[str, str]) -> Store:
    """A store with a day of each flow and collection."""
    store = Store(str(folder / "store")).prepare()
    for flow, collection in days:
        note_day(store, DAY, flow=flow, collection=collection, scheduled=False)
    return store


@pytest.mark.parametrize(
    ("days", "collection"),
    [
        ([], "python-docs"),
        ([("nightly", "news")], "news"),
        ([("train_ranker", "shop")], "shop"),
        ([("nightly", "news"), ("train_ranker", "shop")], "news"),
        ([("nightly", "news"), ("nightly", "python-docs")], "python-docs"),
    ],
)
def test_the_only_collection_with_days_is_meant(days: list[tuple[str, str]], collection: str, tmp_path: Path) -> None:
    assert collection_with_days(store_with(tmp_path, *days), "nightly") == collection


def test_of_several_collections_one_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match="since there are 2: news, shop"):
        collection_with_days(store_with(tmp_path, ("nightly", "news"), ("nightly", "shop")), "nightly")


def test_commands_take_the_only_collection_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_with(tmp_path, ("nightly", "news"))
    path = str(tmp_path / "news-{day}.csv")
    remember_inputs(store, "news", {"input.source": Remembered({"input.source": path}, DAY, "a-run")})
    asked = ("--profile", "tiny", "--store", store.url)
    span = ("--from", DAY, "--to", DAY)
    partitions = ("partitions", "nightly", *asked)
    done = fingerpost_here(*partitions, "--json", cwd=tmp_path)
    assert [(one["day"], one["state"]) for one in json.loads(done.stdout)] == [(DAY, "fresh")]
    plan = ("backfill", "nightly", *span, *asked, "--reprocess", "all", "--dry-run", "--json")
    assert [one["state"] for one in json.loads(fingerpost_here(*plan, cwd=tmp_path).stdout)] == ["fresh"]
    found = fingerpost_here("freshness", "--flow", "nightly", *asked, "--json", cwd=tmp_path)
    assert [one["collection"] for one in json.loads(found.stdout)] == ["news"]
    said = refused("accept", "build_graph", "--store", store.url, cwd=tmp_path)
    assert "expected an artifact of news to accept" in said

    assert "days of nightly of other in" in refused(*partitions, "--collection", "other", cwd=tmp_path)
    assert "days of nightly of file in" in refused(*partitions, "--input", "file-{day}.csv", cwd=tmp_path)
    monkeypatch.setenv("FINGERPOST_SET_INPUT__COLLECTION", "set")
    assert "days of nightly of set in" in refused(*partitions, cwd=tmp_path)
    found = fingerpost_here("freshness", "--flow", "nightly", *asked, "--json", cwd=tmp_path)
    assert [one["collection"] for one in json.loads(found.stdout)] == ["set"]
