"""The page of a report, read; and a store with artifacts made up for one."""

import base64
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa

from schemas.contract import Contract
from schemas.manifests import Manifest
from schemas.refs import Ref
from schemas.store import Store
from tasks.ledger import StageRecord

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
