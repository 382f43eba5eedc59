"""The built-in sample is taken where it is named; any other collection runs with what it was run with before."""

import json
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.ops.backfill.record import BackfillRequest, settled
from fingerpost.flows.ops.erase.absence import Needles
from fingerpost.flows.ops.erase.traces import clean_records
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.inputs import check_named, remember
from fingerpost.flows.run.profiles import with_values
from fingerpost.flows.run.request import ResolvedRequest, RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.remembered import remembered_inputs
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import run_ids, runs
from tests.support.commands import fingerpost_here, refused
from tests.support.products import write_csv

COLUMNS = {"id": "sku", "title": "name", "text": "about", "kind": "group"}
MAPPED = [part for ours, theirs in COLUMNS.items() for part in ("--map", f"{ours}={theirs}")]
TINY = ("--profile", "tiny")
FLOWS = ("nightly", "featurize_corpus", "build_ann_index", "train_ranker", "tune_thresholds")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in the present folder, which holds nothing."""
    monkeypatch.chdir(tmp_path)
    return Store(str(tmp_path / ".fingerpost")).prepare()


def asked(**given: Any) -> RunRequest:
    return RunRequest.of(**{"profile": "tiny", "collection": "shop", "day": "2026-01-05", **given})


def ended(store: Store, flow: str, request: RunRequest, run: str = "r1") -> None:
    """Remembers the inputs of a request as a run of it does that succeeds."""
    known = ResolvedRequest.of(request)
    remember(store, flow, known.any_day, known.named, day=known.settings.day, run=run)


def values(store: Store, collection: str = "shop") -> dict[str, Any]:
    entries = remembered_inputs(store, collection).values()
    return {key: value for entry in entries for key, value in entry.values.items()}


@pytest.mark.usefixtures("plain_runs")
def test_a_collection_of_ones_own_is_not_replaced_by_the_sample(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fingerpost.flows.run.runtime._write_report", lambda run, record: None)
    write_csv(tmp_path / "products.csv")
    first = ("run", "nightly", *TINY, "--input", "products.csv", *MAPPED, "--day", "2026-01-05", "--quiet")
    done = fingerpost_here(*first, "--collection", "products", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = ("run", "nightly", *TINY, "--collection", "products", "--day", "2026-01-06", "--quiet")
    done = fingerpost_here(*again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    live = Pointer(store, "products", "ann.index").required()
    assert store.manifest(live.artifact).quality["documents"] == 240
    status = json.loads(fingerpost_here("status", "--json", cwd=tmp_path).stdout)["inputs"]["products"]
    assert status["input.source"]["values"] == {
        "input.source": str(tmp_path / "products.csv"),
        "input.columns": COLUMNS,
    }
    assert status["input.source"]["day"] == "2026-01-06"
    assert str(tmp_path / "products.csv") in fingerpost_here("status", cwd=tmp_path).stdout.replace("\n", "")
    config = json.loads(fingerpost_here("config", *TINY, "--collection", "products", "--json", cwd=tmp_path).stdout)
    assert config["input.source"] == {"value": str(tmp_path / "products.csv"), "from": "remembered"}
    assert config["input.columns"]["from"] == "remembered"
    (tmp_path / "products.csv").unlink()
    said = refused(*again, cwd=tmp_path)
    assert "products.csv: expected a file or folder" in said
    assert "(input.source as collection products was run with before; name another one)" in said


@pytest.mark.parametrize("flow", FLOWS)
def test_a_collection_without_an_input_is_refused_in_one_line(flow: str, tmp_path: Path, store: Store) -> None:
    said = "input: expected an input for collection shop, found none named and none remembered; name it with --input"
    for profile in ("tiny", "quick"):
        for more in ((), ("--dry-run",)):
            assert said in refused("run", flow, "--profile", profile, "--collection", "shop", *more, cwd=tmp_path)
    days = ("--from", "2026-01-01", "--to", "2026-01-02")
    assert said in refused("partitions", flow, *TINY, "--collection", "shop", *days, cwd=tmp_path)
    assert said in refused("backfill", flow, *TINY, "--collection", "shop", *days, cwd=tmp_path)
    (tmp_path / "mine.toml").write_text('[input]\ncollection = "shop"\n')
    assert said in refused("run", flow, "--profile", "mine.toml", cwd=tmp_path)
    assert run_ids(store) == []


def test_the_sample_is_the_input_of_its_own_collection_and_where_it_is_named(store: Store) -> None:
    assert RunRequest(profile="tiny").resolve().input.source == "python-docs"
    assert asked(collection="python-docs").resolve().input.source == "python-docs"
    named = asked(input="python-docs")
    assert (named.resolve().input.source, named.resolve().input.collection) == ("python-docs", "shop")
    assert "extract_documentation" in {stage.stage for stage in plan_of("featurize_corpus", named).stages}
    for flow in FLOWS:
        check_named(named.resolve(), flow)
        check_named(RunRequest(profile="quick").resolve(), flow)
    ended(store, "nightly", RunRequest(profile="tiny", input="mine.csv", collection="python-docs"))
    assert values(store, "python-docs") == {}
    assert RunRequest(profile="tiny").resolve().input.source == "python-docs"
    ended(store, "train_ranker", named.model_copy(update={"profile": "quick"}))
    assert asked(profile="quick").resolve().xmr.input == "python-docs-see-also"
    check_named(asked(profile="quick").resolve(), "train_ranker")


def test_the_inputs_of_every_domain_are_remembered_with_how_they_are_read(tmp_path: Path, store: Store) -> None:
    ended(store, "nightly", asked(input="drops/{day}.csv", columns={"id": "sku"}))
    columns = {"query": "words", "label": "item"}
    ended(store, "train_ranker", asked(input="clicks.csv", columns=columns, settings={"xmr.labels": "labels.csv"}))
    given = {"metric.kind": "images", "metric.training.on": True, "metric.images.height": 9}
    given |= {"metric.training.backbone.kind": "conv", "metric.input": "letters"}
    ended(store, "tune_thresholds", asked(settings=given))
    found = asked().resolve()
    assert found.input.source == str(tmp_path / "drops" / "2026-01-05.csv")
    assert found.input.columns == {"id": "sku"}
    assert (found.xmr.input, found.xmr.labels) == (str(tmp_path / "clicks.csv"), str(tmp_path / "labels.csv"))
    assert found.xmr.columns == columns
    assert (found.metric.input, found.metric.kind) == (str(tmp_path / "letters"), "images")
    assert (found.metric.images.height, found.metric.training.on) == (9, True)
    assert values(store)["input.source"] == str(tmp_path / "drops" / "{day}.csv")
    for flow in FLOWS:
        check_named(found, flow)


def test_how_many_days_of_an_input_are_read_is_remembered_with_it(tmp_path: Path, store: Store) -> None:
    ended(store, "nightly", asked(input="drops/{day}.csv", settings={"xmr.input": "clicks/{day}.csv"}))
    ended(store, "nightly", asked(input="drops/{day}.csv", settings={"input.days": "window:3"}))
    found = asked().resolve()
    assert (found.input.days, found.input.source) == ("window:3", str(tmp_path / "drops" / "{day}.csv"))
    assert found.xmr.input == str(tmp_path / "clicks" / "2026-01-05.csv"), "its days were read one by one"
    ended(store, "train_ranker", asked(input="rows/{day}.csv", settings={"input.days": "all"}))
    found = asked().resolve()
    assert (found.xmr.days, found.xmr.input) == ("all", str(tmp_path / "rows" / "{day}.csv"))


def test_what_is_named_is_not_remembered(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(store, "nightly", asked(input="drops/{day}.csv", settings={"xmr.input": "clicks.csv"}))
    one = asked(input="other.csv").resolve()
    assert (one.input.source, one.input.columns, one.xmr.input) == ("other.csv", {}, "")
    (tmp_path / "mine.toml").write_text('[input]\nsource = "own.csv"\n')
    assert asked(profile=str(tmp_path / "mine.toml")).resolve().xmr.input == ""
    one = asked(profile="quick", settings={"xmr.input": "new.csv"}).resolve()
    assert (one.xmr.input, one.input.source) == ("new.csv", str(tmp_path / "drops" / "2026-01-05.csv"))
    assert asked(profile="quick").resolve().xmr.input == str(tmp_path / "clicks.csv")
    monkeypatch.setenv("FINGERPOST_SET_INPUT__SOURCE", "environment.csv")
    assert asked().resolve().input.source == "environment.csv"
    monkeypatch.delenv("FINGERPOST_SET_INPUT__SOURCE")
    ended(store, "nightly", asked(settings={"xmr.input": ""}), "r2")
    assert asked().resolve().xmr.input == ""
    assert asked().resolve().input.source == str(tmp_path / "drops" / "2026-01-05.csv")


def test_the_newest_day_counts_and_a_secret_is_not_kept(store: Store) -> None:
    ended(store, "nightly", asked(input="s3://bucket/new.csv", day="2026-01-05"))
    ended(store, "nightly", asked(input="s3://bucket/old.csv", day="2026-01-04"))
    assert values(store) == {"input.source": "s3://bucket/new.csv"}
    known = ResolvedRequest.of(asked(input="s3://bucket/new.csv", day="2026-01-06"))
    secret = with_values(known.any_day, {("input", "source"): "s3://key:word@bucket/new.csv"})
    remember(store, "nightly", secret, known.named, day="2026-01-06", run="r2")
    assert values(store) == {}
    assert b"word" not in b"".join(store.files.read(path) for path in store.files.listing())


def test_a_backfill_keeps_the_inputs_that_it_began_with(tmp_path: Path, store: Store) -> None:
    ended(store, "nightly", asked(input="drops/{day}.csv"))
    backfill = BackfillRequest.of(flow="nightly", first_day="2026-01-01", last_day="2026-01-02", run=asked(day=""))
    kept = settled(backfill).run
    ended(store, "nightly", asked(input="other.csv", day="2026-01-06"))
    assert kept.day == ""
    assert kept.for_day("2026-01-02").resolve().input.source == str(tmp_path / "drops" / "2026-01-02.csv")


def test_a_damaged_record_is_named_and_harms_no_request_that_names_its_input(store: Store, tmp_path: Path) -> None:
    ended(store, "nightly", asked(input="drops/{day}.csv"))
    for content in (b"{", b"", store.files.read(".inputs/shop.json").replace(b"drops", b"drips"), b'{"format": 1}'):
        store.files.write(".inputs/shop.json", content)
        with pytest.raises(CorruptArtifactError, match=r"\.inputs/shop\.json: expected .*restore it, or remove it"):
            asked().resolve()
        assert asked(input="other.csv").resolve().input.source == "other.csv"
        assert ".inputs/shop.json" in fingerpost_here("status", cwd=tmp_path).stdout.replace("\n", "")


@pytest.mark.usefixtures("plain_runs")
def test_a_run_that_names_its_input_succeeds_beside_a_damaged_record_and_notes_it(store: Store, tmp_path: Path) -> None:
    write_csv(tmp_path / "products.csv")
    store.files.write(".inputs/shop.json", b"junk")
    run = ("run", "featurize_corpus", *TINY, "--input", "products.csv", *MAPPED, "--collection", "shop")
    done = fingerpost_here(*run, "--day", "2026-01-05", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = runs(store)
    assert record["state"] == "completed"
    assert ".inputs/shop.json: expected JSON" in " ".join(record["notes"])
    assert store.files.read(".inputs/shop.json") == b"junk"


def test_a_remembered_path_with_a_forgotten_key_is_removed(store: Store) -> None:
    ended(store, "nightly", asked(input="zymurgy.csv"))
    ended(store, "nightly", asked(collection="others", input="plain.csv"))
    clean_records(store, set(), Needles("zymurgy", ("zymurgy",)))
    assert values(store) == {}
    assert len(values(store, "others")) == 1
    with pytest.raises(SettingsError, match="expected an input for collection shop"):
        check_named(asked().resolve(), "nightly")
