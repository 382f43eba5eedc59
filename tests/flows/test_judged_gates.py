"""Judged answers of a new index beside those of the live one: the gate, and what ``diff`` says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.ann import comparison
from fingerpost.flows.domains.ann.gates import index_gates
from fingerpost.flows.domains.ann.judged_changes import judgement
from fingerpost.flows.domains.ann.settings import IndexChange, IndexGates
from fingerpost.schemas import ann
from fingerpost.schemas.comparison import Comparison
from fingerpost.schemas.inputs.judged import JudgedFile
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.judged import IntervalParams, JudgedParams, JudgedQueries, Judgements
from fingerpost.tasks.ann.judgement import judge
from fingerpost.tasks.ann.stages.judged import JUDGING, import_judged, read_judged, write_judgement
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.stages.documents import import_documents
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

QUERIES, DOCUMENTS = 60, 40
NAME = "judged_ndcg_at_10_against_live"


def ranked(asked: JudgedQueries, spoilt: int) -> np.ndarray:
    """Rankings with the relevant document first, but for some queries, where it is the eighth."""
    rows = np.tile(np.arange(DOCUMENTS, dtype=np.int64), (len(asked.ids), 1))
    for query, document in enumerate(asked.judgements.documents.tolist()):
        place = 7 if query < spoilt else 0
        order = [row for row in range(DOCUMENTS) if row != document]
        rows[query] = [*order[:place], document, *order[place:]]
    return rows


@stage(ann.JUDGEMENT)
def judge_rankings(run: StageRun, judged: Ref, *, spoilt: int) -> None:
    """A judgement of rankings that are made up."""
    asked = read_judged(run.store.open(judged, ann.JUDGED), JUDGING)
    rankings = {"fused": ranked(asked, spoilt), "bm25": ranked(asked, 20)}
    found = judge(rankings, asked.judgements, IntervalParams(resamples=100))
    write_judgement(run, asked, [f"d{row}" for row in range(DOCUMENTS)], found)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = Environment(Store(str(folder / "store")).prepare(), "papers", "2026-01-05")
        source = self._file("documents", [{"id": f"d{row}", "text": f"Text {row}."} for row in range(DOCUMENTS)])
        self.documents = import_documents.execute(self.env, FileSource(source), params=ImportParams())

    def _file(self, name: str, rows: list[dict[str, Any]]) -> str:
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    def judged(self, spoilt: int, *, first: int = 0, grade: int = 1) -> Ref:
        """The judgement of answers to queries, of which this many are answered badly."""
        rows = [
            {"query": f"query {number:03d}", "id": f"d{number % DOCUMENTS}", "grade": grade}
            for number in range(first, first + QUERIES)
        ]
        source = JudgedFile(self._file("judged", rows))
        judged = import_judged.execute(self.env, self.documents, source, params=JudgedParams(tuning=0))
        return judge_rankings.execute(self.env, judged, spoilt=spoilt)

    def gate(self, monkeypatch: pytest.MonkeyPatch, live: Ref | None, ref: Ref | None, **change: float) -> Comparison:
        """The gate of an index with one judgement beside a live one with another."""
        (found,) = self.gates(monkeypatch, live, ref, **change)
        return found

    def gates(
        self, monkeypatch: pytest.MonkeyPatch, live: Ref | None, ref: Ref | None, **change: float
    ) -> list[Comparison]:
        before, after = (Ref("ann.index", "2026-01-05", digit * 32) for digit in "ab")
        members = {version: {"judgement": one} if one else {} for version, one in ((before, live), (after, ref))}
        known = Store.manifest

        def manifest(store: Store, asked: Ref) -> Manifest:
            return Manifest({"quality": {}}, {}) if asked in members else known(store, asked)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "manifest", manifest)
            patch.setattr(comparison, "read_members", lambda store, asked: members[asked])
            settings = IndexGates(change=IndexChange(vocabulary=0.0, dimension="any", **change))
            found = comparison.index_compared(self.env.store, before, after, settings)
        return [one for one in found if one.name == NAME]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_fall_that_is_large_and_certain_is_none_that_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live = world.judged(0)
    found = world.gate(monkeypatch, live, world.judged(12))
    assert not found.holds
    assert (found.live, round(found.value, 4)) == (1.0, round(1 - 12 / 60 * (1 - 1 / np.log2(9)), 4))
    assert str(found).startswith(f"{NAME} 0.8631, live 1 (at least 0.")
    # What was lost may be won.
    assert world.gate(monkeypatch, world.judged(12), live).holds


def test_a_random_fall_or_within_the_fraction_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live, worse = world.judged(0), world.judged(2)
    found = world.gate(monkeypatch, live, worse)
    assert found.holds
    assert found.value < 1 - 0.02  # more than the fraction, but of two queries alone
    assert world.gate(monkeypatch, live, world.judged(12), judged_ndcg_at_10=0.2).holds
    assert world.gates(monkeypatch, live, world.judged(60), judged_ndcg_at_10=1.0) == []


def test_versions_that_cannot_be_compared_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = world.judged(3)
    assert "the live version was not judged" in str(world.gate(monkeypatch, None, ref))
    assert world.gates(monkeypatch, ref, None) == []
    other = world.judged(3, first=QUERIES)
    assert "no judged query with the same judgements" in str(world.gate(monkeypatch, other, ref))
    regraded = world.judged(3, grade=2)
    assert "no judged query with the same judgements" in str(world.gate(monkeypatch, regraded, ref))


def test_only_queries_of_both_are_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live, ref = world.judged(0), world.judged(30, first=30)
    found = world.gate(monkeypatch, live, ref)
    # Of the 60 queries the first 30 of the new ones are the last 30 of the live ones, all of them answered badly.
    assert found.live == 1.0
    assert found.value == pytest.approx(1 / np.log2(9))


def test_the_minimum_counts_where_answers_were_judged() -> None:
    quality = {"recall_at_10": 1.0, "documents": 5, "quarantine_share": 0.0, "judged_ndcg_at_10": 0.31}
    manifest = Manifest({"quality": quality}, {"collection": "papers"})
    settings = IndexGates(judged_ndcg_at_10=0.4)
    missed = [str(gate) for gate in index_gates(manifest, settings) if not gate.holds]
    assert missed == ["judged_ndcg_at_10 0.31 (at least 0.4)"]
    names = [gate.name for gate in index_gates(manifest, IndexGates())]
    assert "judged_ndcg_at_10" not in names
    del quality["judged_ndcg_at_10"]
    assert "judged_ndcg_at_10" not in [gate.name for gate in index_gates(manifest, settings)]


def test_diff_says_how_many_queries_became_worse_and_names_the_worst(world: World) -> None:
    means, answers = judgement(world.env.store, world.judged(0), world.judged(3))
    assert means.figures["of another value"] > 0
    assert answers.figures["queries judged alike"] == QUERIES
    assert (answers.figures["better"], answers.figures["worse"]) == (0, 3)
    assert answers.figures["nDCG@10 before"] == 1.0
    assert answers.figures["probability of such a difference between equal versions"] == pytest.approx(0.25, abs=0.02)
    assert answers.examples[0] == "query 000: 1 → 0.3155 (-0.6845)"
    _, nothing = judgement(world.env.store, world.judged(0), world.judged(0, first=QUERIES))
    assert nothing.note == "no query is judged by the same documents in both"


def test_judgements_have_one_row_a_query_and_method(world: World) -> None:
    opened = world.env.store.open(world.judged(5), ann.JUDGEMENT)
    rows = opened.read("queries").to_pylist()
    assert len(rows) == 2 * QUERIES
    assert {row["method"] for row in rows} == {"fused", "bm25"}
    assert len({row["judged"] for row in rows}) == QUERIES
    empty = Judgements.of(np.zeros(0, int), np.zeros(0, int), np.zeros(0), count=0)
    assert empty.size == 0
