"""The folder and the recorded state of a stack: addresses and process ids, never a secret."""

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fingerpost.flows.ops.stack.processes import StackError, same_process
from fingerpost.flows.run.api import Api
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.records import NUMBER, Each, built, decoded

FOLDER = ".fingerpost-stack"
#: The variable with ``user:password`` of the Prefect API; read wherever a client of the stack is made, stored nowhere.
AUTH = "FINGERPOST_AUTH"

#: No telemetry, no promotion, nothing sent outside.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}


@dataclass(frozen=True)
class State:
    """The content of ``stack.json``."""

    id: str
    pid: int
    started: float
    store: str
    api: str
    ui: str
    dask: str
    dashboard: str
    pool: str
    database: str
    auth: bool
    tls: bool
    ready: bool = False
    metrics: str = ""
    security: dict[str, str] = field(default_factory=dict)
    children: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether the `fingerpost up` that wrote it is still running."""
        return same_process(self.pid, self.started)


_TEXTS = ("id", "store", "api", "ui", "dask", "dashboard", "pool", "database", "metrics?")
_SHAPE = dict.fromkeys(_TEXTS, str) | {
    "pid": int,
    "started": NUMBER,
    "auth": bool,
    "tls": bool,
    "ready?": bool,
    "security?": Each(str),
    "children?": Each(Each(NUMBER)),
}


def find_home(given: str = "", *, store: str = "") -> Path:
    """The folder of a stack: the given one, the nearest in this or a parent folder, or next to the store."""
    if given or (given := os.environ.get("FINGERPOST_STACK_HOME", "")):
        return Path(given).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    from fingerpost.schemas.store import find_store

    place = store or find_store()
    return (Path(place).absolute().parent if "://" not in place else here) / FOLDER


def read_state(home: Path) -> State | None:
    """The last state of the stack of a folder, whether it still runs or not."""
    try:
        found = decoded((home / "stack.json").read_bytes(), _SHAPE, where="stack.json", advice="`fingerpost down`")
        return built(State, found)
    except (OSError, CorruptArtifactError):
        return None


def write_state(home: Path, state: State) -> None:
    """Replaces the state atomically."""
    temporary = home / f"stack.json.{os.getpid()}.tmp"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=1)
    os.replace(temporary, home / "stack.json")


def forget_state(home: Path) -> None:
    """Removes the state."""
    with contextlib.suppress(FileNotFoundError):
        (home / "stack.json").unlink()


def running_stack(home: str = "") -> State:
    """The running stack of a folder; StackError if there is none."""
    place = find_home(home)
    state = read_state(place)
    if state is None or not state.runs:
        raise StackError(f"stack {place}: expected it to run, found that it does not; start it with `fingerpost up`")
    return state


def credentials() -> str:
    """The ``user:password`` of the environment, with its form checked; empty if there is none."""
    found = os.environ.get(AUTH, "")
    user, sign, password = found.partition(":")
    if found and (not sign or not user or not password):
        raise StackError(f"{AUTH}: expected user:password, got something else (not shown); set it again")
    return found


def client_environment(state: State) -> dict[str, str]:
    """The environment of a client of a stack: addresses, TLS, and the credentials of this process."""
    found = {**QUIET, "PREFECT_API_URL": state.api, "FINGERPOST_STORE": state.store, **state.security}
    if state.dask:
        found["FINGERPOST_SET_RUN__CLUSTER"] = state.dask
    if state.auth:
        if not (secret := credentials()):
            raise StackError(f"{AUTH}: expected user:password, as this stack asks for them, found nothing; set it")
        found["PREFECT_API_AUTH_STRING"] = secret
    return found


def connection(home: str = "") -> dict[str, str]:
    """The environment of a client of the running stack, or of the server of PREFECT_API_URL if that is set."""
    named = "" if home else os.environ.get("PREFECT_API_URL", "")
    if named:
        found = {**QUIET, "PREFECT_API_URL": named}
        if secret := os.environ.get("PREFECT_API_AUTH_STRING", "") or credentials():
            found["PREFECT_API_AUTH_STRING"] = secret
        return found
    return {**client_environment(running_stack(home)), "PREFECT_HOME": str(find_home(home) / "prefect")}


def api_of(environment: dict[str, str]) -> Api:
    """The server of a client's environment."""
    return Api(environment["PREFECT_API_URL"].rstrip("/"), environment.get("PREFECT_API_AUTH_STRING", ""))


def described(state: State) -> dict[str, Any]:
    """The addresses of the stack, as lines of text."""
    return {
        "Prefect UI": state.ui,
        "Prefect API": state.api,
        "Dask": state.dask,
        "Dask dashboard": state.dashboard,
        "metrics": state.metrics,
        "store": state.store,
        "work pool": state.pool,
    }
