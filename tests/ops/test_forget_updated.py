"""Forgetting a document that an index was brought up to date without: its vector is in no version any more."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import corpus
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT, live
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.ledger import runs

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS, KEY = 150, "face-4711"
DAYS = ("2026-03-01", "2026-03-02")


def run(folder: Path, day: str) -> None:
    settings = {"ann.gates.recall_at_10": 0.3, "ann.gates.documents": 10, "ann.update.mode": "live"}
    asked = RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day=day,
        input=str(folder / "faces-{day}.parquet"),
        collection="faces",
        settings={**settings, "ann.hnsw.metric": "l2"},
    )
    run_flow("build_ann_index", asked, quiet=True)


def test_its_vector_is_in_no_version_any_more(tmp_path: Path) -> None:
    points = np.random.default_rng(1).normal(size=(ROWS, 6)).astype(np.float32)
    points[7] = 3.5
    ids = [KEY if row == 7 else f"face-{row}" for row in range(ROWS)]
    for day in DAYS:
        kept = [row for row in range(ROWS) if day == DAYS[0] or ids[row] != KEY]
        vectors = pa.array(points[kept].tolist(), pa.list_(pa.float32()))
        table = pa.table({"id": [ids[row] for row in kept], "vector": vectors})
        pq.write_table(table, tmp_path / f"faces-{day}.parquet")
        run(tmp_path, day)
    store = Store(str(tmp_path / "store"))
    assert {stage["stage"] for stage in runs(store, newest=1)[0]["stages"]} >= {"compare_rows", "update_graph"}
    before = [move.ref for move in Pointer(store, "faces", PRODUCT).line()]

    outcome = erasing.forget(store, KEY, "faces")

    assert outcome.proof["findings"] == []
    after = [move.ref for move in Pointer(store, "faces", PRODUCT).line()]
    assert len(after) == 2
    assert not set(after) & set(before), "the graph of the second day was made from the first day's"
    for move in Pointer(store, "faces", PRODUCT).line():
        members = read_members(store, move.artifact)
        vectors = read_vectors(store.open(members["vectors"], corpus.VECTORS))
        assert not (vectors == 3.5).all(axis=1).any()
        assert not [ref for ref in members.values() if str(ref) in before]
    held = np.full(6, 3.5, np.float32).tobytes()
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix != ".parquet" and held in path.read_bytes()]
    index = live("faces", store=store.url)
    assert KEY not in index.documents["id"].to_pylist()
    assert index.search(points[9], k=1).answers[0].id == ids[9]
