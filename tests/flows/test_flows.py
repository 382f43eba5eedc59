"""The flows through Prefect's test harness: what they publish, reuse, show and refuse."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.run.runtime import executor_override, running
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError, GateError, MissingArtifactError, QuarantineLimitError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT, live
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.metric.open import threshold_for
from tests.support.products import ran, request_for, write_csv

pytestmark = pytest.mark.usefixtures("plain_runs")


@pytest.fixture
def products(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "products.csv")


def test_nightly_publishes_an_index_that_answers_and_then_reuses_everything(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    report = run_flow("nightly", request_for(store, products), quiet=True)
    assert Path(report).is_file()
    index = live("products", store=str(store))
    answers = index.query("hammer and saw", k=5, kind="tools").answers
    assert len(answers) == 5
    assert {answer.kind for answer in answers} == {"tools"}
    assert index.similar("p0", k=3).answers[0].kind == "animals"
    near = index.query("hammer and saw", k=1000, within=0.5)
    similarities = index.vectors @ index.engine.question("hammer and saw").vector
    ids = np.array(index.documents["id"].to_pylist())
    assert {answer.id for answer in near.answers} == set(ids[similarities >= 0.5])
    assert len(near.answers) > 5
    assert near.answers[:5] == index.query("hammer and saw", k=5, within=0.5).answers
    assert (near.within, near.more, index.query("hammer and saw", k=5, within=0.5).more) == (0.5, False, True)
    with pytest.raises(MissingArtifactError, match=r"products/metric\.threshold: expected a live version, found none"):
        threshold_for(index)
    first = Pointer(Store(str(store)), "products", PRODUCT).required()

    run_flow("nightly", request_for(store, products), quiet=True)
    assert ran(store) == {}
    assert Pointer(Store(str(store)), "products", PRODUCT).required() == first


def test_an_unchanged_stage_never_starts_an_executor(tmp_path: Path, products: Path) -> None:
    class Refusing:
        def map(self, function: object, items: list[object]) -> object:
            if items:
                raise AssertionError("a shard was started although everything was there")
            return iter(())

    store = tmp_path / "store"
    run_flow("nightly", request_for(store, products), quiet=True)
    token = executor_override.set(Refusing())  # type: ignore[arg-type]
    try:
        run_flow("nightly", request_for(store, products), quiet=True)
    finally:
        executor_override.reset(token)
    assert ran(store) == {}


def test_a_changed_parameter_runs_what_depends_on_it_and_says_why(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    run_flow("nightly", request_for(store, products), quiet=True)
    run_flow("nightly", request_for(store, products, **{"ann.hnsw.max_neighbors": 6}), quiet=True)
    reasons = ran(store)
    assert "parameters changed (params.max_neighbors)" in reasons["build_graph"]
    assert (
        "input changed (graph" in reasons["compute_finger_tables"]
        or "input changed" in reasons["compute_finger_tables"]
    )
    assert "count_terms" not in reasons
    assert "embed_documents" not in reasons


def test_a_forced_stage_runs_again_with_what_follows(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    run_flow("nightly", request_for(store, products), quiet=True)
    before = Pointer(Store(str(store)), "products", PRODUCT).required().identity
    run_flow("nightly", request_for(store, products, force=("build_graph",)), quiet=True)
    reasons = ran(store)
    assert reasons["build_graph"] == "forced"
    assert reasons["assemble_index"] == "forced (an input was)"
    assert "embed_documents" not in reasons
    assert Pointer(Store(str(store)), "products", PRODUCT).required().identity == before


def test_changed_rows_are_a_changed_input(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    run_flow("nightly", request_for(store, products), quiet=True)
    products.write_text(products.read_text() + "extra,a new thing,Something about bread and cheese.,food\n")
    run_flow("nightly", request_for(store, products), quiet=True)
    assert ran(store)["import_documents"] == "input changed (source)"
    assert live("products", store=str(store)).query("something bread", k=1).answers[0].id == "extra"


def test_a_missed_gate_keeps_the_old_version_live(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    run_flow("nightly", request_for(store, products), quiet=True)
    first = Pointer(Store(str(store)), "products", PRODUCT).required()
    products.write_text("\n".join(products.read_text().splitlines()[:100]) + "\n")
    with pytest.raises(GateError, match=r"documents 99 \(at least 200\).*stays live"):
        run_flow("nightly", request_for(store, products, **{"ann.gates.documents": 200}), quiet=True)
    assert Pointer(Store(str(store)), "products", PRODUCT).required() == first
    failed = runs(Store(str(store)), newest=1)[0]
    assert failed["state"] == "failed"
    assert "documents" in failed["error"]


def test_too_many_bad_rows_fail_with_the_counts_and_are_kept(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    lines = products.read_text().splitlines()
    bad = [line if row % 4 else "p0,again,Twice.,food" for row, line in enumerate(lines[1:])]
    products.write_text("\n".join([lines[0], *bad]) + "\n")
    with pytest.raises(QuarantineLimitError, match=r"at most 5.0% bad rows.*59 bad of 240 \(59 duplicate id\)"):
        run_flow("nightly", request_for(store, products), quiet=True)
    opened = Store(str(store))
    (quarantine,) = opened.refs("corpus.quarantine")
    assert opened.manifest(quarantine).quality["reasons"] == {"duplicate id": 59}
    assert not list(opened.refs("corpus.documents"))


def test_vectors_alone_become_an_index(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    vectors = random.standard_normal((300, 16)).astype(np.float32)
    file = tmp_path / "vectors.parquet"
    pq.write_table(pa.table({"id": [f"v{i}" for i in range(300)], "vector": list(vectors)}), file)
    store = tmp_path / "store"
    run_flow("nightly", request_for(store, file, **{"ann.hnsw.metric": "l2"}), quiet=True)
    index = live("products", store=str(store))
    found = index.similar("v7", k=5).answers
    distances = ((vectors - vectors[7]) ** 2).sum(axis=1)
    assert [answer.id for answer in found] == [f"v{i}" for i in np.argsort(distances)[1:6]]
    assert found[0].score == pytest.approx(np.sqrt(np.sort(distances)[1]), rel=1e-4), (
        "a distance, not the minus of its square"
    )
    assert index.search(vectors[9], k=1).answers[0].id == "v9"
    with pytest.raises(
        FingerpostError, match=r"expected an index of texts, found one of vectors alone, .*ask with a vector"
    ):
        index.query("anything")
    with pytest.raises(FingerpostError, match=r"vector: expected 16 finite numbers"):
        index.search(np.full(16, np.nan))
    with pytest.raises(
        FingerpostError, match=r"vector: expected one whose l2 distances float32 can hold, got .*4e\+25"
    ):
        index.search(np.full(16, 1e25))


def test_an_unknown_forced_stage_is_named(tmp_path: Path, products: Path) -> None:
    with pytest.raises(Exception, match=r"force: expected stages among .*build_graph.* got nonsense"):
        run_flow("nightly", request_for(tmp_path / "store", products, force=("nonsense",)), quiet=True)


@pytest.mark.parametrize("error", [KeyError("lost"), ValueError("wrong")])
def test_a_failure_inside_a_nested_flow_is_raised_as_it_is(tmp_path: Path, error: Exception) -> None:
    settings = request_for(tmp_path / "store", tmp_path / "gone.csv")
    with pytest.raises(type(error)), running("outer", settings), running("inner", settings):
        raise error
    assert [record["flow"] for record in runs(Store(str(tmp_path / "store")))] == ["outer"]


def test_the_live_index_answers_as_it_was_evaluated(tmp_path: Path, products: Path) -> None:
    store = tmp_path / "store"
    given = {"ann.tuning.choose": False, "ann.tuning.answers.candidates": 50, "ann.tuning.answers.dense_share": 0.4}
    run_flow("nightly", request_for(store, products, **given), quiet=True)
    index = live("products", store=str(store))
    assert (index.engine.params.candidates, index.engine.params.dense_share) == (50, 0.4)
    # At least one side proposes 50, both at most 100 together.
    assert 50 <= index.query("hammer and saw", k=5).candidates <= 100
