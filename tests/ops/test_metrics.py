"""The figures for Prometheus, and that every figure that a rule or the dashboard names is really there."""

import base64
import json
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from fingerpost.flows import domains
from fingerpost.flows.cli import app
from fingerpost.flows.ops.serve.measures import Measures
from fingerpost.flows.ops.serve.options import ServeOptions
from fingerpost.flows.ops.serve.service import Service
from fingerpost.flows.ops.stack.children import Options, children_of
from fingerpost.flows.ops.stack.stack import _first_state
from fingerpost.flows.ops.watch.exposition import make_server, text
from fingerpost.flows.ops.watch.metrics import registry
from fingerpost.flows.run.day_states import DayState, keep_states
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from tests.ops.watched import note_day, note_run, run_here

INFRA = Path(__file__).parents[2] / "infra"
NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)


def figures(store: Store, now: datetime = NOW) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every figure by name and labels."""
    return parsed(text(registry(store, clock=lambda: now)).decode())


def parsed(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def one(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_the_figures_of_a_real_run(tmp_path: Path) -> None:
    store, record = run_here(tmp_path)
    found = figures(store, datetime.fromisoformat(record["at"]))
    toys = {"collection": "toys"}
    quality = {stage["stage"]: stage["quality"] for stage in record["stages"]}
    assert (
        one(found, "fingerpost_recall_ratio", **toys, artifact="ann.index", k="10")
        == quality["assemble_index"]["recall_at_10"]
    )
    assert one(found, "fingerpost_quality", **toys, artifact="ann.graph", figure="nodes") == 80
    assert one(found, "fingerpost_quarantine_ratio", **toys, input="documents") == 0
    assert one(found, "fingerpost_runs_total", **toys, flow="nightly", state="completed") == 1
    assert one(found, "fingerpost_runs_total", **toys, flow="nightly", state="failed") == 0
    assert one(found, "fingerpost_live_generation", **toys, product="ann.index") == 1
    assert 0 <= one(found, "fingerpost_live_age_seconds", **toys, product="ann.index") < 60
    graph = next(stage for stage in record["stages"] if stage["stage"] == "build_graph")
    assert one(found, "fingerpost_stage_duration_seconds", **toys, stage="build_graph") == graph["seconds"]
    assert one(found, "fingerpost_stage_peak_memory_bytes", **toys, stage="build_graph") == graph["peak_mb"] * 2**20
    assert one(found, "fingerpost_partition_late", **toys, flow="nightly") == 0
    listed = sum(entry.size for entry in store.files.listing().values())
    assert one(found, "fingerpost_store_bytes") == listed


def test_each_input_has_a_share_of_bad_rows_of_its_own(tmp_path: Path) -> None:
    """Whatever contract its rows have: two imports may make artifacts of the same one."""
    store, inputs = Store(str(tmp_path / "store")).prepare(), [file for _, file in domains.inputs()]
    stages = [
        imported(file.stage, file.part, ref=f"{file.artifact}/day=2026-01-05/{number:032x}", share=(1 + number) / 100)
        for number, file in enumerate(inputs)
    ]
    note_run(store, "20260105T030000000-aaaaaa", stages=stages)
    found = figures(store)
    shares = {
        file.title: one(found, "fingerpost_quarantine_ratio", collection="toys", input=file.title) for file in inputs
    }
    assert list(shares.values()) == [(1 + number) / 100 for number in range(len(inputs))]


def imported(stage: str, part: str, *, ref: str, share: float) -> dict[str, Any]:
    """The record of an import."""
    return {
        "stage": stage,
        "part": part,
        "ref": ref,
        "computed": False,
        "rows": {},
        "shards_run": 0,
        "shards_resumed": 0,
        "quality": {"quarantine_share": share},
    }


def test_late_days_grow_late_by_the_clock_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_day(store, "2026-01-07", quarantined=3)
    labels = {"flow": "nightly", "collection": "toys"}
    clock = [NOW.replace(hour=7)]
    watched = registry(store, clock=lambda: clock[0])
    before = parsed(text(watched).decode())
    assert one(before, "fingerpost_partition_late", **labels) == 0
    assert one(before, "fingerpost_partition_freshness_seconds", **labels) == 23 * 3600
    assert one(before, "fingerpost_quarantined_rows", **labels) == 3
    clock[0] = NOW
    after = parsed(text(watched).decode())
    assert one(after, "fingerpost_partition_late", **labels) == 1
    assert one(after, "fingerpost_partition_overdue_seconds", **labels) == 4 * 3600
    assert one(after, "fingerpost_partitions", **labels, state="completed") == 1


def test_what_nobody_schedules_is_never_late(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_day(store, "2025-12-01", scheduled=False)
    assert one(figures(store), "fingerpost_partition_late", flow="nightly", collection="toys") == 0


def test_each_record_is_read_once_and_no_artifact_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = run_here(tmp_path)
    reads: list[str] = []
    read = store.files.read
    monkeypatch.setattr(store.files, "read", lambda path: (reads.append(path), read(path))[1])
    watched = registry(store, clock=lambda: NOW)
    for _ in range(3):
        text(watched)
    runs = [path for path in reads if path.startswith(".runs/")]
    assert len(runs) == 1
    records = (".runs/", ".partitions/", ".published/", ".alerts/", ".states/", ".schedules/", ".running/")
    assert all(path.startswith(records) for path in reads), reads
    note_run(store, "29990101T000000000-aaaaaa", state="failed", at="2026-01-06T03:00:00+00:00")
    found = parsed(text(watched).decode())
    labels = {"flow": "nightly", "collection": "toys"}
    assert one(found, "fingerpost_runs_total", **labels, state="failed") == 1
    assert one(found, "fingerpost_last_run_failed", **labels) == 1
    assert one(found, "fingerpost_stage_shards_resumed_total", collection="toys", stage="evaluate_index") == 1
    assert len([path for path in reads if path.startswith(".runs/")]) == 2


def test_a_damaged_record_hides_no_other(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_run(store, "20260105T030000000-aaaaaa")
    store.files.write(".runs/20260106T030000000-aaaaaa.json", b"{")
    store.files.write(".partitions/nightly/toys/2026-01-05.json", b"{")
    assert one(figures(store), "fingerpost_runs_total", flow="nightly", collection="toys", state="completed") == 1


def test_the_server_asks_for_the_password_of_the_api(tmp_path: Path) -> None:
    """Nothing is told without it but that the server answers."""
    store = Store(str(tmp_path / "store")).prepare()

    def asked(path: str, given: str = "") -> int:
        headers = {"Authorization": f"Basic {base64.b64encode(given.encode()).decode()}"} if given else {}
        request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code if not refused.read() else 0

    with make_server("127.0.0.1", 0, registry(store), "operator:söcret") as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            assert [asked("/metrics"), asked("/metrics", "operator:secret"), asked("/nothing")] == [401] * 3
            assert [asked("/metrics", "operator:söcret"), asked("/health")] == [200] * 2
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("secret", ["", "operator:secret"])
def test_what_a_stack_shows_without_a_password_stays_on_this_machine(tmp_path: Path, secret: str) -> None:
    """Dask's dashboards know no password, and the metrics ask for that of the API."""
    options = Options(tmp_path, str(tmp_path / "store"), auth=secret)
    children = children_of(options, _first_state(options))
    addresses = [
        address
        for child in children
        for option, address in pairwise(child.command)
        if option in {"--host", "--dashboard-address"}
    ]
    assert len(addresses) == 5
    assert {address.split("://")[-1].rsplit(":", 1)[0] for address in addresses} == {"127.0.0.1"}
    (exporter,) = [child for child in children if child.name == "metrics"]
    assert exporter.env.get("FINGERPOST_AUTH", "") == secret
    assert not [child.name for child in children if secret and secret in str(child.command)]


def test_the_server_answers_on_loopback_and_the_command_prints_the_same(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    note_run(store, "20260105T030000000-aaaaaa")
    with make_server("127.0.0.1", 0, registry(store)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
                served = parsed(answer.read().decode())
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{address}/", timeout=60)
            with pytest.raises(FingerpostError, match="choose another --port"):
                make_server("127.0.0.1", server.server_port, registry(store))
        finally:
            server.shutdown()
            thread.join()
    done = CliRunner().invoke(app, ["metrics", "--once", "--store", store.url])
    assert done.exit_code == 0
    assert set(parsed(done.stdout)) == set(served)


def exported(tmp_path: Path) -> set[str]:
    """The names of all figures, of a store in which there is something to say for each."""
    store, _ = run_here(tmp_path)
    note_day(store, "2026-01-06")
    keep_states(store, "nightly", "toys", [DayState("2026-01-06", "fresh")], now=NOW)
    service = Service(store, "toys", ServeOptions(), say=print)
    service.live, _ = service.pointers.look()
    measures = Measures(service)
    measures.count("/query", 200, 0.01)
    return {name for name, _ in [*figures(store), *parsed(measures.page().decode())]}


def test_rules_and_dashboard_name_only_what_is_exported(tmp_path: Path) -> None:
    rules = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text())
    dashboard = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
    names = {name for expression in asked for name in re.findall(r"\bfingerpost_\w+", expression)}
    there = exported(tmp_path)
    assert names
    assert names <= there, names - there
    for expression in asked:
        assert expression.count("(") == expression.count(")"), expression
        assert expression.count("{") == expression.count("}"), expression
    # Names end in their unit, and counters in _total.
    assert all(re.fullmatch(r"fingerpost_[a-z0-9_]+", name) for name in there)


def test_the_configuration_fits_together() -> None:
    scrape = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text())
    assert all((INFRA / "prometheus" / name).is_file() for name in scrape["rule_files"])
    jobs = {job["job_name"] for job in scrape["scrape_configs"]}
    rules = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= set(rule)
            assert set(re.findall(r'job="(\w+)"', rule["expr"])) <= jobs
    dashboard = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
    (source,) = yaml.safe_load((INFRA / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    yaml.safe_load((INFRA / "grafana/provisioning/dashboards/fingerpost.yml").read_text())
