"""One completer from a log to its answers, in processes of their own: ``completer_growth.py train|ask FOLDER LABELS``.

The log: names as in autocomplete_names, in the order of their keys. Each is asked in two sessions with others that are near in
this order, as when people change a query, and as often besides as Zipf's law has it. ``train`` runs the flow without Prefect, at
its defaults, and prints the CPU seconds of its stages; ``ask`` opens what was published, and answers.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from tests.bench.autocomplete_names import label_names  # noqa: E402

COLLECTION, DAY, FLOW = "growth", "2026-01-02", "train_autocomplete"
#: Queries of a session, and names among which the next one is.
SESSION, NEAR = 3, 30
#: Requests that are timed, and those before them that are not.
REQUESTS, WARM = 20_000, 500


def sessions_of(count: int, seed: int = 0) -> np.ndarray:
    """Rows of names int64 (sessions, SESSION): two sessions for each name, and half as many by popularity."""
    random = np.random.default_rng(seed)
    rows = np.arange(count)
    near = [np.argsort((rows + shift) // NEAR + random.random(count)) for shift in (0, NEAR // 2)]
    popular = random.permutation(count)[zipf(random, count, count // 2)]
    steps = random.integers(-NEAR, NEAR + 1, (len(popular), SESSION - 1))
    begun = np.concatenate([popular[:, None], popular[:, None] + steps], axis=1)
    whole = [order[: count // SESSION * SESSION].reshape(-1, SESSION) for order in near]
    return np.concatenate([*whole, np.clip(begun[: count // (2 * SESSION)], 0, count - 1)])


def zipf(random: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Ranks below ``count``, rank r with a probability of about 1 / (r + 1)."""
    return np.minimum((count + 1) ** random.random(size) - 1, count - 1).astype(np.int64)


def write_log(path: Path, names: list[str]) -> None:
    """The events, each session of a user of its own."""
    rows = sessions_of(len(names))
    keys = pa.array(np.repeat(np.arange(len(rows)), SESSION)).cast(pa.string())
    queries = pa.array(names).take(pa.array(rows.ravel()))
    pq.write_table(pa.table({"user": keys, "session": keys, "query": queries}), path)


def train(folder: Path, count: int) -> dict[str, Any]:
    """CPU seconds of the whole, wall seconds of each stage, bytes stored of what answers, and the greatest memory."""
    from fingerpost.flows.run.request import RunRequest
    from fingerpost.flows.run.start import run_flow
    from fingerpost.schemas.store import Store
    from fingerpost.tasks.autocomplete.open import LiveCompleter, live
    from tests.support.plain_runs import without_prefect

    write_log(folder / "events.parquet", list(label_names(count).values()))
    # Nothing is held out: all names become suggestions, and only what answers is made.
    held_out = dict.fromkeys(("autocomplete.sessions.validation_share", "autocomplete.sessions.test_share"), 0)
    settings = {"autocomplete.baselines.compared": False, **held_out}
    request = RunRequest(
        store=str(folder / "store"),
        day=DAY,
        collection=COLLECTION,
        input=str(folder / "events.parquet"),
        settings=settings,
    )
    started = cpu_of_all()
    with without_prefect():
        run_flow(FLOW, request, quiet=True)
    seconds = cpu_of_all() - started
    released: LiveCompleter = live(COLLECTION, store=request.store)
    store: Store = released.store
    stages = {f"{role}_s": store.manifest(ref).run["seconds"] for role, ref in released.members.items()}
    served = sum(entry.bytes for ref in released.served.values() for entry in store.manifest(ref).files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"build_s": seconds, "build_peak_mb": peak, "stored_mb": served / 2**20, "stages": stages}


def ask(folder: Path, count: int) -> dict[str, Any]:
    """Seconds to open, memory, and percentiles of the CPU time of single completions, from texts to names."""
    started = time.process_time()
    # Arrow imports pandas, if there is one, the first time that it meets a value of Python's.
    import pandas  # noqa: F401
    import pyarrow.dataset  # noqa: F401

    from fingerpost.tasks.autocomplete.open import live

    imported, before = time.process_time() - started, resident()
    started = time.process_time()
    completer = live(COLLECTION, store=str(folder / "store")).load()
    opened = time.process_time() - started
    size, memory = len(completer.completer), resident() - before
    names = list(label_names(count).values())
    row: dict[str, Any] = {"labels": size, "import_s": imported, "open_s": opened, "memory_mb": memory / 2**20}
    row["bytes_a_label"] = memory / size
    for what, requests in asked(names).items():
        for previous, prefix in requests[:WARM]:
            completer.complete(previous, prefix)
        taken, found = [], 0
        for previous, prefix in requests:
            start = time.thread_time_ns()
            found += len(completer.complete(previous, prefix)) > 0
            taken.append(time.thread_time_ns() - start)
        row[f"{what}_p50_ms"], row[f"{what}_p99_ms"] = (float(np.percentile(taken, p)) / 1e6 for p in (50, 99))
        row[f"{what}_answered"] = found / len(requests)
    return row


def asked(names: list[str]) -> dict[str, list[tuple[list[str], str]]]:
    """Requests by kind: beginnings of queries of other sessions of the same log, mixed; each length; and none."""
    random = np.random.default_rng(1)
    rows = sessions_of(len(names), seed=1)
    rows = rows[random.integers(0, len(rows), REQUESTS)]
    pairs = [([names[row] for row in session[:-1]], names[session[-1]]) for session in rows.tolist()]
    mixed = [(before, text[: int(random.integers(1, len(text) + 1))]) for before, text in pairs]
    short = {f"prefix_{size}": [(before, text[:size]) for before, text in pairs[:2_000]] for size in (1, 2, 3)}
    return {"mixed": mixed, **short, "next": [(before, "") for before, _ in pairs[:2_000]]}


def cpu_of_all() -> float:
    """CPU seconds of this process and of its workers that have ended."""
    return sum(os.times()[:4])


def resident() -> int:
    """Memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    part = {"train": train, "ask": ask}[sys.argv[1]]
    print(json.dumps(part(Path(sys.argv[2]), int(sys.argv[3]))))
