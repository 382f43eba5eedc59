"""Forgetting a query, a label or a document that a ranker was made of: nowhere any more, and the ranker answers on."""

import csv
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.ops.erase.absence import needles_of
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import files as store_files
from fingerpost.schemas.corpus import EXTRACTS
from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.schemas.xmr import QUERIES
from fingerpost.tasks.ann.open import PRODUCT as INDEX
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.xmr.open import PRODUCT, live
from tests.support.kills import Killed
from tests.support.shop_rankers import asked
from tests.unit.xmr.later import write_more
from tests.unit.xmr.shop import write_shop
from tests.worlds import texts

pytestmark = pytest.mark.usefixtures("plain_runs")

#: A visitor whose query leads to labels of others, and a label with a text, a document and queries of its own.
VISITOR, SAID = "visitor-4711", "quixelbrandt mirabolanthe for my knee"
LABEL, NAMED, TOLD = "article-0815", "zwetschgenknoedel set", "Hexenschusspflaster of the house."
DAYS = ("2026-03-01", "2026-03-02")
SMALL = {
    "xmr.predicted": 5,
    "xmr.clusters.flat_labels": 0,
    "xmr.clusters.max_leaf_size": 10,
    "ann.gates.recall_at_10": 0.3,
}


def write_clicks(folder: Path) -> None:
    """A shop's interactions and labels, and a day's with visitor and label: good rows, bad ones, and lines that are no rows."""
    write_shop(folder, rows=240)
    with (folder / "interactions.csv").open() as file:
        plain = list(csv.DictReader(file))
    rows = [
        {"query": r["query"], "query_id": f"q{n}", "label": r["label"], "weight": r["weight"]}
        for n, r in enumerate(plain)
    ]
    own = [{"query": SAID, "query_id": VISITOR, "label": kind, "weight": "2"} for kind in ("hammer-red", "sofa-blue")]
    own += [{**own[0], "weight": "nan"}]
    own += [
        {"query": f"{r['query']} knoedel", "query_id": f"x{n}", "label": LABEL, "weight": "1"}
        for n, r in enumerate(plain[:9])
    ]
    for day, more in zip(DAYS, (own, own[2:]), strict=True):
        path = folder / f"clicks-{day}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["query", "query_id", "label", "weight"])
            writer.writeheader()
            writer.writerows([*rows[: 120 if day == DAYS[0] else 240], *more])
            file.write(f"somebody,{VISITOR},too,many,fields\n" if day == DAYS[0] else "")
    names = (folder / "labels.csv").read_text().splitlines()[1:]
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "text"])
        writer.writerows([*([*line.split(","), ""] for line in names), [LABEL, NAMED, TOLD]])
    (folder / "interactions.csv").unlink()


def write_products(folder: Path) -> None:
    """Documents, one of which is the label's article."""
    rows = [*texts(110, seed=3), {"id": LABEL, "title": NAMED, "text": TOLD, "kind": "article"}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "products.parquet")


def request(folder: Path, day: str, **given: object) -> RunRequest:
    """A ranker of one day over a file a day."""
    settings = {"xmr.input": str(folder / "clicks-{day}.csv"), "xmr.labels": str(folder / "labels.csv"), **SMALL}
    return RunRequest(
        profile="tiny", store=str(folder / "store"), day=day, collection="shop", settings=settings, **given
    )  # type: ignore[arg-type]


def traces(folder: Path, *needles: str) -> list[str]:
    """Where these are, found naively: file names, raw bytes and everything that plain Parquet reading gives."""
    wanted = [needle.lower().encode() for needle in needles]
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".parquet":
            data += repr(pq.read_table(path).to_pydict()).encode()
        if any(needle in (path.name.encode() + data).lower() for needle in wanted):
            found.append(str(path.relative_to(folder)))
    return found


OF_VISITOR = (VISITOR, "quixelbrandt", "mirabolanthe")
OF_LABEL = (LABEL, "zwetschgenknoedel", "hexenschuss")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """A nightly over documents and interactions, and a day later a ranker alone; the visitor's good rows are in the first."""
    folder = tmp_path_factory.mktemp("clicks")
    write_clicks(folder)
    write_products(folder)
    run_flow("nightly", request(folder, DAYS[0], input=str(folder / "products.parquet")), quiet=True)
    run_flow("train_ranker", request(folder, DAYS[1]), quiet=True)
    return folder


@pytest.fixture
def shop(world: Path, tmp_path: Path) -> Path:
    """The same in a folder of the test's own, which the records of the runs name."""
    folder = tmp_path / "own"
    shutil.copytree(world, folder)
    for record in [*folder.glob("store/.runs/*.json"), *folder.glob("store/.partitions/**/*.json")]:
        record.write_text(record.read_text().replace(str(world), str(folder)))
    return folder


def line(store: Store, product: str = PRODUCT) -> list[str]:
    return [move.ref for move in Pointer(store, "shop", product).line()]


def test_a_query_is_nowhere_any_more(shop: Path) -> None:
    store = Store(str(shop / "store"))
    before, index = line(store), line(store, INDEX)
    assert {name.split("/")[0] for name in traces(shop / "store", *OF_VISITOR)} >= {
        "xmr.interactions",
        "xmr.queries",
        "corpus.ngrams",
        "corpus.quarantine",
    }
    touched = erasing.listing(store, VISITOR, "shop")
    assert touched.collections == ["shop"]
    assert {(Path(file.path).name, file.rows, file.form) for file in touched.inputs} == {
        (f"clicks-{DAYS[0]}.csv", 4, "interactions"),
        (f"clicks-{DAYS[1]}.csv", 1, "interactions"),
    }
    assert [(plan.flow, plan.day, plan.stored) for plan in touched.reruns] == [
        ("nightly", DAYS[0], []),
        ("train_ranker", DAYS[1], []),
    ]
    assert touched.publications == ["shop/xmr.ranker: 2 of 2 version(s), including the live one"]
    assert SAID in touched.texts

    outcome = erasing.forget(store, VISITOR, "shop")

    assert outcome.proof["findings"] == []
    assert outcome.proof["key_as_bytes"]
    assert outcome.proof["versions_lost"] == outcome.proof["inputs_that_still_hold_it"] == 0
    assert traces(shop, *OF_VISITOR) == []
    assert line(store, INDEX) == index, "no document was forgotten"
    after = line(store)
    assert len(after) == 2
    assert not set(after) & set(before)
    ranker = live("shop", store=store.url)
    assert str(ranker.ref) == after[1]
    assert ranker.rank("hammer red", 1)[0].id == "hammer-red"
    assert Pointer(store, "shop", PRODUCT).rollback().ref == after[0]

    run_flow("train_ranker", request(shop, DAYS[1]), quiet=True)
    assert not [s["stage"] for s in runs(store, newest=1)[0]["stages"] if s["computed"]], "made again once, then reused"
    write_clicks(shop)
    run_flow("train_ranker", request(shop, DAYS[1]), quiet=True)
    assert traces(shop / "store", *OF_VISITOR) == [], "delivered again, it does not come back"


def test_a_label_is_forgotten_with_its_document_and_goes_on_where_it_was_killed(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(shop / "store"))
    points = ["forget-listed", "forget-input", "forget-rerun", "forget-moved"]

    def reached(point: str) -> None:
        if points and point == points[0]:
            points.pop(0)
            raise Killed(point)

    monkeypatch.setattr(store_files, "reached", reached)
    while points:
        with pytest.raises(Killed, match=points[0]):
            erasing.forget(store, LABEL, "shop")
    touched = erasing.listing(store, LABEL, "shop")
    assert sorted((Path(file.path).name, file.form) for file in touched.inputs) == [
        (f"clicks-{DAYS[0]}.csv", "interactions"),
        (f"clicks-{DAYS[1]}.csv", "interactions"),
        ("labels.csv", "labels"),
        ("products.parquet", "documents"),
    ]
    outcome = erasing.forget(store, LABEL, "shop")
    assert outcome.proof["findings"] == []
    assert outcome.proof["inputs_rewritten"] == 4
    assert traces(shop, *OF_LABEL) == []
    assert traces(shop, VISITOR), "others stay"
    ranker = live("shop", store=store.url)
    assert LABEL not in ranker.labels[0]
    assert len(ranker.labels[0]) == 96
    documents = store.manifest(Pointer(store, "shop", INDEX).required().artifact).quality["documents"]
    assert documents == 110
    assert len(line(store)) == 2
    assert len(line(store, INDEX)) == 1


def test_a_ranker_whose_interactions_are_gone_is_written_anew_from_the_store(shop: Path) -> None:
    store = Store(str(shop / "store"))
    for name in (f"clicks-{DAYS[0]}.csv", f"clicks-{DAYS[1]}.csv", "products.parquet"):
        (shop / name).unlink()
    touched = erasing.listing(store, VISITOR, "shop")
    assert [(plan.stored, plan.left) for plan in touched.reruns] == [
        (["xmr"], ["corpus", "ann", "metric"]),
        (["xmr"], []),
    ]
    index = line(store, INDEX)
    outcome = erasing.forget(store, VISITOR, "shop")
    assert outcome.proof["findings"] == []
    assert outcome.proof["versions_lost"] == 0
    assert traces(shop, *OF_VISITOR) == []
    assert line(store, INDEX) == index
    assert len(line(store)) == 2
    assert live("shop", store=store.url).rank("hammer red", 1)[0].id == "hammer-red"


def test_what_is_rebuilt_from_the_store_is_what_the_rest_of_the_file_gives(shop: Path) -> None:
    from fingerpost.schemas.inputs.stored import StoredInteractions
    from fingerpost.schemas.inputs.suppression import Suppressed
    from fingerpost.schemas.refs import Ref

    store, labels = Store(str(shop / "store")), str(shop / "labels.csv")
    for record, day in zip(runs(store)[::-1], DAYS, strict=True):
        made = next(stage["ref"] for stage in record["stages"] if stage["stage"] == "import_interactions")
        for key in (VISITOR, LABEL, SAID):
            gone = Suppressed.of([key], b"salt")
            rebuilt = StoredInteractions(store, Ref.parse(made), gone).read()
            read = InteractionFile(str(shop / f"clicks-{day}.csv"), labels, suppressed=gone).read()
            for name in ("queries", "labels", "pairs"):
                assert getattr(rebuilt, name).to_pydict() == getattr(read, name).to_pydict(), (day, key, name)
            assert rebuilt.reasons == read.reasons or key == SAID


def test_the_text_of_a_query_is_a_key_too(shop: Path) -> None:
    store = Store(str(shop / "store"))
    outcome = erasing.forget(store, SAID, "shop")
    assert outcome.proof["findings"] == []
    left = traces(shop, *OF_VISITOR[1:])
    assert left == []
    assert live("shop", store=store.url).rank("hammer red", 1)


def test_a_refreshed_ranker_goes_with_the_base_that_it_was_made_of(tmp_path: Path) -> None:
    """The query is in the base's interactions alone; the refreshed ranker, solved from the base, is trained fully instead."""
    write_more(write_shop(tmp_path))
    with (tmp_path / "interactions.csv").open("a") as file:
        file.write(f"{SAID},hammer-red,1\n")
    run_flow("train_ranker", asked(tmp_path, 5, "interactions.csv"), quiet=True)
    run_flow("train_ranker", asked(tmp_path, 6), quiet=True)
    store = Store(str(tmp_path / ".fingerpost"))
    before = line(store)
    assert "refresh_rankers" in {stage["stage"] for stage in runs(store, newest=1)[0]["stages"]}
    outcome = erasing.forget(store, SAID, "shop")
    assert outcome.proof["findings"] == []
    assert outcome.proof["versions_lost"] == 0
    assert traces(tmp_path, *OF_VISITOR) == []
    after = line(store)
    assert len(after) == 2
    assert not set(after) & set(before)
    assert "train_rankers" in {stage["stage"] for stage in runs(store, newest=1)[0]["stages"]}
    assert live("shop", store=store.url).rank("a large red hammer", 1)[0].id == "hammer-red"


def test_what_pages_without_text_are_called_is_nothing_distinct(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    rows = [
        {"id": "pool.mend", "names": ["pool.mend"], "targets": ["pool.drain"], "elsewhere": []},
        {
            "id": "pool.drain_at_night",
            "names": ["pool.drain_at_night", "pool.late"],
            "targets": ["pool.mend"],
            "elsewhere": ["perch.catch"],
        },
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    store.files.write("corpus.extracts/links.parquet", sink.getvalue().to_pybytes())
    said = ["Mends what pool.drain_at_night and perch.catch broke with a zwetschgenknoedel."]
    tables = {"corpus.extracts/links.parquet": EXTRACTS.table("links")}
    found = needles_of(store, Suppressed.of(["pool.mend"], b"salt"), "pool.mend", said, tables, [])
    assert found.distinct == ("pool.mend", said[0], "zwetschgenknoedel")
    assert found.shared == 1, "what another page is called"


def test_a_document_of_the_sample_takes_its_links_along(tmp_path: Path) -> None:
    """Interactions of the built-in sample come from the documents' pages."""
    settings = {"xmr.input": "python-docs-see-also", "xmr.predicted": 5, "input.distributions": ["pillow"]}
    settings |= {
        "ann.gates.sample_documents": 1,
        "xmr.interactions.test_share": 0.0,
        "xmr.interactions.calibration_share": 0.0,
    }
    sample = RunRequest(profile="tiny", store=str(tmp_path), day=DAYS[0], settings=settings)
    run_flow("train_ranker", sample, quiet=True)
    store = Store(str(tmp_path))
    keys, _ = live(store=store.url).labels
    key = keys[0]
    outcome = erasing.forget(store, key, "python-docs")
    assert outcome.proof["findings"] == []
    ranker = live(store=store.url)
    assert key not in ranker.labels[0]
    queries = store.open(ranker.members["queries"], QUERIES).read("queries")["id"].to_pylist()
    assert f"query {key}" not in queries
    assert f"label {key}" not in queries
