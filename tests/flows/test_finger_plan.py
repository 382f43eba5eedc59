"""A release whose certificate is for FINGER's search: what was certified is what serves."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.reader import open_index
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import edge_blocks
from fingerpost.tasks.ann.edge_codes import EdgeCodeParams, fit_edge_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.open import LiveIndex, live, read_graph
from fingerpost.tasks.ann.packed import PackedIndex
from tests.support.vectors import decaying

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS = 5000
POINTS = decaying(ROWS + 200, 48, seed=1).astype(np.float32)
QUERIES = POINTS[ROWS:]
PLAN = {"profile": "fast", "finger": True}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> str:
    folder = tmp_path_factory.mktemp("finger")
    points = POINTS[:ROWS]
    rows = {"id": [f"p{row}" for row in range(ROWS)], "kind": ["even", "odd"] * (ROWS // 2), "vector": list(points)}
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    settings = {
        "ann.hnsw.metric": "l2",
        "ann.gates.documents": 10,
        "ann.certificate.plan": PLAN,
        "ann.certificate.target_recall": 0.8,
        "ann.finger_rows_per_shard": 4096,
        "ann.parts.neighbors": False,
    }
    store = str(folder / "store")
    request = RunRequest(
        profile="tiny",
        store=store,
        day="2026-01-05",
        input=str(folder / "rows.parquet"),
        collection="points",
        settings=settings,
    )
    run_flow("build_ann_index", request, quiet=True)
    return store


@pytest.fixture
def index(published: str) -> LiveIndex:
    return live("points", store=published)


def test_the_certified_search_serves(index: LiveIndex) -> None:
    assert index.method == "finger"
    assert isinstance(index.index, DeferredIndex)
    assert index.certificate is not None
    assert index.certificate.plan.finger
    found = index.search_batch(QUERIES, k=10)
    asked = index.index.search(QUERIES, 10, ef=index.certificate.ef)
    assert np.array_equal(found.rows, asked.ids)
    exact = ExactIndex(index.vectors, "l2").search(QUERIES, 10)
    reached = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(asked.ids, exact.ids, strict=True)])
    assert reached >= index.certificate.at.low


def test_the_stored_blocks_are_those_of_the_whole_graph(index: LiveIndex) -> None:
    graph = read_graph(index.store.open(index.members["graph"], contracts.GRAPH))
    blocks = index.store.open(index.members["finger_blocks"], contracts.FINGER_BLOCKS)
    assert len(blocks.entries("blocks")) == 2
    coder = fit_edge_codes(index.vectors, graph, "l2", params=EdgeCodeParams())
    whole = DeferredIndex(index.vectors, graph, edge_blocks(index.vectors, graph, "l2", coder), "l2")
    for ef in (10, 40):
        one, other = whole.search(QUERIES, 10, ef=ef), index.index.search(QUERIES, 10, ef=ef)
        assert np.array_equal(one.ids, other.ids)
        assert one.counters == other.counters


def test_filters_go_by_exact_distances(index: LiveIndex) -> None:
    found = index.search_batch(QUERIES, k=5, ef=80, filters='kind == "odd"')
    exact = ExactIndex(index.vectors[1::2], "l2").search(QUERIES, 5)
    assert np.mean(found.rows == 2 * exact.ids + 1) > 0.97
    answers = index.search(QUERIES[0], k=5, kind="odd").answers
    assert [answer.id for answer in answers] == [f"p{2 * row + 1}" for row in exact.ids[0]]


def test_the_certificate_is_of_no_other_search(published: str, index: LiveIndex) -> None:
    packed = live("points", store=published, method="packed")
    assert isinstance(packed.index, PackedIndex)
    assert packed.certificate is None
    assert index.width_for(0.5) > 0
    with pytest.raises(FingerpostError, match="expected a search with a certificate, got packed"):
        packed.width_for(0.5)
    reader = open_index(published, collection="points")
    assert reader.certificate == {}
    assert reader.search(index.vectors[7], k=1).ids() == [["p7"]]


def test_the_report_shows_what_estimates_are_made_of(published: str, index: LiveIndex) -> None:
    page = max(Path(published).rglob("*.html"), key=lambda path: path.stat().st_size)
    text = page.read_text()
    assert "Accuracy of FINGER" in text
    assert "fast finger" in text
    evaluated = index.store.open(index.members["evaluation"], contracts.EVALUATION).manifest
    assert evaluated.quality["finger_recall_at_10"] >= evaluated.quality["recall_at_10"] - 0.02
    assert evaluated.run["measured"]["finger_speedup"] > 0
