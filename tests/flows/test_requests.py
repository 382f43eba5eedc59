"""A request is read once, and settings of earlier versions keep their meaning."""

import logging
from pathlib import Path

import pytest

from fingerpost.flows.run import request as requests
from fingerpost.flows.run.profiles import load_settings, renamed, settings_read
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import planning
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow


@pytest.mark.usefixtures("prefect_server")
def test_a_nightly_reads_its_settings_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letters.csv").write_text("id,text\n" + "".join(f"d{n},letter {n} on {n % 5}\n" for n in range(30)))
    calls = []

    def counted(*given: object, **named: object) -> object:
        calls.append(given)
        return load_settings(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(requests, "load_settings", counted)
    # The calendar of the UI asks what a run of each of its days would do.
    monkeypatch.setattr("fingerpost.flows.run.page._show_days", lambda *_: None)
    request = RunRequest.of(
        profile="tiny",
        store=str(tmp_path / "store"),
        day="2026-01-05",
        input=str(tmp_path / "letters.csv"),
        settings={"ann.gates.recall_at_10": 0.1},
    )
    run_flow("nightly", request, quiet=True)
    assert len(calls) == 1


def test_gates_of_earlier_profiles_go_to_their_domains_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = tmp_path / "old.toml"
    old.write_text("[gates]\nrecall_at_10 = 0.42\nquarantine_share = 0.2\nthreshold_missed = 'note'\n")
    with caplog.at_level(logging.WARNING, logger="fingerpost.settings"):
        settings, origins = load_settings(str(old))
    assert settings.ann.gates.recall_at_10 == 0.42
    assert settings.metric.gates.missed == "note"
    shares = {
        settings.ann.gates.quarantine_share,
        settings.xmr.gates.quarantine_share,
        settings.metric.gates.quarantine_share,
    }
    assert shares == {0.2}
    assert origins["ann.gates.recall_at_10"] == f"profile {old}"
    assert any("gates.recall_at_10" in text and "ann.gates.recall_at_10" in text for text in caplog.messages)
    with pytest.raises(SettingsError, match=r"gates \(from command line\): expected a known key"):
        load_settings("tiny", overrides={"gates.recal": 0.5})


def test_a_record_of_an_earlier_version_is_read_by_its_old_keys() -> None:
    record = {"input.source": "a.csv", "gates.ranker_labels": 7, "xmr.columns": {"query": "words"}, "gone.key": 1}
    settings = settings_read(record)
    assert (settings.input.source, settings.xmr.gates.labels, settings.xmr.columns) == ("a.csv", 7, {"query": "words"})
    assert renamed({"gates.quarantine_share": 0.1}) == {
        f"{word}.gates.quarantine_share": 0.1 for word in ("ann", "xmr", "metric")
    }


def test_paths_of_a_users_profile_are_relative_to_it_and_dated(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        "[input]\nsource = 'drops/{day}.csv'\n[xmr]\ninput = 'python-docs-names'\nlabels = 'labels-{day}.csv'\n"
        "[metric]\ninput = 's3://bucket/{day}.parquet'\n[replay]\nqueries = 'queries.csv'\n"
    )
    settings = RunRequest(profile=str(profile), day="2026-01-05", store=str(tmp_path / "store")).resolve()
    assert settings.input.source == str(tmp_path / "drops" / "2026-01-05.csv")
    assert settings.xmr.input == "python-docs-names"
    assert settings.xmr.labels == str(tmp_path / "labels-2026-01-05.csv")
    assert settings.metric.input == "s3://bucket/2026-01-05.parquet"
    assert settings.replay.queries == str(tmp_path / "queries.csv")


def test_what_is_read_once_is_not_kept_for_later_runs(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    request = RunRequest(profile=str(profile), day="2026-01-05", store=str(tmp_path / "store"))
    neighbors = []
    for number in (8, 12):
        profile.write_text(f"[ann.hnsw]\nmax_neighbors = {number}\n")
        with planning("featurize_corpus", request) as run:
            neighbors.append(run.settings.ann.hnsw.max_neighbors)
    assert neighbors == [8, 12]
