"""What more suggestions cost: ``python -m tests.bench.bench_autocomplete_growth [--labels 10000 100000 1000000] [--quick]``.

The trie alone, beside marisa-trie where ``FINGERPOST_PEERS`` has an environment ``trie``: all keys that begin with a prefix, as
row numbers and as strings, then times of its own look-ups. Then completers, from a log to answers (completer_growth.py). CPU
seconds of one thread; percentiles of the trie's look-ups are by the wall clock.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

from fingerpost.ext.trie import Texts  # noqa: E402
from fingerpost.tasks.autocomplete.trie import Trie, build_trie, flat_texts  # noqa: E402
from tests.bench.autocomplete_names import label_names, mixed_prefixes, popularity  # noqa: E402
from tests.bench.peers import PeerProcess, peer_python  # noqa: E402
from tests.bench.results import ROOT, cpu_seconds, print_table, write_rows  # noqa: E402

RIVAL = "marisa-trie"
#: Lengths of prefixes, from and to, in characters.
LENGTHS = ((1, 1), (2, 2), (3, 3), (4, 6), (7, 12), (1, 100))
#: Results of one pass over the prefixes of a length, and prefixes at most.
RESULTS, PREFIXES = 2_000_000, 2_000


def retrieval_rows(count: int, repeats: int) -> list[dict[str, Any]]:
    """Microseconds a prefix for all its row numbers and strings, ours and the rival's in turns."""
    keys = list(label_names(count))
    trie, texts = build_trie(keys, popularity(count)), Texts(*flat_texts(keys))
    return [row for lengths in LENGTHS for row in compared(keys, trie, texts, lengths, repeats)]


def compared(
    keys: Sequence[str], trie: Trie, texts: Texts, lengths: tuple[int, int], repeats: int
) -> list[dict[str, Any]]:
    """A row each for row numbers and strings of prefixes with these lengths."""
    prefixes = bounded(mixed_prefixes(keys, PREFIXES, lengths=lengths), trie)
    found = sum(high - low for low, high in map(trie.find, prefixes))
    ours: dict[str, Callable[[str], list[Any]]] = {
        "rows": lambda prefix: list(range(*trie.find(prefix))),
        "strings": lambda prefix: texts.between(*trie.find(prefix)),
    }
    taken: dict[str, list[float]] = {name: [] for name in (*ours, "find", "keys", "items")}
    with tempfile.TemporaryDirectory() as folder:
        rival = Rival(Path(folder), keys, prefixes)
        for _ in range(repeats):
            taken["find"].append(cpu_seconds(lambda: [trie.find(prefix) for prefix in prefixes])[0])
            for name, look_up in ours.items():
                taken[name].append(cpu_seconds(lambda f=look_up: [f(prefix) for prefix in prefixes])[0])  # type: ignore[misc]
            for name in ("keys", "items") if rival.python else ():
                taken[name].append(rival.seconds(name, found))
        rival.close()
    micro = {name: 1e6 * float(np.median(seconds)) / len(prefixes) for name, seconds in taken.items() if seconds}
    setting = f"{lengths[0]} to {lengths[1]}" if lengths[0] < lengths[1] else f"{lengths[0]}"
    start = {"dataset": f"{len(keys):,} keys", "contender": "fingerpost", "setting": f"prefixes of {setting}"}
    rows = []
    for name, other in (("rows", "items"), ("strings", "keys")):
        row = {**start, "result": name, "results": found / len(prefixes), "us": micro[name], "range_us": micro["find"]}
        if other in micro:
            row |= {"rival_us": micro[other], "ratio": micro[other] / micro[name], "rival": f"{RIVAL} {rival.version}"}
        rows.append(row)
    return rows


def bounded(prefixes: list[str], trie: Trie) -> list[str]:
    """As many of the prefixes as have together about RESULTS results, at least twenty."""
    sizes = np.cumsum([high - low for low, high in map(trie.find, prefixes)])
    return prefixes[: max(20, int(np.searchsorted(sizes, RESULTS)))]


class Rival:
    """marisa-trie in a process of its own, over the same keys and prefixes."""

    def __init__(self, folder: Path, keys: Sequence[str], prefixes: Sequence[str]) -> None:
        self.python = peer_python("trie")
        if self.python is None:
            return
        for name, lines in (("keys", keys), ("prefixes", prefixes)):
            (folder / name).write_text("\n".join(lines), "utf-8")
        script = Path(__file__).with_name("peer_trie.py")
        self._process = PeerProcess(self.python, script, str(folder / "keys"), str(folder / "prefixes"))
        self.version = self._process.ask({"do": "probe"})["version"]
        self.built = self._process.ask({"do": "build"})

    def seconds(self, what: str, found: int) -> float:
        """Seconds of one pass over the prefixes; RuntimeError where it finds another number of keys."""
        answer = self._process.ask({"do": what})
        if answer["found"] != found:
            raise RuntimeError(f"{RIVAL}: expected {found} keys, got {answer['found']}; look into both")
        return float(answer["seconds"])

    def close(self) -> None:
        """Ends the process."""
        if self.python is not None:
            self._process.close()


def rival_row(count: int) -> dict[str, Any]:
    """Seconds to build the rival over as many keys, and its bytes a key."""
    with tempfile.TemporaryDirectory() as folder:
        rival = Rival(Path(folder), list(label_names(count)), [])
        rival.close()
    row = {"dataset": "names", "contender": f"{RIVAL} {rival.version}", "labels": count}
    return {**row, "build_s": rival.built["seconds"], "bytes_a_label": rival.built["bytes"] / count}


def trie_row(count: int) -> dict[str, Any]:
    """Seconds to build and to open, bytes a key, and percentiles of single look-ups in microseconds."""
    keys = list(label_names(count))
    built_s, trie = cpu_seconds(lambda: build_trie(keys, popularity(count)))
    opened_s, trie = cpu_seconds(lambda: Trie(trie.arrays()))
    prefixes = mixed_prefixes(keys, 20_000, lengths=(1, 100))
    wrong = [mistyped(prefix, number) for number, prefix in enumerate(prefixes) if len(prefix) >= 4]
    row: dict[str, Any] = {"dataset": "names", "contender": "trie", "labels": count, "build_s": built_s}
    row |= {"open_ms": 1e3 * opened_s, "bytes_a_label": trie.nbytes / count, "nodes_a_label": trie.nodes / count}
    row |= {"bytes_a_key": sum(len(key.encode()) for key in keys) / count}
    ranges = [(np.array([low], np.uint32), np.array([high], np.uint32)) for low, high in map(trie.find, prefixes)]
    row |= named("find", percentiles(trie.find, prefixes))
    row |= named("best_10", percentiles(lambda one: trie.best(one, 10), ranges))
    row |= named("one_edit", percentiles(trie.within_one_edit, wrong))
    return row


def mistyped(prefix: str, number: int) -> str:
    """A prefix with two neighbours exchanged, at a place that follows from its number."""
    at = number % (len(prefix) - 1)
    return prefix[:at] + prefix[at + 1] + prefix[at] + prefix[at + 2 :]


def percentiles(call: Callable[[Any], object], requests: Iterable[Any]) -> tuple[float, float]:
    """Median and 99th percentile of single calls, in microseconds of the wall clock."""
    taken = []
    for request in requests:
        start = time.perf_counter_ns()
        call(request)
        taken.append(time.perf_counter_ns() - start)
    return float(np.percentile(taken, 50)) / 1e3, float(np.percentile(taken, 99)) / 1e3


def named(what: str, pair: tuple[float, float]) -> dict[str, float]:
    """Two percentiles by name."""
    return {f"{what}_p50_us": pair[0], f"{what}_p99_us": pair[1]}


def exponents(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The exponents e of value ~ labels ** e, by least squares over logarithms."""
    labels = np.log([row["labels"] for row in rows])
    slopes = {name: float(np.polyfit(labels, np.log([row[name] for row in rows]), 1)[0]) for name in names}
    return {"dataset": rows[0]["dataset"], "contender": rows[0]["contender"], "setting": "exponent", **slopes}


def completer_row(count: int) -> dict[str, Any]:
    """A completer of about as many suggestions: built, opened and asked, each in a process of its own."""
    row: dict[str, Any] = {"dataset": "names", "contender": "completer"}
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "ask"):
            command = [sys.executable, "-m", "tests.bench.completer_growth", part, folder, str(count)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            row |= json.loads(done.stdout.splitlines()[-1])
    return row


def main() -> None:
    """Measure, print and write ``bench-results/autocomplete_growth.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="10,000 and 30,000 labels, once")
    options = parser.parse_args()
    labels, repeats = ([10_000, 30_000], 1) if options.quick else (options.labels, options.repeats)
    if peer_python("trie") is None:
        print("no peer: expected <FINGERPOST_PEERS>/trie/bin/python with marisa-trie; measuring ourselves alone")
    retrieved = retrieval_rows(min(100_000, max(labels)), repeats)
    print_table(retrieved, "All suggestions that begin with a prefix")
    tries = [trie_row(count) for count in labels]
    if len(tries) > 1:
        measured = [name for name in tries[0] if name.endswith(("_s", "_ms", "_us", "_a_label"))]
        tries.append(exponents(tries, measured))
    if peer_python("trie") is not None:
        tries += [rival_row(count) for count in labels]
    print_table(tries, "The trie as suggestions grow")
    completers = [completer_row(count) for count in labels]
    if len(completers) > 1:
        measured = [name for name in completers[0] if name.endswith(("_s", "_ms", "_mb", "_a_label"))]
        completers.append(exponents(completers, measured))
    print_table([{**row, "stages": None} for row in completers], "The completer as suggestions grow")
    print(f"written to {write_rows('autocomplete_growth', [*retrieved, *tries, *completers])}")


if __name__ == "__main__":
    main()
