"""Forgetting a document: it is nowhere any more, what does not know it stays, and it does not come back."""

import csv
import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.ops.erase.former import current
from fingerpost.flows.run.api import ApiError
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import files as store_files
from fingerpost.schemas.errors import InputError, MissingArtifactError, QuarantineLimitError, StoreBusyError
from fingerpost.schemas.forgotten import Journal
from fingerpost.schemas.leases import lease
from fingerpost.schemas.pins import pin, pins
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT, live
from fingerpost.tasks.ledger import runs
from tests.support.kills import Killed
from tests.worlds import texts

pytestmark = pytest.mark.usefixtures("plain_runs")

KEY = "customer-letter-77"
WORDS = ("Quixelbrandt", "mirabolanthe", "zwetschgenknoedel")
#: What the lexicon has of them.
STEMS = ("quixelbrandt", "mirabolanth", "zwetschgenknoedel")
ROWS = 130
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")


def write_day(folder: Path, day: str, *, with_key: bool) -> Path:
    """The documents of a day; those with the key hold it among the rows, and once more as a duplicate."""
    rows = list(texts(ROWS, seed=int(day[-2:])))
    if with_key:
        own = {
            "id": KEY,
            "title": f"Letter of {WORDS[0]}",
            "text": f"{WORDS[1]} wants her money back.\n\nSincerely, {WORDS[2]}.",
            "kind": "letter",
        }
        rows[100:100] = [own]
        rows.append({**own, "title": f"Second letter of {WORDS[0]}"})
    path = folder / f"letters-{day}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "text", "kind"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def request(folder: Path, day: str, **settings: object) -> RunRequest:
    """A nightly of one day over a file a day."""
    return RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day=day,
        input=str(folder / "letters-{day}.csv"),
        collection="letters",
        settings={"ann.gates.recall_at_10": 0.3, "corpus.imports.rows_per_shard": 4096, **settings},
    )


def traces(folder: Path) -> list[str]:
    """Where the key, its words or their stems are, found naively: file names, raw bytes and all that Parquet files hold."""
    needles = [text.lower().encode() for text in (KEY, *WORDS, *STEMS)]
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".parquet":
            data += repr(pq.read_table(path).to_pydict()).encode()
        if any(needle in (path.name.encode() + data).lower() for needle in needles):
            found.append(str(path.relative_to(folder)))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """Three nightlies; the key is in the first and in the last day."""
    folder = tmp_path_factory.mktemp("letters")
    for day in DAYS:
        write_day(folder, day, with_key=day != DAYS[1])
        run_flow("nightly", request(folder, day), quiet=True)
    return folder


@pytest.fixture
def three_days(world: Path, tmp_path: Path) -> Path:
    """The same in a folder of the test's own, which the records of the runs name."""
    folder = tmp_path / "own"
    shutil.copytree(world, folder)
    for record in [*folder.glob("store/.runs/*.json"), *folder.glob("store/.partitions/**/*.json")]:
        record.write_text(record.read_text().replace(str(world), str(folder)))
    return folder


def manifests(folder: Path, day: str) -> dict[str, bytes]:
    """The bytes of all files of the artifacts of a day."""
    found = (folder / "store").glob(f"*/day={day}/**/*")
    return {str(path): path.read_bytes() for path in found if path.is_file()}


def test_nothing_is_touched_where_the_server_does_not_answer(three_days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in three_days.rglob("*") if path.is_file()}
    store = Store(str(three_days / "store"))
    monkeypatch.setattr("fingerpost.flows.run.start.serving", lambda: None)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(ApiError):
        erasing.forget(store, KEY, "letters")
    assert {path: path.read_bytes() for path in three_days.rglob("*") if path.is_file()} == before


def test_a_document_is_nowhere_any_more(three_days: Path) -> None:
    store = Store(str(three_days / "store"))
    pointer = Pointer(store, "letters", PRODUCT)
    before, untouched = pointer.line(), manifests(three_days, DAYS[1])
    other_lines = (three_days / f"letters-{DAYS[1]}.csv").read_bytes()
    found = live("letters", store=store.url).query(f"letter of {WORDS[0]}", k=1).answers[0]
    assert found.id == KEY
    assert len(traces(three_days)) > 10

    pin(store, before[0].artifact, reason="for the auditors")
    touched = erasing.listing(store, KEY, "letters")
    assert touched.days == [DAYS[0], DAYS[2]]
    assert sorted(file.rows for file in touched.inputs) == [2, 2]
    assert not any(plan.stored or plan.left for plan in touched.reruns)
    assert touched.seconds > 0
    assert "including the live one" in touched.publications[0]
    assert len(traces(three_days)) > 10, "looking changes nothing"

    outcome = erasing.forget(store, KEY, "letters")

    assert outcome.clean
    assert outcome.proof["files"] > 50
    assert outcome.proof["artifacts_removed"] == len(touched.condemned)
    assert outcome.proof["key_as_bytes"]
    assert traces(three_days) == []
    assert manifests(three_days, DAYS[1]) == untouched
    assert (three_days / f"letters-{DAYS[1]}.csv").read_bytes() == other_lines
    assert outcome.proof["inputs_that_still_hold_it"] == 0
    after = pointer.line()
    assert [(one.ref, one.reason) for one in pins(store)] == [(after[0].ref, "for the auditors")]
    assert [move.artifact.day for move in after] == list(DAYS)
    assert [move.ref == old.ref for move, old in zip(after, before, strict=True)] == [False, True, False]
    index = live("letters", store=store.url)
    assert index.ref.day == DAYS[2]
    assert len(index.query("sort order array", k=5).answers) == 5
    assert KEY not in {answer.id for answer in index.query(f"letter of {WORDS[0]}", k=50).answers}
    for expected in (DAYS[1], DAYS[0]):
        assert pointer.rollback().artifact.day == expected
        store.verify(pointer.required().artifact)
    with pytest.raises(MissingArtifactError, match="expected an earlier version"):
        pointer.rollback()

    run_flow("nightly", request(three_days, DAYS[2]), quiet=True)
    assert not [s["stage"] for s in runs(store, newest=1)[0]["stages"] if s["computed"]], "made again once, then reused"
    assert erasing.listing(store, KEY, "letters").nothing

    write_day(three_days, DAYS[2], with_key=True)
    run_flow("nightly", request(three_days, DAYS[2]), quiet=True)
    assert [name for name in traces(three_days) if name.startswith("store")] == [], (
        "delivered again, it does not come back"
    )
    imported = next(s for s in runs(store, newest=1)[0]["stages"] if s["stage"] == "import_documents")
    assert imported["quality"]["documents"] == ROWS
    assert imported["quality"]["quarantined"] == 0
    run_flow("nightly", request(three_days, DAYS[1]), quiet=True)
    assert not [s["stage"] for s in runs(store, newest=1)[0]["stages"] if s["computed"]], "a day without it stays fresh"


def test_versions_whose_input_is_gone_are_written_anew_from_the_store(
    three_days: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(three_days / "store"))
    (three_days / f"letters-{DAYS[0]}.csv").unlink()
    write_day(three_days, DAYS[2], with_key=False)
    write_protected = write_day(three_days, "2026-03-09", with_key=True)
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != write_protected)
    touched = erasing.listing(store, KEY, "letters")
    assert [plan.stored for plan in touched.reruns] == [["corpus"], ["corpus"]]
    assert [file.path for file in touched.inputs] == [str(write_protected)], "a day that never ran"
    outcome = erasing.forget(store, KEY, "letters")
    assert outcome.clean
    assert outcome.proof["inputs_that_still_hold_it"] == 1
    assert "write-protected" in outcome.proof["notes"][0]
    assert traces(three_days) == [write_protected.name]
    assert [move.artifact.day for move in Pointer(store, "letters", PRODUCT).line()] == list(DAYS)
    assert len(live("letters", store=store.url).query("sort order array", k=5).answers) == 5


def test_a_version_that_cannot_be_made_again_is_gone_all_the_same(three_days: Path) -> None:
    """The inputs of two versions are gone, and what the store holds of them is damaged: one of them is live."""
    store = Store(str(three_days / "store"))
    for documents in [ref for ref in store.refs("corpus.documents") if ref.day != DAYS[1]]:
        (three_days / f"letters-{documents.day}.csv").unlink()
        damaged = three_days / "store" / next(entry.path for entry in store.manifest(documents).files)
        pq.write_table(pq.read_table(io.BytesIO(damaged.read_bytes())).slice(99), damaged)
    outcome = erasing.forget(store, KEY, "letters")
    assert outcome.clean
    assert outcome.proof["versions_lost"] == 2
    assert traces(three_days) == []
    pointer = Pointer(store, "letters", PRODUCT)
    assert pointer.required().artifact.day == DAYS[1]
    with pytest.raises(MissingArtifactError, match="a document in it was forgotten, and not rebuilt"):
        pointer.rollback()


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The points at which the job dies, each once, in order."""
    points: list[str] = []

    def reached(point: str) -> None:
        if points and point == points[0]:
            points.pop(0)
            raise Killed(point)

    monkeypatch.setattr(store_files, "reached", reached)
    return points


def test_a_job_that_is_killed_anywhere_is_finished_by_the_same_command(three_days: Path, kill_at: list[str]) -> None:
    store = Store(str(three_days / "store"))
    points = [
        "forget-listed",
        "forget-suppressed",
        "forget-input",
        "forget-rerun",
        "before-manifest",
        "before-pointer",
        "forget-moved",
        "forget-removed",
        "forget-cleaned",
    ]
    kill_at += points
    for point in points:
        with pytest.raises(Killed, match=point):
            erasing.forget(store, KEY, "letters")
        journal = next((three_days / "store" / ".forgotten" / "letters" / "jobs").iterdir()).read_bytes().lower()
        assert not any(text.lower().encode() in journal for text in (KEY, *WORDS))
    outcome = erasing.forget(store, KEY, "letters")
    assert outcome.clean
    assert outcome.proof["inputs_rewritten"] == 2
    assert traces(three_days) == []
    assert [move.artifact.day for move in Pointer(store, "letters", PRODUCT).line()] == list(DAYS)
    assert not list((three_days / "store" / ".forgotten" / "letters" / "jobs").iterdir())


def test_a_job_that_the_version_before_began_is_finished(three_days: Path, kill_at: list[str]) -> None:
    """Its journal has the runs under other keys."""
    store = Store(str(three_days / "store"))
    (three_days / f"letters-{DAYS[0]}.csv").unlink()
    kill_at.append("forget-listed")
    with pytest.raises(Killed):
        erasing.forget(store, KEY, "letters")
    journal = Journal(store, "letters", KEY)
    state = journal.load()
    assert state is not None
    before = erasing.listing(store, KEY, "letters")
    plans = state["affected"].pop("reruns")
    state["affected"]["again"] = [
        {
            **{key: plan[key] for key in ("run", "flow", "collection", "day", "seconds")},
            "documents": plan["imported"]["corpus"],
            "stored": "corpus" in plan["stored"],
            "interactions": "",
            "stored_interactions": False,
            "embeddings": "",
            "stored_embeddings": False,
            "index": True,
            "ranker": True,
            "threshold": True,
        }
        for plan in plans
    ]
    journal.save(state)
    assert erasing.listing(store, KEY, "letters").reruns == before.reruns
    assert [plan.stored for plan in before.reruns] == [["corpus"], []]
    outcome = erasing.forget(store, KEY, "letters")
    assert outcome.clean
    assert outcome.proof["versions_lost"] == 0
    assert traces(three_days) == []
    assert [move.artifact.day for move in Pointer(store, "letters", PRODUCT).line()] == list(DAYS)


def test_plans_of_the_version_before_are_read_with_all_their_parts() -> None:
    """A ranker from the store, an index that stays, and a threshold of an own file."""
    plan = {"run": "r", "flow": "nightly", "collection": "shop", "day": DAYS[0], "seconds": 1.5}
    saved = {
        **plan,
        "documents": "corpus.documents/a",
        "stored": False,
        "interactions": "xmr.interactions/b",
        "stored_interactions": True,
        "embeddings": "corpus.documents/c",
        "stored_embeddings": False,
        "index": False,
        "ranker": True,
        "threshold": True,
    }
    imported = {"corpus": "corpus.documents/a", "xmr": "xmr.interactions/b", "metric": "corpus.documents/c"}
    assert current({"key": KEY, "again": [saved]}) == {
        "key": KEY,
        "reruns": [{**plan, "imported": imported, "stored": ["xmr"], "left": ["corpus", "ann"]}],
    }
    assert current({"key": KEY, "reruns": []}) == {"key": KEY, "reruns": []}


def test_nothing_is_done_while_a_run_is_at_work(three_days: Path) -> None:
    store = Store(str(three_days / "store"))
    with (
        lease(store, "run-1", flow="nightly", collection="letters", day=DAYS[2]),
        pytest.raises(StoreBusyError, match="no run at work"),
    ):
        erasing.forget(store, KEY, "letters")
    assert traces(three_days)


def featurize(folder: Path, collection: str, source: Path) -> None:
    """Documents to vectors, which is enough to hold traces."""
    given = request(folder, DAYS[0]).model_copy(update={"collection": collection, "input": str(source)})
    run_flow("featurize_corpus", given, quiet=True)


def test_collections_that_share_artifacts_forget_together_and_others_do_not(tmp_path: Path) -> None:
    letters = write_day(tmp_path, DAYS[0], with_key=True)
    shop = tmp_path / "shop.csv"
    rows = [f"p{n},Number {n},Article of p{n} and p1." for n in range(1, 121)]
    shop.write_text("\n".join(["id,title,text", *rows, f"{KEY},Another,Something else altogether."]) + "\n")
    featurize(tmp_path, "letters", letters)
    featurize(tmp_path, "mirror", letters)
    featurize(tmp_path, "shop", shop)
    store = Store(str(tmp_path / "store"))
    shops = {
        str(ref): store.manifest(ref) for ref in store.refs() if store.manifest(ref).run.get("collection") == "shop"
    }

    touched = erasing.listing(store, KEY, "mirror")
    assert (touched.collections, touched.others) == (["letters", "mirror"], ["shop"])
    outcome = erasing.forget(store, KEY, "mirror")
    assert outcome.clean
    assert outcome.proof["files_of_other_collections"] > len(shops)
    assert all(store.manifest(ref) == shops[str(ref)] for ref in store.refs() if str(ref) in shops)
    assert not [
        name for name in traces(tmp_path) if not name.startswith("shop") and not _mentions_only_id(tmp_path, name)
    ]

    assert erasing.listing(store, "p1", "shop").holders
    outcome = erasing.forget(store, "p1", "shop")
    assert outcome.clean, "that others mention a short id is no finding"
    assert not outcome.proof["key_as_bytes"]
    (kept,) = (ref for ref in store.refs("corpus.documents") if store.manifest(ref).run["collection"] == "shop")
    ids = pq.read_table(tmp_path / "store" / store.manifest(kept).files[0].path)["id"].to_pylist()
    assert ids == [*(f"p{n}" for n in range(2, 121)), KEY]


def _mentions_only_id(folder: Path, name: str) -> bool:
    """Whether a file has the id of the shop's own document, and nothing of the letter."""
    content = (folder / name).read_bytes()
    if name.endswith(".parquet"):
        content += repr(pq.read_table(folder / name).to_pydict()).encode()
    return not any(word.lower().encode() in content.lower() for word in WORDS)


def test_a_refused_input_leaves_nothing_either(tmp_path: Path) -> None:
    """The key is in a quarantine alone, also in a line that is no row; the record of the failed run stays."""
    source = write_day(tmp_path, DAYS[0], with_key=True)
    with source.open("a") as file:
        file.writelines(f"{KEY},{WORDS[0]},too,many,fields\n" for _ in range(20))
    with pytest.raises(QuarantineLimitError):
        featurize(tmp_path, "letters", source)
    store = Store(str(tmp_path / "store"))
    assert list(store.refs("corpus.quarantine"))
    outcome = erasing.forget(store, KEY, "letters")
    assert outcome.proof["findings"] == []
    assert traces(tmp_path) == []
    assert outcome.proof["inputs_rewritten"] == 1
    assert runs(store, newest=1)[0]["state"] == "failed"


def test_a_file_whose_mapping_a_run_refused_is_searched_all_the_same(tmp_path: Path) -> None:
    """In compressed columns its bytes do not show the key."""
    source = tmp_path / "letters.parquet"
    rows = {"id": [KEY, *(f"d{n}" for n in range(300))], "title": ["a"] * 301, "text": ["some words"] * 301}
    pq.write_table(pa.table(rows), source, compression="gzip", write_statistics=False)
    assert KEY.encode() not in source.read_bytes()
    request = RunRequest(
        profile="tiny",
        store=str(tmp_path / "store"),
        input=str(source),
        collection="letters",
        day=DAYS[0],
        columns={"kind": "gone"},
    )
    with pytest.raises(InputError, match="expected a column 'gone' for kind"):
        run_flow("featurize_corpus", request, quiet=True)
    store = Store(str(tmp_path / "store"))
    assert [(file.path, file.rows) for file in erasing.listing(store, KEY, "letters").inputs] == [(str(source), 1)]
    assert erasing.forget(store, KEY, "letters").proof["inputs_rewritten"] == 1
    assert KEY not in pq.read_table(source)["id"].to_pylist()


@pytest.mark.parametrize("key", ["ab-1", "https://example.org/letters/of/a/long/name/" + "z" * 9])
@pytest.mark.parametrize("days", ["snapshot", "all"])
def test_messages_about_refused_rows_do_not_keep_a_short_or_a_cut_key(key: str, days: str, tmp_path: Path) -> None:
    source = tmp_path / f"letters-{DAYS[0]}.csv"
    source.write_text(
        "id,title,text\n" + "\n".join(f"{key},{title},a text" for title in "abcd") + f"\nother,x,{key[:3]}\n"
    )
    settings = {"input.days": days}
    path = str(source).replace(DAYS[0], "{day}")
    request = RunRequest(
        profile="tiny", store=str(tmp_path / "store"), input=path, collection="letters", day=DAYS[0], settings=settings
    )
    with pytest.raises(QuarantineLimitError, match=r"row 1 .*duplicate id"):
        run_flow("featurize_corpus", request, quiet=True)
    store = Store(str(tmp_path / "store"))
    assert erasing.forget(store, key, "letters").proof["findings"] == []
    said = key[:36].encode()
    found = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and said in path.read_bytes()]
    assert found == []
    assert "[forgotten]; fix the input" in runs(store, newest=1)[0]["error"]


def test_the_command_lists_first_and_asks_and_cleans_records(three_days: Path) -> None:
    from typer.testing import CliRunner

    from fingerpost.flows.cli import app

    store = three_days / "store"
    common = [KEY, "--store", str(store), "--collection", "letters"]
    listed = CliRunner().invoke(app, ["forget", *common, "--dry-run"])
    assert listed.exit_code == 0, listed.output
    assert f"rerun  nightly letters {DAYS[0]} from its input, about" in listed.output
    assert "moved  letters/ann.index: 2 of 3 version(s), including the live one" in listed.output
    refused = CliRunner().invoke(app, ["forget", *common], input="n\n")
    assert refused.exit_code == 1
    assert len(traces(three_days)) > 10

    opened = Store(str(store))
    failed = {**runs(opened, newest=1)[0], "error": f"no vector for {KEY} ({WORDS[0]})", "stages": []}
    answers = {"answers": [{"id": KEY, "title": f"Letter of {WORDS[0]}"}]}
    opened.files.write(".runs/20260301T000000-abc123.json", json.dumps(failed).encode())
    opened.files.write("reports/answers.json", json.dumps(answers).encode())
    opened.files.write("reports/notes.html", f"<p>{WORDS[1]}</p>".encode())
    done = CliRunner().invoke(app, ["forget", *common, "--json", "--yes"])
    assert done.exit_code == 0, done.output
    proof = json.loads(done.stdout)
    assert proof["findings"] == []
    assert json.loads((store / proof["proof"]).read_text())["key_hmac"] == proof["key_hmac"]
    assert traces(three_days) == []
    failed = json.loads((store / ".runs/20260301T000000-abc123.json").read_text())
    assert failed["error"] == "no vector for [forgotten] ([forgotten])"
    answers = json.loads((store / "reports/answers.json").read_text())
    assert answers == {"answers": [{"id": "[forgotten]", "title": "[forgotten]"}]}
    assert not (store / "reports/notes.html").exists()


def _refuse(*_: object) -> None:
    raise MissingArtifactError("run: expected its settings, found none")


def test_a_trace_that_is_left_is_found_and_is_an_error(three_days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof does not rely on the removal: what a step forgets to remove, it finds."""
    store = Store(str(three_days / "store"))
    monkeypatch.setattr(erasing, "remove_artifacts", lambda *_: (0, 0))
    monkeypatch.setattr(erasing, "request_of", _refuse)
    outcome = erasing.forget(store, KEY, "letters")
    assert not outcome.clean
    assert {path.split("/")[0] for path in outcome.proof["findings"]} >= {
        "corpus.documents",
        "corpus.lexicon",
        "corpus.term_counts",
        "corpus.quarantine",
    }
