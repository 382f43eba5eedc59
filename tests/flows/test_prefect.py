"""The flows as Prefect runs them, through its test harness: parts, artifacts, plans and failing days."""

from pathlib import Path

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client

from fingerpost.flows.backfill import backfill
from fingerpost.flows.ops.backfill.record import BackfillError, BackfillRequest
from fingerpost.flows.run.start import known, run_flow
from fingerpost.schemas.publish import products
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.support.backfills import DAYS, backfill_of, drop
from tests.support.daily_news import DAYS as NEWS_DAYS
from tests.support.daily_news import News, of_day
from tests.support.products import ran, request_for, write_csv
from tests.unit.xmr.shop import write_shop

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_nightly_runs_its_parts_and_leaves_its_artifacts(tmp_path: Path) -> None:
    store, source = tmp_path / "store", write_csv(tmp_path / "products.csv")
    write_shop(tmp_path, rows=200)
    ranked = {
        "xmr.input": str(tmp_path / "interactions.csv"),
        "xmr.labels": str(tmp_path / "labels.csv"),
        "xmr.predicted": 10,
    }
    asked = request_for(store, source, **ranked)
    run_flow("nightly", asked, quiet=True)
    assert products(Store(str(store))) == [("products", "ann.index"), ("products", "xmr.ranker")]

    table = Artifact.get("stages-nightly-products")
    assert table is not None
    head, _, *lines = (line.strip("| ").split(" | ") for line in str(table.data).splitlines())
    rows = [dict(zip(head, line, strict=False)) for line in lines]
    assert {row["stage"] for row in rows} >= {"import_documents", "count_terms", "build_graph", "assemble_index"}
    assert all(row["result"] == "ran" for row in rows)
    progress = Artifact.get("ann-graph")
    assert progress is not None
    assert float(progress.data) == 100.0
    quality, page, origin, days = (
        Artifact.get(f"{part}-nightly-products") for part in ("quality", "run", "lineage", "partitions")
    )
    assert quality is not None
    assert page is not None
    assert origin is not None
    assert "recall_at_10" in str(quality.data)
    assert "is live, generation 1" in str(page.data)
    assert "data:image/svg+xml;base64," in str(page.data)
    assert "![ann.index: " in str(origin.data)
    assert "![xmr.ranker: " in str(origin.data)
    assert days is not None
    assert "![2026-01-05: 1 fresh](data:image/svg+xml;base64," in str(days.data)

    with get_client(sync_client=True) as client:
        known = {run.name: run for run in client.read_flow_runs()}
        whole = known["nightly products 2026-01-05"]
        tasks = {task.name: task for task in client.read_task_runs() if task.flow_run_id == whole.id}
    # One entry a night: its parts are tasks around their stages.
    assert str(whole.id) == runs(Store(str(store)), newest=1)[0]["prefect"]["id"]
    assert not [run.name for run in known.values() if run.parent_task_run_id]
    for stage, flow in (("build_graph", "build_ann_index"), ("train_rankers", "train_ranker")):
        (around,) = tasks[f"{stage} 2026-01-05"].task_inputs["__parents__"]
        assert around.id == tasks[f"{flow} products 2026-01-05"].id
    assert "publish_product ann.index 2026-01-05" in tasks

    run_flow("nightly", asked, quiet=True)
    assert ran(store) == {}


@pytest.mark.parametrize("flow", ["nightly", "featurize_corpus", "build_ann_index"])
def test_every_flow_can_be_asked_for_a_plan_alone(tmp_path: Path, flow: str) -> None:
    store, source = tmp_path / "store", write_csv(tmp_path / "products.csv")
    known(flow)(request_for(store, source).model_copy(update={"dry_run": True}))
    assert not store.exists()


def test_a_backfill_shows_its_days_and_fails_naming_those_that_failed(tmp_path: Path) -> None:
    drop(tmp_path, DAYS[0])
    request = backfill_of(tmp_path, last_day=DAYS[1], order="oldest")
    backfill(request.model_copy(update={"dry_run": True}))
    assert not (tmp_path / "store").exists()
    with pytest.raises(BackfillError, match=rf"found 1 failed: {DAYS[1]} "):
        backfill(request)
    days, calendar, progress = (
        Artifact.get(key) for key in ("backfill-ended", "partitions-featurize-corpus-products", "backfill")
    )
    assert days is not None
    assert [state in str(days.data) for state in ("completed", "failed", "expected a file or folder")] == [True] * 3
    assert calendar is not None
    assert "● 1 fresh" in str(calendar.data)
    assert progress is not None
    assert float(str(progress.data)) == 100.0


def test_a_backfill_over_a_window_imports_each_day_once_in_whatever_order(tmp_path: Path) -> None:
    news = News(tmp_path, days="window:2")
    for day in NEWS_DAYS[:3]:
        news.drop(day)
    request = BackfillRequest.of(
        flow=news.flow, first_day=NEWS_DAYS[0], last_day=NEWS_DAYS[2], run=news.request(), order="newest"
    )
    backfill(request)
    assert [one.state for one in news.states(NEWS_DAYS[:3])] == ["fresh"] * 3
    assert [of_day(news.documents(NEWS_DAYS[2]), day) for day in NEWS_DAYS[:3]] == [0, 20, 20]
    with get_client(sync_client=True) as client:
        names = [task.name for task in client.read_task_runs()]
    imports = sorted(name for name in names if name.startswith("import_daily_documents"))
    assert imports == [f"import_daily_documents {day}" for day in NEWS_DAYS[:3]]
