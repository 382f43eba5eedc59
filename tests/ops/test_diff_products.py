"""Every contract and every product in ``diff``: members, gates, rows and figures, of domains that are not named there."""

import json
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from fingerpost.flows import domains
from fingerpost.flows.cli import app
from fingerpost.flows.domains.domain import Domain, named
from fingerpost.flows.ops.compare.causes import lineage
from fingerpost.flows.ops.compare.changes import DataChange, data_changes
from fingerpost.flows.ops.compare.diff import Diff, diff
from fingerpost.flows.ops.compare.diff_tables import show_diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.schemas import ann, corpus, metric, xmr
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import figures_to_arrow, fixed_matrix
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.stage_run import identity_of
from tests.ops.faces import faces, tune, turned
from tests.unit.xmr.shop import Shop, write_shop
from tests.worlds import THINGS, commit_things, things_ref


def contracts() -> list[tuple[Domain, str]]:
    """Every contract of every domain."""
    return [
        (domain, contract.name)
        for domain in domains.DOMAINS
        for contract in import_module(f"fingerpost.schemas.{domain.word}").CONTRACTS
    ]


def test_every_contract_is_compared_or_left_to_rows_and_files_on_purpose() -> None:
    found = contracts()
    assert len(found) >= 36
    for domain, name in found:
        assert name in domain.changes, f"{name}: say how it is compared in the declaration of {domain.word}"
        if domain.changes[name]:
            assert callable(named(domain.changes[name]))
    assert {name for domain in domains.DOMAINS for name in domain.changes} == {name for _, name in found}


def test_figures_of_every_contract_that_has_some_are_compared() -> None:
    for domain, name in contracts():
        contract = {c.name: c for c in import_module(f"fingerpost.schemas.{domain.word}").CONTRACTS}[name]
        if "figures" in {table.name for table in contract.tables}:
            assert domain.changes[name], f"{name}: its figures are compared by nothing"


def test_a_contract_of_a_domain_that_no_shared_module_names_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    for seed in (1, 2):
        commit_things(store, things_ref(seed), seed=seed)
    assert data_changes(store, things_ref(1), things_ref(2)) == []
    toy = Domain("toys", "nowhere:flow", changes={THINGS.name: f"{__name__}:compared"})
    monkeypatch.setattr(domains, "DOMAINS", (*domains.DOMAINS, toy))
    assert data_changes(store, things_ref(1), things_ref(2)) == [DataChange("toys", {"first": THINGS.name})]


def compared(store: Store, before: Ref, after: Ref) -> list[DataChange]:
    """What the toy domain says."""
    return [DataChange("toys", {"first": before.name})]


class Versions:
    """A store with versions of a product by name."""

    def __init__(self, store: Store, made: dict[str, dict[str, Ref]], release: str) -> None:
        self.store, self.made, self.release = store, made, release

    def diff(self, before: str, after: str) -> Diff:
        sides = (find_version(self.store, str(self.made[name][self.release])) for name in (before, after))
        return diff(self.store, *sides)

    def data(self, before: str, after: str, role: str) -> dict[str, DataChange]:
        (found,) = (artifact for artifact in self.diff(before, after).artifacts if artifact.role == role)
        return {change.about: change for change in found.data}


@pytest.fixture(scope="module")
def thresholds(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder = tmp_path_factory.mktemp("thresholds")
    store, rows = Store(str(folder / "store")).prepare(), faces()
    other = [row for row in rows if row["package"] != "person 3"] + [
        rows[5] | {"id": f"new {number}", "package": "person new"} for number in range(3)
    ]
    made = {
        "base": tune(Environment(store, "faces", "2026-01-01"), folder, rows, group="kind"),
        "share": tune(Environment(store, "faces", "2026-01-02"), folder, rows, share=0.2, group="kind"),
        "data": tune(Environment(store, "faces", "2026-01-03"), folder, other, group="kind"),
        "model": tune(Environment(store, "faces", "2026-01-04"), folder, turned(rows), model="camera 2"),
    }
    return Versions(store, made, "release")


@pytest.fixture(scope="module")
def rankers(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder = tmp_path_factory.mktemp("rankers")
    store = Store(str(folder / "store")).prepare()
    write_shop(folder, rows=400)
    made = {"base": Shop().make(Environment(store, "shop", "2026-01-01"), folder / "interactions.csv")}
    lines = (folder / "interactions.csv").read_text().splitlines()
    (folder / "interactions.csv").write_text("\n".join([line for line in lines if "saw-red" not in line][:330]) + "\n")
    made["data"] = Shop().make(Environment(store, "shop", "2026-01-02"), folder / "interactions.csv")
    return Versions(store, made, "ranker")


def test_a_diff_of_thresholds_shows_members_and_gates(thresholds: Versions, capsys: pytest.CaptureFixture[str]) -> None:
    base = thresholds.made["base"]["release"]
    pointer = Pointer(thresholds.store, "faces", base.name)
    pointer.promote(base, gates=[Gate("threshold_frr", 0.3, 0.5, "at_most")])
    found = thresholds.diff("base", "share")
    assert found.kind == "threshold"
    roles = {artifact.role: artifact.state for artifact in found.artifacts}
    assert roles.keys() == {*read_members(thresholds.store, base), base.name}
    assert roles["vectors"] == roles["test_rows"] == roles["validation_pairs"] == "same"
    assert roles["assessment"] == roles[base.name] == "changed"
    assert ("threshold_frr", "0.3 (at most 0.5)", None) in [(c.key, c.before, c.after) for c in found.gates]
    assert [cause.artifact for cause in found.causes] == ["metric.assessment", "metric.threshold"]
    show_diff(found)
    shown = capsys.readouterr().out
    assert "threshold_frr" in shown
    assert "far of classes" in shown
    json.dumps(asdict(found))


def test_classes_whose_rates_moved_most_are_those_of_a_recount(thresholds: Versions) -> None:
    sides = [
        {
            row["name"]: row["far"]
            for row in thresholds.store.open(thresholds.made[name]["assessment"], metric.ASSESSMENT)
            .read("classes")
            .to_pylist()
        }
        for name in ("base", "share")
    ]
    moves = {name: sides[1][name] - sides[0][name] for name in sides[0] if name in sides[1]}
    found = thresholds.data("base", "share", "assessment")
    assert found["far of classes"].figures["of another value"] == sum(move != 0 for move in moves.values()) > 0
    farthest = max(moves, key=lambda name: abs(moves[name]))
    assert found["far of classes"].examples[0].startswith(f"{farthest}: ")
    assert found["far of classes"].figures["largest move"] == pytest.approx(abs(moves[farthest]), abs=1e-8)
    assert found["figures of metric.assessment"].figures["of another value"] > 0
    assert found["groups of classes"].figures["before"] == 2
    # Utility without pairs of either kind is null, which is no other value than null.
    assert thresholds.data("base", "data", "assessment")["utility of classes"].figures["in both"] == len(
        set(sides[0]) - {"person 3"}
    )


def test_thresholds_are_compared_with_their_models(thresholds: Versions) -> None:
    moved = thresholds.data("base", "share", "metric.threshold")
    assert any(example.startswith("share: 0.02 → 0.2") for example in moved["threshold"].examples)
    old, new = (thresholds.store.manifest(thresholds.made[name]["release"]).quality for name in ("base", "share"))
    assert any(f"{new['threshold'] - old['threshold']:+.6g}" in example for example in moved["threshold"].examples)
    assert (moved["canaries"].figures["in both"], moved["canaries"].figures["largest move"]) == (8, 0.0)
    assert moved["canaries"].note == ""
    other = thresholds.data("base", "model", "metric.threshold")
    assert "model: camera 1 → camera 2" in other["threshold"].examples
    assert other["canaries"].note == "the vectors are of another model"
    groups = thresholds.data("base", "model", "assessment")["groups of classes"].figures
    assert (groups["removed"], groups["after"]) == (2, 0)


def test_classes_that_came_and_went_are_named(thresholds: Versions) -> None:
    sides = [thresholds.data("base", "data", f"{side}_rows").get("classes") for side in ("validation", "test")]
    examples = [example for side in sides if side for example in side.examples]
    assert "removed: person 3" in examples
    assert "added: person new" in examples


def test_predictions_for_held_out_queries_are_compared_as_a_loop_does(rankers: Versions) -> None:
    found = rankers.data("base", "data", "predictions")["predicted labels"]
    sides = []
    for name in ("base", "data"):
        made = rankers.made[name]
        interactions = rankers.store.open(made["interactions"], xmr.INTERACTIONS)
        keys, labels = (interactions.read(table)["id"].to_pylist() for table in ("queries", "labels"))
        ranking = rankers.store.open(made["predictions"], xmr.PREDICTIONS).read("ranking")
        ranked = fixed_matrix(ranking["labels"]).tolist()
        queries = ranking["query"].to_pylist()
        sides.append(
            {
                keys[q]: [labels[label] for label in row if label < len(labels)]
                for q, row in zip(queries, ranked, strict=True)
            }
        )
    both = [key for key in sides[1] if key in sides[0]]
    overlaps = [
        len(set(sides[0][key]) & set(sides[1][key])) / max(len(sides[0][key]), len(sides[1][key]), 1)
        if sides[0][key] or sides[1][key]
        else 1.0
        for key in both
    ]
    assert found.figures["queries in both"] == len(both) > 20
    assert found.figures["mean overlap"] == pytest.approx(np.mean(overlaps), abs=1e-6)
    assert min(overlaps) < 1
    assert found.figures["with another first label"] == sum(sides[0][key][:1] != sides[1][key][:1] for key in both)


def test_a_diff_of_rankers_shows_members_and_labels(rankers: Versions) -> None:
    found = rankers.diff("base", "data")
    assert found.kind == "ranker"
    assert {artifact.role for artifact in found.artifacts} == {
        *read_members(rankers.store, rankers.made["base"]["ranker"]),
        "xmr.ranker",
    }
    assert "removed" in rankers.data("base", "data", "interactions")["queries"].figures


def two(folder: Path, contract: Contract, *sides: dict[str, pa.Table]) -> dict[str, DataChange]:
    """What is said of two artifacts of some tables."""
    store, refs = Store(str(folder / "store")).prepare(), []
    for number, tables in enumerate(sides):
        ref = Ref(contract.name, "2026-01-01", f"{number}" * 32)
        entries = [store.write_table(ref, contract, name, table) for name, table in tables.items()]
        identity = identity_of(contract, {"parameters": {}, "inputs": {}, "code": ""}, entries, {})
        store.commit(ref, Manifest(identity, {}))
        refs.append(ref)
    return {change.about: change for change in data_changes(store, *refs)}


def rows(contract: Contract, table: str, *given: dict[str, Any]) -> pa.Table:
    """Rows of a table of a contract, null where nothing is given."""
    fields = contract.table(table).fields
    return pa.table({field.name: pa.array([row.get(field.name) for row in given], field.type) for field in fields})


@pytest.mark.parametrize("contract", [xmr.COMPARISON, xmr.SWEEP, metric.RETRIEVAL], ids=lambda c: c.name)
def test_figures_that_moved_are_named(contract: Contract, tmp_path: Path) -> None:
    sides = [
        figures_to_arrow([("ranker", "all", "recall_at_10", value), ("bm25", "all", "recall_at_10", 0.1)])
        for value in (0.5, 0.25)
    ]
    (found,) = two(tmp_path, contract, *({"figures": side} for side in sides)).values()
    assert found.figures == {"figures in both": 2, "of another value": 1, "only before": 0, "only after": 0}
    assert found.examples == ["ranker all recall_at_10: 0.5 → 0.25 (-0.25)"]


def test_quarantined_rows_are_counted_by_reason(tmp_path: Path) -> None:
    sides = [
        {
            "rows": rows(
                corpus.QUARANTINE,
                "rows",
                *({"row": place, "id": "", "reason": reason, "detail": ""} for place, reason in enumerate(reasons)),
            )
        }
        for reasons in (["no id", "no id", "empty"], ["no id", "empty", "duplicate id"])
    ]
    (found,) = two(tmp_path, corpus.QUARANTINE, *sides).values()
    assert found.figures == {"rows before": 3, "rows after": 3}
    assert found.examples == ["duplicate id: 0 → 1", "no id: 2 → 1"]


def test_sample_queries_that_are_answered_otherwise_are_named(tmp_path: Path) -> None:
    sides = [
        {
            "figures": figures_to_arrow([("dense", "all", "mrr", 0.5)]),
            "samples": rows(
                ann.RETRIEVAL,
                "samples",
                *(
                    {"query": query, "rank": rank, "id": key, "title": key}
                    for query, keys in answers.items()
                    for rank, key in enumerate(keys, start=1)
                ),
            ),
        }
        for answers in ({"sort": ["a", "b"], "read": ["c"]}, {"sort": ["b", "a"], "read": ["c"], "plot": ["d"]})
    ]
    found = two(tmp_path, ann.RETRIEVAL, *sides)["sample queries"]
    assert found.figures == {"in both": 2, "answered otherwise": 1}
    assert found.examples == ["'sort': first a → b"]


def test_embedders_margins_and_which_is_taken_are_compared(tmp_path: Path) -> None:
    judged = {"opis": 0.1, "worst_opis": 0.2, "frr": 0.3, "recall_at_1": 0.9, "map_at_r": 0.5}
    tcm = {"positive_margin": 0.9, "negative_margin": 0.5, "weight": 1.0}
    sides = [
        {
            "trials": rows(
                metric.MARGINS,
                "trials",
                {"place": 0, **judged, "role": ""},
                {"place": 1, **tcm, **judged, "positive_margin": margin, "role": "chosen"},
            )
        }
        for margin in (0.9, 0.8)
    ]
    found = two(tmp_path / "margins", metric.MARGINS, *sides)
    assert found["margins trained with"].figures == {
        "before": "m⁺ 0.9, m⁻ 0.5, weight 1",
        "after": "m⁺ 0.8, m⁻ 0.5, weight 1",
    }
    assert found["trials of margins"].figures["changed positive_margin"] == 1
    # An embedder that was trained without TCM has nulls; with it, numbers: another value.
    sides = [
        {"embedders": rows(metric.EMBEDDERS, "embedders", {"place": 0, "seed": 1, "step": 5, "steps": 9, **margins})}
        for margins in ({}, tcm)
    ]
    (embedders,) = two(tmp_path / "embedders", metric.EMBEDDERS, *sides).values()
    assert embedders.figures["changed weight"] == embedders.figures["changed"] == 1
    sides = [
        {
            "validation": rows(
                metric.COMPARISON,
                "validation",
                {"embedder": 0, **judged, "role": "" if taken else "taken"},
                {"embedder": 1, **judged, "opis": opis, "role": "taken" if taken else ""},
            ),
            "figures": figures_to_arrow([("0", "test", "opis", opis)]),
        }
        for taken, opis in ((0, 0.3), (1, 0.05))
    ]
    found = two(tmp_path / "comparison", metric.COMPARISON, *sides)
    assert found["selected embedder"].figures == {"before": 0, "after": 1}
    assert found["opis of validation"].examples == ["1: 0.3 → 0.05 (-0.25)"]
    assert found["frr of validation"].figures == {"in both": 2, "of another value": 0}
    assert found["figures of metric.comparison"].figures["of another value"] == 1


@pytest.mark.parametrize("command", ["diff", "why", "replay", "rollback"])
def test_the_help_of_commands_for_a_product_names_every_product(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "900"}).output
    for name, product in domains.products().items():
        assert name in shown
        if command in {"why", "replay"}:
            assert f"{name}: {product.queries}" in shown


@pytest.mark.parametrize("name", domains.products())
def test_every_product_answers_queries_and_says_why_they_moved(name: str) -> None:
    product = domains.products()[name]
    assert product.queries
    for reference in (product.answers, product.why):
        assert callable(named(reference))
    assert product.replayed == (name == "ann.index"), "the setting replay.queries is of the index"


def test_no_artifact_is_lost_among_several_of_one_name(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    refs = [things_ref(seed) for seed in range(5)]
    for seed, ref in enumerate(refs):
        commit_things(store, ref, seed=seed, inputs=tuple(refs[seed - 1 : seed]))
    found = lineage(store, refs[-1])
    assert [ref for ref, _ in found.values()] == refs
    assert list(found)[:4] == [THINGS.name, *(f"{THINGS.name} (in_0{more})" for more in ("", " 2", " 3"))]


def test_a_product_of_a_domain_that_no_shared_module_names_shows_its_members(
    rankers: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ranker under another declaration: what people call a product is said by its domain alone."""
    words = {domain.word: domain for domain in domains.DOMAINS}
    toy = replace(words["xmr"], products=(replace(words["xmr"].products[0], title="toy"),))
    monkeypatch.setattr(domains, "DOMAINS", (words["corpus"], toy))
    found = rankers.diff("base", "data")
    assert found.kind == "toy"
    assert len(found.artifacts) > 10
