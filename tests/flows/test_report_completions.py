"""The part of the report that tells of a completer, what its gates ask, and how two of them differ."""

from typing import Any

import pyarrow as pa
import pytest

from fingerpost.flows.domains.autocomplete import changes
from fingerpost.flows.domains.autocomplete.comparison import completer_compared
from fingerpost.flows.domains.autocomplete.gates import completer_gates, unmeasured
from fingerpost.flows.domains.autocomplete.settings import CompleterGates
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render
from fingerpost.schemas import autocomplete, xmr
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.refs import Ref
from tests.support.report_pages import NASTY, Made, Page, figure_table

METHODS = {"popularity": 0.15, "completer": 0.5, "bigram": 0.3}
RELEASE = {
    "suggestions": 321,
    "least_users": 2,
    "events": 9000,
    "users": 77,
    "sessions": 1500,
    "tested": 640,
    "mrr": 0.5,
    "popularity_mrr": 0.15,
    "quarantine_share": 0.01,
}


@pytest.fixture
def made(tmp_path: Any) -> Made:
    return Made(tmp_path)


def figures(methods: dict[str, float]) -> list[tuple[str, str, str, float]]:
    rows = []
    for method, worth in methods.items():
        rows += [(method, "all", name, worth) for name in ("mrr", "success_at_1", "success_at_10", "coverage")]
        for length in (0, 1, 2, 3):
            rows.append((method, f"prefix {length}", "mrr", worth + length / 100))
            rows.append((method, f"prefix {length} seen", "mrr", worth + length / 50))
            rows.append((method, f"prefix {length} seen", "pairs", 512.0))
    return rows


def add_completer(made: Made, *, interval: bool = False) -> None:
    rows = figures(METHODS)
    if interval:
        rows += [("completer", "all", "mrr_low", 0.45), ("completer", "all", "mrr_high", 0.55)]
    made.stage(
        "evaluate_completer",
        autocomplete.EVALUATION,
        {"figures": figure_table(rows)},
        {"tested": 640},
        measured={"completer": {"p50_ms": 0.25, "p95_ms": 0.5, "p99_ms": 1.75}},
    )
    members = pa.table({"role": ["evaluation"], "ref": [made.stages[-1]["ref"]]})
    made.stage("assemble_completer", autocomplete.COMPLETER, {"members": members}, RELEASE)


def test_all_systems_stand_in_one_table_with_a_plot(made: Made) -> None:
    add_completer(made, interval=True)
    page = Page(render(made.store, made.record()))
    text = page.text("completing")
    assert "321 queries can be suggested, each of at least 2 users" in text
    assert "640 held-out queries with one before them" in text
    assert "system MRR success@1" in text
    ours = "completer (ranker and counts) 0.5000 (0.4500 to 0.5500) 0.5000 0.5000 0.5000"
    assert f"{ours} 0.25 0.50 1.75" in text
    assert "MRR by characters typed 0 1 2 3 completer (ranker and counts) 0.5000 0.5100 0.5200 0.5300" in text
    assert (
        text.index("completer (ranker") < text.index("after the query before") < text.index("most popular completion")
    )
    assert "seen in training 3 512 0.5600 0.3600 0.2100" in text
    (plot,) = page.plots
    assert "characters of the prefix" in plot
    assert "completer: MRR" in page.text("")


def test_without_times_there_are_none(made: Made) -> None:
    made.stage(
        "evaluate_completer", autocomplete.EVALUATION, {"figures": figure_table(figures(METHODS))}, {"tested": 9}
    )
    made.stage(
        "select_suggestions",
        autocomplete.SUGGESTIONS,
        {"suggestions": suggestion_table({"a": 1.0})},
        {"suggestions": 1, "withheld": 12, "blocked": 3},
    )
    text = Page(render(made.store, made.record())).text("completing")
    assert "ms p50" not in text
    assert "12 queries of too few users are withheld, and 3 are blocked" in text


def test_what_is_left_out_and_blocked_is_counted(made: Made) -> None:
    rows = {"user": ["a"], "session": [""], "time": [0], "query": ["x"]}
    made.stage("import_events", autocomplete.EVENTS, {"events": pa.table(rows)}, {"events": 1, "users": 1, "empty": 7})
    made.stage(
        "select_suggestions",
        autocomplete.SUGGESTIONS,
        {"suggestions": suggestion_table({"a": 1.0})},
        {"suggestions": 1, "withheld": 0, "blocked": 3},
    )
    text = Page(render(made.store, made.record())).text("completing")
    assert "7 events without a query are left out. 3 queries are blocked." in text
    assert "withheld" not in text


def test_weak_prefixes_are_listed_as_they_are_typed(made: Made) -> None:
    rows = {"prefix": ["wa", NASTY], "pairs": [40, 9], "success_at_10": [0.125, 0.0], "suggestions": [3, 0]}
    made.stage("list_weak_prefixes", autocomplete.WEAK_PREFIXES, {"prefixes": pa.table(rows)}, {})
    page = Page(render(made.store, made.record()))
    assert "wa 40 12.5 % 3" in page.text("weak-prefixes")
    assert "script" not in page.tags


def test_a_completers_ranker_is_not_taken_for_the_collections(made: Made) -> None:
    """Stages and contracts of the ranker's domain that a completer has are in a part of its own."""
    add_completer(made)
    assert len(gather(made.store, made.record()).sections) == 1
    rows = pa.table({"query": ["a"]})
    made.stages.append(made.stages[-1] | {"stage": "list_targets", "part": "autocomplete-final"})
    made.stages[-1]["ref"] = str(Ref(xmr.INTERACTIONS.name, "2026-01-02", "e" * 32))
    made.stages[-1]["quality"] = {"queries": rows.num_rows, "labels": 1}
    _environment_of(made)
    assert len(gather(made.store, made.record()).sections) == 1
    made.stages[-1]["part"] = ""
    assert len(gather(made.store, made.record()).sections) == 2


def _environment_of(made: Made) -> None:
    """The artifact that the last stage names."""
    ref = Ref.parse(made.stages[-1]["ref"])
    made.store.commit(ref, Manifest({"inputs": {}, "files": [], "quality": {}, "parameters": {}}, {}))


@pytest.mark.parametrize(
    ("quality", "missed"),
    [
        ({}, []),
        ({"least_users": 1}, ["completer_least_users"]),
        ({"suggestions": 0, "least_users": 0}, ["completer_suggestions"]),
        ({"mrr": 0.1}, ["completer_mrr_over_popularity"]),
        ({"mrr": 0.15}, []),
        ({"tested": 0, "mrr": 0.0, "popularity_mrr": 0.5}, []),
        ({"quarantine_share": 0.2}, ["quarantine_share"]),
    ],
)
def test_gates(quality: dict[str, float], missed: list[str]) -> None:
    manifest = Manifest({"quality": RELEASE | quality}, {"collection": "shop"})
    gates = completer_gates(manifest, CompleterGates())
    assert [gate.name for gate in gates if not gate.holds] == missed


def test_a_gate_can_ask_for_measured_quality() -> None:
    manifest = Manifest({"quality": RELEASE | {"tested": 0}}, {"collection": "shop"})
    assert "is not measured" in unmeasured(manifest)
    asked = CompleterGates(tested=1, mrr=0.4, over_popularity=0.4)
    assert [gate.name for gate in completer_gates(manifest, asked) if not gate.holds] == ["completer_tested"]
    manifest = Manifest({"quality": RELEASE}, {"collection": "shop"})
    assert unmeasured(manifest) == ""
    assert [gate.name for gate in completer_gates(manifest, asked) if not gate.holds] == [
        "completer_mrr_over_popularity"
    ]


def test_suggestions_and_mrr_are_compared_with_the_live_ones(made: Made) -> None:
    members = {"members": pa.table({"role": pa.array([], pa.string()), "ref": pa.array([], pa.string())})}
    changed = ({}, {"suggestions": 160, "mrr": 0.3}, {"tested": 0})
    refs = [made.commit(autocomplete.COMPLETER, members, RELEASE | other)[0] for other in changed]
    found = [str(gate) for gate in completer_compared(made.store, refs[0], refs[1], CompleterGates()) if not gate.holds]
    assert found == [
        "suggestions_against_live 160, live 321 (at least 160.5)",
        "completer_mrr_against_live 0.3, live 0.5 (at least 0.375)",
    ]
    suggestions, mrr = completer_compared(made.store, refs[0], refs[2], CompleterGates())
    assert suggestions.holds
    assert mrr.unmeasured


def suggestion_table(weights: dict[str, float], users: int = 5) -> pa.Table:
    keys = sorted(weights)
    return pa.table(
        {
            "query": pa.array([key.title() for key in keys]),
            "key": pa.array(keys),
            "users": pa.array([users] * len(keys), pa.int64()),
            "weight": pa.array([weights[key] for key in keys], pa.float32()),
        }
    )


def test_suggestions_that_appeared_and_vanished_are_named_the_most_popular_first(made: Made) -> None:
    before = {"tent": 9.0, "ice axe": 4.0, "ice screw": 7.0}
    after = {"tent": 8.0} | {f"shoe {number}": float(number) for number in range(7)}
    refs = [
        made.commit(autocomplete.SUGGESTIONS, {"suggestions": suggestion_table(rows)}, {})[0]
        for rows in (before, after)
    ]
    named, weight, users = changes.suggestions(made.store, *refs)
    assert named.figures == {"before": 3, "after": 8, "appeared": 7, "vanished": 2, "written otherwise": 0}
    assert named.examples == [
        "appeared: Shoe 6, Shoe 5, Shoe 4, Shoe 3, Shoe 2 …",
        "vanished: Ice Screw, Ice Axe",
    ]
    assert weight.examples == ["Tent: 9 → 8 (-1)"]
    assert users.figures["of another value"] == 0


def test_pairs_are_counted_without_a_text(made: Made) -> None:
    def pairs(suggestions: list[int]) -> pa.Table:
        count = len(suggestions)
        return pa.table(
            {
                "session": pa.array(range(count), pa.uint32()),
                "previous": pa.array([[0]] * count, pa.list_(pa.uint32())),
                "next": pa.array([1] * count, pa.uint32()),
                "suggestion": pa.array(suggestions, pa.int32()),
                "weight": pa.array([1.0] * count, pa.float32()),
                "split": pa.array(["training"] * (count - 1) + ["test"]),
            }
        )

    refs = [made.commit(autocomplete.PAIRS, {"pairs": pairs(rows)}, {})[0] for rows in ([0, -1, 2], [0, 1, 2, 3])]
    (found,) = changes.pairs(made.store, *refs)
    assert found.figures == {
        "before": 3,
        "test before": 1,
        "training before": 2,
        "share with a suggestion as next before": 0.666667,
        "after": 4,
        "test after": 1,
        "training after": 3,
        "share with a suggestion as next after": 1.0,
    }
