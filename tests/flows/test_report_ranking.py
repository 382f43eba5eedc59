"""The part of the report that tells of a ranker and its baselines."""

from typing import Any

import pytest

from flows.report.page import render
from flows.report.ranking import read_ranked
from schemas import xmr
from tests.flows.test_report import Made, Page, figure_table

METHODS = {"frequent": 0.1, "bm25": 0.4, "ranker": 0.8765, "two_tower": 0.7}
MEASURED = {
    method: {"p50_ms": 0.25, "p95_ms": 0.5, "p99_ms": 1.75, "seconds": 12.3 * place, "bytes": 2_500_000.0}
    for place, method in enumerate(METHODS)
}


@pytest.fixture
def made(tmp_path: Any) -> Made:
    return Made(tmp_path)


def figures(methods: dict[str, float]) -> list[tuple[str, str, str, float]]:
    rows = []
    for method, worth in methods.items():
        rows += [(method, "all", metric, worth * share) for metric, share in (("precision_at_1", 0.5), ("recall_at_10", 1.0), ("precision_at_10", 0.1))]  # fmt: skip
        for place, (least, most) in enumerate(((0, 2), (3, 9), (10, 29), (30, 30))):
            values = {"labels": 40 - 10 * place, "occurrences": 0 if place == 2 else 100 * place + 7, "recall": worth * place / 4, "coverage": 0.5}  # fmt: skip
            rows += [(method, f"seen {least}-{most}", metric, float(value)) for metric, value in values.items()]
    return rows


def add_comparison(made: Made, methods: dict[str, float] = METHODS, measured: dict[str, Any] | None = None) -> None:
    made.stage(
        "compare_rankers", xmr.COMPARISON, {"figures": figure_table(figures(methods))}, {"queries": 1234, "labels": 100},
        measured=MEASURED if measured is None else measured,
    )  # fmt: skip


def test_all_systems_stand_in_one_table_with_plots(made: Made) -> None:
    add_comparison(made)
    page = Page(render(made.store, made.record()))
    text = page.text("ranking")
    names = ("ranker (tree of linear models)", "two-tower network", "BM25 over label texts", "most frequent labels")
    places = [text.index(name) for name in names]
    assert places == sorted(places)
    assert "1,234 queries that were held out to test, 100 labels" in text
    assert "ranker (tree of linear models) 0.4382 0.8765 24.6 s 2.5 0.25 0.50 1.75" in text
    assert "labels seen labels occurrences" in text
    assert "0 to 2 times 40 7 0.0000 0.0000 0.0000 0.0000" in text
    assert "30 times 10 307 0.6574 0.5250 0.3000 0.0750" in text
    assert "10 to 29 times" not in text
    assert "two_tower" not in text
    plots = page.plots
    assert len(plots) == 2
    assert all(name in plot for plot in plots for name in names)
    assert any("seconds of training" in plot for plot in plots)
    assert "ranker: recall@10" in page.text("")


def test_without_a_clock_there_are_no_times(made: Made) -> None:
    add_comparison(made, measured={})
    page = Page(render(made.store, made.record()))
    assert "training" not in page.text("ranking").split("by how often")[0]
    assert len(page.plots) == 1


def test_an_evaluation_alone_tells_of_the_ranker(made: Made) -> None:
    made.stage(
        "evaluate_ranker", xmr.EVALUATION, {"figures": figure_table(figures({"ranker": 0.8}))}, {"queries": 50, "labels": 7}
    )  # fmt: skip
    page = Page(render(made.store, made.record()))
    assert "ranker (tree of linear models) 0.4000 0.8000" in page.text("ranking")
    add_comparison(made)
    found = read_ranked(made.store, made.record())
    assert found is not None
    assert [system.method for system in found.systems] == ["ranker", "two_tower", "bm25", "frequent"]


def test_runs_without_a_ranker_have_no_such_part(made: Made) -> None:
    page = Page(render(made.store, made.record()))
    assert "ranking" not in page.texts
    assert read_ranked(made.store, made.record()) is None


def test_a_comparison_that_is_gone_is_named(made: Made) -> None:
    add_comparison(made)
    ref = made.stages[-1]["ref"]
    for path in made.store.files.names(ref):
        made.store.files.remove(f"{ref}/{path}")
    page = Page(render(made.store, made.record()))
    assert "ranking" not in page.texts
    assert "xmr.comparison" in page.text("problems")
