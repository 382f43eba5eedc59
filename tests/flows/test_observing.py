"""A new stage that only observes: in the record, the report and the diff, but neither a new release nor a stale day."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import fingerpost.flows.build_ann_index
from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import Run, running
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import ann
from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.stage import Stage, stage
from fingerpost.tasks.stage_run import StageRun
from tests.support.products import write_csv
from tests.support.report_pages import Page

pytestmark = pytest.mark.usefixtures("plain_runs")

FLOW, DAY = "build_ann_index", "2026-01-01"
SUMMARY = Contract("test.summary", 1, (Table("counts", (f.ID, f.DOCUMENT_FREQUENCY)),), "a summary")


def _count(run: StageRun, vectors: Ref) -> None:
    rows = run.store.manifest(vectors).identity["rows"]["vectors"]
    run.write("counts", pa.table({"id": ["vectors"], "df": pa.array([rows], pa.int64())}))
    run.quality = {"vectors": rows}


@stage(SUMMARY, observes=True)
def summarize_vectors(run: StageRun, vectors: Ref) -> None:
    """Counts vectors for the report."""
    _count(run, vectors)


@stage(SUMMARY)
def gate_vectors(run: StageRun, vectors: Ref) -> None:
    """Counts vectors for a release."""
    _count(run, vectors)


@pytest.fixture(scope="module")
def request_of(plain_runs: None, tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    """A store with a day's index."""
    folder = tmp_path_factory.mktemp("observing")
    request = RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        input=str(write_csv(folder / "documents.csv", rows=120)),
        collection="products",
        day=DAY,
        columns={"id": "sku", "title": "name", "text": "about", "kind": "group"},
        settings={"ann.gates.recall_at_10": 0.1},
    )
    run_flow(FLOW, request, quiet=True)
    return request


@pytest.fixture
def adding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that adds a stage over the vectors to the flow, under the role ``summary``."""
    plain = fingerpost.flows.build_ann_index.find_neighbors

    def add(added: Stage) -> None:
        def both(vectors: Ref, *given: Any, **named: Any) -> Ref:
            with running(FLOW, RunRequest()) as run:
                assert isinstance(run, Run)
                run.refs["summary"] = added(vectors)
            return plain(vectors, *given, **named)

        monkeypatch.setattr(fingerpost.flows.build_ann_index, "find_neighbors", both)

    yield add
    monkeypatch.undo()


def roles_of(store: Store, ref: str) -> list[str]:
    return [str(role) for role in store.open(Ref.parse(ref), ann.INDEX).read("members")["role"].to_pylist()]


def test_a_new_stage_that_observes_is_shown_and_changes_no_release_and_no_day(
    request_of: RunRequest, adding: Any
) -> None:
    store = Store(request_of.store)
    before = runs(store, newest=1)[0]
    live = Pointer(store, "products", ann.INDEX.name).required()
    adding(summarize_vectors)
    planned = {stage.stage: stage for stage in plan_of(FLOW, request_of).stages}
    assert planned["summarize_vectors"].runs
    assert [name for name, stage in planned.items() if stage.runs] == ["summarize_vectors"]
    [day] = Partitions(FLOW, request_of).of([DAY])
    assert (day.state, day.reason, day.seconds) == ("fresh", "", 0.0)

    run_flow(FLOW, request_of, quiet=True)
    after = runs(store, newest=1)[0]
    assert after["refs"]["index"] == before["refs"]["index"]
    now = Pointer(store, "products", ann.INDEX.name).required()
    assert (now.ref, now.generation) == (live.ref, live.generation)
    assert "summary" not in roles_of(store, after["refs"]["index"])
    observing = [stage["stage"] for stage in after["stages"] if stage["observes"]]
    assert "summarize_vectors" in observing
    assert after["refs"]["summary"].startswith("test.summary/")
    page = Page(render(store, after))
    assert "summarize_vectors (observes) ran" in page.text("stages")
    assert after["refs"]["summary"] in page.text("lineage")
    difference = diff(store, find_version(store, before["id"]), find_version(store, after["id"]))
    assert {pair.stage: pair.before for pair in difference.stages}["summarize_vectors"] == "not in it"

    store.files.remove(after["refs"]["summary"])
    [day] = Partitions(FLOW, request_of).of([DAY])
    assert (day.state, day.reason, day.seconds) == ("fresh", "", 0.0)


def test_a_new_stage_that_counts_makes_the_day_stale(request_of: RunRequest, adding: Any) -> None:
    adding(gate_vectors)
    [day] = Partitions(FLOW, request_of).of([DAY])
    assert day.state == "stale"
    assert {"gate_vectors", "assemble_index"} <= {stage.stage for stage in plan_of(FLOW, request_of).runs}
