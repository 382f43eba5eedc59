"""Real queries at the end of a flow, and the commands that compare what flows made."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import GateError, InputError, PublicationConflictError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT
from fingerpost.tasks.ledger import runs
from tests.support.products import request_for, write_csv

pytestmark = pytest.mark.usefixtures("plain_runs")

#: Answers by vectors alone, which depend on the rank of the projection.
DENSE = {"ann.tuning.choose": False, "ann.tuning.answers.dense_share": 1.0}


def test_a_flow_asks_real_queries_before_it_publishes(tmp_path: Path) -> None:
    store, products = tmp_path / "store", write_csv(tmp_path / "products.csv")
    queries = tmp_path / "queries.csv"
    queries.write_text("query\nhammer and saw\nrice with bean\nhorse and goat\n")
    given = {**DENSE, "replay.queries": str(queries), "replay.overlap": 0.9}
    run_flow("nightly", request_for(store, products, **given), quiet=True)
    first = Pointer(Store(str(store)), "products", PRODUCT).required()
    assert not [gate for gate in first.gates if gate["name"].startswith("replay")]

    with pytest.raises(
        GateError,
        match=r"replay_overlap 0(\.\d+)? \(at least 0.9\).*stays live; answers that changed most: '.*': lost p\d+",
    ):
        run_flow("nightly", request_for(store, products, **{**given, "corpus.svd.rank": 1}), quiet=True)
    assert Pointer(Store(str(store)), "products", PRODUCT).required() == first
    failed, passed = runs(Store(str(store)), newest=2)
    assert (failed["state"], passed["state"]) == ("failed", "completed")
    assert [gate["holds"] for gate in failed["gates"] if gate["gate"].startswith("replay_overlap")] == [False]

    # An earlier day does not replace what is live, so nobody would get its answers.
    earlier = request_for(store, products, **{**given, "corpus.svd.rank": 1}).model_copy(update={"day": "2026-01-04"})
    run_flow("nightly", earlier, quiet=True)
    assert Pointer(Store(str(store)), "products", PRODUCT).required() == first

    given["replay.queries"] = str(tmp_path / "gone.csv")
    with pytest.raises(InputError, match=r"gone.csv: expected a file of queries"):
        run_flow("nightly", request_for(store, products, **given), quiet=True)
    assert len(runs(Store(str(store)), newest=9)) == 3, "a run began although its queries cannot be read"

    check_commands(store, queries, [record["id"] for record in (passed, failed)])


def check_commands(store: Path, queries: Path, ids: list[str]) -> None:
    """The commands that compare, over the two runs of the same day."""

    def shown(*arguments: str) -> str:
        done = CliRunner().invoke(
            app, [*arguments, "--store", str(store)], env={"COLUMNS": "200"}, catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return done.output

    found = json.loads(shown("diff", *ids, "--json"))
    assert [(c["key"], c["before"], c["after"]) for c in found["settings"]] == [("corpus.svd.rank", 32, 1)]
    did = {pair["stage"]: (pair["after"], pair["same_artifact"]) for pair in found["stages"]}
    assert did["import_documents"] == ("reused", True)
    assert did["fit_projection"] == ("ran: parameters changed (params.rank)", False)
    assert "parameters of fit_projection (corpus.projection): params.rank 32 → 1" in shown("diff", *ids)
    refs = [next(a for a in found["artifacts"] if a["role"] == "assemble_index")[side] for side in ("before", "after")]
    assert "params.rank" in shown("diff", *refs)
    why = json.loads(shown("why", "hammer and saw", "--between", *refs, "-k", "5", "--json"))
    assert {cause["artifact"] for cause in why["causes"]} == {"corpus.projection"}
    assert len([move for move in why["moves"] if move["after"]]) == 5
    assert "MISSED replay_overlap" in shown("replay", "--queries", str(queries), "--candidate", refs[1])
    modules = (
        "fingerpost.flows.ops.compare.diff_tables, fingerpost.flows.ops.compare.why_tables,"
        " fingerpost.flows.ops.compare.replay_tables,"
        " fingerpost.flows.ops.compare.versions, fingerpost.flows.run.gates"
    )
    script = f"import sys, {modules}\nassert not {{'prefect', 'distributed', 'dask'}} & set(sys.modules)"
    silent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert silent.returncode == 0, silent.stderr


def test_days_that_publish_in_the_same_moment_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer moves between a run's look at what is live and its own move, as another day's run may have it."""
    store, products = tmp_path / "store", write_csv(tmp_path / "products.csv")
    promote, calls = Pointer.promote, list[str]()

    def meanwhile(pointer: Pointer, ref: Ref, **named: Any) -> Any:
        calls.append(str(ref))
        if len(calls) == 1:
            raise PublicationConflictError("products/ann.index: expected generation 0 to be the newest, found 1")
        return promote(pointer, ref, **named)

    monkeypatch.setattr(Pointer, "promote", meanwhile)
    run_flow("nightly", request_for(store, products), quiet=True)
    live = Pointer(Store(str(store)), "products", PRODUCT).required()
    assert calls == [live.ref, live.ref]
    gates = [gate["gate"].split(" ")[0] for gate in runs(Store(str(store)), newest=1)[0]["gates"]]
    assert len(gates) == len(set(gates)) == 4
