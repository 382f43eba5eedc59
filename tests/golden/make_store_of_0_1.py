"""Makes ``store_of_0_1.tar.xz``: a store of version 0.1 with its inputs, for tests that this version works on it.

Run by that version, in its own folder and environment: ``python make_store_of_0_1.py ARCHIVE``. Every product of one
collection is made for two days, and a threshold of images in a collection of its own. All paths are relative to the
folder that the archive is unpacked into, and hosts and people have no names.
"""

import getpass
import io
import os
import re
import socket
import sys
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

DAYS = ("2026-01-05", "2026-01-06")
COLLECTION = "shop"
#: The store's folder in the archive.
STORE = "store"

_WORDS = {
    "sorting": "sort order array stable merge quick heap key ascending descending compare swap",
    "graphs": "graph node edge path shortest weight tree cycle flow cut colour degree",
    "tables": "frame column row join group index pivot label series missing value read",
}
_KINDS = ("hammer", "saw", "drill", "bread", "soup")
_COLOURS = ("red", "green", "blue", "white")

#: The same for both days; ``{day}`` is a folder of inputs.
SETTINGS: dict[str, Any] = {
    "corpus.svd.rank": 8,
    "ann.evaluation.queries": 20,
    "ann.retrieval.items.queries": 10,
    "gates.recall_at_10": 0.5,
    "xmr.input": "inputs/{day}/interactions.csv",
    "xmr.labels": "inputs/labels.csv",
    "xmr.clusters.flat_labels": 0,
    "xmr.clusters.max_leaf_size": 8,
    "xmr.clusters.branching": 4,
    "xmr.interactions.test_share": 0.2,
    "xmr.interactions.calibration_share": 0.1,
    "xmr.predicted": 10,
    "xmr.refresh.mode": "live",
    "xmr.refresh.limits.terms_lost": 0.9,
    "xmr.refresh.limits.precision_loss": 0.9,
    "metric.input": "inputs/{day}/faces.parquet",
    "metric.columns": {"group": "camera"},
    "metric.target.share": 0.05,
    "metric.opis.draws": 5,
    "metric.bins": 64,
    "metric.least_group_classes": 3,
    "metric.training.on": True,
    "metric.training.params.steps": 4,
    "metric.training.params.check_every": 2,
    "metric.training.params.classes_per_batch": 4,
    "metric.training.margins.steps": 2,
    "metric.training.margins.weights": [1.0],
    "metric.training.margins.positive_frr": [0.8],
    "metric.training.margins.negative_far": [0.05],
    "metric.training.backbone.dimensions": 4,
    "gates.threshold_rate": 0,
    "gates.threshold_frr": 1,
}
#: A threshold of an embedder of small images.
IMAGES: dict[str, Any] = {
    "metric.input": "inputs/letters",
    "metric.kind": "images",
    "metric.images.height": 16,
    "metric.images.width": 16,
    "metric.training.on": True,
    "metric.training.backbone.kind": "conv",
    "metric.training.backbone.width": 4,
    "metric.training.backbone.dimensions": 4,
    "metric.training.params.steps": 2,
    "metric.training.params.classes_per_batch": 4,
    "metric.training.variants": ["without"],
    "metric.target.share": 0.1,
    "metric.opis.draws": 0,
    "metric.bins": 64,
    "gates.threshold_rate": 0,
    "gates.threshold_frr": 1,
}


def write_inputs(folder: Path) -> None:
    """The files of both days; what is of the second comes on top, and one row of a file is bad."""
    random = np.random.default_rng(0)
    labels = [(f"{kind}-{colour}", f"{colour} {kind}") for kind in _KINDS for colour in _COLOURS]
    for place, day in enumerate(DAYS):
        (folder / day).mkdir(parents=True)
        _write_documents(folder / day / "documents.csv", 90 + 6 * place)
        _write_interactions(folder / day / "interactions.csv", labels, 200 + 15 * place)
        _write_faces(folder / day / "faces.parquet", 24 + place)
    (folder / "labels.csv").write_text("\n".join(["id,name", *(",".join(label) for label in labels)]) + "\n")
    for letter in range(16):
        for number in range(4):
            path = folder / "letters" / f"letter {letter}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (40 * letter % 200) + random.integers(0, 40, (16, 16))
            Image.fromarray(pixels.astype(np.uint8)).save(path)


def _write_documents(path: Path, rows: int) -> None:
    random = np.random.default_rng(1)
    lines = ["id,title,text,kind"]
    for row in range(rows):
        topic = list(_WORDS)[row % len(_WORDS)]
        words = _WORDS[topic].split()
        text = f"{' '.join(random.choice(words, 6))}. {' '.join(random.choice(words, 4))}."
        lines.append(f"{topic}-{row},{topic}.{words[row % len(words)]}_{row},{text},{topic}")
    path.write_text("\n".join([*lines, ",without an id,bad,bad"]) + "\n")


def _write_interactions(path: Path, labels: list[tuple[str, str]], rows: int) -> None:
    random = np.random.default_rng(2)
    lines = ["query,label,weight"]
    for row in range(rows):
        key, name = labels[int(random.integers(len(labels)))]
        colour, kind = name.split()
        extra = ("cheap", "large", "small", "new")[int(random.integers(4))]
        lines.append(f"{extra} {kind} {colour} {row % 7},{key},{1 + row % 3}")
    path.write_text("\n".join(lines) + "\n")


def _write_faces(path: Path, classes: int) -> None:
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(classes), 5)
    rows = random.standard_normal((classes, 6))[labels] + 0.3 * random.standard_normal((len(labels), 6))
    columns = {
        "id": [f"face {row}" for row in range(len(labels))],
        "label": [f"person {label}" for label in labels],
        "camera": [1 if label < 12 else 2 for label in labels],
        "vector": pa.array(rows.astype(np.float32).tolist(), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), path)


def make(folder: Path) -> None:
    """Inputs and store in a folder, by the flows of version 0.1."""
    os.chdir(folder)
    socket.gethostname = lambda: "host"
    getpass.getuser = lambda: "user"
    from prefect import Flow, Task

    from fingerpost.flows import own_server
    from fingerpost.flows.requests import RunRequest
    from fingerpost.flows.start import run_flow
    from fingerpost.tasks.environment import current_environment
    from fingerpost.tasks.stage import Stage

    class NoServer(own_server.OwnServer):
        def __init__(self) -> None: ...

        def wait(self) -> None: ...

    # Flows, tasks and stages as plain functions: no server is waited for.
    Flow.__call__ = Task.__call__ = lambda wrapped, *given, **named: wrapped.fn(*given, **named)
    Stage.__call__ = lambda stage, *given, **named: stage.execute(current_environment(), *given, **named)
    own_server._serving = SimpleNamespace(get=NoServer)
    write_inputs(folder / "inputs")
    for day in DAYS:
        source = "inputs/{day}/documents.csv"
        given = {"profile": "tiny", "store": STORE, "day": day, "input": source, "collection": COLLECTION}
        run_flow("nightly", RunRequest(**given, settings=SETTINGS), quiet=True)
    given = {"profile": "tiny", "store": STORE, "day": DAYS[0], "collection": "letters"}
    run_flow("tune_thresholds", RunRequest(**given, settings=IMAGES), quiet=True)


def pack(folder: Path, archive: Path) -> None:
    """The folder as an archive without owners and times; ValueError where a file names the machine."""
    places = re.compile("|".join(map(re.escape, (str(folder), str(Path(__file__).parent), str(Path.home())))).encode())
    host = re.compile(rb"\b" + re.escape(os.uname().nodename.encode()) + rb"\b")
    with tarfile.open(archive, "w:xz") as made:
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if path.is_dir() or relative.parts[:2] in ((STORE, "reports"), (STORE, "exports")):
                continue
            content = path.read_bytes()
            if found := places.search(content) or (path.suffix == ".json" and host.search(content)):
                raise ValueError(f"{relative}: expected no name of this machine, found {found[0]!r}; scrub it")
            entry = tarfile.TarInfo(str(relative))
            entry.size, entry.mode = len(content), 0o644
            made.addfile(entry, io.BytesIO(content))


def main(archive: str) -> None:
    """Makes the archive."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        make(folder)
        pack(folder, Path(archive))


if __name__ == "__main__":
    target = str(Path(sys.argv[1]).absolute())
    main(target)
