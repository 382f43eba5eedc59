"""What people see in Prefect's two UIs and in the report, in a real browser over a stack that really runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ops.conftest import RunningStack

COLLECTION = "seen"
DAY = "2026-02-03"
#: The older UI and the newer one.
UIS = {"v1": "", "v2": "/v2"}
Keep = Callable[[str], None]


@pytest.fixture(scope="module")
def night(stack: RunningStack) -> dict[str, Any]:
    """A nightly that completed, with the ids of its artifacts by key."""
    # A day of its own: what another test made of the same documents that day would be reused.
    run = stack.submit("nightly", stack.request(collection=COLLECTION, day=DAY))
    done = stack.wait(run)
    assert done["state_type"] == "COMPLETED", stack.run_log(run)
    children = stack.api.post("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}})
    ids = [run, *(child["id"] for child in children)]
    artifacts = stack.api.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": ids}}, "limit": 200})
    return {"id": run, "name": done["name"], "artifacts": {found["key"]: found["id"] for found in artifacts}}


def artifact(stack: RunningStack, page: Page, night: dict[str, Any], key: str, ui: str) -> None:
    """Opens the page of an artifact of the run."""
    page.goto(f"{stack.ui}{UIS[ui]}/artifacts/artifact/{night['artifacts'][key]}")


@pytest.mark.parametrize("ui", UIS)
def test_the_deployments_with_their_schedules(stack: RunningStack, page: Page, keep: Keep, ui: str) -> None:
    stack.deploy("nightly")
    page.goto(f"{stack.ui}{UIS[ui]}/deployments")
    expect(page.get_by_text("nightly").first).to_be_visible()
    expect(page.get_by_text("At 03:00 AM").first).to_be_visible()
    keep(f"deployments-{ui}")


@pytest.mark.parametrize("ui", UIS)
def test_the_page_of_a_run_names_its_day_and_lists_its_artifacts(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], ui: str
) -> None:
    page.goto(f"{stack.ui}{UIS[ui]}/runs/flow-run/{night['id']}")
    expect(page.get_by_text(f"nightly {COLLECTION} {DAY}").first).to_be_visible()
    expect(page.get_by_text("Completed").first).to_be_visible()
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in (f"run-nightly-{COLLECTION}", f"stages-nightly-{COLLECTION}", f"lineage-nightly-{COLLECTION}"):
        expect(page.get_by_text(key).or_(page.get_by_text(key.upper())).first).to_be_visible()
    keep(f"run-{ui}")


@pytest.mark.parametrize("ui", UIS)
def test_the_log_of_a_run_says_what_became_of_each_stage(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], ui: str
) -> None:
    page.goto(f"{stack.ui}{UIS[ui]}/runs/flow-run/{night['id']}")
    expect(page.get_by_text(f"{COLLECTION}/ann.index is").first).to_be_visible()
    keep(f"log-{ui}")


@pytest.mark.parametrize("ui", UIS)
def test_the_stage_table(stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], ui: str) -> None:
    artifact(stack, page, night, f"stages-nightly-{COLLECTION}", ui)
    for text in ("build_graph", "first run", "peak MB"):
        expect(page.get_by_text(text).first).to_be_visible()
    keep(f"stages-{ui}")


@pytest.mark.parametrize("ui", UIS)
def test_gates_quarantine_and_plots(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], ui: str
) -> None:
    artifact(stack, page, night, f"run-nightly-{COLLECTION}", ui)
    expect(page.get_by_text("recall_at_10").first).to_be_visible()
    expect(page.get_by_text("Quarantine").first).to_be_visible()
    plot = page.locator("img[src^='data:image']").first
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 200
    keep(f"gates-and-plots-{ui}")


@pytest.mark.parametrize("ui", UIS)
def test_the_lineage_is_a_diagram_or_at_least_a_table(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], ui: str
) -> None:
    artifact(stack, page, night, f"lineage-nightly-{COLLECTION}", ui)
    expect(page.get_by_text("made of").first).to_be_visible()
    if ui == "v2":
        expect(page.locator("svg[id^='mermaid'], .mermaid svg, svg.flowchart").first).to_be_visible()
    keep(f"lineage-{ui}")


def test_a_progress_artifact_of_a_stage_stands_at_its_end(stack: RunningStack, night: dict[str, Any]) -> None:
    found = {key: stack.api.get(f"artifacts/{night['artifacts'][key]}") for key in ("corpus-projection", "ann-graph")}
    assert {key: (body["type"], float(body["data"])) for key, body in found.items()} == dict.fromkeys(
        found, ("progress", 100.0)
    )


def test_the_calendar_of_partitions(stack: RunningStack, page: Page, keep: Keep) -> None:
    """A backfill through its deployment: two days run, and the calendar that it leaves."""
    wanted = {
        "run": stack.request(collection="days")["request"],
        "flow": "nightly",
        "first_day": "2026-01-02",
        "last_day": "2026-01-03",
    }
    run = stack.submit("backfill", {"request": wanted})
    assert stack.wait(run)["state_type"] == "COMPLETED", stack.run_log(run)
    body = {"artifacts": {"key": {"any_": ["partitions-nightly-days"]}}}
    (found,) = stack.api.post("artifacts/filter", body)
    for ui, prefix in UIS.items():
        page.goto(f"{stack.ui}{prefix}/artifacts/artifact/{found['id']}")
        expect(page.get_by_text("January 2026").or_(page.get_by_text("2026-01")).first).to_be_visible()
        expect(page.get_by_text("fresh").first).to_be_visible()
        keep(f"partitions-{ui}")


def test_the_run_form_is_the_parameter_model(stack: RunningStack, page: Page, keep: Keep) -> None:
    """The form of the older UI; a day that is none is refused by the server, in words, and no run is made."""
    page.goto(f"{stack.ui}/deployments/deployment/{stack.deploy('nightly')}/run")
    for text in ("calendar day YYYY-MM-DD the run is for", "stages to run again", "say what would run and why"):
        expect(page.get_by_text(text).first).to_be_visible()
    keep("form")
    day = page.locator("label", has_text="Day").locator("xpath=following::textarea[1]").first
    day.fill("yesterday")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("does not match").first).to_be_visible()
    keep("form-refused")
    runs = stack.api.post("flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [stack.deploy("nightly")]}}})
    assert not [run for run in runs if "yesterday" in json.dumps(run["parameters"])]


def test_the_report(stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any]) -> None:
    report = Path(stack.store) / "reports" / "latest.html"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    expect(page.get_by_text("build_graph").first).to_be_visible()
    assert not [url for url in asked if url.startswith("http")]
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    keep("report")


def test_the_ui_asks_nobody_else_for_anything(stack: RunningStack, page: Page) -> None:
    """In a browser that has never been here, as what is kept from an earlier visit may save a request."""
    assert page.context.browser is not None
    for ui in UIS.values():
        context = page.context.browser.new_context()
        asked: set[str] = set()
        context.on("request", lambda request, asked=asked: asked.add(request.url))
        context.on(
            "requestfailed",
            lambda request, asked=asked: asked.discard(request.url) if request.failure == "csp" else None,
        )
        fresh = context.new_page()
        fresh.goto(f"{stack.ui}{ui}/deployments")
        fresh.wait_for_load_state("networkidle")
        expect(fresh.get_by_text("Deployments").first).to_be_visible()
        fresh.wait_for_timeout(2_000)
        context.close()
        assert {url.split("/")[2] for url in asked if url.startswith(("http", "ws"))} == {stack.ui.split("/")[2]}, ui
