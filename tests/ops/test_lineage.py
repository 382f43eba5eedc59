"""Lineage against a naive walk over manifests, and OpenLineage events against what the specification demands."""

import json
import re
import subprocess
import sys
import uuid
from datetime import datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from fingerpost.flows import domains
from fingerpost.flows.cli import app
from fingerpost.flows.run.lineage import Lineage, as_mermaid, as_tree, ends_of, lineage_of, source_name, source_path
from fingerpost.flows.run.openlineage import events
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.ops.watched import run_here

#: What each facet that is used must have, by the specification; the base facet's fields are in all.
FACETS = {
    "nominalTime": {"nominalStartTime"},
    "parent": {"run", "job"},
    "errorMessage": {"message", "programmingLanguage"},
    "jobType": {"processingType", "integration"},
    "schema": set(),
    "dataSource": set(),
    "version": {"datasetVersion"},
    "outputStatistics": set(),
    "fingerpost_stage": set(),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Any]]:
    return run_here(tmp_path_factory.mktemp("lineage"))


def naive(store: Store, ref: str, pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Every (artifact, input) pair below an artifact."""
    for given in store.manifest(Ref.parse(ref)).identity["inputs"].values():
        pairs.add((ref, given.get("ref") or given["source"]))
        if "ref" in given:
            naive(store, given["ref"], pairs)
    return pairs


def reachable(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The transitive closure."""
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not more:
            return pairs
        pairs = pairs | more


def live_lineage(made: tuple[Store, dict[str, Any]]) -> Lineage:
    store, record = made
    return lineage_of(store, Ref.parse(record["stages"][-1]["ref"]))


def test_lineage_goes_back_to_the_input(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made
    found = live_lineage(made)
    pairs = {(node.key, given) for node in found.nodes for given in node.inputs.values()}
    assert pairs == naive(store, found.target, set())
    assert found.live == ("toys/ann.index, generation 1",)
    assert found.run == record["id"]
    (source,) = [node for node in found.nodes if not node.day]
    assert source.title == "documents-80-1.csv"
    documents = next(node for node in found.nodes if node.title == "corpus.documents")
    assert (documents.state, documents.rows, documents.day) == ("computed", {"documents": 80}, "2026-01-05")
    assert documents.quality["quarantined"] == 0
    order = [node.key for node in found.nodes]
    assert all(order.index(given) < order.index(key) for key, given in pairs)


def test_the_diagram_has_every_node_and_no_arrow_that_follows_from_others(made: tuple[Store, dict[str, Any]]) -> None:
    found = live_lineage(made)
    text = as_mermaid(found)
    names = {f"n{number}": node.key for number, node in enumerate(found.nodes)}
    arrows = {(names[b], names[a]) for a, b in re.findall(r"^  (n\d+) --> (n\d+)$", text, re.MULTILINE)}
    assert reachable(arrows) == reachable(naive(made[0], found.target, set()))
    assert not any((a, c) in reachable(arrows - {(a, c)}) for a, c in arrows)
    assert all(text.count(node.title) >= 1 for node in found.nodes)
    assert 'live0(["live: toys/ann.index, generation 1"])' in text


def test_the_tree_unfolds_each_artifact_once(made: tuple[Store, dict[str, Any]]) -> None:
    found = live_lineage(made)
    lines = as_tree(found).splitlines()
    for node in found.nodes:
        if node.day:
            shown = [line for line in lines if f"{node.title} {node.day}" in line and "(see above)" not in line]
            assert len(shown) == 1, (node.title, shown)


def test_the_command_prints_each_form(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made
    asked = ["lineage", "--store", store.url]
    tree, mermaid, plain, lines = (
        CliRunner().invoke(app, [*asked, *more]).stdout for more in ([], ["--mermaid"], ["--json"], ["--openlineage"])
    )
    assert "documents-80-1.csv (input, " in tree
    assert mermaid.startswith("flowchart TB")
    assert json.loads(plain)["target"] == record["stages"][-1]["ref"]
    assert [json.loads(line) for line in lines.splitlines()] == list(events(store, record))
    gone = CliRunner().invoke(app, [*asked, f"ann.index/day=2026-01-01/{'0' * 32}"])
    assert "expected a committed artifact, found no manifest" in str(gone.exception)


def check_facets(facets: dict[str, Any]) -> None:
    for name, facet in facets.items():
        assert FACETS[name] | {"_producer", "_schemaURL"} <= set(facet), name
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")


def check_event(event: dict[str, Any]) -> None:
    """What OpenLineage 2-0-2 demands of a RunEvent."""
    assert {"eventTime", "producer", "schemaURL", "run", "job", "eventType"} <= set(event)
    assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    assert str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"]
    check_facets(event["run"]["facets"])
    check_facets(event["job"]["facets"])
    for place in (event["job"], *event["inputs"], *event["outputs"]):
        assert place["namespace"]
        assert place["name"]
    for dataset in event["inputs"] + event["outputs"]:
        check_facets(dataset["facets"])
        assert all(set(column) >= {"name"} for column in dataset["facets"].get("schema", {"fields": []})["fields"])
    for output in event["outputs"]:
        check_facets(output["outputFacets"])
        assert isinstance(output["outputFacets"]["outputStatistics"]["rowCount"], int)


def by_run(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for event in found:
        kinds.setdefault(f"{event['job']['name']} {event['run']['runId']}", []).append(event["eventType"])
    return kinds


def test_every_run_and_stage_starts_once_and_completes_once(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made
    found = [json.loads(line) for line in store.files.read(f"exports/openlineage/{record['id']}.jsonl").splitlines()]
    for event in found:
        check_event(event)
    assert set(map(tuple, by_run(found).values())) == {("START", "COMPLETE")}
    assert len(by_run(found)) == 1 + len(record["stages"])
    assert [event["eventTime"] for event in found] == sorted(event["eventTime"] for event in found)
    flow = found[0]
    nominal = flow["run"]["facets"]["nominalTime"]
    assert (nominal["nominalStartTime"], nominal["nominalEndTime"]) == (
        "2026-01-05T00:00:00.000Z",
        "2026-01-06T00:00:00.000Z",
    )
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in found if e["job"]["name"] != "nightly"} == {
        flow["run"]["runId"]
    }
    # What one stage writes, another reads under the same name.
    written = {d["name"] for e in found for d in e["outputs"]}
    read = {d["name"] for e in found for d in e["inputs"] if d["namespace"] != "file"}
    assert read <= written
    assert [d["name"].rsplit("/", 1)[-1] for d in found[-1]["inputs"]] == ["documents-80-1.csv"]


def test_a_failed_run_says_which_stage_failed_and_shows_no_secret(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made
    settings = record["settings"] | {
        "input.source": "s3://user:passw0rd@bucket/in/day.csv?token=t0ken",
        "run.timezone": "Europe/Berlin",
    }
    failed = {
        **record,
        "state": "failed",
        "stages": record["stages"][:6],
        "failed_stage": "build_graph",
        "settings": settings,
        "error": "InputError: s3://user:passw0rd@bucket/in/day.csv: expected a file",
    }
    found = list(events(store, failed))
    for event in found:
        check_event(event)
    kinds = {name.split()[0]: seen for name, seen in by_run(found).items()}
    assert kinds["nightly"] == kinds["nightly.build_graph"] == ["START", "FAIL"]
    assert (
        found[-1]["run"]["facets"]["errorMessage"]["message"] == "InputError: s3://bucket/in/day.csv: expected a file"
    )
    assert found[-1]["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-01-04T23:00:00.000Z"
    assert (found[-1]["inputs"][0]["namespace"], found[-1]["inputs"][0]["name"]) == ("s3://bucket", "in/day.csv")
    assert not {"passw0rd", "t0ken"} & set(re.findall(r"\w+", json.dumps(found)))


def nightly_of_all(record: dict[str, Any]) -> dict[str, Any]:
    """A record as of a nightly that read documents, judged queries, interactions, events, two graphs with links, embeddings, and images
    for a device."""
    day, files = "2026-01-05", {"input.source": "/in/documents.csv", "xmr.input": "/in/clicks.csv"}
    files |= {"autocomplete.input": "/in/log.csv", "ann.judged.queries": "/in/judged.csv"}
    files |= {"kg.left": "/in/left.nt", "kg.right": "/in/right.nt", "kg.links": "/in/pairs.csv"}
    files |= {"nas.data": "/in/photos", "nas.device": "/in/cpu.parquet"}
    refs = {"index": "ann.index", "ranker": "xmr.ranker", "completer": "autocomplete.completer"}
    refs["alignment"] = "kg.alignment"
    refs["threshold_release"] = "metric.threshold"
    refs["network"] = "nas.network"
    read = [file for _, file in domains.inputs() if file.title != "images"]
    stages = [
        stage | {"stage": file.stage, "part": file.part, "ref": f"{file.artifact}/day={day}/{number:032x}"}
        for number, file in enumerate(read)
        for stage in record["stages"]
        if stage["stage"] == "import_documents"
    ]
    stages += [
        record["stages"][-1] | {"stage": f"release_{role}", "ref": f"{name}/day={day}/{'a' * 32}"}
        for role, name in refs.items()
    ]
    return {
        **record,
        "settings": record["settings"] | files | {"metric.input": "/in/faces.parquet", "metric.kind": "vectors"},
        "stages": stages,
        "refs": {role: f"{name}/day={day}/{'a' * 32}" for role, name in refs.items()},
    }


def test_a_nightly_ends_in_all_that_it_publishes(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made[0], nightly_of_all(made[1])
    names = ["ann.index", "xmr.ranker", "autocomplete.completer", "kg.alignment", "metric.threshold", "nas.network"]
    assert [ref.name for ref in ends_of(record)] == names
    assert [d["name"].rsplit("/", 1)[-1] for d in list(events(store, record))[-1]["outputs"]] == names


def test_each_import_names_the_file_that_it_read(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made[0], nightly_of_all(made[1])
    paths = {stage["stage"] + stage["part"]: source_path(record, stage) for stage in record["stages"][:10]}
    graphs = ["/in/left.nt", "/in/right.nt", "/in/pairs.csv"]
    files = ["/in/documents.csv", "/in/judged.csv", "/in/clicks.csv", "/in/log.csv", *graphs, "/in/faces.parquet"]
    assert list(paths.values()) == [*files, "/in/photos", "/in/cpu.parquet"]
    assert [d["name"] for d in list(events(store, record))[-1]["inputs"]] == list(paths.values())
    alone = {**record, "flow": "train_ranker", "settings": record["settings"] | {"xmr.input": ""}}
    assert source_name(alone, record["stages"][2]) == "documents.csv", "run by itself it reads the input"
    simulated = {**record, "settings": record["settings"] | {"nas.device": "accelerator"}}
    assert source_path(simulated, record["stages"][9]) == "accelerator", "not the images, which are another input"
    sample = {**record, "settings": record["settings"] | {"input.source": "python-docs"}}
    assert source_name(sample, {"stage": "extract_documentation", "ref": record["stages"][0]["ref"]}) == (
        "python-docs, built in"
    )
    assert source_name({"flow": "nightly", "stages": []}, {}) == "input", "no record says what was read"


def test_the_command_shows_any_product_that_is_live(made: tuple[Store, dict[str, Any]]) -> None:
    store, record = made
    asked = ["lineage", "--store", store.url]
    assert (
        json.loads(CliRunner().invoke(app, [*asked, "--product", "ann.index", "--json"]).stdout)["target"]
        == (record["stages"][-1]["ref"])
    )
    none = CliRunner().invoke(app, [*asked, "--product", "xmr.ranker"])
    assert "xmr.ranker" in str(none.exception)


def test_lineage_needs_no_prefect() -> None:
    """Not even to tell which file a stage read."""
    script = (
        "import sys\n"
        "from fingerpost.flows.run.lineage import source_path\n"
        "import fingerpost.flows.run.openlineage\n"
        "stage = {'stage': 'import_documents', 'part': 'embeddings', 'ref': 'corpus.documents/day=2026-01-05/' + 'a' * 32}\n"
        "print(source_path({'flow': 'nightly', 'settings': {'input.source': 'a.csv'}}, stage))\n"
        "assert not {'prefect', 'distributed', 'dask'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
