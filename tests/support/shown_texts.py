"""Every table and list that commands print, filled with one text of a user's wherever they hold one."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.flows.commands import backfilling, stack
from fingerpost.flows.domains.ann import answer_tables, batch, tuned
from fingerpost.flows.domains.autocomplete import complete
from fingerpost.flows.domains.kg import align, explain, review
from fingerpost.flows.domains.metric import tables
from fingerpost.flows.domains.nas import advise, front, measure, predict
from fingerpost.flows.domains.xmr import rank
from fingerpost.flows.ops.compare.causes import Cause, Change
from fingerpost.flows.ops.compare.changes import DataChange
from fingerpost.flows.ops.compare.diff import ArtifactDiff, Diff, StagePair
from fingerpost.flows.ops.compare.diff_tables import show_diff
from fingerpost.flows.ops.compare.replay_tables import show_replay
from fingerpost.flows.ops.compare.why import Move, Why
from fingerpost.flows.ops.compare.why_tables import show_why
from fingerpost.flows.ops.keep import live, quarantined
from fingerpost.flows.ops.keep.gc import Explanation, Row
from fingerpost.flows.ops.keep.gc_tables import show_explanation, show_plan
from fingerpost.flows.ops.stack.doctor import Check
from fingerpost.flows.run import dry_run, explained
from fingerpost.flows.run.console import wide_console
from fingerpost.flows.run.explanations import Meaning
from fingerpost.flows.run.partition_calendar import calendar
from fingerpost.flows.run.partitions import Partition
from fingerpost.flows.run.plan import Plan
from fingerpost.flows.run.progress import RunProgress
from fingerpost.flows.run.replay import Position, Replay, ReplayedQuery
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.pins import Pin
from fingerpost.schemas.publish import Gate, Publication
from fingerpost.schemas.remembered import Remembered
from fingerpost.tasks.ann.answers import Answer, Answers, MatchedTerm
from fingerpost.tasks.ann.certificate import Certificate, CertifiedWidth
from fingerpost.tasks.ann.search_plan import PLAIN
from fingerpost.tasks.ann.search_tuning import Tried
from fingerpost.tasks.autocomplete.completer import Suggestion
from fingerpost.tasks.autocomplete.request import Request
from fingerpost.tasks.corpus.snippets import Snippet
from fingerpost.tasks.kg import explanation
from fingerpost.tasks.ledger import PlannedStage, StageRecord
from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.limits import CandidateCosts, Limits
from fingerpost.tasks.nas.measurements import Measurements, OperatorMeasurements
from fingerpost.tasks.xmr.open import RankedLabel

#: How often a text is printed at least, by what prints it.
Shown = tuple[Callable[[], None], int]


def everything(text: str, patch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """What prints each table and list with a text, and how often the text is in it."""
    yield lambda: _answers(text, explain=False), 4
    yield lambda: _answers(text, explain=True), 4
    missing = Answers([], 0, 0, 0, "fused", missing=(text,), spellings={text: [text]})
    yield lambda: answer_tables.show(text, missing, "r", k=1), 3
    yield lambda: batch._show([batch.AnswerRow(None, text, 1, text, text, 0.5, "fused score")]), 3
    meaning = Meaning(text, text, text, text, 1, text)
    yield lambda: explained.show_section(text, [meaning], {text: 1}), 3
    yield lambda: explained.show_setting(meaning, 1, "default", [text]), 5
    yield lambda: _tuned(text), 2
    yield lambda: _rank(text), 3
    yield lambda: rank._show(text, [], SimpleNamespace(ref="r")), 1  # type: ignore[arg-type]
    yield lambda: _complete(text), 1
    # A request with such a text may be written as JSON, where it stands otherwise.
    yield lambda: complete._show(Request((text,), text), [], SimpleNamespace(ref="r")), 0  # type: ignore[arg-type]
    # Long texts of entities are cut.
    yield lambda: _matches(text), 0
    yield lambda: explain._show(_explained(text), SimpleNamespace(ref="r")), 4  # type: ignore[arg-type]
    yield lambda: review._show(_doubtful(text), SimpleNamespace(ref="r"), None), 1  # type: ignore[arg-type]
    network = SimpleNamespace(ref=text, architecture=_network(), classes=(text,))
    yield lambda: front._show(network, [_evaluated(text)], [text]), 3  # type: ignore[arg-type]
    left_out = SimpleNamespace(reasons={text: 1})
    yield lambda: predict._show(network, [(text, text, 0.5)], left_out, None), 4  # type: ignore[arg-type]
    yield lambda: measure._show(_measured(text), None), 2
    told = advise._Told(_network(), _network(), _costs, Limits({"latency_ms": 0.5}, 0.0), text, None)  # type: ignore[arg-type]
    yield lambda: advise._show([], told, "1"), 1
    yield lambda: tables.show_choice(_choice(text), 10), 3
    yield lambda: tables.show_migration(_migration(text), 10), 5
    yield lambda: tables.show_live(_live_threshold(text)), 4
    yield lambda: show_why(_why(text)), 8
    yield lambda: show_replay(_replay(text, compared=True), [Gate("replay_overlap", 1.0, 0.5)]), 6
    yield lambda: show_replay(_replay(text, compared=False), []), 3
    yield lambda: show_diff(_diff(text)), 17
    yield lambda: show_plan(_collection(text), dry_run=True), 6  # type: ignore[arg-type]
    yield lambda: show_explanation(Explanation(text, True, [[text]], {text: ["a"]}), as_json=False), 3
    _records(text, patch)
    store = SimpleNamespace(url=text)
    yield lambda: live.show_status(store, as_json=False), 9  # type: ignore[arg-type]
    yield lambda: live.show_history(store, newest=5, as_json=False), 5  # type: ignore[arg-type]
    rows = [{"row": 1, "id": text, "reason": text, "detail": text}]
    opened = SimpleNamespace(read=lambda _: SimpleNamespace(to_pylist=lambda: rows))
    bad = SimpleNamespace(open=lambda *_: opened)
    shown = partial(quarantined.show_quarantine, collection="", newest=5, as_json=False)
    yield lambda: shown(bad, f"corpus.quarantine/day=2026-01-02/{'0' * 32}"), 3  # type: ignore[arg-type]
    planned = Plan("nightly", text, "2026-01-02", (PlannedStage("s", "r", True, text),), (text,))
    patch.setattr(dry_run, "checked_plan", lambda *_: planned)
    yield lambda: dry_run.show_plan("nightly", RunRequest(), as_json=False), 3
    patch.setattr("fingerpost.flows.ops.stack.doctor.diagnose", lambda **_: [Check(text, "ok", text, text)])
    yield lambda: stack.doctor(as_json=False, home="/nonexistent", store=text), 3
    days = [Partition("2026-01-02", "failed", text)]
    yield lambda: wide_console().print(calendar(text, days), soft_wrap=True), 2
    yield lambda: backfilling._show_selected(_asked(), days, as_json=False), 1
    yield lambda: _progress(text), 2


def as_json(text: str, patch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """What prints the same as JSON, of every form that commands use."""
    _records(text, patch)
    store = SimpleNamespace(url=text)
    yield lambda: live.show_status(store, as_json=True)  # type: ignore[arg-type]
    yield lambda: show_explanation(Explanation(text, True), as_json=True)
    yield lambda: backfilling._show_selected(_asked(), [Partition("2026-01-02", "failed", text)], as_json=True)


def _tuned(text: str) -> None:
    certificate = Certificate(PLAIN, 10, 0.98, 40, "documents", 100, 0.95, (CertifiedWidth(40, 1, 0.99, 1, 10, 0),))
    ways = [Tried(PLAIN, 40, 100.0, 1.0, True, text)]
    tuned._show(SimpleNamespace(ref=text), certificate, ways, {}, profile="fast")  # type: ignore[arg-type]


def _answers(text: str, *, explain: bool) -> None:
    found = {"terms": (MatchedTerm(text, 0.5, added=False),), "snippet": Snippet(text, ((0, 1),))}
    answers = Answers([Answer(text, f"{text}.", text, "", 0.5, text, **found)], 1, 1, 0, "fused", within=0.5)  # type: ignore[arg-type]
    answer_tables.show(text, answers, "r", k=1, explain=explain)


def _rank(text: str) -> None:
    rank._show(text, [RankedLabel(text, f"{text}.", 0.5, 0.5)], SimpleNamespace(ref="r"))  # type: ignore[arg-type]


def _complete(text: str) -> None:
    found = [Suggestion(text, 0.5, "ranker")]
    complete._show(Request((text,), text), found, SimpleNamespace(ref="r"))  # type: ignore[arg-type]


def _matches(text: str) -> None:
    row = {"left": text, "right": text, "left_name": text, "right_name": text, "probability": 0.5}
    quality = {"threshold": 0.5, "tested": 0}
    manifest = SimpleNamespace(quality=quality)
    store, ref = SimpleNamespace(manifest=lambda _: manifest), f"kg.alignment/day=2026-01-02/{'0' * 32}"
    record = {"refs": {"alignment": ref}, "notes": [text], "report": text}
    align._tell(store, record, _Rows([row]), None, advice="", as_json=False)  # type: ignore[arg-type]


def _explained(text: str) -> explanation.Explanation:
    left, right = (explanation.Entity(text, text, text, text) for _ in range(2))
    said = explanation.Input(text, (text,), (text,), {text: 0.5}, 0.5)
    near = explanation.Neighbor("left", text, True, text, text, 0.5, text)
    rival = explanation.Rival("left", explanation.Other(text, text, 0.5, 0.5, True))
    parts = {"inputs": (said,), "neighbors": (near,), "rivals": (rival,), "notes": (text,)}
    return explanation.Explanation(left, right, "match", text, 0.5, 0.5, 0.5, (text,), 0.5, 0.5, **parts)  # type: ignore[arg-type]


def _doubtful(text: str) -> Any:
    row = {"left": text, "right": text, "left_name": text, "right_name": text, "probability": 0.5, "accepted": True}
    return _Rows([row | {"reason": text}])


class _Rows(list[dict[str, Any]]):
    """What is asked of a table of Arrow, whose texts could have no lone surrogate."""

    @property
    def num_rows(self) -> int:
        return len(self)

    def slice(self, start: int, length: int) -> "_Rows":
        return _Rows(self[start : start + length])

    def to_pylist(self) -> list[dict[str, Any]]:
        return self

    def __getitem__(self, name: Any) -> Any:
        return pa.array([row[name] for row in self]) if isinstance(name, str) else list.__getitem__(self, name)


def _network() -> Architecture:
    return Architecture(8, 1, 2, 4, 1, (NetworkStage(4, 1, (Block(),)),))


def _evaluated(text: str) -> dict[str, Any]:
    costs = {"latency_ms": 0.5, "memory_bytes": 1, "parameters": 1, "macs": 1}
    return {"architecture": text, "score": 0.5, "accuracy": 0.5} | costs


def _costs(architectures: Sequence[Architecture]) -> list[CandidateCosts]:
    return [CandidateCosts(1.0, 0.0, 1, 1, 1) for _ in architectures]


def _measured(text: str) -> measure.Measured:
    numbers = np.ones(1)
    rows = np.zeros((1, 9), np.int64)
    operators = OperatorMeasurements(rows, numbers, numbers, rows[:, 0], rows[:, 0], rows[:, 0] > 0)
    return measure.Measured(text, {}, Measurements(operators), None, [])  # type: ignore[arg-type]


def _choice(text: str) -> dict[str, Any]:
    side = {"classes": 2, "rows": 4, "far": 0.1, "frr": None, "held_out": 0.1}
    group = {"name": text, "classes": 2, "rate": 0.1, "interval": None, "threshold": 0.5, "test_classes": 2}
    return {
        "threshold": 0.5,
        "measure": "cosine",
        "interval": [0.4, 0.6],
        "kept": False,
        "level": 0.95,
        "target": {"rate": "far", "share": 0.01},
        "cautions": [text],
        "chosen_on": side,
        "tested_on": side | dict.fromkeys(("recall_at_1", "map_at_r"), 0.5) | _opis() | {"other_classes": True},
        "unlabelled": 1,
        "worst": [{"name": text, "far": 0.1, "frr": 0.1, "positives": 1, "negatives": 1}],
        "groups": [group | {"test_rate": 0.1, "own_test_rate": 0.1, "worth": True}],
    }


def _opis() -> dict[str, float]:
    return {"equal_error": 0.1, "opis": 0.1, "worst_opis": 0.1}


def _migration(text: str) -> dict[str, Any]:
    side = {"threshold": 0.5, "far": 0.1, "frr": 0.1, "interval": [0.4, 0.6], "kept": True}
    return {
        "matched": "far",
        "measure": "cosine",
        "level": 0.95,
        "before": side,
        "after": side,
        "from": text,
        "to": text,
        "only_in_from": 0,
        "only_in_to": 0,
        "rows": 3,
        "changes": [{"name": text, "before": 0.1, "after": 0.2}],
    }


def _live_threshold(text: str) -> dict[str, Any]:
    return {
        "ref": "r",
        "threshold": 0.5,
        "measure": "euclidean",
        "interval": [0.4, 0.6],
        "target": {"rate": "frr", "share": 0.01},
        "test_classes": 2,
        "test_far": 0.1,
        "test_frr": 0.1,
        "cautions": [text],
        "groups": {text: (0.5, 0.4, 0.6)},
        "model": text,
        "checked": {"input": text, "canaries_compared": 3},
    }


def _why(text: str) -> Why:
    change = Change(text, 0.1, 0.2)
    move = Move(text, f"{text}.", 1, 2, 0.5, 0.4, "moved", text)
    cause = Cause(text, "stage", [Change("key", text, "b")])
    return Why(text, 10, "a", "b", ("hnsw", "hnsw"), [move], [text], [change], [cause], [cause])


def _replay(text: str, *, compared: bool) -> Replay:
    judged = [Position(text, 1.0, 1, 2)]
    asked = ReplayedQuery(text, [text], [f"{text}."] if compared else None, judged, 0.5, 0.5)
    return Replay(text, 10, "a", "b" if compared else None, [asked], [text] if compared else [])


def _diff(text: str) -> Diff:
    change = Change(text, text, "b", 0.5)
    cause = Cause("artifact", "stage", [change], [change], [change], [change])
    artifact = ArtifactDiff("role", "a", "b", "changed", cause, [change], [change], [change], [change], [change])
    data = [DataChange(text, {"rows": 1}, [text], text)]
    first = ArtifactDiff(text, "a", "b", "changed", files={}, data=data)
    pair = StagePair("stage", text, text, False, change, change)
    return Diff(text, text, "run", [cause], [first, artifact], [change], [change], [pair], [change])


def _collection(text: str) -> SimpleNamespace:
    seen = SimpleNamespace(
        store=SimpleNamespace(url=text), artifacts={}, pins=[Pin("r", text, text, "at")], running=[text]
    )
    seen.damaged = {"r": text}
    plan = {"rows": [Row(text, 1, 1, 10)], "freed": 10, "removals": [], "kept": {}, "artifacts": []}
    return SimpleNamespace(seen=seen, **plan)


def _records(text: str, patch: pytest.MonkeyPatch) -> None:
    """Lets the store hold a failed run, a run of a stage, and a move, all with the text."""
    stage = {"stage": "s", "computed": True, "reason": text}
    run = {"id": "1", "flow": "nightly", "collection": text, "day": "2026-01-02", "state": "failed", "at": "t"}
    failed = run | {"seconds": 1.0, "stages": [], "error": text}
    ran = run | {"collection": "b", "seconds": 1.0, "stages": [stage], "error": ""}
    move = Publication(1, "r", "i", "promote", "t", text, text)
    patch.setattr(live, "runs", lambda *_, **__: [failed, ran])
    patch.setattr(live, "published", lambda _: [(text, "ann.index")])
    patch.setattr(live, "strangers", lambda _: [text])
    patch.setattr(live, "remembering", lambda _: [text])
    patch.setattr(live, "remembered_inputs", lambda *_: {"input": Remembered({"input.source": text}, text, text)})
    patch.setattr(live, "Pointer", lambda *_: SimpleNamespace(live=lambda: move, history=lambda: [move]))


def _asked() -> SimpleNamespace:
    return SimpleNamespace(first_day="2026-01-02", last_day="2026-01-02")


def _progress(text: str) -> None:
    progress = RunProgress()
    progress.begin("stage", 1)
    progress.end(StageRecord("stage", "r", True, text, 1.0, {"rows": 1}))
    progress.say(text)
