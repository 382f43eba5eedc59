"""Exit codes: 2 for wrong usage, 1 for a failure, each with one line and no traceback, of every command."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import fingerpost
from fingerpost.flows.cli import app
from fingerpost.flows.run.collections import asked_profile, remembered_profile
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import save_partition, save_run
from tests.support.commands import fingerpost_here, refused

#: What starts processes, waits, or needs a stack whatever it is given.
STARTING = {"up", "down", "doctor", "metrics", "nas measure", "sample", "config", "backfill work"}


def commands(group: Any = None, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its parameters, by the words that name it."""
    for name, one in (group or get_command(app)).commands.items():
        words = (*before, name)
        if hasattr(one, "commands"):
            yield from commands(one, words)
        else:
            yield words, one


NAMES = [words for words, _ in commands()]


def arguments_of(command: Any) -> list[str]:
    """A word for each argument and each option that a command requires."""
    given: list[str] = []
    for one in command.params:
        if one.required and one.param_type_name == "option":
            given += [
                one.opts[0],
                *["2026-01-01" if "--from" in one.opts or "--to" in one.opts else "x.csv"] * one.nargs,
            ]
        elif one.required:
            given.append("nightly" if one.name == "flow" else "x")
    return given


@pytest.mark.parametrize("words", NAMES, ids=" ".join)
def test_an_unknown_option_is_wrong_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    done = fingerpost_here(*words, "--nonsense", cwd=tmp_path)
    assert (done.returncode, "No such option" in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "command"),
    [(words, one) for words, one in commands() if " ".join(words) not in STARTING],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_a_missing_store_is_one_line(words: tuple[str, ...], command: Any, tmp_path: Path) -> None:
    given = arguments_of(command)
    given += ["--set", "nonsense=1", "--dry-run"] if words[-1] in {"run", "FLOW"} else []
    has_store = any("--store" in one.opts for one in command.params)
    done = fingerpost_here(*words, *given, *(["--store", str(tmp_path / "none")] if has_store else []), cwd=tmp_path)
    assert done.returncode in (1, 2), done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("run", "nosuch"),
        ("run", "nightly", "--profile", "nosuch", "--dry-run"),
        ("run", "nightly", "--set", "ann.nosuch=1", "--dry-run"),
        ("run", "nightly", "--set", "ann.hnsw.max_neighbors=1", "--dry-run"),
        ("run", "nightly", "--map", "id=x"),
        ("run", "nightly", "--day", "2026-13-01", "--dry-run"),
        ("partitions", "nosuch"),
        ("query",),
        ("query", "text", "--like", "x"),
        ("query", "text", "--within", "far"),
        ("query", "text", "--output", "x.csv"),
        ("query", "text", "-k", "-1"),
        ("rank",),
        ("complete", "x", "--input", "x.csv", "--output", "y.jsonl"),
        ("threshold", "--input", "x.csv", "--far", "1"),
        ("align", "--left", "x.csv"),
        ("export-index", "--format", "nosuch", "-o", "x"),
        ("sample", "nosuch"),
        ("config", "--explain", "nosuch"),
        ("undeploy",),
        *((*words, "--product", "xmr.ranke") for words in (("rollback",), ("diff", "a", "b"), ("lineage",))),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(words: tuple[str, ...], tmp_path: Path) -> None:
    done = fingerpost_here(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_a_column_that_no_input_has_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,text\na,b\n")
    said = refused("run", "nightly", "--input", "x.csv", "--map", "price=price", cwd=tmp_path, code=2)
    assert "--map: expected one of id, title, text" in said
    given = ("--input", "x.csv", "--map", "price=price")
    for flow in ("train_autocomplete", "tune_thresholds"):
        assert "before '=', got 'price'" in refused("run", flow, *given, cwd=tmp_path, code=2)
    # Nothing was begun, so that no run is kept that names the file.
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("words", [("config",), ("config", "--explain", "ann")], ids=" ".join)
def test_a_reader_that_ends_first_is_no_failure(words: tuple[str, ...], tmp_path: Path) -> None:
    # Its end is that of a program that is killed by SIGPIPE, as a shell tells it.
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "fingerpost.flows.cli", *words]
    with os.fdopen(writes, "wb") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_version_is_told(tmp_path: Path) -> None:
    done = fingerpost_here("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"fingerpost {version('fingerpost')}\n")
    assert fingerpost.__version__ == version("fingerpost")
    assert not hasattr(fingerpost, "__versions__")


def test_failures_end_with_1(tmp_path: Path) -> None:
    assert "expected a store" in refused("query", "text", cwd=tmp_path, code=1)
    Store(str(tmp_path / ".fingerpost")).prepare()
    for words in (("query", "text"), ("query", "-7"), ("rank", "-7"), ("report",), ("forget", "-7", "-c", "nosuch")):
        assert fingerpost_here(*words, cwd=tmp_path).returncode == 1, words
    assert "x.csv" in refused("threshold", "--input", "x.csv", cwd=tmp_path, code=1)


def test_a_store_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(str(tmp_path / ".fingerpost")).prepare()

    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    # The superuser, who may read everything, has no file that is denied.
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "permission" in refused("status", cwd=tmp_path, code=1).lower()


def ran(store: Store, flow: str, collection: str, day: str, profile: str, state: str = "completed") -> None:
    """The records of a run."""
    run = f"{day.replace('-', '')}T000000-{flow}-{collection}"
    same = {"flow": flow, "state": state, "collection": collection, "day": day, "seconds": 1.0}
    save_run(store, run, {**same, "id": run, "stages": [], "request": {"profile": profile}})
    save_partition(store, {**same, "run": run})


def test_the_profile_is_the_one_that_the_collection_was_run_with(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    assert remembered_profile(store, "products") == "quick"
    ran(store, "build_ann_index", "products", "2026-01-01", "tiny")
    assert remembered_profile(store, "products") == "tiny"
    ran(store, "nightly", "products", "2026-01-02", "full")
    ran(store, "nightly", "products", "2026-01-03", "nightly", state="failed")
    assert remembered_profile(store, "products") == "full"
    assert remembered_profile(store, "products", "build_ann_index") == "tiny"
    assert remembered_profile(store, "others") == "quick"
    asked: dict[str, Any] = {"store": store.url, "flow": "nightly"}
    assert asked_profile("nightly", **asked, collection="products") == "nightly"
    assert asked_profile("", **asked, source="drops/products-{day}.csv") == "full"
    assert asked_profile("", **asked, settings={"input.collection": "products"}) == "full"
    assert asked_profile("", **asked) == "quick"
    assert asked_profile("", **asked, only=True) == "full"


def test_a_profile_that_is_gone_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    ran(store, "nightly", "products", "2026-01-02", str(tmp_path / "products.toml"))
    with pytest.raises(SettingsError, match=r"products\.toml that nightly of 2026-01-02 was run with"):
        remembered_profile(store, "products")
    (tmp_path / "products.toml").write_text("")
    assert remembered_profile(store, "products") == str(tmp_path / "products.toml")


def test_every_command_has_the_same_default_profile(tmp_path: Path) -> None:
    ran(Store(str(tmp_path / ".fingerpost")).prepare(), "nightly", "python-docs", "2026-01-02", "tiny")
    assert "profile = 'tiny'  # remembered" in fingerpost_here("config", cwd=tmp_path).stdout
    assert "profile = 'full'  # command line" in fingerpost_here("config", "-p", "full", cwd=tmp_path).stdout
    offered = [one for _, command in commands() for one in command.params if one.name == "profile" and "-p" in one.opts]
    assert len(offered) >= 9
    told = [one for one in offered if "quick for one that never ran" in (one.help or "")]
    # `deploy` and `undeploy` name a profile of their own kind, and `nas measure` has no collection.
    assert (len(offered) - len(told), {one.default for one in told}) == (3, {""})
