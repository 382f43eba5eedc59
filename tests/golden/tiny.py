"""The four domains under the tiny profile over inputs made from a seed, and what ``manifests_tiny.json`` keeps of them.

``python -m tests.golden.tiny`` writes that file. The version whose code ``code_of_0_1.json`` names wrote it; it is
written again only where artifacts change on purpose. What torch trains has other bits on processors of another maker:
``python -m tests.golden.tiny manifests_tiny_MAKER.json`` writes those artifacts alone, as they are on this processor. What
is made of products of matrices has other bits with another core of OpenBLAS: with the environment variable
OPENBLAS_CORETYPE=CORE, ``python -m tests.golden.tiny manifests_tiny_CORE.json`` writes the artifacts that are others than
with the core of the file above, where the processor can run both.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fingerpost.flows.build_ann_index import build_ann_index
from fingerpost.flows.featurize_corpus import featurize_corpus
from fingerpost.flows.run import publishing
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.train_ranker import train_ranker
from fingerpost.flows.tune_thresholds import tune_thresholds
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import SerialExecutor
from tests.support.whole_runs import whole_run

FILE = Path(__file__).with_name("manifests_tiny.json")
#: The stages that train by torch, the processor that the file above was written on, and OpenBLAS's core there.
TRAINED, VENDOR, CORE = ("train_towers", "train_embedders", "search_margins"), "GenuineIntel", "SkylakeX"
DAYS = ("2026-01-05", "2026-01-06")
#: What the bytes of artifacts depend on, beside this project.
PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow", "torch", "pytorch-metric-learning")
#: Hexadecimal digits that are kept of a digest.
_DIGITS = 16

_WORDS = {
    "sorting": "sort order array stable merge quick heap key ascending descending compare swap",
    "graphs": "graph node edge path shortest weight tree cycle flow cut colour degree",
    "tables": "frame column row join group index pivot label series missing value read",
    "linear": "matrix vector inverse solve eigen singular rank norm product trace basis factor",
}
_KINDS = ("hammer", "saw", "drill", "bread", "soup", "cheese", "lamp", "chair", "sofa", "shirt")
_COLOURS = ("red", "green", "blue", "white", "black", "grey")


@dataclass(frozen=True)
class Case:
    """One run: a flow's recipe (the last of ``flows``, after those that it builds on) over a file for a day."""

    collection: str
    day: str
    flows: tuple[Any, ...]
    file: str
    settings: dict[str, Any] = field(default_factory=dict)
    #: Whether it needs the extra neural.
    neural: bool = False


_DOCUMENTS = {
    "corpus.imports.rows_per_shard": 120,
    "corpus.svd.rank": 16,
    "ann.evaluation.queries": 40,
    "ann.retrieval.items.queries": 10,
}
_RANKER = {
    "xmr.clusters.flat_labels": 0,
    "xmr.clusters.max_leaf_size": 8,
    "xmr.clusters.branching": 4,
    "xmr.blocks.labels": 40,
    "xmr.blocks.rows": 100,
    "xmr.interactions.test_share": 0.2,
    "xmr.interactions.calibration_share": 0.1,
    "xmr.predicted": 10,
    "corpus.imports.rows_per_shard": 300,
    "xmr.ensemble.seeds": [0, 1],
    "xmr.sweep.thresholds": [0.1, 0.3],
    "xmr.sweep.beams": [5, 10],
    "xmr.sweep.timed": 0,
    "xmr.sweep.megabytes": 50.0,
    "xmr.baselines.compared": True,
    "xmr.baselines.network": False,
    "xmr.baselines.svd.rank": 16,
    "xmr.baselines.judge.timed": 2,
    "xmr.baselines.judge.warm_up": 1,
    "xmr.refresh.mode": "live",
    "xmr.refresh.limits.terms_lost": 0.9,
    "xmr.refresh.limits.precision_loss": 0.5,
    "xmr.refresh.label_gain": 0.02,
    "xmr.refresh.node_gain": 0.02,
    "xmr.refresh.negatives": "tfn+man",
}
#: One ranker instead of two, not pruned, and the network beside it.
_NETWORK = {
    "xmr.ensemble.seeds": [0],
    "xmr.sweep.megabytes": 0.0,
    "xmr.baselines.network": True,
    "xmr.baselines.towers.dimensions": 8,
    "xmr.baselines.towers.epochs": 2,
}
_THRESHOLD = {
    "metric.target.share": 0.05,
    "metric.opis.draws": 20,
    "metric.columns": {"group": "camera"},
    "metric.least_group_classes": 3,
}
_EMBEDDERS = {
    "metric.training.on": True,
    "metric.training.params.steps": 10,
    "metric.training.params.check_every": 5,
    "metric.training.params.classes_per_batch": 6,
    "metric.training.margins.steps": 5,
    "metric.training.margins.weights": [1.0],
    "metric.training.margins.positive_frr": [0.8],
    "metric.training.margins.negative_far": [0.05],
    "metric.training.backbone.dimensions": 6,
}

CASES = (
    Case("docs", DAYS[0], (featurize_corpus, build_ann_index), "documents.csv", _DOCUMENTS),
    Case("shop", DAYS[0], (train_ranker,), "interactions.csv", _RANKER),
    Case("shop", DAYS[1], (train_ranker,), "more.csv", _RANKER),
    Case("network", DAYS[0], (train_ranker,), "interactions.csv", _RANKER | _NETWORK, neural=True),
    Case("faces", DAYS[0], (tune_thresholds,), "faces.parquet", _THRESHOLD),
    Case("embedders", DAYS[0], (tune_thresholds,), "faces.parquet", _THRESHOLD | _EMBEDDERS, neural=True),
)


def write_inputs(folder: Path) -> None:
    """The files that the cases read."""
    random = np.random.default_rng(0)
    _write_documents(folder / "documents.csv", random)
    _write_interactions(folder, random)
    _write_faces(folder / "faces.parquet", random)


def _write_documents(path: Path, random: np.random.Generator) -> None:
    lines = ["id,title,text,kind"]
    for row in range(300):
        topic = list(_WORDS)[row % len(_WORDS)]
        words = _WORDS[topic].split()
        text = f"{' '.join(random.choice(words, 6))}. {' '.join(random.choice(words, 4))}."
        lines.append(f"{topic}-{row},{topic}.{words[row % len(words)]}_{row % 97},{text},{topic}")
    path.write_text("\n".join(lines) + "\n")


def _write_interactions(folder: Path, random: np.random.Generator) -> None:
    labels = [(f"{kind}-{colour}", f"{colour} {kind}") for kind in _KINDS for colour in _COLOURS]
    lines = ["query,label,weight"]
    for row in range(360):
        key, name = labels[int(random.integers(len(labels)))]
        colour, kind = name.split()
        extra = ("cheap", "large", "small", "new")[int(random.integers(4))]
        query = (f"{extra} {kind} {colour}", f"{kind} in {colour} {extra}", f"{colour} {kind}s")[row % 3]
        lines.append(f"{query} {row % 7},{key},{1 + row % 3}")
    later = [f"velvet red curtain {row},curtain-red,1" for row in range(12)]
    later += [f"hammer red again {row},hammer-red,1" for row in range(9)]
    (folder / "interactions.csv").write_text("\n".join(lines) + "\n")
    (folder / "more.csv").write_text("\n".join(lines + later) + "\n")
    (folder / "labels.csv").write_text("\n".join(["id,name", *(",".join(label) for label in labels)]) + "\n")


def _write_faces(path: Path, random: np.random.Generator) -> None:
    labels = np.repeat(np.arange(40), 8)
    centres = random.standard_normal((40, 6))
    signal = centres[labels] + 0.3 * random.standard_normal((len(labels), 6))
    vectors = np.hstack([signal, random.standard_normal((len(labels), 4))]).astype(np.float32)
    columns = {
        "id": [f"face {row}" for row in range(len(labels))],
        "label": [f"person {label}" for label in labels],
        "camera": [1 if label < 18 else 2 for label in labels],
        "vector": pa.array(vectors.tolist(), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), path)


def _request(case: Case, folder: Path) -> RunRequest:
    path, settings = str(folder / case.file), dict(case.settings)
    if case.flows[-1] is train_ranker:
        settings |= {"xmr.input": path, "xmr.labels": str(folder / "labels.csv")}
        path = ""
    if case.flows[-1] is tune_thresholds:
        settings["metric.input"] = path
        path = ""
    store = str(folder / "store")
    return RunRequest(
        profile="tiny", store=store, day=case.day, input=path, collection=case.collection, settings=settings
    )


def has_neural() -> bool:
    """Whether the packages of the extra neural are installed."""
    return all(importlib.util.find_spec(name) for name in ("torch", "pytorch_metric_learning"))


def _make_live(run: Any, ref: Ref) -> None:
    """Makes a product live whatever its gates say, which artifacts do not depend on."""
    Pointer(run.env.store, run.env.collection, ref.name).promote(ref, gates=[Gate("golden", 1.0, 0.0)])


def artifacts(folder: Path) -> dict[str, dict[str, Any]]:
    """What every artifact is, by collection, day, part and stage; without cases that cannot be run here."""
    write_inputs(folder)
    described: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    with unchanging_code():
        for case in CASES:
            if not case.neural or has_neural():
                with whole_run("train_ranker", _request(case, folder), SerialExecutor()) as run:
                    with mock.patch.object(publishing, "publish_product", _make_live):
                        for flow in case.flows:
                            flow.fn(run.request)
                    for record in run.env.records:
                        name = _name(case, record, described)
                        names.setdefault(record.ref, name)
                        described[name] = _description(run.env.store.manifest(Ref.parse(record.ref)).identity, names)
    return described


def _name(case: Case, record: StageRecord, taken: Container[str]) -> str:
    """Collection, day, part and stage, numbered where a part has a stage more than once."""
    name = " ".join(filter(None, (case.collection, case.day, record.part, record.stage)))
    numbered = (f"{name} {number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def stage_of(name: str) -> str:
    """The stage in the name of an artifact."""
    return name.rstrip(" 0123456789").split()[-1]


def _description(identity: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """An identity in short; its inputs by the names of artifacts, and of sources only that they are some."""
    files = {f"{entry['table']}/{entry['shard']:05d}": entry["sha256"][:_DIGITS] for entry in identity["files"]}
    inputs = {name: names.get(value.get("ref", ""), "a source") for name, value in identity["inputs"].items()}
    return {
        "contract": f"{identity['contract']['name']} {identity['contract']['version']}",
        "schema": digest_of(identity["schema"])[:_DIGITS],
        "rows": identity["rows"],
        "quality": identity["quality"],
        "parameters": identity["parameters"],
        "inputs": inputs,
        "code": identity["code"],
        "identity": digest_of(identity)[:_DIGITS],
        "files": dict(sorted(files.items())),
    }


def surroundings() -> dict[str, str]:
    """What bytes and hashes of code depend on beside this project, as it is here."""
    here = {"python": ".".join(platform.python_version_tuple()[:2]), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            here[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            here[name] = ""
    return here


def vendor() -> str:
    """The maker of the processor, as Linux names it; empty where it does not say. torch's bits depend on it.

    One without AVX-512 is another, since torch and numpy have other kernels for it.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    return said.get("vendor_id", "") + ("" if "avx512f" in said.get("flags", "").split() else " without AVX-512")


def core() -> str:
    """The core of OpenBLAS, by which numpy and scipy multiply matrices; empty where they do not by OpenBLAS."""
    import scipy.linalg  # noqa: F401 - its OpenBLAS is one of its own

    from fingerpost.tasks.threads import blas_cores

    return blas_cores()


def follows_training(name: str, found: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether an artifact is of a stage that trains by torch, or is made of such artifacts."""
    given = [one for one in found[name]["inputs"].values() if one in found]
    return stage_of(name) in TRAINED or any(follows_training(one, found) for one in given)


def main(path: str = str(FILE)) -> None:
    """Writes the file, or another with what torch trains alone, or with what another core of OpenBLAS makes alone."""
    with tempfile.TemporaryDirectory() as folder:
        found = artifacts(Path(folder))
    content: dict[str, Any] = {"surroundings": surroundings(), "artifacts": found}
    if Path(path).name != FILE.name:
        usual = _with_core(CORE) if core() != CORE else {}
        changed = {
            name: one
            for name, one in found.items()
            if (one["files"] != usual[name]["files"] if usual else follows_training(name, found))
        }
        content = {"vendor": vendor(), "core": core(), "artifacts": changed}
    Path(path).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _with_core(name: str) -> dict[str, dict[str, Any]]:
    """The artifacts as a process makes them in which OpenBLAS has another core."""
    code = (
        "import json, pathlib, sys; from tests.golden import tiny; assert tiny.core() == sys.argv[2], tiny.core()\n"
        "made = tiny.artifacts(pathlib.Path(sys.argv[1]))\n"
        "pathlib.Path(sys.argv[1], 'made.json').write_text(json.dumps(made))"
    )
    with tempfile.TemporaryDirectory() as folder:
        command, chosen = [sys.executable, "-c", code, folder, name], os.environ | {"OPENBLAS_CORETYPE": name}
        subprocess.run(command, env=chosen, check=True, timeout=600)
        found: dict[str, dict[str, Any]] = json.loads(Path(folder, "made.json").read_text())
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
