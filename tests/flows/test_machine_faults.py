"""Faults of the machine end in one line with a remedy, and a mistake of ours in one that says where its details are."""

import errno
import os
import re
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import dask.config
import httpx
import pytest
import typer
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.settings.models.root import Settings
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from fingerpost.flows import cli
from fingerpost.flows.run import faults
from fingerpost.flows.run.api import ApiError
from fingerpost.flows.run.loggers import silence
from fingerpost.flows.run.proxies import LOOPBACK, spare_loopback, usable_proxies, without_unusable
from fingerpost.flows.run.server import OwnServer, ServerError, check_database, own_server
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.files import Files
from tests.support.commands import fingerpost_here, refused

PROXY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test sets or keeps is of that test alone."""
    with mock.patch.dict(os.environ), mock.patch.object(tempfile, "tempdir", str(tmp_path_factory.mktemp("details"))):
        yield


def no_home() -> None:
    with mock.patch.dict(os.environ), mock.patch("pwd.getpwuid", side_effect=KeyError("no such user")):
        os.environ.pop("HOME", None)
        Path.home()


def dask_settings_that_are_no_yaml() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.yaml").write_text("distributed: [worker\n")
    list(dask.config.collect_yaml([str(folder)]))


def dask_settings_that_are_no_mapping() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.yaml").write_text("just words\n")
    list(dask.config.collect_yaml([str(folder)]))


def prefect_settings_of_a_wrong_type() -> None:
    with mock.patch.dict(os.environ, PREFECT_SERVER_API_PORT="many"):
        Settings()


def proxy_of_an_unknown_protocol() -> None:
    with mock.patch.dict(os.environ, all_proxy="socks5://127.0.0.1:9"):
        httpx.Client()


def server_that_is_gone() -> None:
    httpx.Client(trust_env=False).get("http://127.0.0.1:9")


def failing(number: int) -> Callable[[], None]:
    """What the operating system says of a number."""

    def fail() -> None:
        raise OSError(number, os.strerror(number), "/some/place")

    fail.__name__ = errno.errorcode[number]
    return fail


def file_where_a_folder_is_expected() -> None:
    Path("/dev/null/inside").mkdir()


def no_memory() -> None:
    raise MemoryError


def terminal_of_few_letters() -> None:
    "π".encode("ascii")


def package_that_is_missing() -> None:
    raise ImportError("No module named 'asyncpg'", name="asyncpg")


def several_at_once() -> None:
    raise ExceptionGroup("tasks", [OSError(errno.ENOSPC, "No space left on device")])


def answer_that_is_late() -> None:
    raise TimeoutError


@contextmanager
def commands_that(fail: Callable[[], object]) -> Iterator[None]:
    """The program with one command that fails so."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(lambda: fail() and None)
    with mock.patch.object(cli, "app", app):
        yield


@pytest.mark.parametrize(
    ("fail", "named"),
    [
        (no_home, "HOME"),
        (dask_settings_that_are_no_yaml, "DASK_CONFIG"),
        (dask_settings_that_are_no_mapping, "DASK_CONFIG"),
        (prefect_settings_of_a_wrong_type, "PREFECT_"),
        (proxy_of_an_unknown_protocol, "socksio"),
        (server_that_is_gone, "fingerpost doctor"),
        (answer_that_is_late, "fingerpost doctor"),
        (failing(errno.ENOSPC), "/some/place"),
        (failing(errno.EROFS), "/some/place"),
        (failing(errno.EACCES), "/some/place"),
        (failing(errno.EMFILE), "ulimit"),
        (failing(errno.EIO), "/some/place"),
        (failing(errno.ENOENT), "/some/place"),
        (file_where_a_folder_is_expected, "/dev/null/inside"),
        (several_at_once, "disk space"),
        (no_memory, "memory"),
        (terminal_of_few_letters, "PYTHONIOENCODING"),
        (package_that_is_missing, "asyncpg"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_of_the_machine_is_one_line(fail: Callable[[], None], named: str, tmp_path: Path) -> None:
    with commands_that(fail):
        said = refused(cwd=tmp_path)
    assert said.startswith("fingerpost: ")
    assert "internal error" not in said
    assert named in said
    assert "expected" in said
    assert ";" in said


@pytest.mark.parametrize(
    "command",
    [
        "sample python-docs -o /dev/null/x",
        "sample python-docs-see-also -o /dev/null/x",
        "up --detach --home /dev/null/x",
        "status --store /dev/null/x",
        "history --store plain/x",
        "gc --store /dev/null/x",
        "metrics --once --store /dev/null/x",
        "query words --store plain",
        "query --vectors /dev/null/x.csv --store plain",
        "threshold --input /dev/null/x.csv",
        "config --profile plain/x.toml",
        "deploy --file /dev/null/x",
        "run featurize_corpus --dry-run --input /dev/null/x.csv",
        "run featurize_corpus --dry-run --profile tiny --input a.csv --store plain/x",
    ],
)
def test_places_that_cannot_be_read_or_written_are_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    (tmp_path / "a.csv").write_text("id,title\n1,one\n")
    said = refused(*command.split(), cwd=tmp_path)
    assert "internal error" not in said
    assert "expected" in said


def test_a_mistake_of_ours_is_one_line_that_names_the_file_with_its_details(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyError("s3://someone:a/secret@bucket/place " + "x" * 5000)

    with commands_that(fail):
        said = refused(cwd=tmp_path)
    assert "internal error" in said
    assert len(said) < 800
    found = re.search(r"/\S+\.txt", said)
    assert found is not None
    details = Path(found[0])
    try:
        assert details.stat().st_mode & 0o077 == 0
        text = details.read_text()
    finally:
        details.unlink()
    assert "Traceback" in text
    assert "in fail" in text
    assert "secret" not in said + text


def test_details_that_cannot_be_kept_are_no_second_error(tmp_path: Path) -> None:
    with mock.patch("tempfile.mkstemp", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        assert "No space left" in faults.kept_details("words")
        with commands_that(lambda: {}["missing"]):
            assert "internal error" in refused(cwd=tmp_path)


def test_errors_of_a_command_that_can_be_fixed_stay_what_they_are(tmp_path: Path) -> None:
    def fail() -> None:
        raise FingerpostError("thing: expected this, got that; do something")

    with commands_that(fail):
        assert refused(cwd=tmp_path) == "fingerpost: thing: expected this, got that; do something"
    with commands_that(lambda: (_ for _ in ()).throw(KeyboardInterrupt)):
        assert fingerpost_here(cwd=tmp_path).returncode == 130


@pytest.mark.parametrize(
    "environment",
    [
        {"http_proxy": PROXY},
        {"HTTP_PROXY": PROXY, "NO_PROXY": "example.org"},
        {"all_proxy": PROXY, "no_proxy": "example.org, .local", "NO_PROXY": "other.org"},
        {"all_proxy": "socks5://127.0.0.1:9", "https_proxy": PROXY},
        {"http_proxy": "carrier-pigeon://somewhere"},
        {"https_proxy": "http://somewhere:notaport"},
    ],
)
def test_calls_within_this_machine_go_through_no_proxy(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    silence()
    with usable_proxies(), httpx.Client() as client:
        for host in LOOPBACK:
            url = httpx.URL(scheme="http", host=host, port=4200)
            # The transport that httpx takes for a URL; a proxy has one of its own.
            assert client._transport_for_url(url) is client._transport
            assert get_proxy(parse_uri(f"ws://{url.netloc.decode()}/api")) is None
    for name, value in environment.items():
        assert os.environ[name].replace(" ", "").startswith(value.replace(" ", ""))


def test_an_environment_without_proxies_stays_as_it_is() -> None:
    environment = {"HOME": "/root", "http_proxy": ""}
    spare_loopback(environment)
    assert without_unusable(environment) == {}
    assert environment == {"HOME": "/root", "http_proxy": ""}
    starred = {"http_proxy": PROXY, "no_proxy": "*"}
    spare_loopback(starred)
    assert starred == {"http_proxy": PROXY, "no_proxy": "*"}


def test_children_of_a_stack_get_an_environment_without_proxies_for_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fingerpost.flows.ops.stack.children import Options, children_of
    from fingerpost.flows.ops.stack.state import State

    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    state = State(
        id="x",
        pid=1,
        started=0.0,
        store=str(tmp_path),
        api="http://127.0.0.1:1/api",
        ui="http://127.0.0.1:1",
        dask="tcp://127.0.0.1:2",
        dashboard="http://127.0.0.1:3/status",
        pool="p",
        database="sqlite",
        auth=False,
        tls=False,
    )
    for child in children_of(Options(tmp_path, str(tmp_path)), state):
        assert "127.0.0.1" in child.env["no_proxy"].split(",")
        assert child.env["http_proxy"] == PROXY
        assert "all_proxy" not in child.env


@pytest.mark.parametrize("folder", ["/dev/null", "/proc/1/none"])
def test_a_home_that_cannot_be_written_is_named_before_a_server_starts(folder: str) -> None:
    with pytest.raises(ServerError, match="PREFECT_HOME") as found:
        check_database(f"sqlite+aiosqlite:///{folder}/.prefect/prefect.db")
    assert folder in str(found.value)
    check_database("postgresql+asyncpg://someone@somewhere/prefect")
    check_database("sqlite+aiosqlite:///:memory:")


def test_a_server_that_cannot_start_is_told_by_the_last_of_what_it_wrote(tmp_path: Path) -> None:
    script = "import sys; print('Traceback\\n  File somewhere\\nsqlite3.DatabaseError: no database\\n[SQL: PRAGMA]', file=sys.stderr); sys.exit(3)"
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen([sys.executable, "-S", "-c", script], stderr=messages)
        process.wait()
        with pytest.raises(ServerError) as found:
            OwnServer(process, "http://127.0.0.1:9/api", messages).wait()
    said = str(found.value)
    assert "exit code 3" in said
    assert "sqlite3.DatabaseError: no database" in said
    details = re.search(r"/\S+\.txt", said)
    assert details is not None
    assert "File somewhere" in Path(details[0]).read_text()
    Path(details[0]).unlink()


@pytest.fixture
def dead() -> str:
    """The address of a server that is gone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/api"


def test_the_dead_server_of_a_profile_is_blamed_on_the_profile(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import SettingsContext
    from prefect.settings.profiles import Profile

    from fingerpost.flows.run.start import check_server

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings({PREFECT_API_URL: dead}):
        profile = Profile(name="of-last-year", settings={PREFECT_API_URL: dead}, source=Path("profiles.toml"))
        with (
            SettingsContext(profile=profile, settings=get_current_settings()),
            pytest.raises(ApiError, match="of-last-year") as found,
        ):
            check_server()
        assert "without PREFECT_API_URL" not in str(found.value)
        with (
            SettingsContext(profile=Profile(name="p"), settings=get_current_settings()),
            pytest.raises(ApiError, match=r"prefect\.toml"),
        ):
            check_server()
        monkeypatch.setenv("PREFECT_API_URL", dead)
        with pytest.raises(ApiError, match="PREFECT_API_URL names it"):
            check_server()


def test_a_home_that_cannot_be_made_gives_no_warning_of_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import root_settings_context

    monkeypatch.setenv("PREFECT_HOME", "/dev/null/home")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        silence()
        root_settings_context()
    assert not told


def test_a_server_that_is_named_keeps_the_proxies_of_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "all_proxy"
    monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    with temporary_settings({PREFECT_API_URL: "https://prefect.example.org/api"}), own_server():
        assert os.environ.get(name) == "socks5://127.0.0.1:9"
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}), own_server():
        assert name not in os.environ
    assert os.environ.get(name) == "socks5://127.0.0.1:9"


@pytest.mark.usefixtures("plain_runs")
@pytest.mark.parametrize(("number", "writes"), [(errno.ENOSPC, 0), (errno.ENOSPC, 25), (errno.EROFS, 4)])
def test_a_disk_that_is_full_or_read_only_from_some_write_on_ends_in_one_line(
    number: int, writes: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from fingerpost.flows.run.start import run_flow
    from tests.support.products import request_for, write_csv

    source, store = write_csv(tmp_path / "products.csv", rows=60), tmp_path / "store"
    left, opened = writes, Files._opened_temporary

    def failing_from_then_on(self: Files, temporary: str) -> object:
        nonlocal left
        if left == 0:
            raise OSError(number, os.strerror(number), temporary)
        left -= 1
        return opened(self, temporary)

    with (
        mock.patch.object(Files, "_opened_temporary", failing_from_then_on),
        commands_that(lambda: run_flow("featurize_corpus", request_for(store, source), quiet=True)),
    ):
        said = refused(cwd=tmp_path)
    assert os.strerror(number) in said
    assert "internal error" not in said
    logged = capfd.readouterr()
    assert "Traceback" not in logged.out + logged.err
    # The disk is writable again: what was committed is taken, and the rest is made.
    run_flow("featurize_corpus", request_for(store, source), quiet=True)
