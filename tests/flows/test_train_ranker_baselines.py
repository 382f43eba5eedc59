"""The flow that trains a ranker, with its baselines beside it, to the report."""

from pathlib import Path

import pytest

from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.support.report_pages import Page
from tests.support.shop_rankers import request_for
from tests.unit.xmr.shop import write_shop

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("plain_runs")

BASELINES = {
    "xmr.baselines.compared": True,
    "xmr.baselines.network": True,
    "xmr.baselines.svd.rank": 16,
    "xmr.baselines.towers.dimensions": 8,
    "xmr.baselines.towers.epochs": 2,
    "xmr.baselines.judge.timed": 5,
}
STAGES = ["fit_dense_labels", "train_towers", "compare_rankers"]


def test_the_report_has_the_ranker_beside_its_baselines(tmp_path: Path) -> None:
    write_shop(tmp_path, rows=400)
    asked = request_for(tmp_path, **BASELINES)
    planned = [stage.stage for stage in plan_of("train_ranker", asked).stages]
    assert [stage for stage in planned if stage in STAGES] == STAGES
    run_flow("train_ranker", asked, quiet=True)
    store = Store(str(tmp_path / ".fingerpost"))
    record = runs(store, newest=1)[0]
    assert {"ranker_dense_labels", "ranker_towers", "ranker_comparison"} <= set(record["refs"])
    page = Page(render(store, record))
    text = page.text("ranking")
    assert all(name in text for name in ("two-tower network", "BM25 over label texts", "dense vectors of labels' rows"))
    run_flow("train_ranker", asked, quiet=True)
    assert not [stage for stage in runs(store, newest=1)[0]["stages"] if stage["computed"]]


def test_without_asking_there_are_no_baselines(tmp_path: Path) -> None:
    write_shop(tmp_path, rows=50)
    planned = [stage.stage for stage in plan_of("train_ranker", request_for(tmp_path)).stages]
    assert not set(planned) & set(STAGES)
