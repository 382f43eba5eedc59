"""A version that falls far behind the live one is not published unless somebody says why."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.domains.ann.comparison import index_compared
from fingerpost.flows.domains.ann.settings import IndexChange, IndexGates
from fingerpost.flows.domains.corpus.comparison import dimension_compared, vocabulary_compared
from fingerpost.flows.domains.metric.comparison import threshold_compared
from fingerpost.flows.domains.metric.settings import ThresholdGates
from fingerpost.flows.domains.xmr.comparison import ranker_compared
from fingerpost.flows.domains.xmr.settings import RankerGates
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render
from fingerpost.flows.run.gates import accepted, compared_with_live, publish
from fingerpost.flows.run.page import summary
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.comparison import Comparison, fallen
from fingerpost.schemas.errors import GateError, PublicationConflictError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate, Pointer, Publication
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.remembered import remembered_inputs
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.support.commands import fingerpost_here, refused
from tests.support.products import request_for, write_csv

pytestmark = pytest.mark.usefixtures("plain_runs")

FEW: dict[str, Any] = {"ann.retrieval.items.queries": 10, "ann.evaluation.queries": 20, "corpus.svd.rank": 16}
OLD, NEW = (Ref("ann.index", "2026-01-05", digit * 32) for digit in "ab")


@pytest.fixture(scope="module", autouse=True)
def no_reports() -> Iterator[None]:
    """Runs draw no reports, which take as long as all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fingerpost.flows.run.runtime._write_report", lambda run, record: None)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plain_runs: None, no_reports: None) -> Path:
    """Products of two days in a store, one in ten of which was replaced on the second."""
    folder = tmp_path_factory.mktemp("change")
    products = write_csv(folder / "products.csv")
    run_flow("nightly", request_for(folder / ".fingerpost", products, **FEW), quiet=True)
    changed, others = products.read_text().splitlines(), write_csv(folder / "other.csv", seed=1).read_text()
    (folder / "changed.csv").write_text("\n".join(changed[:217] + others.splitlines()[217:]) + "\n")
    night(folder, "changed.csv", day="2026-01-06")
    return folder


def night(folder: Path, source: str, *, day: str = "2026-01-07", accept: str = "", **settings: Any) -> None:
    request = request_for(folder / ".fingerpost", folder / source, **FEW, **settings)
    run_flow("nightly", request.model_copy(update={"day": day, "accept_change": accept}), quiet=True)


def live(folder: Path) -> Publication:
    return Pointer(Store(str(folder / ".fingerpost")), "products", "ann.index").required()


def gates(folder: Path) -> dict[str, bool]:
    """The comparisons of the newest run."""
    record = runs(Store(str(folder / ".fingerpost")), newest=1)[0]
    return {gate["gate"]: gate["holds"] for gate in record["gates"] if "against_live" in gate["gate"]}


def test_a_first_version_is_compared_with_nothing_and_ordinary_change_passes(world: Path) -> None:
    first, second = Pointer(Store(str(world / ".fingerpost")), "products", "ann.index").history()
    assert not [gate for gate in first.gates if "against_live" in gate["name"]]
    found = {gate["name"]: gate for gate in second.gates if "against_live" in gate["name"]}
    assert found.keys() == {"documents_against_live", "recall_at_10_against_live", "vocabulary_against_live"}
    assert (found["documents_against_live"]["value"], found["documents_against_live"]["live"]) == (240, 240)
    assert found["vocabulary_against_live"]["value"] > 0.9
    assert live(world).artifact.day == "2026-01-06"
    assert second.reason.startswith("run ")


def test_fewer_documents_are_withheld_with_the_figures(world: Path) -> None:
    lines = (world / "products.csv").read_text().splitlines()
    (world / "few.csv").write_text("\n".join(lines[:101]) + "\n")
    before = live(world)
    with pytest.raises(
        GateError,
        match=r"documents_against_live 100, live 240 \(at least 120\); .* stays live; .*--accept-change \"REASON\"",
    ):
        night(world, "few.csv")
    assert live(world) == before
    assert gates(world)["documents_against_live 100, live 240 (at least 120)"] is False
    remembered = remembered_inputs(Store(str(world / ".fingerpost")), "products")
    assert remembered["input.source"].values["input.source"] == str(world / "changed.csv")
    # An earlier day does not replace what is live.
    night(world, "few.csv", day="2026-01-04")
    assert live(world) == before
    assert gates(world) == {}


def test_another_input_is_withheld_and_published_with_a_reason(world: Path) -> None:
    words = [
        "vector",
        "matrix",
        "solve",
        "norm",
        "trace",
        "eigen",
        "rank",
        "product",
        "sparse",
        "dense",
        "inverse",
        "factor",
    ]
    random = np.random.default_rng(2)
    rows = [f"q{row},{random.choice(words)} {row},{' '.join(random.choice(words, 8))},maths" for row in range(240)]
    (world / "maths.csv").write_text("\n".join(["sku,name,about,group", *rows]) + "\n")
    before = live(world)
    with pytest.raises(GateError, match=r"vocabulary_against_live 0(\.\d+)?, live 1 \(at least 0\.4\)"):
        night(world, "maths.csv")
    assert live(world) == before

    night(world, "maths.csv", accept="the shop sells | mathematics <now>")
    move, store = live(world), Store(str(world / ".fingerpost"))
    record = runs(store, newest=1)[0]
    assert move.artifact.day == "2026-01-07"
    assert move.reason.startswith("despite vocabulary_against_live ")
    assert move.reason.endswith(f": the shop sells | mathematics <now>, run {record['id']}")
    assert [gate["accepted"] for gate in record["gates"] if not gate["holds"]] == ["the shop sells | mathematics <now>"]
    history = json.loads(fingerpost_here("history", "--json", cwd=world).stdout)
    assert history["publications"]["products/ann.index"][-1]["reason"] == move.reason
    assert "accepted: the shop sells | mathematics &lt;now&gt;" in render(store, record)
    page = summary(record, gather(store, record), ())
    assert page.count("the shop sells \\| mathematics &lt;now>") == 2
    found = json.loads(fingerpost_here("diff", before.ref, move.ref, "--json", cwd=world).stdout)
    assert "vocabulary_against_live" in {change["key"] for change in found["gates"]}


def test_z_a_rollback_is_not_compared_and_a_promotion_is(world: Path) -> None:
    maths = live(world)
    assert "is live again" in fingerpost_here("rollback", "--collection", "products", cwd=world).stdout
    promote = ("promote", maths.ref, "--profile", "tiny")
    assert "vocabulary_against_live 0" in refused(*promote, "--reason", "looked at", cwd=world)
    assert live(world).artifact.day == "2026-01-06"
    done = fingerpost_here(*promote, "--accept-change", "it is meant", "--reason", "looked at", cwd=world)
    assert done.returncode == 0, done.stderr
    assert live(world).ref == maths.ref
    assert live(world).reason.endswith(": it is meant, looked at")


def test_vectors_of_an_input_keep_their_dimension_and_texts_do_not_give_way_to_vectors(
    tmp_path: Path, world: Path
) -> None:
    random = np.random.default_rng(0)
    for dimension in (6, 8):
        rows = pa.array(list(random.normal(size=(60, dimension))), pa.list_(pa.float32()))
        pq.write_table(
            pa.table({"id": [f"p{n}" for n in range(60)], "vector": rows}), tmp_path / f"{dimension}.parquet"
        )
    vectors = {"ann.evaluation.queries": 20, "ann.gates.change.documents": 1.0}
    folder = tmp_path / ".fingerpost"
    run_flow("nightly", request_for(folder, tmp_path / "6.parquet", **vectors), quiet=True)
    with pytest.raises(GateError, match=r"dimension_against_live 8, live 6 \(exactly 6\)"):
        run_flow("nightly", request_for(folder, tmp_path / "8.parquet", **vectors), quiet=True)
    vectors["ann.gates.change.dimension"] = "any"
    run_flow("nightly", request_for(folder, tmp_path / "8.parquet", **vectors), quiet=True)
    store, texts = (
        Store(str(world / ".fingerpost")),
        read_members(Store(str(world / ".fingerpost")), live(world).artifact),
    )
    assert dimension_compared(store, texts, texts) == []
    (gate,) = vocabulary_compared(store, texts, {"vectors": texts["vectors"]}, least=0.4)
    assert str(gate) == "vocabulary_against_live 0, live 1 (at least 0.4)"
    assert vocabulary_compared(store, {}, {}, least=0.4) == []


def manifests(monkeypatch: pytest.MonkeyPatch, old: dict[str, Any], new: dict[str, Any]) -> Store:
    """A store in which two versions have these quality values and no members."""
    quality = {OLD: old, NEW: new}
    monkeypatch.setattr(Store, "manifest", lambda self, ref: Manifest({"quality": quality[ref]}, {}))
    for word in ("ann", "xmr", "metric"):
        monkeypatch.setattr(f"fingerpost.flows.domains.{word}.comparison.read_members", lambda store, ref: {})
    return Store("memory://figures")


def test_labels_classes_and_recall_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    store = manifests(
        monkeypatch,
        {"labels": 100, "tested": 9, "recall_at_10": 0.8, "classes": 30, "test_classes": 20, "recall_at_1": 0.8},
        {"labels": 49, "tested": 9, "recall_at_10": 0.5, "classes": 12, "test_classes": 12, "recall_at_1": 0.5},
    )
    ranker = [str(gate) for gate in ranker_compared(store, OLD, NEW, RankerGates()) if not gate.holds]
    assert ranker == [
        "labels_against_live 49, live 100 (at least 50)",
        "ranker_recall_at_10_against_live 0.5, live 0.8 (at least 0.6)",
    ]
    threshold = [str(gate) for gate in threshold_compared(store, OLD, NEW, ThresholdGates()) if not gate.holds]
    assert threshold == [
        "classes_against_live 24, live 50 (at least 25)",
        "recall_at_1_against_live 0.5, live 0.8 (at least 0.6)",
    ]


def test_what_a_version_of_before_lacks_is_said_and_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"documents": 9, "recall_at_10": 0.9, "labels": 9, "tested": 9, "classes": 9, "test_classes": 9}
    store = manifests(monkeypatch, {}, figures)
    for gates in (
        index_compared(store, OLD, NEW, IndexGates()),
        ranker_compared(store, OLD, NEW, RankerGates()),
        threshold_compared(store, OLD, NEW, ThresholdGates()),
    ):
        assert gates
        assert all(gate.holds and gate.unmeasured and "unmeasured" in str(gate) for gate in gates)
    live = Publication(1, str(OLD), "", "promote", "", "")
    settings = RunRequest(profile="tiny").resolve()
    monkeypatch.undo()
    (gate,) = compared_with_live(Store("memory://gone"), live, NEW, settings)
    assert (gate.holds, gate.name) == (True, "against_live")
    assert compared_with_live(Store("memory://gone"), None, NEW, settings) == []
    assert compared_with_live(Store("memory://gone"), replace(live, ref=str(NEW)), NEW, settings) == []


def test_a_limit_of_one_disables_a_gate_and_a_reason_overrules_no_other() -> None:
    assert fallen("documents", 100, 0, IndexChange(documents=1).documents).holds
    assert not fallen("documents", 100, 49, 0.5).holds
    assert fallen("documents", 100, 50, 0.5).holds
    compared = [Comparison("a", 1, 2, live=4), Gate("b", 1, 2)]
    assert accepted(compared, "meant") == ("a",)
    assert accepted(compared, "") == ()
    with pytest.raises(SettingsError, match=r"accept_change: .*expected a reason"):
        RunRequest.of(accept_change="  ")


def test_a_version_is_not_published_over_another_than_it_was_compared_with(world: Path) -> None:
    store, now = Store(str(world / ".fingerpost")), live(world)
    first = Pointer(store, "products", "ann.index").history()[0]
    with pytest.raises(PublicationConflictError, match="expected generation 1 to be live as when it was compared with"):
        publish(store, "products", now.artifact, [], beside=first)
