"""The import of judged queries, without Prefect."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.schemas import ann as contracts
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.inputs.judged import JudgedFile
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.inputs.stored_judged import StoredJudged
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.judged import JudgedParams
from fingerpost.tasks.ann.stages.judged import JUDGING, TUNING, import_judged, read_judged
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.stages.documents import import_documents
from fingerpost.tasks.environment import Environment

QUERIES = [{"id": f"q{number}", "query": f"what is {number}"} for number in range(40)]
#: Every query has one relevant document and one that is not; the last one has only the latter.
JUDGED = [
    {"query_id": f"q{number}", "document_id": f"d{(number + step) % 12}", "grade": grade}
    for number in range(40)
    for step, grade in ((0, 2 if number < 39 else 0), (5, 0))
]


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class World:
    """A store with twelve documents, and files of judged queries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = Environment(Store(str(folder / "store")).prepare(), "papers", "2026-01-05")
        rows = [{"id": f"d{number}", "text": f"This is {number}."} for number in range(12)]
        source = FileSource(lines(folder / "documents.jsonl", rows))
        self.documents = import_documents.execute(self.env, source, params=ImportParams())

    def source(self, judged: Sequence[dict[str, Any]] = JUDGED, **more: Any) -> JudgedFile:
        return JudgedFile(
            lines(self.folder / "queries.jsonl", QUERIES), lines(self.folder / "judged.jsonl", judged), **more
        )

    def imported(self, source: Any, **params: Any) -> Ref:
        return import_judged.execute(self.env, self.documents, source, params=JudgedParams(**params))

    def triples(self, ref: Ref) -> set[tuple[str, str, float]]:
        opened = self.env.store.open(ref, contracts.JUDGED)
        ids = opened.read("queries")["id"].to_pylist()
        return {(ids[r["query"]], f"d{r['document']}", r["grade"]) for r in opened.read("judgements").to_pylist()}

    def quality(self, ref: Ref) -> dict[str, Any]:
        return dict(self.env.store.manifest(ref).quality)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def wanted(judged: Sequence[dict[str, Any]]) -> set[tuple[str, str, float]]:
    return {(row["query_id"], row["document_id"], float(row["grade"])) for row in judged}


def test_judgements_are_of_rows_and_half_of_the_queries_is_for_tuning(world: World) -> None:
    ref = world.imported(world.source())
    assert world.triples(ref) == wanted(JUDGED)
    quality = world.quality(ref)
    assert (quality["queries"], quality["judgements"], quality["queries_without_relevant"]) == (40, 80, 1)
    assert quality[TUNING] + quality[JUDGING] == 39
    assert 10 <= quality[TUNING] <= 30
    opened = world.env.store.open(ref, contracts.JUDGED)
    parts = [read_judged(opened, purpose) for purpose in (TUNING, JUDGING)]
    assert sorted(parts[0].ids + parts[1].ids) == sorted(f"q{number}" for number in range(39))
    for part in parts:
        assert part.texts == [f"what is {key[1:]}" for key in part.ids]
        assert part.judgements.relevant.tolist() == [1] * len(part.ids)
        good = part.judgements.documents[part.judgements.grades > 0]
        assert good.tolist() == [int(key[1:]) % 12 for key in part.ids]


def test_without_tuning_all_queries_judge(world: World) -> None:
    opened = world.env.store.open(world.imported(world.source(), tuning=0.0), contracts.JUDGED)
    assert len(read_judged(opened, JUDGING).ids) == 39
    empty = read_judged(opened, TUNING)
    assert (empty.ids, empty.texts, empty.judgements.size) == ([], [], 0)


def test_judgements_of_unknown_documents_are_quarantined(world: World) -> None:
    rows = [*JUDGED, {"query_id": "q1", "document_id": "gone", "grade": 1}]
    ref = world.imported(world.source(rows))
    assert world.triples(ref) == wanted(JUDGED)
    companion = Ref.parse(world.env.store.manifest(ref).run["companions"][QUARANTINE.name])
    (bad,) = world.env.store.open(companion, QUARANTINE).read("rows").to_pylist()
    assert (bad["row"], bad["id"], bad["reason"]) == (80, "q1", "unknown document")
    assert world.quality(ref)["quarantined"] == 1


def test_too_many_bad_rows_are_refused(world: World) -> None:
    rows = [{**row, "document_id": "gone"} if place % 2 else row for place, row in enumerate(JUDGED)]
    with pytest.raises(QuarantineLimitError, match=r"40 unknown document.*ann.judged.imports.quarantine_share"):
        world.imported(world.source(rows))
    assert world.triples(world.imported(world.source(rows), quarantine_share=0.5)) == wanted(JUDGED[::2])
    nothing = [{**row, "document_id": "gone"} for row in JUDGED]
    with pytest.raises(QuarantineLimitError, match="0 good judgements"):
        world.imported(world.source(nothing), quarantine_share=1.0)


def test_the_order_of_rows_changes_nothing_in_a_query(world: World) -> None:
    rows = [JUDGED[place] for place in np.random.default_rng(0).permutation(len(JUDGED))]
    first, second = (world.imported(world.source(judged)) for judged in (JUDGED, rows))
    tables = [world.env.store.open(ref, contracts.JUDGED).read("judgements") for ref in (first, second)]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("key", ["q3", "what is 3", "d3"])
def test_missing_files_are_read_from_the_store_without_what_is_forgotten(world: World, key: str) -> None:
    suppressed = Suppressed.of([key], b"salt")
    before = world.imported(world.source())
    stored = StoredJudged(world.env.store, before, suppressed)
    again = world.imported(stored)
    fresh = world.imported(world.source(suppressed=suppressed))
    sides = [world.env.store.open(ref, contracts.JUDGED) for ref in (again, fresh)]
    for name in ("queries", "judgements"):
        assert sides[0].read(name).equals(sides[1].read(name))
    assert world.triples(again) == {
        triple for triple in wanted(JUDGED) if key not in (triple[0], triple[1], f"what is {triple[0][1:]}")
    }
    assert stored.identity() != world.source().identity()
