"""What a run's page in Prefect's UI says, and that it neither fails a run nor shows what it should not."""

import base64
import json
import re
import xml.dom.minidom
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import fingerpost.flows.run.days_page
import fingerpost.flows.run.page
import fingerpost.flows.run.progress
from fingerpost.flows.report.contents import gather
from fingerpost.flows.run.days_page import SHOWN
from fingerpost.flows.run.lineage import lineage_of
from fingerpost.flows.run.page import (
    artifact_key,
    lineage_page,
    plots,
    quality_rows,
    show_run,
    stage_rows,
    summary,
    table,
)
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.ops.watched import note_day, run_here


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Any]]:
    return run_here(tmp_path_factory.mktemp("page"))


def page(made: tuple[Store, dict[str, Any]], **changes: Any) -> str:
    store, record = made
    changed = {**record, **changes}
    contents = gather(store, changed)
    return summary(changed, contents, plots(contents))


def test_the_page_names_state_publication_gates_quarantine_and_plots(made: tuple[Store, dict[str, Any]]) -> None:
    _, record = made
    text = page(made)
    assert f"**completed** after {record['seconds']:,.1f} s, run `{record['id']}`, profile `tiny`." in text
    assert f"`{record['stages'][-1]['ref']}` is live, generation 1" in text
    assert "| recall_at_10 0.99 (at least 0.3) | yes |" in text
    assert re.search(r"documents: 0 rows .*\(0 % of the input\)", text)
    assert "## How texts are answered\n\n| part | value | in use | why |" in text
    assert "## Known documents: whole texts\n\n| method | MRR | recall@10 |" in text
    pictures = [line for line in text.splitlines() if line.startswith("![")]
    assert len(pictures) == 5
    for picture in pictures:
        prefix, _, encoded = picture.removesuffix(")").partition("base64,")
        assert prefix.endswith("(data:image/svg+xml;")
        svg = base64.b64decode(encoded).decode()
        xml.dom.minidom.parseString(svg)
        assert 'fill="white"' in svg
        assert "prefers-color-scheme" not in svg


def test_a_failed_run_shows_its_error_without_credentials_or_markup(made: tuple[Store, dict[str, Any]]) -> None:
    error = "InputError: s3://user:passw0rd@bucket/x.csv: expected <b>this</b>\nand | that"
    text = page(
        made,
        state="failed",
        error=error,
        publication=None,
        publications=[],
        gates=[{"gate": "recall 0.2 (at least 0.9)", "holds": False}],
    )
    assert "> InputError: s3://bucket/x.csv: expected &lt;b>this&lt;/b> and \\| that" in text
    assert "| recall 0.2 (at least 0.9) | **no** |" in text
    assert "Nothing new is live" in text


def test_the_page_says_how_far_the_estimate_was_off(made: tuple[Store, dict[str, Any]]) -> None:
    cost = {
        "stages": 2,
        "expected_seconds": 10.0,
        "seconds": 25.0,
        "expected_peak_mb": 100.0,
        "peak_mb": 50.0,
        "expected_bytes": 0,
        "bytes": 2_000_000,
    }
    text = page(made, accuracy=cost)
    assert "| seconds | 10.0 | 25.0 | 2.50 |" in text
    assert "| peak MB | 100.0 | 50.0 | 0.50 |" in text
    assert "| MB stored | 0.0 | 2.0 |  |" in text


def test_the_tables_have_every_stage_and_figure(made: tuple[Store, dict[str, Any]]) -> None:
    _, record = made
    stages, figures = stage_rows(record), quality_rows(record)
    assert [row["stage"] for row in stages] == [stage["stage"] for stage in record["stages"]]
    assert {row["result"] for row in stages} == {"ran"}
    assert {row["why"] for row in stages} == {"first run"}
    assert {"stage": "build_graph", "figure": "nodes", "value": 80} in figures
    json.dumps([stages, figures], allow_nan=False)


def test_the_lineage_has_a_picture_and_a_table(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made
    text = lineage_page(lineage_of(store, Ref.parse(record["stages"][-1]["ref"]), record))
    words, _, encoded = text.partition("](data:image/svg+xml;base64,")
    assert words.rpartition("![")[2].endswith("artifacts, made from documents-80-1.csv")
    xml.dom.minidom.parseString(base64.b64decode(encoded.partition(")")[0]))
    assert "mermaid" not in text
    assert "| corpus.documents | 2026-01-05 | 80 | computed | documents-80-1.csv |" in text


@pytest.mark.parametrize("collection", ["toys", "a.b_c-d", "x--y"])
def test_keys_are_what_prefect_takes(collection: str) -> None:
    key = artifact_key("run", {"flow": "build_ann_index", "collection": collection})
    assert key == f"run-build-ann-index-{collection}".replace(".", "-").replace("_", "-").replace("--", "-")


def test_cells_stay_in_their_row() -> None:
    assert table(("a",), [("x|y\nz",)]).splitlines()[2] == "| x\\|y z |"


def test_a_page_that_cannot_be_drawn_costs_nothing(
    made: tuple[Store, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawing(*, key: str, **_: object) -> None:
        if key.startswith(("stages", "quality")):
            raise RuntimeError("the server is away")
        drawn.append(key)

    drawn: list[str] = []
    monkeypatch.setattr(
        fingerpost.flows.run.page, "FlowRunContext", type("Inside", (), {"get": staticmethod(lambda: object())})
    )
    monkeypatch.setattr(fingerpost.flows.run.page, "create_markdown_artifact", drawing)
    monkeypatch.setattr(fingerpost.flows.run.days_page, "create_markdown_artifact", drawing)
    show_run(*made)
    assert drawn == ["run-nightly-toys", "lineage-nightly-toys", "partitions-nightly-toys"]


def test_a_run_outside_of_a_flow_asks_prefect_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("Prefect was asked, and would have started a server")

    monkeypatch.setattr(fingerpost.flows.run.progress, "create_progress_artifact", asked)
    monkeypatch.setattr(fingerpost.flows.run.page, "create_markdown_artifact", asked)
    run_here(tmp_path)


def shown(monkeypatch: pytest.MonkeyPatch, store: Store) -> tuple[str, str]:
    """The calendar of the nightly of toys, and its description."""
    pages: list[tuple[str, str]] = []
    monkeypatch.setattr(
        fingerpost.flows.run.days_page,
        "create_markdown_artifact",
        lambda *, markdown, key, description: pages.append((markdown, description)),
    )
    fingerpost.flows.run.days_page.show_days(store, "nightly", "toys")
    [page] = pages
    return page


def test_the_calendar_shows_the_newest_days_up_to_the_one_that_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the records alone where the request of the newest run cannot be used; a day in a scheduled run's past is late."""
    store = Store(str(tmp_path / "store")).prepare()
    today = datetime.now(UTC).date()
    note_day(store, (today - timedelta(days=400)).isoformat())
    note_day(store, (today - timedelta(days=4)).isoformat(), state="failed", error="InputError: gone.csv [x](y)")
    page, words = shown(monkeypatch, store)
    assert "no run has a record" in page
    counts = {state: int(count) for count, state in re.findall(r"(\d+) (fresh|missing|failed)", words)}
    assert counts["failed"] == 1
    assert counts["missing"] in {SHOWN - 1, SHOWN - 2}
    assert "fresh" not in counts
    assert "InputError: gone.csv \\[x\\](y)" in page


def test_the_calendar_of_a_collection_without_days_is_none(tmp_path: Path) -> None:
    fingerpost.flows.run.days_page.show_days(Store(str(tmp_path / "store")).prepare(), "nightly", "toys")
