"""What an operator reads and writes: profiles of one's own, the history, the calendar, and how often a failure is tried again."""

import socket
from pathlib import Path

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from fingerpost.flows.ops.keep.live import show_history, wide_console
from fingerpost.flows.run.api import ApiError
from fingerpost.flows.run.partition_calendar import calendar
from fingerpost.flows.run.partitions import Partition
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import part
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import save_run


def test_paths_in_a_profile_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text('[input]\nsource = "drops/{day}.csv"\n[replay]\nqueries = "queries.csv"\n')
    (tmp_path / "elsewhere").mkdir()
    for folder, profile in ((tmp_path, "mine.toml"), (tmp_path / "elsewhere", "../mine.toml")):
        monkeypatch.chdir(folder)
        settings, _ = load_settings(profile)
        assert Path(settings.input.source).resolve() == tmp_path / "drops/{day}.csv"
        assert Path(settings.replay.queries).resolve() == tmp_path / "queries.csv"
    (tmp_path / "far.toml").write_text('store = "s3://bucket/store"\n[input]\nsource = "python-docs"\n')
    settings, _ = load_settings(str(tmp_path / "far.toml"))
    assert (settings.store, settings.input.source) == ("s3://bucket/store", "python-docs")


def test_a_part_of_a_flow_is_not_tried_again_by_itself(prefect_server: None) -> None:
    calls = []

    @flow(retries=1, retry_delay_seconds=0)
    def inner(request: RunRequest) -> None:
        calls.append("inner")
        raise ValueError("broken")

    @flow(retries=1, retry_delay_seconds=0)
    def outer(request: RunRequest) -> None:
        calls.append("outer")
        part(inner, request)

    with pytest.raises(ValueError, match="broken"):
        outer(RunRequest())
    assert calls == ["outer", "inner"] * 2


def test_the_history_shows_first_causes_and_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    about = {"flow": "nightly", "collection": "products", "day": "2026-01-02", "seconds": 1.0}
    reasons = (
        "input changed (source)",
        "input changed (documents)",
        "parameters changed (seed)",
        "input changed (graph)",
    )
    stages = [
        {"stage": f"s{n}", "ref": f"test.things/day=2026-01-02/{n:032x}", "computed": True, "reason": reason}
        for n, reason in enumerate(reasons)
    ]
    save_run(store, "a", {"id": "a", **about, "state": "completed", "stages": stages, "error": ""})
    save_run(
        store,
        "b",
        {"id": "b", **about, "state": "failed", "stages": [], "error": "InputError: no file"},
    )
    first = [{**stage, "reason": "first run"} for stage in stages]
    save_run(store, "c", {"id": "c", **about, "state": "completed", "stages": first, "error": ""})
    show_history(store, newest=3, as_json=False)
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert shown["a"].rstrip().endswith("s0: input changed (source); s2: parameters changed (seed); 2 that follow")
    assert shown["b"].rstrip().endswith("InputError: no file")
    assert shown["c"].rstrip().endswith("first run")


def test_the_calendar_tells_of_neighbouring_days_alike_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    alone = Partition("2026-01-01", "failed", "no 2026-01-01.csv")
    found = [Partition(f"2026-01-{day:02}", "missing", f"no 2026-01-{day:02}.csv") for day in (2, 3, 4, 6)]
    wide_console().print(calendar("a flow", [alone, *found]), soft_wrap=True)
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.startswith("2026-01-0")]
    assert len(shown) == 5, "days with a gap between them are told one by one"
    wide_console().print(calendar("a flow", [alone, *found[:3]]), soft_wrap=True)
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.startswith("2026-01-0")]
    assert shown == ["2026-01-01  failed      no 2026-01-01.csv", "2026-01-02 to 2026-01-04  missing     no {day}.csv"]


def test_a_server_that_does_not_answer_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ApiError) as caught:
            run_flow("nightly", RunRequest(profile="tiny"))
    assert url in str(caught.value)
    assert "PREFECT_API_URL" in str(caught.value)
