"""The watch as a flow, beside what Prefect itself knows of crashed and failed runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.states import Crashed, Failed, State

from fingerpost.flows.nightly import nightly
from fingerpost.flows.run.alerts import WEBHOOK, alerts
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.start import run_flow
from fingerpost.flows.watch_freshness import WatchRequest, watch_freshness
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from tests.ops.watched import note_day, receiver, request_for
from tests.worlds import write_documents

pytestmark = pytest.mark.usefixtures("prefect_server")


def prefect_run(request: Any, state: "State[Any]") -> Any:
    """A run of the nightly that ended so, as the server knows it."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(nightly, parameters={"request": request.model_dump(mode="json")})
        client.set_flow_run_state(run.id, state, force=True)
        return client.read_flow_run(run.id)


def test_the_watch_tells_once_of_late_days_and_of_runs_that_could_not_tell_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = write_documents(tmp_path, 10, 1)
    request = request_for(tmp_path, documents)
    store = Store(request.store).prepare()
    today = datetime.now(UTC).date()
    note_day(store, (today - timedelta(days=3)).isoformat())
    crashed = prefect_run(request, Crashed(message="Process exited with status code: -9"))
    prefect_run(request.for_day("2026-01-06"), Failed(message="FingerpostError: broken at the start"))
    prefect_run(request_for(tmp_path, documents, store=str(tmp_path / "other")), Crashed(message="elsewhere"))
    watch = WatchRequest(profile="tiny", store=request.store, collections=("toys", "others"))
    with receiver() as hook:
        monkeypatch.setenv(WEBHOOK, hook.url)
        alert_when_crashed(nightly, crashed, crashed.state)
        assert [body["kind"] for body in hook.got] == ["crashed"]
        for _ in range(2):
            watch_freshness(watch)
        kinds = sorted((body["kind"], body["day"]) for body in hook.got if body["collection"] == "toys")
        assert [body["kind"] for body in hook.got if body["collection"] == "others"] == ["late"]
    late = [("late", (today - timedelta(days=back)).isoformat()) for back in (2, 1)]
    assert [pair for pair in kinds if pair[1] != today.isoformat()] == sorted(
        [("crashed", "2026-01-05"), ("failed", "2026-01-06"), *late]
    )
    assert "status code: -9" in next(body["text"] for body in hook.got if body["kind"] == "crashed")
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["partitions-nightly-toys"]))
        )
        assert sum(run.name.startswith(f"watch_freshness {today}") for run in client.read_flow_runs()) >= 1
    # Renewed by the first of both, since the second one saw the same days.
    assert len(found) == 1
    assert "missing" in str(found[0].data)


def test_a_failed_run_is_not_told_a_second_time_by_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = write_documents(tmp_path, 10, 1)
    request = request_for(tmp_path, documents, columns={"text": "missing"})
    store = Store(request.store).prepare()
    note_day(store, datetime.now(UTC).date().isoformat())
    with receiver() as hook:
        monkeypatch.setenv(WEBHOOK, hook.url)
        with pytest.raises(FingerpostError):
            run_flow("nightly", request, quiet=True)
        assert [body["kind"] for body in hook.got] == ["failed"]
        watch_freshness(WatchRequest(profile="tiny", store=request.store))
        assert [body["kind"] for body in hook.got] == ["failed"]
    assert len(list(alerts(store))) == 1


def test_a_webhook_that_takes_nothing_fails_the_watch_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_day(store, (datetime.now(UTC).date() - timedelta(days=2)).isoformat())
    watch = WatchRequest(profile="tiny", store=store.url, flows=())
    with receiver() as hook:
        hook.status = 503
        monkeypatch.setenv(WEBHOOK, hook.url)
        watch_freshness(watch)
        with pytest.raises(
            FingerpostError, match=r"alerts: expected the webhook to \w+ \d, got .* status 503"
        ) as failed:
            watch_freshness(watch)
        assert "s3cret-path" not in str(failed.value)
        hook.status = 200
        watch_freshness(watch)
        assert {body["kind"] for body in hook.got} == {"late"}


def test_a_run_whose_request_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_for(tmp_path, tmp_path / "gone.csv", settings={"ann.hnsw.neighbours": 4})
    Store(request.store).prepare()
    prefect_run(request, Failed(message="refused"))
    with receiver() as hook:
        monkeypatch.setenv(WEBHOOK, hook.url)
        for _ in range(2):
            watch_freshness(WatchRequest(profile="tiny", store=request.store))
    told = [body["text"] for body in hook.got if "ann.hnsw.neighbours" in body["text"]]
    assert len(told) == 1
    assert "expected a known key" in told[0]
