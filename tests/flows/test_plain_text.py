"""What others wrote reaches the terminal as it stands, and never controls it."""

import ast
import inspect
import io
import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fingerpost.flows
from fingerpost.flows.run import console
from fingerpost.flows.run.plain_text import echo, visible
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import public_url
from tests.support.commands import fingerpost_here, refused
from tests.support.shown_texts import as_json, everything

FLOWS = Path(next(iter(fingerpost.flows.__path__)))
MARKUP = ("[/x] horse", "list[int]", ":smile:", "[bold]", "[link=https://a.example]b[/link]", "Q1 [final]", "\\[", "[[")
CONTROLS = ("\x1b[31m", "\x9b2J", "\x1b]0;title\x07", "\r", "\n", "\t", "\u2028", "\u202e", "\u2066", "\ud800", "\x85")
#: Texts of everything that Unicode has, markup and control sequences.
TEXTS = st.lists(st.sampled_from(MARKUP + CONTROLS) | st.text(max_size=8), min_size=1, max_size=4).map("".join)


def controls(text: str) -> set[str]:
    """The characters of a text that move a terminal's cursor, colour it or turn its direction."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return {
        c
        for c in text
        if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(c) in turning
    }


@given(TEXTS.filter(str.strip))
@example("[/x] horse")
@example("list[int] :smile: Q1 [final]")
@example("\x1b[31mred\x9b0m\n\u202e")
@settings(max_examples=15)
def test_every_table_of_every_command_prints_a_text_unchanged(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for show, times in everything(text, patch):
            shown = printed(show)
            assert shown.count(visible(text)) >= times, shown
            assert controls(shown) <= {"\n"}


@given(TEXTS.filter(str.strip))
@settings(max_examples=6)
def test_no_table_in_a_narrow_terminal_is_controlled_by_a_text(text: str) -> None:
    """There, long texts are folded, and rich sets colours: the only control sequences."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"FORCE_COLOR": "1", "COLUMNS": "50", "TERM": "xterm"}.items():
            patch.setenv(name, value)
        *shows, _ = everything(text, patch)
        shown = "".join(printed(show) for show, _ in shows)
        assert controls(re.sub(r"\x1b\[[\d;]*m", "", shown)) <= {"\n"}
        assert "\x1b[1m" in shown


@pytest.mark.parametrize("arguments", [("\x1b[31mx",), ("query", "--\x9b2J")])
def test_wrong_usage_is_quoted_safely(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = fingerpost_here(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert controls(done.stderr) == {"\n"}
    assert "\\x" in done.stderr


@given(TEXTS)
@settings(max_examples=15)
def test_json_holds_a_text_unchanged_and_no_control_characters(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for show in as_json(text, patch):
            shown = printed(show)
            assert text in strings(json.loads(shown))
            assert controls(shown) <= {"\n"}


@given(st.text() | TEXTS)
@settings(max_examples=50)
def test_only_control_characters_are_escaped(text: str) -> None:
    shown, bad = visible(text), controls(text)
    assert not controls(shown)
    assert "".join(c if c not in bad else visible(c) for c in text) == shown


def test_no_table_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function under flows/ that makes a table makes one in the test above."""
    makers = {
        (path.name, function.name)
        for path in FLOWS.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"table_of", "_table", "TextTable"}
    } - {("backfill.py", "_run_part"), ("backfill.py", "_show_course")}
    seen: set[tuple[str, str]] = set()
    made = console.TextTable.__init__

    def noted(self: console.TextTable, *columns: str, heading: str = "") -> None:
        seen.update((Path(frame.filename).name, frame.function) for frame in inspect.stack(0)[1:12])
        made(self, *columns, heading=heading)

    monkeypatch.setattr(console.TextTable, "__init__", noted)
    for show, _ in everything("x", monkeypatch):
        printed(show)
    assert len(makers) > 15
    assert makers <= seen


def test_commands_write_through_one_door_only() -> None:
    """No other module of the flows prints, or makes a console or a table of rich's with its markup."""
    doors = {"console.py", "plain_text.py", "progress_columns.py"}
    allowed = {
        "Group",
        "RenderableType",
        "BarColumn",
        "Progress",
        "ProgressColumn",
        "SpinnerColumn",
        "Task",
        "TaskID",
        "TextColumn",
    }
    found = []
    for path in FLOWS.rglob("*.py"):
        if path.name in doors:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                found += [
                    f"{path}: {a.name}" for a in node.names if a.name not in allowed | {"TimeElapsedColumn", "track"}
                ]
            elif isinstance(node, ast.Import):
                found += [f"{path}: {alias.name}" for alias in node.names if alias.name.split(".")[0] == "rich"]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "print",
                "typer.echo",
                "typer.secho",
                "sys.stdout.write",
                "sys.stderr.write",
            }:
                found.append(f"{path}: {ast.unparse(node)}")
    assert found == []


def test_a_terminal_that_lacks_a_character_gets_an_escape_and_no_traceback(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "Q1 [final] \u4e2d")).prepare()
    command = [sys.executable, "-m", "fingerpost.flows.cli", "status", "--store", store.url]
    ended = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"Q1 [final] \\u4e2d" in ended.stdout


@pytest.mark.parametrize("arguments", [("query", "\udcff"), ("run", "nightly", "--input", "caf\udce9.csv")])
def test_arguments_that_are_no_text_are_named(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Python holds bytes of the command line that are not UTF-8 as unpaired surrogates."""
    assert f"argument '{visible(arguments[-1])}': expected text in UTF-8" in refused(*arguments, cwd=tmp_path)


def test_logs_quote_others_safely(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    before = logging.getLogRecordFactory()
    try:
        assert fingerpost_here("status", cwd=tmp_path).returncode == 1
        logging.getLogger("fingerpost.test").warning("%s is %s", "a\x1b[2J", "b\u202e")
    finally:
        logging.setLogRecordFactory(before)
    assert caplog.messages == ["a\\x1b[2J is b\\u202e"]


@pytest.mark.parametrize("path", ["/drops/Q1 [final] #2?.csv", "a b/../c.csv", "100%#.parquet"])
def test_paths_keep_their_names(path: str) -> None:
    assert public_url(path) == path


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\nb\x1b[1m", "c")
    assert capsys.readouterr().out == "a\\nb\\x1b[1m\nc\n"


def printed(show: Callable[[], None]) -> str:
    """What a function writes to standard output and error, neither of which is a terminal."""
    with pytest.MonkeyPatch.context() as streams:
        out = io.StringIO()
        streams.setattr(sys, "stdout", out)
        streams.setattr(sys, "stderr", out)
        show()
    return out.getvalue()


def strings(value: object) -> set[str]:
    """All strings of a JSON value."""
    if isinstance(value, dict):
        return {text for item in [*value, *value.values()] for text in strings(item)}
    if isinstance(value, list):
        return {text for item in value for text in strings(item)}
    return {value} if isinstance(value, str) else set()
