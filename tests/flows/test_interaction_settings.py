"""Settings that say what a ranker's interactions are read from."""

import json
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.domains.xmr.sources import interaction_source
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.inputs.interactions import InteractionFile


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(("choice", "labels"), [("keep", ["a", "b"]), ("quarantine", ["a"])])
def test_labels_that_the_file_of_labels_lacks_are_kept_or_set_aside(
    tmp_path: Path, choice: str, labels: list[str]
) -> None:
    rows = lines(tmp_path / "rows.jsonl", [{"query": "q", "label": "a"}, {"query": "p", "label": "b"}])
    given = {"xmr.input": rows, "xmr.labels": lines(tmp_path / "labels.jsonl", [{"id": "a"}])}
    settings = RunRequest(profile="tiny", settings=given | {"xmr.unknown_labels": choice}).resolve()
    source = interaction_source(settings, "train_ranker", None)
    assert isinstance(source, InteractionFile)
    batch = source.read()
    assert batch.labels["id"].to_pylist() == labels
    assert batch.reasons == ({} if choice == "keep" else {"unknown label": 1})
    other = RunRequest(profile="tiny", settings=given).resolve()
    assert (interaction_source(other, "train_ranker", None).identity() == source.identity()) == (choice == "keep")  # type: ignore[union-attr]


def test_negatives_are_read_from_the_file_of_the_day(tmp_path: Path) -> None:
    lines(tmp_path / "not-2026-01-05.jsonl", [{"query": "q", "label": "b"}])
    rows = lines(tmp_path / "rows.jsonl", [{"query": "q", "label": "a"}, {"query": "p", "label": "b"}])
    given = {"xmr.input": rows, "xmr.negatives": str(tmp_path / "not-{day}.jsonl"), "xmr.training.negatives": "user"}
    settings = RunRequest(profile="tiny", day="2026-01-05", settings=given).resolve()
    source = interaction_source(settings, "train_ranker", None)
    assert isinstance(source, InteractionFile)
    negatives = source.read().negatives
    assert negatives is not None
    assert negatives.to_pylist() == [{"query": 0, "label": 1}]


def test_negatives_of_users_need_a_file() -> None:
    with pytest.raises(
        SettingsError, match=r"training\.negatives: expected a file in xmr\.negatives for user, found none"
    ):
        RunRequest(profile="tiny", settings={"xmr.training.negatives": "user"}).resolve()
    with pytest.raises(SettingsError, match=r"xmr\.unknown_labels.*\(keep, quarantine\), got 'drop'"):
        RunRequest(profile="tiny", settings={"xmr.unknown_labels": "drop"}).resolve()
