"""Runs the commands of infra/RUNBOOK.md as an operator would: ``make runbook``.

A block of shell commands says in a comment before it what it is: ``<!-- run: name; exit 1; says "words" -->`` or ``<!-- not run: reason -->``.
Those to run are run one by one, in their order, in a folder of their own, against a stack of real processes and files of a few hundred
documents; before some, what they are about is brought about (`_BEFORE`). Ends with 1 if one does otherwise than it says.
"""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import psutil

from tests.postgres import postgres
from tests.worlds import texts

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "infra" / "RUNBOOK.md"
_BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?```sh\n(?P<text>.*?)```", re.DOTALL)
_SECONDS = 400


@dataclass(frozen=True)
class Block:
    """Commands, and what is expected of them; ``skipped`` is why they are not run."""

    name: str
    text: str
    code: int = 0
    says: tuple[str, ...] = ()
    skipped: str = ""


def blocks(page: str) -> list[Block]:
    """The blocks of shell commands of a page; ValueError for one that does not say what it is."""
    found = []
    for match in _BLOCK.finditer(page):
        mark, text = match["mark"] or "", match["text"]
        if mark.startswith("not run: ") and mark.removeprefix("not run: ").strip():
            found.append(Block("", text, skipped=mark.removeprefix("not run: ")))
        elif name := re.match(r"run: ([a-z-]+)", mark):
            code = re.search(r"; exit (\d+)", mark)
            found.append(Block(name[1], text, int(code[1]) if code else 0, tuple(re.findall(r'"([^"]*)"', mark))))
        else:
            raise ValueError(f"runbook: expected `run: name` or `not run: reason` before a block, got {mark!r}: {text}")
    if page.count("```sh") != len(found):
        raise ValueError(f"runbook: expected {page.count('```sh')} blocks, read {len(found)}; mend a fence")
    return found


@dataclass
class World:
    """The folder, the environment that lasts from block to block, and what stands for the words in capitals."""

    folder: Path
    env: dict[str, str]
    leaving: ExitStack
    ports: tuple[int, ...]
    words: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Runs commands until one fails, and keeps what they export."""
        kept = self.folder / "environment"
        script = f"set -eu\ntrap 'env -0 > {kept}' EXIT\n{text}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
        self.env = dict(line.split("=", 1) for line in kept.read_text().split("\0") if "=" in line)
        return done

    def json(self, command: str) -> object:
        """What a command prints as JSON."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.env, text=True, capture_output=True, check=True
        )
        return json.loads(done.stdout)

    def documents(self, day: str, rows: int, *, bad: int = 0) -> None:
        """Writes the input of a day; the first ``bad`` rows are without an id."""
        (self.folder / "drops").mkdir(exist_ok=True)
        with (self.folder / "drops" / f"{day}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["id", "title", "text", "kind"])
            writer.writeheader()
            for number, row in enumerate(texts(rows, 7)):
                writer.writerow(row | ({"id": ""} if number < bad else {}))

    def profile(self, name: str, more: str = "") -> None:
        """Writes a profile as small as that of the tests, over the inputs of this world."""
        tiny = resources.files("fingerpost.infra.profiles").joinpath("tiny.toml").read_text()
        own = '[input]\ncollection = "products"\nsource = "drops/{day}.csv"'
        (self.folder / name).write_text(re.sub(r"\[input\]\n[^\n]*", own, tiny) + more)

    def stack(self) -> dict[str, str]:
        """What the running stack says of itself."""
        with suppress(FileNotFoundError, ValueError):
            return dict(json.loads((self.folder / ".fingerpost-stack" / "stack.json").read_text()))
        return {}

    def run(self, block: Block) -> tuple[int, str]:
        """Runs a block with this world's words and ports."""
        names = ("--port", "--dask-port", "--dashboard-port", "--metrics-port")
        ports = " ".join(f"{name} {port}" for name, port in zip(names, self.ports, strict=True))
        text = re.sub(r"\bfingerpost up\b", f"fingerpost up {ports} --workers 1", block.text)
        text = text.replace("http://127.0.0.1:4200/", f"http://127.0.0.1:{self.ports[0]}/")
        done = self.shell(self.spelt(text))
        return done.returncode, done.stdout

    def spelt(self, text: str) -> str:
        """A text with what the words in capitals stand for."""
        for word, value in self.words.items():
            text = re.sub(rf"(?<![\w/:]){word}\b", lambda _, value=value: value, text)
        return text


def _free_ports(count: int) -> tuple[int, ...]:
    """Ports that nobody listens on now; the runbook's own may be taken on this machine."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def _versions(world: World) -> list[str]:
    moves = world.json("fingerpost history --json")["publications"]["products/ann.index"]  # type: ignore[index]
    return [move["ref"] for move in moves]


def _live(world: World) -> str:
    return str(world.json("fingerpost status --json")["live"]["products/ann.index"]["ref"])  # type: ignore[index]


def _poisoned_night(world: World) -> None:
    world.shell("fingerpost run nightly --profile products.toml --day 2026-01-02 --quiet")
    world.documents("2026-01-03", 320, bad=120)
    world.shell("fingerpost run nightly --profile products.toml --day 2026-01-03 --quiet")


def _backfill_id(world: World) -> None:
    world.words["ID"] = str(world.json("fingerpost backfill list --json")[0]["id"])  # type: ignore[index]


def _mended_backfill(world: World) -> None:
    world.documents("2026-01-05", 340)
    _backfill_id(world)


def _going_backfill(world: World) -> None:
    """A backfill that computes days anew, in the background."""
    log = (world.folder / "backfill.log").open("wb")
    command = (
        "fingerpost backfill nightly --from 2026-01-01 --to 2026-01-05 --reprocess all --force import_documents"
        " --profile products.toml"
    )
    env = {key: value for key, value in world.env.items() if key != "PREFECT_API_URL"}
    going = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=world.folder, env=env, stdout=log, stderr=log)
    world.leaving.callback(_end, going)
    _until(lambda: b"1/5" in (world.folder / "backfill.log").read_bytes() or going.poll() is not None)
    _backfill_id(world)


def _refused(world: World) -> None:
    (world.folder / "queries.csv").write_text("query\nsort order\nmatrix inverse\npath weight\ngraph colour\n")
    world.profile("strict.toml", '\n[replay]\nqueries = "queries.csv"\noverlap = 1.0\n')
    world.words["REF"] = next(ref for ref in _versions(world) if "2026-01-01" in ref)


def _newest_version(world: World) -> None:
    world.words["REF"] = _versions(world)[-2]


def _full_disk(world: World) -> None:
    """The store on a disk that is too small for the next day."""
    day = world.words["DAY"] = f"{datetime.now(UTC):%Y-%m-%d}"
    world.documents(day, 400)
    place = world.folder / "disk"
    place.mkdir()
    store = world.folder / ".fingerpost"
    used = sum(-(-file.stat().st_size // 4096) * 4 for file in store.rglob("*") if file.is_file())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={used + 700}k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        world.notes["disk-look"] = "no small file system may be mounted here"
        return
    world.leaving.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
    shutil.copytree(store, place / ".fingerpost")
    world.env["FINGERPOST_STORE"] = str(place / ".fingerpost")
    cut = world.shell(f"fingerpost run nightly --profile products.toml --day {day} --quiet")
    if cut.returncode != 1 or "No space left on device" not in cut.stdout:
        raise AssertionError(f"expected a full disk to be named, got exit {cut.returncode}: {cut.stdout}")
    world.notes["disk-look"] = "the run before it failed with: No space left on device"


def _reference(world: World) -> None:
    world.words["LIVE"] = _live(world)


def _large_disk(world: World) -> None:
    world.env.pop("FINGERPOST_STORE", None)


def _older_code(world: World) -> None:
    """The newest day as a version made it whose code of the graph's stage was another."""
    older = world.folder / "older"
    for package in ("ext", "flows", "infra", "schemas", "tasks"):
        shutil.copytree(ROOT / package, older / "fingerpost" / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "src" / "fingerpost" / "__init__.py", older / "fingerpost")
    stages = older / "fingerpost" / "tasks" / "ann" / "stages" / "index.py"
    text, changes = re.subn(
        r"(?s)(def build_graph\(.*?\n)(    run\.|    [a-z_, ]+ = )", r"\1    older = 1\n\2", stages.read_text(), count=1
    )
    stages.write_text(text)
    done = world.shell(
        f"PYTHONPATH={older} python -m fingerpost.flows.cli run nightly --profile products.toml --day"
        f" {world.words['DAY']} --quiet"
    )
    if done.returncode or not changes:
        raise AssertionError(f"expected a run of older code, got exit {done.returncode}: {done.stdout}")


def _killed(world: World) -> None:
    up = psutil.Process(int(world.stack()["pid"]))
    os.kill(up.pid, signal.SIGKILL)
    up.wait(10)


def _moved(world: World) -> None:
    url = world.leaving.enter_context(postgres())
    world.words |= {"SECRET": "a-password", "postgresql\\+asyncpg://USER:PASSWORD@HOST:5432/prefect": url}


#: What is brought about before the blocks of these names.
_BEFORE: dict[str, Callable[[World], None]] = {
    "failed-night": _poisoned_night,
    "failed-night-again": lambda world: world.documents("2026-01-03", 320),
    "late-run": lambda world: world.documents(world.words["DAY"], 330),
    "backfill-plan": lambda world: world.documents("2026-01-05", 340, bad=150),
    "backfill-retry": _mended_backfill,
    "backfill-pause": _going_backfill,
    "rollback-why": _newest_version,
    "replay-refusal": _refused,
    "disk-look": _full_disk,
    "disk-gc": _reference,
    "upgrade-down": _large_disk,
    "upgrade-look": _older_code,
    "died": _killed,
    "moved": _moved,
}


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    if process.poll() is None:
        process.kill()


def _until(holds: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"expected it within {seconds:.0f} s")
        time.sleep(0.3)


def worlds(leaving: ExitStack) -> World:
    """A fresh one, taken away at the end with all that runs in it."""
    folder = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="fingerpost-runbook-")))
    left = ("FINGERPOST_", "PREFECT_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(left)}
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PREFECT_HOME": str(folder / "prefect")}
    env |= {"COLUMNS": "200", "NO_COLOR": "1", "DO_NOT_TRACK": "1"}
    world = World(folder, env, leaving, _free_ports(4))
    leaving.callback(world.shell, "fingerpost down")
    world.profile("products.toml")
    for number in range(1, 5):
        world.documents(f"2026-01-{number:02}", 290 + 10 * number)
    world.words |= {"DAY": f"{datetime.now(UTC):%Y-%m-%d}", "KEY": "graphs-10"}
    return world


def tried(world: World, found: list[Block]) -> Iterator[tuple[str, str, float, str]]:
    """The name, outcome, seconds and, if it did not hold, the output of each block."""
    for block in found:
        if block.skipped:
            yield block.text.strip().splitlines()[0], f"not run: {block.skipped}", 0.0, ""
            continue
        try:
            _BEFORE.get(block.name, lambda world: None)(world)
            began = time.monotonic()
            code, said = world.run(block)
        except (AssertionError, LookupError, subprocess.SubprocessError) as problem:
            yield block.name, "fails", 0.0, f"{type(problem).__name__}: {problem}"
            continue
        seconds = time.monotonic() - began
        missing = [words for words in map(world.spelt, block.says) if words not in said]
        wrong = [f"exit {code}, not {block.code}"] * (code != block.code) + [f"says no {words!r}" for words in missing]
        note = world.notes.get(block.name, "")
        outcome = f"fails: {'; '.join(wrong)}" if wrong else f"holds, exit {code}" + (f" ({note})" if note else "")
        yield block.name, outcome, seconds, said if wrong or "--show" in sys.argv else ""


def main() -> int:
    """Tries the runbook and prints what came of it."""
    rows = []
    with ExitStack() as leaving:
        for name, outcome, seconds, said in tried(worlds(leaving), blocks(RUNBOOK.read_text())):
            print(f"{name:<42} {seconds:7.1f} s  {outcome}", flush=True)
            if said:
                print("    " + said.replace("\n", "\n    "), flush=True)
            rows.append(outcome)
    failed = sum(outcome.startswith("fails") for outcome in rows)
    skipped = sum(outcome.startswith("not run") for outcome in rows)
    print(f"{len(rows) - failed - skipped} blocks hold, {failed} do not, {skipped} are not run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
