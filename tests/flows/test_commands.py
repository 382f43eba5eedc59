"""The commands as a user types them: exit codes, one readable line for a mistake, and no Prefect where none is needed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from fingerpost.flows import domains
from fingerpost.flows.cli import app
from fingerpost.flows.run.flow_names import flow_names
from fingerpost.schemas.errors import FingerpostError
from tests.support.commands import fingerpost, fingerpost_here, refused
from tests.support.products import request_for, write_csv

#: All commands, and the subcommands of the domains that have a group of their own.
COMMANDS = [
    *sorted(typer.main.get_command(app).commands),  # type: ignore[attr-defined]
    *(
        f"{domain.word} {command.partition(':')[2]}"
        for domain in domains.DOMAINS
        if domain.command_group
        for command in domain.commands
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert f"fingerpost {command}" in " ".join(done.output.split())


def test_a_command_refuses_a_url_for_a_file_and_repeats_no_credentials() -> None:
    commands = [info.callback for info in app.registered_commands]
    commands += [info.callback for group in app.registered_groups for info in group.typer_instance.registered_commands]  # type: ignore[union-attr]
    tried = []
    for command in commands:
        for name, hint in get_type_hints(command).items():
            if hint in (Path, Path | None):
                with pytest.raises(
                    FingerpostError, match=r"^(--[a-z-]+|[A-Z]+): expected the path of a file, got a URL"
                ) as caught:
                    command(**{name: Path("s3://key:sec/ret@bucket/x.csv")})
                assert "ret" not in str(caught.value)
                with pytest.raises(FingerpostError, match=r"got a URL \(s3://bucket/x\.csv\); copy the file to"):
                    command(**{name: Path("s3://bucket/x.csv")})
                tried.append(str(caught.value).partition(":")[0])
    assert {
        "NETWORK",
        "--onnx",
        "--input",
        "--output",
        "--vectors",
        "--queries",
        "--check",
        "--migrate",
        "--log-file",
    } <= set(tried)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("query", "x"), "expected a store, found none"),
        (("status",), "expected a store, found none"),
        (
            ("run", "nightly", "--profile", "none"),
            "profile: expected one of full, nightly, quick, tiny or a TOML file, got 'none'",
        ),
        (
            ("run", "nightly", "--set", "ann.hnsw.neighbours=4"),
            "ann.hnsw.neighbours (from command line): expected a known key, one of ef_construction, max_neighbors",
        ),
        (
            ("run", "nightly", "--set", "ann.gates.recall_at_10=2"),
            "ann.gates.recall_at_10 (from command line): expected a number (at least 0, at most 1)",
        ),
        (
            ("run", "nightly", "--set", "ann.hnsw.max_neighbors=1"),
            "ann.hnsw.max_neighbors (from command line): expected 2 to 1024, got 1",
        ),
        (
            ("run", "nightly", "--profile", "gone.toml"),
            "gone.toml: expected a file, found nothing there; check the path",
        ),
        (("config", "--profile", "gone.toml"), "gone.toml: expected a file, found nothing there; check the path"),
        (("run", "nightly", "--day", "2026-02-30"), "day: expected a calendar day YYYY-MM-DD"),
        (("run", "nightly", "--day", "today"), "day: expected a calendar day YYYY-MM-DD, got 'today'; correct it"),
        (
            ("backfill", "nightly", "--from", "today", "--to", "2026-01-02"),
            "day: expected a calendar day YYYY-MM-DD, got 'today'; correct it",
        ),
        (("run", "nightly", "--collection", "../x"), "collection: expected lower-case letters"),
        (("run", "nightly", "--map", "title=name"), "--map: expected --input with it"),
        (("run", "nightly", "--input", "gone.csv"), "gone.csv: expected"),
        (
            ("run", "monthly"),
            (f"flow: expected one of {', '.join(flow_names())}, got 'monthly'"),
        ),
        (
            ("sample", "java-docs"),
            "sample: expected python-docs, python-docs-see-also or python-docs-names, got 'java-docs'",
        ),
        (("query",), "query: expected one of a text, --like ID, --vectors FILE and --input FILE"),
        (("promote", "../../etc"), "expected"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused(*arguments, cwd=tmp_path)


def test_a_mistake_is_one_line_in_a_process_of_its_own_too(tmp_path: Path) -> None:
    arguments = ("run", "nightly", "--day", "2026-02-30")
    said = refused(*arguments, cwd=tmp_path, own_process=True)
    assert "day: expected a calendar day YYYY-MM-DD" in said
    assert said == refused(*arguments, cwd=tmp_path)


def test_config_says_where_a_value_came_from(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[ann.hnsw]\nmax_neighbors = 24\n")
    done = fingerpost_here("config", "--profile", "mine.toml", "--set", "ann.hnsw.seed=3", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["ann.hnsw.max_neighbors"] == {"value": 24, "from": "profile mine.toml"}
    assert found["ann.hnsw.seed"]["from"] == "command line"
    assert found["ann.hnsw.ef_construction"]["from"] == "default"


def test_config_tells_options_from_the_environment_and_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def origins(*arguments: str) -> dict[str, tuple[str, str]]:
        found = json.loads(fingerpost_here("config", "--json", *arguments, cwd=tmp_path).stdout)
        return {key: (found[key]["value"], found[key]["from"]) for key in ("profile", "store")}

    monkeypatch.delenv("FINGERPOST_STORE", raising=False)
    assert origins() == {"profile": ("quick", "default"), "store": ("", "default")}
    given = {"profile": ("tiny", "command line"), "store": ("there", "command line")}
    assert origins("--profile", "tiny", "--store", "there") == given
    monkeypatch.setenv("FINGERPOST_STORE", "elsewhere")
    assert origins("-p", "quick") == {"profile": ("quick", "command line"), "store": ("elsewhere", "environment")}
    assert origins("-p", "tiny", "--store", "there") == given
    lines = fingerpost_here("config", "-p", "tiny", cwd=tmp_path).stdout.splitlines()
    assert {"profile = 'tiny'  # command line", "store = 'elsewhere'  # environment"} <= set(lines)


@pytest.mark.usefixtures("plain_runs")
def test_reading_commands_over_a_published_store_import_no_prefect(tmp_path: Path) -> None:
    from fingerpost.flows.run.start import run_flow

    source = write_csv(tmp_path / "products.csv")
    store = tmp_path / ".fingerpost"
    run_flow("nightly", request_for(store, source), quiet=True)
    below = tmp_path / "some" / "folder"
    below.mkdir(parents=True)

    done = fingerpost("query", "hammer and saw", "-k", "3", "--json", cwd=below)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["answers"]) == 3
    assert found["answers"][0]["kind"] == "tools"
    assert found["candidates"] > 0
    assert found["distances"] > 0
    check = (
        "import sys; from fingerpost.flows.cli import main; sys.argv = ['fingerpost', 'query', 'hammer']; main.__call__"
    )
    script = (
        f"{check}\nfrom fingerpost.flows.domains.ann.query import ask\nask(text='hammer', like='', vectors=None, k=2,"
        f" kind=None,"
        " package=None, method='auto', within='', distinct=False, explain=False, as_json=True, collection=None, store=None)\nassert not {'prefect',"
        " 'distributed', 'dask'} & set(sys.modules), 'Prefect or Dask was imported'"
    )
    silent = subprocess.run([sys.executable, "-c", script], cwd=below, capture_output=True, text=True, check=False)
    assert silent.returncode == 0, silent.stderr

    assert "products/ann.index" in fingerpost_here("status", cwd=below).stdout
    history = json.loads(fingerpost_here("history", "--json", cwd=below).stdout)
    reference = history["publications"]["products/ann.index"][0]["ref"]
    promoted = fingerpost_here("promote", reference, "--profile", "tiny", cwd=below)
    assert "generation 1" in promoted.stdout
    assert "expected an earlier version to roll back to" in refused("rollback", cwd=below)
    assert "choose from animals, food, tools" in refused("query", "hammer", "--kind", "cars", cwd=below)
    assert "expected one of the 240 documents" in refused("query", "--like", "nobody", cwd=below)
    shown = fingerpost_here("query", "hammer and saw", "--method", "finger", cwd=below).stdout
    best = found["answers"][0]
    assert all(
        part in shown for part in (best["id"], best["title"], best["kind"], f"{best['score']:.3f}", "(fused, finger)")
    )
    assert Path(fingerpost_here("report", cwd=below).stdout.strip()).is_file()
