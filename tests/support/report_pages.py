"""The page of a report, read; and a store with artifacts made up for one."""

import base64
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa

from fingerpost.schemas import ann, corpus
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.matrices import dense_to_arrow, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.edge_codes import CodingCost, EdgeCoder
from fingerpost.tasks.ledger import StageRecord

DAY = "2026-01-02"


class Made:
    """A store with artifacts, and the stages that a run's record tells of them."""

    def __init__(self, folder: Any) -> None:
        self.store = Store(str(folder / "store")).prepare()
        self.stages: list[dict[str, Any]] = []
        self.count = 0

    def commit(
        self,
        contract: Contract,
        tables: dict[str, pa.Table],
        quality: dict[str, Any],
        *,
        inputs: tuple[str, ...] = (),
        params: dict[str, Any] | None = None,
        measured: dict[str, Any] | None = None,
        companions: dict[str, str] | None = None,
    ) -> tuple[Ref, Manifest]:
        self.count += 1
        ref = Ref(contract.name, DAY, f"{self.count:032x}")
        entries = [self.store.write_table(ref, contract, name, data) for name, data in tables.items()]
        given = {f"input_{n}": {"ref": text} if "/" in text else {"source": text} for n, text in enumerate(inputs)}
        identity = {
            "contract": {"name": contract.name, "version": contract.version},
            "rows": {e.table: e.rows for e in entries},
            "quality": quality,
            "parameters": {"params": params or {}},
            "inputs": given,
            "files": [asdict(e) for e in entries],
        }
        run = {
            "at": "2026-01-02T03:04:05+00:00",
            "seconds": 1.5 * self.count,
            "shards_run": 4,
            "shards_resumed": 2,
            "peak_mb": 321.0,
            "measured": measured or {},
            "companions": companions or {},
        }
        return ref, self.store.commit(ref, Manifest(identity, run))

    def stage(self, name: str, *given: Any, reused: bool = False, **rest: Any) -> str:
        ref, manifest = self.commit(*given, **rest)
        made = (
            StageRecord.reused(name, ref, manifest, reason="reused", seconds=0.01)
            if reused
            else StageRecord.ran(name, ref, manifest, reason="first run")
        )
        self.stages.append(asdict(made))
        return str(ref)

    def record(self, **changes: Any) -> dict[str, Any]:
        return {
            "id": "20260102T030405-abcdef",
            "flow": "nightly",
            "state": "completed",
            "error": "",
            "profile": "tiny",
            "collection": "shop",
            "day": DAY,
            "seconds": 83.2,
            "stages": self.stages,
            "gates": [],
            "publication": None,
            "at": "2026-01-02T03:05:28+00:00",
            "settings": {"store": "/secret/place", "ann.hnsw.max_neighbors": 16},
            "cpus": 2,
        } | changes


def figure_table(figures: list[tuple[str, str, str, float]]) -> pa.Table:
    return pa.table(dict(zip(("method", "setting", "metric", "value"), zip(*figures, strict=True), strict=True)))


class Page(HTMLParser):
    """The tags, addresses and visible text of a page, by section."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.texts: dict[str, str] = {"": ""}
        self.open: list[str] = []
        self.section = self.within = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.within = tag
        named = dict(attrs)
        if tag == "section":
            self.section = named["id"] or ""
            self.texts[self.section] = ""
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        assert not [name for name in named if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.within != "style":
            self.texts[self.section] += f" {data}"

    def text(self, section: str) -> str:
        return " ".join(self.texts[section].split())

    @property
    def plots(self) -> list[str]:
        return [base64.b64decode(address.split(",", 1)[1]).decode() for address in self.addresses]


NASTY = "<script>alert(1)</script>"


DOCUMENTS = {"documents": 1234, "quarantined": 3, "quarantine_share": 0.002425, "vectors": False, "texts": True}


INDEX = {"documents": 1234, "quarantine_share": 0.002425, "recall_at_10": 0.9812, "metric": "cosine"}


def add_documents(made: Made, *, bad: bool = True, reused: bool = False) -> str:
    reasons = ["empty text", "duplicate id", "empty text"] if bad else []
    rows = pa.table(
        {
            "row": pa.array(range(len(reasons)), pa.int64()),
            "id": pa.array([f"bad-{n}" for n in range(len(reasons))], pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "detail": pa.array([f"<img src=x onerror=alert({n})>" for n in range(len(reasons))], pa.string()),
        }
    )
    quarantine, _ = made.commit(corpus.QUARANTINE, {"rows": rows}, {"rows": len(reasons)})
    return made.stage(
        "import_documents",
        corpus.DOCUMENTS,
        {},
        DOCUMENTS,
        inputs=("0123",),
        reused=reused,
        companions={corpus.QUARANTINE.name: str(quarantine)},
    )


def add_index(made: Made, documents: str, *, speedup: float = 0.83, timed: bool = True, reused: bool = False) -> str:
    vectors = made.stage("embed_documents", corpus.VECTORS, {}, {}, inputs=(documents,), reused=reused)
    graph = made.stage(
        "build_graph",
        ann.GRAPH,
        {},
        inputs=(vectors,),
        reused=reused,
        quality={
            "nodes": 1234,
            "edges": 20000,
            "levels": 3,
            "mean_degree": 16.207,
            "dimensions": 64,
            "metric": "cosine",
        },
    )
    tried = tuple(CodingCost(rank, 2, 0.5 - rank / 100, 16.0 * rank, 2000.0 - rank) for rank in (8, 16, 24))
    coder = EdgeCoder(np.eye(16, 64, dtype=np.float32), 2, 0.1, 0.1, 1e-6, tried)
    codes = {
        "codes": tensors_to_arrow(coder.arrays() | {"entries": np.zeros((2, 64), np.uint8)}),
        "projections": dense_to_arrow(np.zeros((2, 16), np.float32)),
    }
    fitted = made.stage(
        "fit_finger",
        ann.FINGER_CODES,
        codes,
        {},
        inputs=(vectors, graph),
        reused=reused,
    )
    figures = [
        (method, f"ef={ef}", metric, value)
        for method, work in (("hnsw", 10.0), ("finger", 4.0))
        for ef in (20, 100)
        for metric, value in (
            ("recall", 0.9 + ef / 1250),
            ("distances", work * ef),
            ("estimates", 6.0 * ef),
            ("expansions", ef + 1.0),
        )
    ]
    measured = {
        "queries_per_second": {"20": {"hnsw": 50123.0, "finger": 40000.0}, "100": {"hnsw": 9000.0, "finger": 8000.0}},
        "finger_speedup": speedup,
    }
    evaluation = made.stage(
        "evaluate_index",
        ann.EVALUATION,
        {"figures": figure_table(figures)},
        {"recall_at_10": 0.9812, "finger_recall_at_10": 0.98},
        inputs=(vectors, graph, fitted),
        params={"k": 10, "queries": 500},
        measured=measured if timed else {},
        reused=reused,
    )
    members = pa.table({"role": ["documents", "evaluation"], "ref": [documents, evaluation]})
    return made.stage(
        "assemble_index", ann.INDEX, {"members": members}, INDEX, inputs=(documents, evaluation), reused=reused
    )
