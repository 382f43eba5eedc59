"""The index as Python programs ask it, beside its own search alone: ``python -m tests.bench.python_door [--quick]``.

``fingerpost.open(…).search`` answers with documents, ``.index.index.search`` with rows and distances. Both in turns, one query
at a time and 1,000 in a batch; then the memory of one process after its first answer, and of two at once. The vectors are
those of sift128, and noisy copies of them beyond; the store is built once and kept.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fingerpost
from tests.bench.ann_options import Rows, run_part
from tests.bench.ann_sets import cache_folder, descriptors
from tests.bench.results import ROOT, cpu_seconds

COLLECTION, QUERIES, K = "vectors", 1000, 10
#: What a process does that opens the index: it answers once, tells its memory, and stays until its input ends.
OPENING = """
import json, sys
import numpy as np
import fingerpost
store, collection, wanted = sys.argv[1:4]
index = fingerpost.open(collection, store=store).index
queries = np.load(wanted)
def told():
    lines = open("/proc/self/smaps_rollup").read().splitlines()[1:]
    print(json.dumps({line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}), flush=True)
told()
index.search(queries[0]).answers
told()
index.search_batch(queries)
told()
sys.stdin.readline()
told()
"""


def measure(*, quick: bool, seeds: int) -> Rows:
    """Queries a second of both, and bytes of memory over those of the stored index."""
    rows = 10_000 if quick else 900_000
    vectors, queries = descriptors(None, QUERIES)
    return measured(_store(rows, vectors), COLLECTION, queries[:QUERIES], name=f"sift128, {rows:,} rows")


def measured(store: Path, collection: str, queries: np.ndarray, *, name: str, repeats: int = 7) -> Rows:
    """The rows of an index that is published."""
    door = fingerpost.open(collection, store=str(store))
    own, ef = door.index.index, door.index._width(None)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "one by one": (
            lambda: [door.search(query, k=K) for query in queries],
            lambda: [own.search(query[None], K, ef=ef) for query in queries],
        ),
        "one by one, ids and scores read": (
            lambda: [(found.ids, found.scores) for found in (door.search(query, k=K) for query in queries)],
            lambda: [own.search(query[None], K, ef=ef) for query in queries],
        ),
        "one by one, all of the answers read": (
            lambda: [door.search(query, k=K).answers for query in queries],
            lambda: [own.search(query[None], K, ef=ef) for query in queries],
        ),
        "in a batch": (lambda: door.search(queries, k=K), lambda: own.search(queries, K, ef=ef)),
    }
    found: Rows = []
    for setting, (ours, alone) in pairs.items():
        ours(), alone()
        seconds = [(cpu_seconds(ours)[0], cpu_seconds(alone)[0]) for _ in range(repeats)]
        mine, other = (len(queries) / median(each) for each in zip(*seconds, strict=True))
        row = {"dataset": name, "contender": "fingerpost.open(…).search", "setting": setting}
        found.append(row | {"queries_per_second": mine, "ratio": mine / other, "rival": "index.search"})
    return found + memory(store, collection, queries, name=name, stored=own.nbytes + door.index.documents.nbytes)


def memory(store: Path, collection: str, queries: np.ndarray, *, name: str, stored: int) -> Rows:
    """What processes hold that open the index: after an answer, after 1,000, and two of them at once."""
    file = cache_folder() / "python-door-queries.npy"
    np.save(file, queries)
    command = [sys.executable, "-c", OPENING, str(store), collection, str(file)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told: list[list[dict[str, Any]]] = [[json.loads(_line(process)) for _ in range(3)] for process in processes]
    for process, states in zip(processes, told, strict=True):
        # Both have answered: now each tells what it holds beside the other.
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        states.append(json.loads(_line(process)))
    for process in processes:
        process.communicate()
    first = told[0]
    sizes = {
        "resident, imported and opened": first[0]["Rss"],
        "resident after an answer": first[1]["Rss"],
        "resident after 1,000": first[2]["Rss"],
        "proportional, two processes together": sum(states[3]["Pss"] for states in told),
    }
    return [
        {
            "dataset": name,
            "contender": "fingerpost.open(…)",
            "setting": setting,
            "megabytes": size / 1e6,
            "stored_megabytes": stored / 1e6,
            "ratio": stored / size,
            "rival": "what is stored",
        }
        for setting, size in sizes.items()
    ]


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def _store(rows: int, vectors: np.ndarray) -> Path:
    """A store with an index of so many rows, built by the flow once."""
    store = cache_folder() / f"python-door-{rows}"
    if (store / ".published").is_dir():
        return store
    random = np.random.default_rng(0)
    more = max(0, rows - len(vectors))
    noise = np.abs(random.normal(0, 6, (more, vectors.shape[1]))).round().astype(np.float32)
    held = np.concatenate([vectors[:rows], vectors[random.integers(0, len(vectors), more)] + noise])
    cells = pa.FixedSizeListArray.from_arrays(pa.array(held.ravel()), held.shape[1])
    file = cache_folder() / f"python-door-{rows}.parquet"
    pq.write_table(pa.table({"id": [f"v{row:07d}" for row in range(rows)], "vector": cells}), file)
    run = ["run", "build_ann_index", "--profile", "quick", "--quiet", "--collection", COLLECTION, "--input", str(file)]
    settings = ["--set", "ann.hnsw.metric=l2", "--store", str(store)]
    program = [sys.executable, "-m", "fingerpost.flows.cli", *run, *settings]
    subprocess.run(program, check=True, cwd=ROOT, env=dict(os.environ))
    return store


if __name__ == "__main__":
    run_part(measure, "python_door", __doc__, whole=True)
