"""The live index written for faiss and hnswlib, and the graphs of theirs that runs take over."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.lineage import source_path
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.reader import open_index
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.faiss_format import read_faiss
from fingerpost.tasks.ann.graph import faults
from fingerpost.tasks.ann.hnswlib_format import read_hnswlib
from fingerpost.tasks.ann.open import LiveIndex, live, read_graph
from fingerpost.tasks.ledger import runs
from tests.golden.make_exchanged import DELETED, ROWS, hashed, labels, points

pytestmark = pytest.mark.usefixtures("plain_runs")

FILE = Path(__file__).resolve().parents[1] / "golden" / "exchanged.npz"


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    problem = done.exception
    assert isinstance(problem, FingerpostError | None), repr(problem)
    return done.exit_code, str(problem) if problem else done.output


def index_file(folder: Path, name: str) -> Path:
    """A file as a library wrote it."""
    path = folder / name
    with np.load(FILE) as stored:
        stored[name].tofile(path)
    return path


def request(folder: Path, file: Path, **settings: Any) -> RunRequest:
    gates = {"ann.gates.recall_at_10": 0.3, "ann.gates.documents": 10, "ann.gates.certified": "any"}
    return RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day="2026-01-05",
        input=str(folder / "rows.parquet"),
        collection="rows",
        settings={**gates, "ann.graph.file": str(file), **settings},
    )


def graph_quality(store: Store) -> dict[str, Any]:
    found = next(one for one in runs(store, newest=1)[0]["stages"] if one["stage"] == "import_index_graph")
    return dict(found["quality"])


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> tuple[Path, Path, str]:
    """An index of faiss with ids of its own, published with its graph."""
    folder = tmp_path_factory.mktemp("taken")
    file = index_file(folder, "faiss_ids")
    code, said = command("import-index", file, "-o", folder / "rows.parquet")
    assert code == 0, said
    log = folder / "log"
    run_flow("build_ann_index", request(folder, file, **{"ann.hnsw.metric": "l2"}), quiet=True, log_file=log)
    return folder, file, said + log.read_text()


def opened(folder: Path) -> LiveIndex:
    return live("rows", store=str(folder / "store"))


def test_an_index_of_faiss_is_published_with_its_graph(taken: tuple[Path, Path, str]) -> None:
    folder, file, said = taken
    index = opened(folder)
    theirs = read_faiss(np.fromfile(file, np.uint8))
    row_of = {key: row for row, key in enumerate(index.documents["id"].to_pylist())}
    place = np.array([row_of[str(key)] for key in theirs.ids])
    np.testing.assert_array_equal(index.vectors[place], theirs.vectors)
    graph = read_graph(index.store.open(index.members["graph"], contracts.GRAPH))
    number = np.argsort(place)
    for row, node in enumerate(number):
        mine = graph.indices[graph.indptr[row] : graph.indptr[row + 1]]
        given = theirs.graph.indices[theirs.graph.indptr[node] : theirs.graph.indptr[node + 1]]
        assert set(number[mine].tolist()) == set(given.tolist())
    assert graph.entry_points[0] == place[theirs.graph.entry_points[0]]
    found = graph_quality(index.store)
    assert (found["kept"], found["added"], found["removed"], found["changed"]) == (ROWS, 0, 0, 0)
    assert {"codes", "certificate", "packed"} <= index.members.keys()
    assert "--set ann.graph.file=" in said
    assert f"{ROWS} rows kept, 0 taken out, 0 inserted" in said


def test_a_collection_remembers_the_file_and_its_metric(taken: tuple[Path, Path, str]) -> None:
    folder, file, _ = taken
    again = {"profile": "tiny", "store": str(folder / "store"), "day": "2026-01-05", "collection": "rows"}
    found = RunRequest(**again).resolve()
    assert (found.ann.graph.file, found.ann.hnsw.metric) == (str(file), "l2")
    found = RunRequest(**again, settings={"ann.graph.file": ""}).resolve()
    assert found.ann.graph.file == ""


def test_lineage_names_the_file(taken: tuple[Path, Path, str]) -> None:
    folder, file, _ = taken
    record = runs(opened(folder).store, newest=1)[0]
    stage = next(one for one in record["stages"] if one["stage"] == "import_index_graph")
    assert source_path(record, stage) == str(file)
    code, said = command("lineage", "--collection", "rows", "--store", folder / "store")
    assert (code, "faiss_ids" in said) == (0, True)


def test_it_answers_with_the_ids_of_faiss(taken: tuple[Path, Path, str]) -> None:
    index = opened(taken[0])
    exact = ExactIndex(points(), "l2").search(points(20, seed=6), 5)
    for query, rows in zip(points(20, seed=6), exact.ids, strict=True):
        found = [int(answer.id) for answer in index.search(query, k=5, ef=ROWS).answers]
        distances = np.square(points() - query).sum(axis=1)
        np.testing.assert_allclose(distances[(np.array(found) - 7) // 3], np.sort(distances)[:5])
        assert len(set(found) & set(labels()[rows].tolist())) >= 4


def written_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = pq.read_table(path).to_pylist()
    return [{**row, "rank": int(row["rank"]), "score": round(float(row["score"]), 4)} for row in rows]


def test_a_file_asks_many_and_distances_are_distances(taken: tuple[Path, Path, str], tmp_path: Path) -> None:
    folder, queries = taken[0], points(3, seed=6)
    where = ("--collection", "rows", "--store", folder / "store")
    nearest = np.sort(np.sqrt(np.square(points()[None] - queries[:, None]).sum(axis=2)), axis=1)[:, :3]
    asked = tmp_path / "asked.jsonl"
    lines = [json.dumps({"id": f"q{row}", "vector": query.tolist()}) for row, query in enumerate(queries)]
    asked.write_text("\n".join(lines) + "\n")
    found = []
    for name in ("answers.csv", "answers.jsonl", "answers.parquet"):
        code, said = command("query", "--input", asked, "-o", tmp_path / name, "-k", 3, "--ef", ROWS, *where)
        assert code == 0, said
        found.append(written_rows(tmp_path / name))
    assert found[0] == found[1] == found[2]
    assert [row["query_id"] for row in found[0]] == [f"q{query}" for query in range(3) for _ in range(3)]
    assert {row["measure"] for row in found[0]} == {"Euclidean distance"}
    np.testing.assert_allclose([row["score"] for row in found[0]], nearest.ravel(), atol=1e-3)
    light = open_index(folder / "store", collection="rows").search(queries, 3, ef=ROWS)
    assert light.measure == "Euclidean distance"
    for scores in (light.scores, opened(folder).search_batch(queries, k=3, ef=ROWS).scores):
        np.testing.assert_allclose(scores, nearest, atol=1e-3)
    limit = float(nearest[0, 1]) + 1e-3
    code, said = command("query", "--input", asked, "--json", "-k", 100, "--within", limit, "--ef", ROWS, *where)
    inside = [json.loads(line) for line in said.splitlines()]
    assert code == 0, said
    assert [row["rank"] for row in inside if row["query_id"] == "q0" and row["rank"]] == [1, 2]
    assert all(row["score"] <= limit for row in inside if row["rank"])
    ids = tmp_path / "ids.csv"
    ids.write_text(f"key\n{labels()[0]}\n{labels()[1]}\n")
    code, said = command("query", "--input", ids, "--map", "id=key", "--json", "-k", 2, *where)
    like = [json.loads(line) for line in said.splitlines()]
    assert code == 0, said
    assert [row["query"] for row in like] == [str(key) for key in labels()[[0, 0, 1, 1]]]
    assert all(row["id"] != row["query"] and row["measure"] == "Euclidean distance" for row in like)
    ids.write_text("id\nnosuch\n")
    code, said = command("query", "--input", ids, *where)
    assert (code, "row 0: id: expected one of" in said, "--map query=COLUMN" in said) == (1, True, True)
    code, said = command("query", "--like", ids, *where)
    assert (code, f"got the file {ids}" in " ".join(said.split())) == (1, True)


@pytest.mark.parametrize("form", ["faiss", "hnswlib"])
def test_an_exported_index_is_the_one_that_was_imported(
    taken: tuple[Path, Path, str], tmp_path: Path, form: str
) -> None:
    folder, output = taken[0], tmp_path / "index"
    code, said = command("export-index", "rows", "--format", form, "-o", output, "--store", folder / "store", "--json")
    assert code == 0, said
    told, index = json.loads(said), opened(folder)
    assert (told["rows"], told["ids"], told["bytes"]) == (ROWS, "documents", output.stat().st_size)
    content = np.fromfile(output, np.uint8)
    written = read_faiss(content) if form == "faiss" else read_hnswlib(content, metric="l2")
    assert written.ids.astype(str).tolist() == index.documents["id"].to_pylist()
    np.testing.assert_array_equal(written.vectors, index.vectors)
    graph = read_graph(index.store.open(index.members["graph"], contracts.GRAPH))
    np.testing.assert_array_equal(written.graph.indices, graph.indices)
    np.testing.assert_array_equal(written.graph.indptr, graph.indptr)
    assert (written.metric, written.max_neighbors) == ("l2", 4)


def test_ids_and_vectors_are_written_as_parquet(taken: tuple[Path, Path, str], tmp_path: Path) -> None:
    output, index = tmp_path / "rows.parquet", opened(taken[0])
    arguments = ("export-index", "--format", "parquet", "-o", output, "--store", taken[0] / "store")
    assert command(*arguments)[0] == 0
    table = pq.read_table(output)
    assert table["id"].to_pylist() == index.documents["id"].to_pylist()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), index.vectors)
    before = output.read_bytes()
    code, said = command(*arguments)
    assert (code, output.read_bytes()) == (1, before)
    assert "--force" in said
    assert command(*arguments, "--force")[0] == 0
    assert [one.name for one in tmp_path.iterdir()] == ["rows.parquet"]


def test_rows_that_are_gone_changed_new_or_deleted(tmp_path: Path) -> None:
    file = index_file(tmp_path, "hnswlib_ip")
    code, said = command("import-index", file, "--metric", "ip", "-o", tmp_path / "rows.parquet", "--json")
    told = json.loads(said)
    assert (code, told["rows"], told["deleted"], told["metric"]) == (0, ROWS - len(DELETED), len(DELETED), "ip")
    table = pq.read_table(tmp_path / "rows.parquet")
    ids, vectors = table["id"].to_pylist()[5:], np.array(table["vector"].to_pylist(), np.float32)[5:]
    vectors[0] += 1
    rows = [{"id": key, "vector": row.tolist()} for key, row in zip(ids, vectors, strict=True)]
    rows += [{"id": "fresh", "vector": [1.0, 9.0, 2.0, 8.0, 3.0, 7.0]}]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    asked = request(tmp_path, file, **{"ann.hnsw.metric": "ip"})
    run_flow("build_ann_index", RunRequest(**{**vars(asked), "input": str(tmp_path / "rows.jsonl")}), quiet=True)
    index = opened(tmp_path)
    found = graph_quality(index.store)
    # Of the file two rows were deleted, five are gone, and one has another vector.
    assert (found["kept"], found["removed"], found["changed"], found["added"]) == (ROWS - 8, 8, 1, 2)
    graph = read_graph(index.store.open(index.members["graph"], contracts.GRAPH))
    assert faults(graph, 4) == [], "every row is reached"
    assert found["nodes"] == graph.size == ROWS - 6


def test_an_index_for_cosine_keeps_its_graph(tmp_path: Path) -> None:
    scaling = command("import-index", index_file(tmp_path, "faiss_cosine"), "-o", tmp_path / "scaled.parquet")
    assert (scaling[0], "--set ann.hnsw.metric=cosine" in " ".join(scaling[1].split())) == (0, True)
    file = index_file(tmp_path, "hnswlib_cosine")
    assert command("import-index", file, "--metric", "cosine", "-o", tmp_path / "rows.parquet")[0] == 0
    assert pq.read_table(tmp_path / "scaled.parquet")["id"] == pq.read_table(tmp_path / "rows.parquet")["id"]
    run_flow("build_ann_index", request(tmp_path, file, **{"ann.hnsw.metric": "cosine"}), quiet=True)
    index = opened(tmp_path)
    found = graph_quality(index.store)
    assert (found["kept"], found["added"], found["removed"]) == (ROWS, 0, 0)
    answers = [int(answer.id) for answer in index.search(points()[11], k=1, ef=ROWS).answers]
    assert answers == [labels()[11]]


def test_hashes_of_64_bits_are_ids_with_and_without_a_sign(tmp_path: Path) -> None:
    """hnswlib answers with numbers from 0 on, whatever sign they were given with."""
    file, rows = index_file(tmp_path, "hnswlib_hashed"), tmp_path / "rows.parquet"
    assert command("import-index", file, "-o", rows)[0] == 0
    table = pq.read_table(rows)
    assert table["id"].to_pylist() == hashed().astype(str).tolist()
    signed = hashed().astype(np.int64).astype(str)[: ROWS // 2]
    mixed = [*signed.tolist(), *table["id"].to_pylist()[ROWS // 2 :]]
    pq.write_table(table.set_column(0, "id", [mixed]), rows)
    run_flow("build_ann_index", request(tmp_path, file, **{"ann.hnsw.metric": "l2"}), quiet=True)
    assert graph_quality(opened(tmp_path).store)["kept"] == ROWS
    where = ("--store", tmp_path / "store", "-o", tmp_path / "index", "--force", "--json")
    kinds = [json.loads(command("export-index", "--format", form, *where)[1])["ids"] for form in ("faiss", "hnswlib")]
    assert kinds == ["rows", "rows"], "no library holds both"


@pytest.mark.parametrize(
    ("name", "metric", "said"),
    [
        ("faiss_ip", "l2", "expected an index that compares vectors by l2, found ip"),
        ("faiss_l2", "l2", "none of their ids"),
        ("faiss_ids", "cosine", r"120 with other vectors.*ann.hnsw.metric"),
    ],
)
def test_an_index_of_other_rows_is_refused(tmp_path: Path, name: str, metric: str, said: str) -> None:
    source = index_file(tmp_path, "faiss_ids")
    assert command("import-index", source, "-o", tmp_path / "rows.parquet")[0] == 0
    if name == "faiss_l2":
        table = pq.read_table(tmp_path / "rows.parquet")
        named = [f"row {key}" for key in table["id"].to_pylist()]
        pq.write_table(table.set_column(0, "id", [named]), tmp_path / "rows.parquet")
    with pytest.raises(FingerpostError, match=said):
        run_flow(
            "build_ann_index",
            request(tmp_path, index_file(tmp_path, name), **{"ann.hnsw.metric": metric}),
            quiet=True,
        )


def test_a_metric_that_a_file_does_not_say_is_asked_for(tmp_path: Path) -> None:
    asked = "a file of hnswlib does not say its metric"
    for number, (name, options, expected) in enumerate(
        (("hnswlib_cosine", (), True), ("hnswlib_cosine", ("--metric", "cosine"), False), ("faiss_l2", (), False))
    ):
        code, said = command("import-index", index_file(tmp_path, name), "-o", tmp_path / f"{number}.parquet", *options)
        assert code == 0
        assert (asked in " ".join(said.split())) is expected


def test_what_is_no_index_is_said_in_a_line(tmp_path: Path) -> None:
    rows, text = tmp_path / "rows.parquet", tmp_path / "text"
    text.write_text("no index at all, only words in a file")
    for arguments, expected in (
        ((text, "-o", rows), "expected IndexHNSWFlat"),
        ((tmp_path / "none", "-o", rows), "found none there"),
        ((index_file(tmp_path, "faiss_l2"), "-o", rows, "--metric", "angular"), "expected l2, ip or cosine"),
        ((index_file(tmp_path, "faiss_l2"), "-o", rows, "--metric", "ip"), "found l2"),
        ((index_file(tmp_path, "faiss_l2"), "-o", tmp_path / "no" / "rows.parquet"), "a folder that exists"),
    ):
        code, said = command("import-index", *arguments)
        assert code == 1
        assert expected in " ".join(said.split())
        assert not rows.exists()
    code, said = command("export-index", "-o", rows, "--format", "annoy", "--store", tmp_path)
    assert code == 1
    assert "faiss, hnswlib or parquet" in said


def test_a_plan_reads_the_file(taken: tuple[Path, Path, str]) -> None:
    folder, file, _ = taken
    planned = plan_of("build_ann_index", request(folder, file, **{"ann.hnsw.metric": "l2"}))
    assert "import_index_graph" in {stage.stage for stage in planned.stages}
    assert "build_graph" not in {stage.stage for stage in planned.stages}
