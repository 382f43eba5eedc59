"""The part of the report that tells of an alignment: figures, curves, candidates, joined entities and pairs to review."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.kg.report.curves import precision_recall, reliability_of
from fingerpost.flows.domains.kg.report.section import cards, gather
from fingerpost.flows.report.page import render
from fingerpost.schemas import kg
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.inputs.graphs import table_of
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.tasks.kg.calibration import uncalibrated
from tests.support.report_pages import NASTY, Made, Page, figure_table

METHODS = {"scorer": 0.9, "baseline": 0.7, "aligner": 0.8}


@pytest.fixture
def made(tmp_path: Any) -> Made:
    return Made(tmp_path)


def stage(made: Made, name: str, contract: Contract, rows: dict[str, list[tuple[Any, ...]]], **quality: Any) -> str:
    """A stage with tables of these rows; of other tables of the contract without any."""
    tables = {table.name: table_of(table, rows.get(table.name, [])) for table in contract.tables}
    if "calibration" in tables:
        tables["calibration"] = tensors_to_arrow(uncalibrated().tensors)
    return made.stage(name, contract, tables, quality)


def figures(*, types: bool = True) -> list[tuple[str, str, str, float]]:
    rows = []
    for method, worth in METHODS.items():
        rows += [
            (method, "given", "prauc", worth),
            (method, "given", "pairs", 40.0),
            (method, "given", "f1", worth - 0.1),
        ]
        for kind in ("paper", "author") if types else ():
            rows += [(method, f"given {kind}", "prauc", worth - 0.2), (method, f"given {kind}", "pairs", 20.0)]
    rows += [("scorer", "given", "precision", 0.95), ("scorer", "given", "precision_low", 0.91)]
    rows += [("scorer", "given", "precision_high", 0.99), ("matches", "linked", "f1", 0.85)]
    rows += [("scorer", "all entities", "hits_at_1", 0.6), ("structure", "all entities", "hits_at_1", 0.5)]
    return [*rows, ("blocking", "all", "pairs", 6.0), ("blocking", "test", "recall", 0.98)]


LINKS = [(row, row, row % 2, "test" if row < 40 else "training", "given") for row in range(50)]


def add_alignment(made: Made, *, tested: bool = True, links: int = 50, types: bool = True) -> None:
    """The stages of an alignment of 50 entities a side."""
    graph = {"entities": 50, "relations": 70, "attributes": 90}
    stage(made, "import_graph", kg.GRAPH, {}, **graph)
    made.stages[-1]["part"] = "left"
    stage(made, "import_graph", kg.GRAPH, {}, **{**graph, "entities": 60})
    made.stages[-1]["part"] = "right"
    known = {"links": links, "positives": links // 2, "negatives": links // 2, "reviewed": 0}
    stage(made, "import_links", kg.LINKS, {"links": LINKS if links else []}, **known)
    blocking = {"pairs": 1234, "pairs_per_entity": 12.34, "most_per_entity": 20, "by_vectors": 1000, "by_rules": 5}
    stage(made, "propose_pairs", kg.CANDIDATES, {}, **blocking | ({"recall": 0.97} if links else {}))
    scores = [(row, row, method, (2.0 if row % 2 else -1.0) + row / 50) for row in range(50) for method in METHODS]
    stage(made, "score_labelled", kg.LABELLED, {"scores": scores if links else []})
    candidates = [(row, other, 3.0 if row == other else -3.0) for row in range(50) for other in (row, (row + 1) % 50)]
    stage(made, "score_pairs", kg.SCORES, {"scores": candidates})
    thresholds = [
        ("f1", 0.0, 0.5, 0.4, 0.6, "given", 20, 0.95, 0.9, 0.99, 0.9, True, True),
        ("precision", 0.99, 0.8, 0.7, 0.9, "given", 10, 0.97, 0.9, 0.99, 0.5, False, False),
    ]
    stage(made, "calibrate_alignment", kg.CALIBRATION, {"thresholds": thresholds}, estimated=not tested)
    stage(made, "decide_matches", kg.MATCHES, {"matches": [(row, row, 0.95) for row in range(50)]})
    members = [(f"k{row}", side, row) for side in ("left", "right") for row in range(50)]
    history = [("new", "", f"k{row}", 2) for row in range(49)] + [("merged", "old", "k1", 3)]
    stage(made, "identify_entities", kg.CLUSTERS, {"members": members, "history": history})
    rules = [("price", "newest", 50, 7), ("title", "all", 50, 0)]
    joined = {
        "entities": 50,
        "of_both": 50,
        "relations": 9,
        "relations_of_both": 4,
        "kept": 80,
        "attributes_of_both": 30,
    }
    stage(made, "join_graphs", kg.JOINED, {"rules": rules}, **joined, unused_rules=["colour"])
    stage(made, "evaluate_alignment", kg.EVALUATION, {}, tested=40 if tested else 0)
    if tested:
        made.stages.pop()
        made.stage("evaluate_alignment", kg.EVALUATION, {"figures": figure_table(figures(types=types))}, {"tested": 40})
    queue = [("l1", "r1", NASTY, "", 0.51, True, "near the threshold"), ("l2", "r2", "", "", 0.4, False, "disputed")]
    stage(made, "queue_review", kg.REVIEW, {"pairs": queue})
    measured = {"prauc": 0.9, "matches_f1": 0.8, "matches_precision": 0.95} if tested else {}
    stage(made, "assemble_alignment", kg.ALIGNMENT, {}, matches=50, tested=40 if tested else 0, **measured)


def shown(made: Made) -> Page:
    return Page(render(made.store, made.record()))


def test_methods_stand_in_one_table_with_types_and_bold_best_ones(made: Made) -> None:
    add_alignment(made)
    text = shown(made).text("alignment")
    assert "50 entities of the left graph with 70 relations and 90 attributes; 60 entities of the right graph" in text
    assert "50 pairs are known: 25 the same, 25 not. 50 matches." in text
    ours = "published scorer all 0.9000 0.8000 0.9500 (0.9100 to 0.9900) 40"
    assert ours in text
    assert text.index("boosting on similarities") < text.index("neighbourhoods (aligner)") < text.index(ours)
    assert "published scorer paper 0.7000" in text
    assert "<strong>0.9000</strong>" in render(made.store, made.record())
    assert "Ranks among all entities" in text
    assert "decisions 0.8500" in text
    assert "Not measured" not in text


def test_curves_and_candidates_are_drawn(made: Made) -> None:
    add_alignment(made)
    plots = shown(made).plots
    assert len(plots) == 3
    assert [word in plot for plot, word in zip(plots, ("precision", "share of matches", "threshold"), strict=True)] == [
        True
    ] * 3


def test_thresholds_of_several_targets_say_which_decides(made: Made) -> None:
    add_alignment(made)
    text = shown(made).text("alignment")
    assert "best F1 0.5000 0.4000 to 0.6000 0.9500 0.9000 20 decides" in text
    assert "precision of at least 0.99 0.8000 0.7000 to 0.9000 0.9700 0.5000 10 cannot be kept" in text


def test_candidates_joined_entities_and_doubtful_pairs_are_told(made: Made) -> None:
    add_alignment(made)
    page = shown(made)
    text = page.text("blocking")
    assert "1,234 pairs are compared in full, 12.3 for each left entity and at most 20." in text
    assert "of the split test 98.0 %" in text
    assert "near vectors: 1,000; equal values: 5" in text
    text = page.text("joined-entities")
    assert "2 50" in text
    assert "Ids since the version before: new 49, merged into another 1." in text
    assert "merged old k1 3" in text
    assert "price newest 50 7" in text
    assert "title" not in text
    assert "Rules for attributes that no graph has: colour." in text
    text = page.text("review")
    assert "0.510 yes near the threshold" in text
    assert "The first of 2" in text
    assert "script" not in page.tags


def test_an_alignment_without_known_pairs_says_that_nothing_was_measured(made: Made) -> None:
    add_alignment(made, tested=False, links=0)
    page = shown(made)
    text = page.text("alignment")
    assert "Not measured: no pairs are known." in text
    assert "fingerpost review" in text
    assert "PRAUC" not in text
    assert "none is known" in page.text("blocking")
    assert len(page.plots) == 1


def test_an_alignment_without_test_pairs_says_so(made: Made) -> None:
    add_alignment(made, tested=False)
    assert "Not measured: no known pair is held out for the test." in shown(made).text("alignment")


def test_cards_are_the_figures_of_the_release(made: Made) -> None:
    add_alignment(made)
    contents = gather(made.store, made.record())
    assert contents is not None
    assert contents.problems == []
    assert cards(contents) == [
        ("entities, left", "50"),
        ("entities, right", "60"),
        ("matches", "50"),
        ("alignment: PRAUC", "0.9000"),
        ("matches: F1", "0.8000"),
        ("matches: precision", "0.9500"),
    ]


def test_what_cannot_be_read_is_named_and_the_rest_shown(made: Made) -> None:
    add_alignment(made)
    stages = [one for one in made.stages if one["stage"] == "calibrate_alignment"]
    (Path(made.store.url) / stages[0]["ref"] / "manifest.json").unlink()
    contents = gather(made.store, made.record())
    assert contents is not None
    assert any("kg.calibration" in problem for problem in contents.problems)
    assert contents.measured
    assert contents.histogram is None


def test_a_run_of_another_domain_and_one_that_only_imported_graphs(made: Made) -> None:
    assert gather(made.store, made.record()) is None
    stage(made, "import_graph", kg.GRAPH, {}, entities=5, relations=0, attributes=0)
    contents = gather(made.store, made.record())
    assert contents is not None
    assert cards(contents) == [("entities of the graph", "5")]
    assert "alignment" not in shown(made).texts


def test_precision_and_recall_are_those_of_each_distinct_score() -> None:
    curve = precision_recall("scorer", np.array([1, 0, 1, 1, 0]), np.array([5.0, 4.0, 4.0, 1.0, 0.0]))
    assert curve.recall == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert curve.precision == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])
    many = precision_recall("scorer", np.arange(5000) % 2, np.arange(5000.0))
    assert len(many.recall) == 200
    assert many.recall[-1] == 1


def test_reliability_is_by_equal_parts_of_probabilities() -> None:
    found = reliability_of(np.array([0, 1, 1, 1]), np.array([0.04, 0.06, 0.95, 1.0]))
    assert found.predicted == pytest.approx([0.05, 0.975])
    assert found.found == [0.5, 1.0]
    assert found.pairs == [2, 2]
