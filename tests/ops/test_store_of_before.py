"""A store of version 0.1 (tests/golden/make_store_of_0_1.py) under this version.

What answered answers, nothing is lost, and a rerun computes no more than what has another form now.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.ops.compare.why import why
from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.ops.erase.affected import request_of
from fingerpost.flows.ops.keep.gc import collect
from fingerpost.flows.ops.keep.live import roll_back
from fingerpost.flows.run.lineage import lineage_of
from fingerpost.flows.run.replay import replay
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import ann, corpus, metric, xmr
from fingerpost.schemas.errors import FingerpostError, ForeignArtifactError, RemovedArtifactError
from fingerpost.schemas.pins import pin, pins
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.releases import MEMBERS, read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks import stage as stages
from fingerpost.tasks.ann.open import LiveIndex
from fingerpost.tasks.ann.open import live as live_index
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.metric.calibrated import ForeignModelError
from fingerpost.tasks.metric.open import LiveThreshold, threshold_for
from fingerpost.tasks.metric.open import live as live_threshold
from fingerpost.tasks.xmr.open import live as live_ranker
from tests.golden.make_store_of_0_1 import COLLECTION, DAYS, STORE
from tests.golden.same_code import BEFORE, FORMER_STAGES

ARCHIVE = Path(__file__).parents[1] / "golden" / "store_of_0_1.tar.xz"
PRODUCTS = (ann.INDEX.name, xmr.RANKER.name, metric.THRESHOLD.name)
#: The stages from documents to an index, all but the import.
_SEARCH = (
    *("choose_analyzer", "count_terms", "merge_lexicon", "choose_field_weights", "build_postings", "weigh_documents"),
    *("fit_projection", "embed_documents", "build_graph", "fit_finger", "compute_finger_tables", "find_neighbors"),
    *("evaluate_index", "tune_search", "evaluate_retrieval", "assemble_index"),
)
#: The stages from a graph to a certified search.
_CERTIFIED = ("fit_vector_codes", "measure_searches", "certify_search", "pack_index")
#: What a rerun of a nightly over the same inputs computes: these artifacts have another form now, the others stay.
RERUN = {
    **dict.fromkeys(_CERTIFIED, "an index is searched by codes, and certified"),
    **dict.fromkeys(_SEARCH, "documents are found by an index of their terms, and vectors are made of these"),
    **dict.fromkeys(("pack_texts", "pack_ranker", "assemble_ranker"), "products are also used where their files lie"),
    "list_queries": "queries have a contract of their own",
    "import_embeddings": "embeddings have a contract of their own, and columns by their own names",
    "take_embeddings": "vectors of embeddings have a contract of their own",
    "embed_rows": "vectors of embeddings have a contract of their own",
    "assess_threshold": "a threshold is the safe end of a bin, and its rates are counts",
    "release_threshold": "a threshold has a table of members",
}

pytestmark = pytest.mark.usefixtures("plain_runs")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store, unpacked; paths in its records are relative to the folder that it is in."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return Store(STORE).checked()


@pytest.fixture
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages whose code counts as that of version 0.1, since what is compared here is the form of artifacts."""
    before = json.loads(BEFORE.read_text())
    monkeypatch.setattr(stages, "known_as", lambda name, code: before.get(FORMER_STAGES.get(name, name), code))


def test_every_product_answers(store: Store) -> None:
    index = live_index(COLLECTION, store=STORE)
    assert index.search(index.vectors[0], k=3).answers
    ranker = live_ranker(COLLECTION, store=STORE)
    assert len(ranker.rank("cheap red hammer", 5)) == 5
    threshold = live_threshold(COLLECTION, store=STORE)
    ids, labels, vectors = threshold.embeddings()
    assert (len(ids), len(set(labels)), vectors.shape) == (125, 25, (125, 4))
    assert threshold.threshold.check(ids=ids, vectors=vectors) == 8
    assert set(threshold.members) >= {"validation_rows", "test_pairs", "embedders", "comparison", "margins"}
    assert MEMBERS.name not in {entry.table for entry in threshold.artifact.manifest.files}
    with pytest.raises(ForeignArtifactError):
        store.open(threshold.members["documents"], metric.EMBEDDINGS)
    with pytest.raises(ForeignModelError):  # it is of the embedder, not of the documents
        threshold_for(index)


def test_embedders_embed(store: Store) -> None:
    pytest.importorskip("torch")
    from fingerpost.tasks.metric.trainer import embed

    threshold = live_threshold(COLLECTION, store=STORE)
    embedder = threshold.embedder()
    assert embedder is not None
    given = store.open(threshold.members["documents"], corpus.DOCUMENTS).read("documents")["vector"].to_pylist()
    np.testing.assert_allclose(embed(embedder, np.array(given, np.float32)), threshold.embeddings()[2], atol=1e-5)
    letters = live_threshold("letters", store=STORE)
    images = letters.embedder()
    assert images is not None
    assert images.shape == (16, 16)
    assert len(letters.embeddings()[0]) == 64


@pytest.mark.parametrize("product", PRODUCTS)
def test_two_days_are_compared(store: Store, product: str) -> None:
    versions = [find_version(store, day, collection=COLLECTION, product=product) for day in DAYS]
    found = diff(store, *versions)
    roles = {artifact.role for artifact in found.artifacts}
    members = [read_members(store, version.artifact(product)) for version in versions]
    assert roles == members[0].keys() | members[1].keys() | {product}
    assert {artifact.state for artifact in found.artifacts} >= {"changed"}
    assert found.causes
    assert found.gates is not None


def test_texts_cannot_be_asked_of_an_index_and_that_is_said(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "queries.csv"
    file.write_text("query\nquick sort of an array\n")
    before, after = (find_version(store, day, collection=COLLECTION).ref for day in DAYS)
    index = live_index(COLLECTION, store=STORE)
    assert index.search(index.vectors[0], k=3).answers
    for ask in (
        lambda: index.query("quick sort of an array"),
        lambda: index.similar("sorting-0"),
        lambda: replay(store, after, before, file=str(file), k=3),
        lambda: why(store, before, after, "quick sort of an array"),
    ):
        with pytest.raises(FingerpostError, match=r"that an earlier version made.*rebuild it with"):
            ask()


def test_a_live_index_that_cannot_be_asked_keeps_no_new_one_back(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "queries.csv"
    file.write_text("query,id,grade\nquick sort of an array,sorting-0,1\n")
    before = Pointer(store, COLLECTION, ann.INDEX.name).required()
    record = next(record for record in runs(store, newest=5) if record["day"] == DAYS[1])
    asked = request_of(record, store)
    settings = asked.settings | {"replay.queries": str(file), "replay.overlap": 1.0}
    run_flow("build_ann_index", asked.model_copy(update={"settings": settings}), quiet=True)
    live = Pointer(store, COLLECTION, ann.INDEX.name).required()
    assert live.artifact != before.artifact
    assert [gate["name"] for gate in live.gates if "replay" in gate["name"]] == ["replay_ndcg"]
    (note,) = runs(store, newest=1)[0]["notes"]
    assert before.ref in note
    assert "candidate alone" in note
    assert live_index(COLLECTION, store=STORE).query("quick sort of an array").answers


@pytest.mark.parametrize(("product", "query"), [(PRODUCTS[1], "cheap red hammer"), (PRODUCTS[2], "face 3")])
def test_a_query_is_replayed_and_explained(store: Store, tmp_path: Path, product: str, query: str) -> None:
    queries = tmp_path / "queries.csv"
    queries.write_text(f"query\n{query}\n")
    before, after = (find_version(store, day, collection=COLLECTION, product=product).artifact(product) for day in DAYS)
    (replayed,) = replay(store, after, before, file=str(queries), k=3).queries
    assert 1 <= len(replayed.candidate) <= 3
    explained = why(store, before, after, query, k=3)
    assert (explained.query, explained.before, explained.after) == (query, str(before), str(after))


@pytest.mark.parametrize("product", PRODUCTS)
def test_what_was_live_before_is_live_again(store: Store, product: str) -> None:
    assert Pointer(store, COLLECTION, product).required().artifact.day == DAYS[1]
    roll_back(store, collection=COLLECTION, reason="a test", product=product)
    assert Pointer(store, COLLECTION, product).required().artifact.day == DAYS[0]
    assert live_index(COLLECTION, store=STORE).documents.num_rows
    assert live_ranker(COLLECTION, store=STORE).rank("red hammer", 1)
    assert live_threshold(COLLECTION, store=STORE).threshold.model.startswith(f"{COLLECTION}+")


def test_collecting_removes_nothing_that_is_live_or_a_rollback_target(store: Store) -> None:
    (other,) = (move.artifact for move in Pointer(store, "letters", metric.THRESHOLD.name).line())
    pin(store, other, reason="a test")
    before = {str(ref) for ref in store.refs()}
    plan = collect(store, keep_days=0, keep_rollbacks=0)
    assert set(plan.artifacts) == before - {str(ref) for ref in store.refs()}
    for collection, product in products(store):
        ref = Pointer(store, collection, product).required().artifact
        assert store.verify(ref)
        assert all(store.has(member) for member in read_members(store, ref).values())
    assert [kept.ref for kept in pins(store)] == [str(other)]
    index = LiveIndex(store, Pointer(store, COLLECTION, ann.INDEX.name).required().artifact)
    assert index.search(index.vectors[0]).answers


def test_an_open_version_that_is_collected_says_so(store: Store) -> None:
    first = [Pointer(store, COLLECTION, product).history()[0].artifact for product in PRODUCTS]
    index, threshold = LiveIndex(store, first[0]), LiveThreshold(store, first[2], COLLECTION)
    assert threshold.artifact.rows("members") == 0
    assert index.documents.num_rows
    collect(store, keep_days=0, keep_rollbacks=0)
    for read in (lambda: index.vectors, lambda: threshold.threshold):
        with pytest.raises(RemovedArtifactError, match=r"found it removed since.*open what is live now again"):
            read()


@pytest.mark.parametrize(
    ("product", "source"),
    [(PRODUCTS[0], "documents.csv"), (PRODUCTS[1], "interactions.csv"), (PRODUCTS[2], "faces.parquet")],
)
def test_lineage_goes_back_to_the_input(store: Store, product: str, source: str) -> None:
    ref = Pointer(store, COLLECTION, product).required().artifact
    lineage = lineage_of(store, ref)
    assert {node.title for node in lineage.nodes if not node.day} == {source}
    assert {str(member) for member in read_members(store, ref).values()} <= {node.key for node in lineage.nodes}


def test_a_rerun_computes_only_what_has_another_form_now(store: Store, same_code: None) -> None:
    pytest.importorskip("torch")  # rows are embedded again by the embedder that is there
    record = next(record for record in runs(store, newest=5) if record["day"] == DAYS[1])
    run_flow("nightly", request_of(record, store), quiet=True)
    rerun = runs(store, newest=1)[0]
    computed = {stage["stage"]: stage["reason"] for stage in rerun["stages"] if stage["computed"]}
    assert computed.keys() == RERUN.keys(), computed
    assert len(rerun["stages"]) > 30
    threshold = live_threshold(COLLECTION, store=STORE)
    before = Pointer(store, COLLECTION, metric.THRESHOLD.name).history()[-2].artifact
    assert threshold.ref != before
    assert read_members(store, threshold.ref).keys() == read_members(store, before).keys()
    assert threshold.members["documents"].name == metric.EMBEDDINGS.name
    assert threshold.members["embedders"] == read_members(store, before)["embedders"]
    was = store.manifest(before).quality["threshold"]
    width = store.manifest(threshold.members["validation_pairs"]).quality["bin_width"]
    assert threshold.threshold.threshold == pytest.approx(was, abs=width), "what was estimated within a bin is counted"
    run_flow("nightly", request_of(record, store), quiet=True)
    assert not [stage["stage"] for stage in runs(store, newest=1)[0]["stages"] if stage["computed"]]
    found = diff(store, find_version(store, str(before)), find_version(store, str(threshold.ref)))
    states = {artifact.role: artifact.state for artifact in found.artifacts}
    assert states["documents"] == "changed"
    assert states["embedders"] == "same"


@pytest.mark.parametrize("gone", [False, True])
def test_an_embedding_is_forgotten(store: Store, gone: bool, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    if gone:
        for day in DAYS:
            (tmp_path / "inputs" / day / "faces.parquet").unlink()
    touched = erasing.listing(store, "face 3", COLLECTION)
    assert {tuple(plan.stored) for plan in touched.reruns} == {("metric",) if gone else ()}
    outcome = erasing.forget(store, "face 3", COLLECTION)
    assert outcome.clean, outcome.proof
    assert outcome.proof["versions_lost"] == 0
    threshold = live_threshold(COLLECTION, store=STORE)
    assert "face 3" not in threshold.embeddings()[0]
    assert threshold.members["documents"].name == metric.EMBEDDINGS.name
    assert live_ranker(COLLECTION, store=STORE).rank("red hammer", 1)
