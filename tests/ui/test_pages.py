"""What people see in Prefect's two UIs and in the report, in a real browser over a stack that really runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ops.conftest import RunningStack

#: The older UI, whose pages are only looked at, and the newer one.
UIS = {"v1": "", "v2": "/v2"}
Keep = Callable[[str], None]


def open_artifact(stack: RunningStack, page: Page, night: dict[str, Any], part: str) -> None:
    """Opens the page of a part of the run's page in the newer UI."""
    key = f"{part}-nightly-{night['collection']}"
    page.goto(f"{stack.ui}{UIS['v2']}/artifacts/artifact/{night['artifacts'][key]}")


@pytest.mark.parametrize("ui", UIS)
def test_the_deployments_with_their_schedules(stack: RunningStack, page: Page, keep: Keep, ui: str) -> None:
    stack.deploy("nightly")
    page.goto(f"{stack.ui}{UIS[ui]}/deployments")
    expect(page.get_by_text("nightly").first).to_be_visible()
    expect(page.get_by_text("At 03:00 AM").first).to_be_visible()
    keep(f"deployments-{ui}")


@pytest.mark.parametrize("ui", UIS)
def test_the_page_of_a_run_names_its_day_says_what_became_of_each_stage_and_lists_its_artifacts(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], ui: str
) -> None:
    collection = night["collection"]
    page.goto(f"{stack.ui}{UIS[ui]}/runs/flow-run/{night['id']}")
    expect(page.get_by_text(f"nightly {collection} {night['day']}").first).to_be_visible()
    expect(page.get_by_text("Completed").first).to_be_visible()
    expect(page.get_by_text(f"{collection}/ann.index is").first).to_be_visible()
    keep(f"log-{ui}")
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in (f"run-nightly-{collection}", f"stages-nightly-{collection}", f"lineage-nightly-{collection}"):
        expect(page.get_by_text(key).or_(page.get_by_text(key.upper())).first).to_be_visible()
    keep(f"run-{ui}")


def test_the_stage_table(stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any]) -> None:
    open_artifact(stack, page, night, "stages")
    for text in ("build_graph", "first run", "peak MB"):
        expect(page.get_by_text(text).first).to_be_visible()
    keep("stages")


def test_gates_quarantine_and_plots(stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any]) -> None:
    open_artifact(stack, page, night, "run")
    expect(page.get_by_text("recall_at_10").first).to_be_visible()
    expect(page.get_by_text("Quarantine").first).to_be_visible()
    plot = page.locator("img[src^='data:image']").first
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 200
    keep("gates-and-plots")


@pytest.mark.parametrize(("part", "words"), [("lineage", "made of"), ("partitions", "1 fresh")])
def test_lineage_and_days_are_pictures_that_can_be_read_in_a_narrow_window(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], part: str, words: str
) -> None:
    page.set_viewport_size({"width": 1200, "height": 1400})
    open_artifact(stack, page, night, part)
    expect(page.get_by_text(words).first).to_be_visible()
    picture = page.locator("img[src^='data:image/svg']").first
    expect(picture).to_be_visible()
    # Not made smaller than letters can be read. The page lays pictures out some time after it has them.
    page.wait_for_function(
        """() => {
            const image = document.querySelector("img[src^='data:image/svg']");
            return image && image.naturalWidth > 200 && image.clientWidth > 0.8 * image.naturalWidth;
        }"""
    )
    assert picture.get_attribute("alt")
    keep(part)
    page.set_viewport_size({"width": 1400, "height": 1400})


def test_a_run_by_hand_has_its_log_and_a_night_is_one_entry(
    stack: RunningStack, page: Page, keep: Keep, night: dict[str, Any], by_hand: dict[str, Any]
) -> None:
    page.goto(f"{stack.ui}{UIS['v2']}/runs/flow-run/{by_hand['id']}")
    expect(page.get_by_text(by_hand["name"]).first).to_be_visible()
    expect(page.get_by_text("reused import_documents").first).to_be_visible()
    keep("by-hand")
    # The terminal says it in its own way, and not twice.
    assert by_hand["said"].count("import_documents") == 1
    assert "prefect.flow_runs" not in by_hand["said"]
    page.goto(f"{stack.ui}{UIS['v2']}/runs?flow-run-search={night['collection']}")
    expect(page.get_by_text(night["name"]).nth(1)).to_be_visible()
    assert page.get_by_text(f"featurize_corpus {night['collection']}").count() == 0
    keep("runs")


def test_a_progress_artifact_of_a_stage_stands_at_its_end(stack: RunningStack, night: dict[str, Any]) -> None:
    found = {key: stack.api.get(f"artifacts/{night['artifacts'][key]}") for key in ("corpus-projection", "ann-graph")}
    assert {key: (body["type"], float(body["data"])) for key, body in found.items()} == dict.fromkeys(
        found, ("progress", 100.0)
    )


def test_the_calendar_of_partitions(stack: RunningStack, page: Page, keep: Keep, backfilled: dict[str, Any]) -> None:
    """The calendar that a backfill through its deployment leaves."""
    body = {"artifacts": {"key": {"any_": ["partitions-featurize-corpus-from-the-form"]}}}
    (found,) = stack.api.post("artifacts/filter", body)
    assert found["flow_run_id"] == backfilled["id"]
    page.goto(f"{stack.ui}{UIS['v2']}/artifacts/artifact/{found['id']}")
    expect(page.get_by_text("2 fresh").first).to_be_visible()
    keep("partitions")


def test_the_run_form_is_the_parameter_model(stack: RunningStack, page: Page, keep: Keep) -> None:
    """The form of the older UI; a day that is none is refused by the server, in words, and no run is made."""
    page.goto(f"{stack.ui}/deployments/deployment/{stack.deploy('nightly')}/run")
    for text in ("calendar day YYYY-MM-DD of the run", "stages to rerun", "show what would run and why"):
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
    records = [json.loads(file.read_text()) for file in (Path(stack.store) / ".runs").glob("*.json")]
    # The latest one may be of another run on the stack.
    (own,) = [record["id"] for record in records if record.get("prefect", {}).get("id") == night["id"]]
    report = Path(stack.store) / "reports" / f"{own}.html"
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
