"""The part of the report that tells of a ranker and its baselines."""

from typing import Any

import pytest

from fingerpost.flows.domains.xmr.report.ranking import read_ranked
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render
from fingerpost.flows.run.page import plots as run_page_plots
from fingerpost.schemas import xmr
from tests.support.report_pages import Made, Page, figure_table

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
        rows += [
            (method, "all", metric, worth * share)
            for metric, share in (("precision_at_1", 0.5), ("recall_at_10", 1.0), ("precision_at_10", 0.1))
        ]
        for place, (least, most) in enumerate(((0, 2), (3, 9), (10, 29), (30, 30))):
            values = {
                "labels": 40 - 10 * place,
                "occurrences": 0 if place == 2 else 100 * place + 7,
                "recall": worth * place / 4,
                "coverage": 0.5,
            }
            rows += [(method, f"seen {least}-{most}", metric, float(value)) for metric, value in values.items()]
    return rows


def add_comparison(made: Made, methods: dict[str, float] = METHODS, measured: dict[str, Any] | None = None) -> None:
    made.stage(
        "compare_rankers",
        xmr.COMPARISON,
        {"figures": figure_table(figures(methods))},
        {"queries": 1234, "labels": 100},
        measured=MEASURED if measured is None else measured,
    )


def test_all_systems_stand_in_one_table_with_plots(made: Made) -> None:
    add_comparison(made)
    page = Page(render(made.store, made.record()))
    text = page.text("ranking")
    names = ("ranker (tree of linear models)", "two-tower network", "BM25 over label texts", "most frequent labels")
    places = [text.index(name) for name in names]
    assert places == sorted(places)
    assert "1,234 queries that were held out to test, 100 labels" in text
    assert "ranker (tree of linear models) 0.4382 0.8765" in text
    assert "ranker (tree of linear models) 24.6 s 2.5 0.25 0.50 1.75" in text
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
        "evaluate_ranker",
        xmr.EVALUATION,
        {"figures": figure_table(figures({"ranker": 0.8}))},
        {"queries": 50, "labels": 7},
    )
    page = Page(render(made.store, made.record()))
    assert "ranker (tree of linear models) 0.4000 0.8000" in page.text("ranking")
    add_comparison(made)
    found = read_ranked(made.store, made.record())
    assert found is not None
    assert [system.method for system in found.systems] == ["ranker", "two_tower", "bm25", "frequent"]


def add_sweep(made: Made, params: dict[str, Any], chosen: dict[str, Any] | None, **quality: Any) -> None:
    rows = []
    for place, (threshold, beam) in enumerate((t, b) for t in (0.1, 0.5) for b in (5, 20)):
        values = {
            "threshold": threshold,
            "beam": beam,
            "precision_at_1": 0.5,
            "recall_at_7": 0.9 - place / 10,
            "bytes": 2.5e6 - 5e5 * place,
            "weights": 4321.0,
            "work": 1000.0 * beam,
        }
        rows += [
            ("ranker", f"threshold {threshold:g}, beam {beam}", metric, float(value))
            for metric, value in values.items()
        ]
    made.stage(
        "sweep_ranker",
        xmr.SWEEP,
        {"figures": figure_table(rows)},
        {"points": 4, "k": 7, "chosen": chosen} | quality,
        params={"k": 7, "thresholds": [0.1, 0.5], "beams": [5, 20]} | params,
        measured={"latency_ms": [0.1, 0.4, 0.1, None]},
    )


def test_the_sweep_stands_in_a_table_with_plots(made: Made) -> None:
    limits = {"megabytes": 2.2, "latency_ms": 0.5, "work_per_ms": 40_000.0}
    add_sweep(made, limits, {"threshold": 0.1, "beam": 20, "recall": 0.8, "bytes": 2_000_000})
    page = Page(render(made.store, made.record()))
    text = page.text("sweep")
    assert (
        "Published is threshold 0.1 with beam 20: the best within at most 2.2 MB; at most 0.5 ms per query, at 40,000"
        " units of work per ms" in text
    )
    assert "0.1 20 0.5000 0.8000 2.0 4,321 20,000 0.400" in text
    assert "0.5 20 0.5000 0.6000 1.0 4,321 20,000 –" in text
    assert len(page.plots) == 2
    assert all("chosen" in plot and "recall@7" in plot for plot in page.plots)
    drawn = run_page_plots(gather(made.store, made.record()))
    assert {"Recall over model size", "Recall over latency"} <= {title for title, _ in drawn}


def test_a_sweep_says_why_nothing_was_picked(made: Made) -> None:
    add_sweep(made, {"megabytes": 0.1}, None, refused="size: expected at most 0.1 MB, got at least 1 MB; raise it")
    assert "Nothing is within at most 0.1 MB: size: expected" in Page(render(made.store, made.record())).text("sweep")


def test_a_sweep_without_limits_changes_nothing(made: Made) -> None:
    add_sweep(made, {"on": True}, {"threshold": 0.1, "beam": 5, "recall": 0.9, "bytes": 2_500_000})
    page = Page(render(made.store, made.record()))
    assert "published as it was trained" in page.text("sweep")
    assert not any("chosen" in plot for plot in page.plots)


def test_members_of_an_ensemble_stand_beside_it(made: Made) -> None:
    add_comparison(made)
    made.stage(
        "evaluate_ranker",
        xmr.EVALUATION,
        {"figures": figure_table(figures({"ranker": 0.8765, "member_1": 0.85, "member_2": 0.84}))},
        {"queries": 1234, "labels": 100},
    )
    text = Page(render(made.store, made.record())).text("ranking")
    assert text.index("most frequent labels") < text.index("member 1 0.4250 0.8500") < text.index("member 2 0.4200")
    assert text.count("ranker (tree of linear models) 0.4382 0.8765") == 1


def test_runs_without_a_ranker_have_no_such_part(made: Made) -> None:
    page = Page(render(made.store, made.record()))
    assert not {"ranking", "sweep"} & set(page.texts)
    assert read_ranked(made.store, made.record()) is None


def test_a_comparison_that_is_gone_is_named(made: Made) -> None:
    add_comparison(made)
    ref = made.stages[-1]["ref"]
    for path in made.store.files.names(ref):
        made.store.files.remove(f"{ref}/{path}")
    page = Page(render(made.store, made.record()))
    assert "ranking" not in page.texts
    assert "xmr.comparison" in page.text("problems")
