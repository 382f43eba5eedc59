"""Plans: what a run would do, without doing it; days in inputs; what becomes of a day."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.flows.run.calendar import days_between, logical_day
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.request import RunRequest, collection_of
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import known, run_flow
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT
from fingerpost.tasks.ledger import partitions, runs
from tests.support.products import ran, request_for, write_csv

pytestmark = pytest.mark.usefixtures("plain_runs")


def contents(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def test_a_plan_says_what_the_run_then_does(tmp_path: Path) -> None:
    store, source = tmp_path / "store", write_csv(tmp_path / "products.csv")
    request = request_for(store, source)
    first = plan_of("nightly", request)
    assert [stage.reason for stage in first.runs] == ["first run"] * len(first.stages)
    assert first.cost.unknown == 0
    assert {stage.estimate.basis for stage in first.runs if stage.estimate} == {"size"}
    assert not store.exists()

    run_flow("nightly", request, quiet=True)
    before = contents(store)
    assert plan_of("nightly", request).runs == []

    changed = request_for(store, source, **{"ann.hnsw.max_neighbors": 6})
    plan = plan_of("nightly", changed)
    assert contents(store) == before
    run_flow("nightly", changed, quiet=True)
    record = runs(Store(str(store)), newest=1)[0]
    assert {stage.stage: stage.reason for stage in plan.runs} == ran(store)
    assert [stage.ref for stage in plan.stages] == [stage["ref"] for stage in record["stages"]]
    assert record["accuracy"]["stages"] == len(plan.runs)
    assert record["accuracy"]["expected_seconds"] == pytest.approx(plan.cost.seconds, abs=0.01)


def test_a_forced_stage_is_planned_with_what_follows(tmp_path: Path) -> None:
    store, source = tmp_path / "store", write_csv(tmp_path / "products.csv")
    run_flow("nightly", request_for(store, source), quiet=True)
    plan = plan_of("nightly", request_for(store, source, force=("fit_finger",)))
    assert plan.runs[0].reason == "forced"
    assert {"fit_finger", "compute_finger_tables", "assemble_index"} <= {stage.stage for stage in plan.runs}
    assert "build_graph" not in {stage.stage for stage in plan.runs}


def test_each_day_reads_its_own_file_and_an_earlier_day_does_not_take_the_place_of_what_is_live(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for number, day in enumerate(("2026-01-04", "2026-01-05")):
        write_csv(tmp_path / f"products-{day}.csv", seed=number)
    request = request_for(store, tmp_path / "products-{day}.csv").model_copy(
        update={"columns": {"id": "sku", "title": "name", "text": "about", "kind": "group"}}
    )
    run_flow("nightly", request, quiet=True)
    live = Pointer(Store(str(store)), "products", PRODUCT).required()
    run_flow("nightly", request.for_day("2026-01-04"), quiet=True)
    assert ran(store)
    assert Pointer(Store(str(store)), "products", PRODUCT).required() == live
    record = runs(Store(str(store)), newest=1)[0]
    assert record["publication"] is None
    assert all(gate["holds"] for gate in record["gates"])
    days = partitions(Store(str(store)), "nightly", "products")
    assert {day: found["state"] for day, found in days.items()} == dict.fromkeys(
        ("2026-01-04", "2026-01-05"), "completed"
    )
    assert days["2026-01-04"]["refs"]["index"].startswith("ann.index/day=2026-01-04/")


def test_what_any_day_made_before_is_found_again(tmp_path: Path) -> None:
    """Not only what the newest run made: days come in any order."""
    store, source = tmp_path / "store", tmp_path / "products.csv"
    write_csv(source, seed=0)
    run_flow("featurize_corpus", request_for(store, source), quiet=True)
    write_csv(source, seed=1)
    run_flow("featurize_corpus", request_for(store, source).for_day("2026-01-06"), quiet=True)
    write_csv(source, seed=0)
    run_flow("featurize_corpus", request_for(store, source).for_day("2026-01-07"), quiet=True)
    assert ran(store) == {}


def test_a_day_that_fails_is_remembered_with_its_reason(tmp_path: Path) -> None:
    store, source = tmp_path / "store", tmp_path / "products.csv"
    source.write_text("sku,name,about,group\n" + "\n".join(f",name {row},text,x" for row in range(20)) + "\n")
    with pytest.raises(Exception, match="at most"):
        run_flow("nightly", request_for(store, source), quiet=True)
    found = partitions(Store(str(store)), "nightly", "products")["2026-01-05"]
    assert (found["state"], found["error_kind"]) == ("failed", "QuarantineLimitError")
    assert "bad rows" in found["error"] or "bad of" in found["error"]


def test_the_parameter_model_makes_a_form_and_refuses_what_it_does_not_know() -> None:
    schema = json.dumps(known("nightly").parameters.model_dump())
    assert '"enum"' in schema
    assert "additionalProperties" in schema
    with pytest.raises(SettingsError, match="day"):
        RunRequest.of(day="yesterday")
    with pytest.raises(SettingsError, match="quick"):
        RunRequest.of(profile="quik")


def test_a_collection_is_named_for_the_file_without_its_day() -> None:
    assert collection_of("/drops/{day}/Products.csv.gz") == "products"
    assert collection_of("docs-{day}.parquet") == "docs"


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    st.integers(0, 3),
)
def test_the_day_is_the_one_of_the_calendar_there(moment: datetime, zone: str, lag: int) -> None:
    from zoneinfo import ZoneInfo

    scheduled = moment.replace(tzinfo=UTC)
    local = scheduled.astimezone(ZoneInfo(zone))
    day = logical_day(scheduled, timezone=zone, lag_days=lag)
    assert len(list(days_between(day, f"{local:%Y-%m-%d}"))) == lag + 1


def test_a_night_without_its_half_past_two_is_a_day_like_any_other() -> None:
    """Clocks go forward in Berlin on 2026-03-29 at 01:00 UTC and back on 2026-10-25."""
    for moment, day in (
        ("2026-03-29T00:30", "2026-03-29"),
        ("2026-03-28T23:30", "2026-03-29"),
        ("2026-03-28T22:30", "2026-03-28"),
        ("2026-10-24T22:30", "2026-10-25"),
        ("2026-10-25T22:30", "2026-10-25"),
        ("2026-10-25T23:30", "2026-10-26"),
    ):
        assert logical_day(datetime.fromisoformat(f"{moment}+00:00"), timezone="Europe/Berlin") == day


def test_a_plan_names_what_is_damaged(tmp_path: Path) -> None:
    store, source = tmp_path / "store", write_csv(tmp_path / "products.csv")
    request = request_for(store, source)
    run_flow("nightly", request, quiet=True)
    next((store / "ann.graph").rglob("*.parquet")).unlink()
    assert [(stage.stage, stage.reason) for stage in plan_of("nightly", request).runs] == [
        ("build_graph", "damaged: needs --force build_graph")
    ]


def test_a_run_that_fails_leaves_a_report_too(tmp_path: Path) -> None:
    store, source = tmp_path / "store", write_csv(tmp_path / "products.csv")
    for settings in ({"ann.gates.documents": 10_000}, {"corpus.imports.quarantine_share": 0.0}):
        with source.open("a") as file:
            file.write(",nameless,row,x\n")
        with pytest.raises(Exception, match="expected"):
            run_flow("nightly", request_for(store, source, **settings), quiet=True)
        record = runs(Store(str(store)), newest=1)[0]
        page = (store / "reports" / f"{record['id']}.html").read_text()
        assert "failed" in page
        assert record["error"].split(":")[0] in page


def test_a_store_with_credentials_is_refused_without_repeating_them() -> None:
    with pytest.raises(SettingsError) as refused:
        RunRequest.of(profile="tiny", store="s3://key:verysecret@bucket/x")
    assert "without credentials" in str(refused.value)
    assert "verysecret" not in str(refused.value)
    pattern = RunRequest.model_json_schema()["properties"]["store"]["pattern"]
    assert not re.search(pattern, "s3://key:verysecret@bucket/x")
    assert re.search(pattern, "s3://bucket/x@y")
    assert re.search(pattern, "")
