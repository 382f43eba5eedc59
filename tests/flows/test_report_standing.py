"""What a report says beside the results: the user's own rows, metrics over runs, and what is below a simple baseline."""

import re
from typing import Any

import pyarrow as pa
import pytest

from fingerpost.flows.domains import DOMAINS
from fingerpost.flows.domains.domain import named
from fingerpost.flows.report import described
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render, write
from fingerpost.flows.report.trend_plots import trend_svg
from fingerpost.flows.report.trends import SHOWN, Point, Trend
from fingerpost.flows.run.page import summary
from fingerpost.schemas import corpus, kg, metric, xmr
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ledger import save_run
from tests.support.report_pages import Made, Page, figure_table


@pytest.fixture
def made(tmp_path: Any) -> Made:
    return Made(tmp_path)


def table_of(contract: Any, name: str, **columns: list[Any]) -> pa.Table:
    """A table of a contract with these columns, and nothing in the others."""
    fields, rows = contract.table(name).fields, len(next(iter(columns.values())))
    empty = {field.name: [None if field.nullable else ""] * rows for field in fields}
    return pa.table({field.name: pa.array(columns.get(field.name, empty[field.name]), field.type) for field in fields})


def ranking(made: Made, ours: float, frequent: float) -> None:
    figures = [(name, "all", "ndcg_at_10", value) for name, value in (("ranker", ours), ("frequent", frequent))]
    made.stage("compare_rankers", xmr.COMPARISON, {"figures": figure_table(figures)}, {"queries": 9, "labels": 4})


def test_documents_are_described_by_lengths_kinds_and_repetitions(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["four", "four", "", "x" * 1000, *["y" * n for n in range(1, 17)]]
    rows = table_of(
        corpus.DOCUMENTS,
        "documents",
        id=[f"d{n}" for n in range(20)],
        title=["same", "same", "", *[f"t{n}" for n in range(17)]],
        text=texts,
        kind=["shoe"] * 15 + ["<b>"] * 4 + [""],
    )
    quality = {"documents": 20, "quarantined": 5, "quarantine_share": 0.2}
    made.stage("import_documents", corpus.DOCUMENTS, {"documents": rows}, quality)
    page = render(made.store, made.record())
    text = Page(page).text("data")
    assert (
        "Documents 20 documents; 5 rows were quarantined (20 %). 1 repeat the title and text of an earlier row (5 %)."
        in text
    )
    assert "characters of empty shortest median 95 % up to longest" in text
    assert "text 1 1 8 16 1,000" in text
    assert "shoe: 75.0 %, <b>: 20.0 %; 1 rows without" in text
    assert "<b>:" not in page
    monkeypatch.setattr(described, "MOST_ROWS", 6)
    assert "the first 6 rows were looked at" in Page(render(made.store, made.record())).text("data")


def test_rows_of_vectors_alone_repeat_by_their_vectors(made: Made) -> None:
    rows = table_of(corpus.DOCUMENTS, "documents", id=["a", "b", "c"], vector=[[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])
    made.stage("import_documents", corpus.DOCUMENTS, {"documents": rows}, {"documents": 3, "quarantined": 0})
    assert "no rows were quarantined. 1 repeat the vector of an earlier row (33.3 %)" in Page(
        render(made.store, made.record())
    ).text("data")


def test_every_input_of_rows_is_described_by_columns_that_it_has() -> None:
    for domain in DOMAINS:
        for file in domain.inputs:
            if file.described is None:
                assert (domain.word, file.title) == ("nas", "device")
                continue
            contracts = {
                one.name: one for one in named(domain.contracts or f"fingerpost.schemas.{domain.word}:CONTRACTS")
            }
            found = contracts[file.artifact]
            columns = {field.name for field in found.table(file.described.table).fields}
            asked = {*file.described.texts, *file.described.kinds, *file.described.same}
            assert asked <= columns, (file.title, asked - columns)
            for name in file.described.counted:
                found.table(name)


def test_what_is_below_a_baseline_is_neither_passed_nor_failed(made: Made) -> None:
    ranking(made, 0.25, 0.5)
    record = made.record()
    page = render(made.store, record)
    assert '<span class="state fair">' in page
    head = Page(page).text("")
    assert "completed, below a baseline" in head
    said = "The ranker is below a simple baseline: nDCG@10 0.2500, most frequent labels 0.5000"
    assert said in head
    assert f"**{said}.**" in summary(record, gather(made.store, record), [])
    write(made.store, record)
    assert record["below"] == [said]


def test_what_is_above_its_baseline_and_what_failed_are_not_amber(made: Made) -> None:
    ranking(made, 0.5, 0.25)
    assert '<span class="state good">' in render(made.store, made.record())
    made.stages.clear()
    ranking(made, 0.25, 0.5)
    assert '<span class="state bad">' in render(made.store, made.record(state="failed", error="no"))


@pytest.mark.parametrize(
    ("one", "below"),
    [
        (Beside("a", "m", 0.1, "b", 0.2), True),
        (Beside("a", "m", 0.2, "b", 0.2), False),
        (Beside("a", "m", 0.1, "b", 0.2, rising=False), False),
        (Beside("a", "m", 0.3, "b", 0.2, rising=False), True),
        (Beside("a", "m", 0.1, "b", 0.2, certain=False), False),
    ],
)
def test_below_follows_the_direction_of_the_metric_and_its_test(one: Beside, below: bool) -> None:
    assert one.below is below


def test_an_alignment_is_compared_with_boosting_on_similarities(made: Made) -> None:
    quality = {"matches": 7, "prauc": 0.8, "baseline_prauc": 0.9}
    made.stage("release_alignment", kg.ALIGNMENT, {}, quality)
    assert [str(one) for one in gather(made.store, made.record()).below] == [
        "The alignment is below a simple baseline: PRAUC 0.8000, boosting on similarities (baseline) 0.9000"
    ]


def earlier(made: Made, run: str, documents: int, **changes: Any) -> dict[str, Any]:
    """The record of a run before, stored."""
    made.stages.clear()
    made.stage("import_documents", corpus.DOCUMENTS, {}, {"documents": documents, "quarantine_share": 0.0})
    record = made.record(id=run, stages=list(made.stages), **changes)
    save_run(made.store, run, record)
    return record


def test_metrics_are_drawn_over_the_runs_of_the_same_flow_and_collection(made: Made) -> None:
    earlier(made, "20260101T000000-aaaaaa", 100, day="2026-01-01")
    earlier(made, "20260101T000001-aaaaaa", 7, collection="other")
    earlier(made, "20260101T000002-aaaaaa", 8, state="failed", error="no")
    made.store.files.write(".runs/20260101T000003-aaaaaa.json", b"{")
    last = earlier(made, "20260102T030405-abcdef", 120)
    found = {trend.title: [point.value for point in trend.points] for trend in gather(made.store, last).trends}
    assert found == {"time, s": [83.2, 83.2], "documents": [100.0, 120.0], "quarantined fraction": [0.0, 0.0]}
    text = Page(render(made.store, last)).text("trends")
    assert "Completed runs of nightly over this collection" in text
    assert 'alt="documents: first 100, last 120, median 120 of 2 runs"' in render(made.store, last)


def test_a_first_run_has_no_course(made: Made) -> None:
    last = earlier(made, "20260102T030405-abcdef", 120)
    assert "from the second completed run on" in Page(render(made.store, last)).text("trends")


def test_the_run_whose_version_is_live_is_marked(made: Made) -> None:
    ref, _ = made.commit(metric.THRESHOLD, {}, {})
    move = Pointer(made.store, "shop", metric.THRESHOLD.name).promote(Ref.parse(str(ref)), gates=[])
    published = {"ref": move.ref, "generation": move.generation}
    earlier(made, "20260101T000000-aaaaaa", 100, publications=[published])
    last = earlier(made, "20260102T030405-abcdef", 120)
    trend = next(one for one in gather(made.store, last).trends if one.title == "documents")
    assert [point.live for point in trend.points] == [True, False]
    assert trend_svg(trend).count('r="5"') == 1


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.5, 1e9, -3.0), tuple(float(n) for n in range(SHOWN))])
def test_plots_over_runs_stay_within_their_picture_and_need_no_matplotlib(values: tuple[float, ...]) -> None:
    points = tuple(Point(f"2026-01-{n + 1:02d}", "", value, n == 1) for n, value in enumerate(values))
    svg = trend_svg(Trend("<title> & more", points))
    assert "&lt;title&gt; &amp; more" in svg
    ((path),) = re.findall(r'points="([^"]+)"', svg)
    places = [tuple(map(float, place.split(","))) for place in path.split()]
    assert len(places) == len(values)
    assert all(0 <= x <= 300 and 0 <= y <= 118 for x, y in places)
    assert ("the same in all runs" in svg) is (len(set(values)) == 1)
