"""What a published index delivers by recall: the widths of searches, the gate, and the command that measures again."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.open import LiveIndex, live
from tests.support.commands import fingerpost_here

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS, DIM = 6_000, 16


def points() -> np.ndarray:
    """Rows of clusters; those beyond ``ROWS`` are queries like them."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, 60, ROWS + 1_000)
    return (rng.normal(size=(60, DIM))[chosen] + rng.normal(size=(len(chosen), DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """A store with an index of vectors, certified for 0.9."""
    made = tmp_path_factory.mktemp("tune")
    vectors = pa.array(list(points()[:ROWS]), pa.list_(pa.float32()))
    table = pa.table({"id": [f"row-{row}" for row in range(ROWS)], "vector": vectors})
    pq.write_table(table, made / "rows.parquet")
    run_flow("build_ann_index", request(made), quiet=True)
    return made


def request(folder: Path, **settings: object) -> RunRequest:
    return RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day="2026-01-05",
        input=str(folder / "rows.parquet"),
        collection="rows",
        settings={
            "ann.certificate.target_recall": 0.9,
            "ann.certificate.queries": 480,
            "ann.gates.recall_at_10": 0.3,
            "ann.gates.documents": 10,
            **settings,
        },
    )


@pytest.fixture(scope="module")
def index(folder: Path) -> LiveIndex:
    return live("rows", store=str(folder / "store"))


def command(folder: Path, *arguments: str) -> Any:
    return fingerpost_here(*arguments, "--store", str(folder / "store"), cwd=folder)


def test_searches_are_as_wide_as_certified_and_reach_the_recall(index: LiveIndex) -> None:
    certificate = index.certificate
    assert certificate is not None
    assert certificate.reached
    assert certificate.queries == 480
    assert certificate.plan.codes == "bits8"  # in place of 4, of which 16 numbers fill no line
    assert all(point.estimates > 0 for point in certificate.curve)
    fresh = points()[ROWS:]
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    exact = ExactIndex(index.vectors, "ip").search(fresh, 10)
    found = index.search_batch(fresh, k=10)
    hits = [len(set(a) & set(b)) for a, b in zip(found.rows.tolist(), exact.ids.tolist(), strict=True)]
    assert np.mean(hits) / 10 >= certificate.at.low


def test_an_index_below_its_target_is_not_published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if there were too many to compare them all, which is certain to reach any recall.
    monkeypatch.setattr("fingerpost.tasks.ann.certificate.EXHAUSTIVE", 0)
    settings = {"ann.certificate.target_recall": 0.9999, "ann.certificate.widest": 12}
    with pytest.raises(FingerpostError, match="certified_recall"):
        run_flow("build_ann_index", request(folder, **settings), quiet=True)


def test_tune_certifies_a_recall_on_the_live_index(folder: Path) -> None:
    arguments = ("tune", "rows", "--target-recall", "0.8", "--plot", "plot.svg")
    shown = command(folder, *arguments).stdout
    assert "chosen" in shown
    assert "--set ann.certificate.target_recall=0.8" in " ".join(shown.split())
    assert "<svg" in (folder / "plot.svg").read_text()
    found = json.loads(command(folder, *arguments, "--json").stdout)
    certificate = found["certificate"]
    assert certificate["reached"]
    assert [way["chosen"] for way in found["ways"]].count(True) == 1
    curve = {point["ef"]: point for point in certificate["curve"]}
    assert curve[certificate["ef"]]["low"] >= 0.8
    assert all(point["low"] < 0.8 for ef, point in curve.items() if ef < certificate["ef"])


def test_peers_are_asked_where_they_are_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of the same interface that compares everything stands for one that is not installed here."""

    class Index:
        def __init__(self, space: str, dim: int) -> None:
            self.space, self.dim = space, dim

        def init_index(self, **given: Any) -> None:
            self.given = given

        def add_items(self, rows: np.ndarray) -> None:
            assert rows.shape == (self.given["max_elements"], self.dim)
            assert len(rows) < ROWS  # documents that are asked are held out
            self.index = ExactIndex(rows, self.space)  # type: ignore[arg-type]

        def set_ef(self, ef: int) -> None:
            self.ef = ef

        def knn_query(self, queries: np.ndarray, k: int, num_threads: int) -> tuple[np.ndarray, np.ndarray]:
            result = self.index.search(queries, k)
            return result.ids.astype(np.int64), result.distances

    peer = ModuleType("hnswlib")
    peer.Index = Index  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hnswlib", peer)
    monkeypatch.setitem(sys.modules, "faiss", None)  # type: ignore[arg-type]
    found = json.loads(command(folder, "tune", "rows", "--peers", "--json", "--target-recall", "0.8").stdout)
    assert found["measured"]["hnswlib"][0]["recall"] == 1.0
    monkeypatch.setitem(sys.modules, "hnswlib", None)  # type: ignore[arg-type]
    done = command(folder, "tune", "rows", "--peers", "--target-recall", "0.8")
    assert "--peers: expected faiss or hnswlib in this environment, found neither" in done.stderr
    assert "measuring" not in done.stderr


def test_tune_says_what_it_cannot_do(folder: Path) -> None:
    assert "tune: " in command(folder, "tune", "rows", "--profile", "huge").stderr
    done = command(folder, "tune", "rows", "--plot", "none/plot.svg")
    assert "none/plot.svg: expected a file in a folder that exists" in done.stderr
    assert "measuring" not in done.stderr
    assert CliRunner().invoke(app, ["tune", "--help"]).stdout.count("fingerpost tune") >= 3
