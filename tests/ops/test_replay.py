"""Real queries before a promotion: what they measure, what they block, and what an operator may overrule."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.domains.ann.gates import index_gates
from fingerpost.flows.domains.ann.settings import IndexGates
from fingerpost.flows.ops.compare.replay_tables import compare_with_live, show_replay
from fingerpost.flows.ops.keep.live import promote
from fingerpost.flows.run.gates import publish, replay_gates, replay_with_live
from fingerpost.flows.run.replay import Replay, ndcg, replay
from fingerpost.flows.run.settings import ReplaySettings
from fingerpost.schemas.errors import FingerpostError, GateError, InputError, PublicationConflictError
from fingerpost.schemas.inputs.queries import read_queries
from fingerpost.schemas.publish import Pointer, Publication
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import PRODUCT, LiveIndex
from fingerpost.tasks.environment import Environment
from tests.support.queries import write_queries
from tests.worlds import build_index, write_documents

#: With a word that no document has: a passage of a document would be answered by its words alone.
QUERIES = (
    "sort order array stable please",
    "shortest path weight please",
    "eigen matrix rank please",
    "string pattern match please",
    "month year date please",
)
#: Vectors count enough to move answers.
ANSWERS = {"candidates": 20, "dense_share": 0.9}
GATES = IndexGates(recall_at_10=0.3)
K = 5


@dataclass(frozen=True)
class World:
    """A store with versions by name, of which the first is live in a collection of each test's own."""

    store: Store
    refs: dict[str, Ref]

    def collection(self, name: str) -> str:
        publish(self.store, name, self.refs["base"], index_gates(self.store.manifest(self.refs["base"]), GATES))
        return name

    def answers(self, version: str, query: str) -> list[str]:
        return [answer.id for answer in LiveIndex(self.store, self.refs[version]).query(query, k=K).answers]

    def promote(self, name: str, version: str, settings: ReplaySettings) -> Publication:
        """What the last step of a flow does."""
        ref = self.refs[version]
        replayed = replay_with_live(self.store, name, ref, settings)
        gates = index_gates(self.store.manifest(ref), GATES) + replay_gates(replayed, settings)
        return publish(self.store, name, ref, gates, replayed=replayed)

    def live(self, name: str) -> Ref:
        return Pointer(self.store, name, PRODUCT).required().artifact


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("versions")
    store = Store(str(folder / "store")).prepare()
    documents = write_documents(folder, 500, 3)
    with documents.open() as file:
        header, *rows = csv.reader(file)
    half, more = folder / "half.csv", folder / "more.csv"
    for path, kept in ((half, rows[1::2]), (more, [*rows, ["extra", "time.extra", "month offset.\n\nyear.", "time"]])):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *kept])

    def build(source: Path, **options: Any) -> Ref:
        env = Environment(store, "toys", "2026-01-01")
        return build_index(
            env, source, **{"rank": 12, "max_neighbors": 12, "ef_construction": 80, **ANSWERS, **options}
        )

    return World(
        store, {"base": build(documents), "more": build(more), "half": build(half), "rank": build(documents, rank=2)}
    )


@pytest.fixture
def plain(tmp_path: Path) -> str:
    return write_queries(tmp_path / "queries.csv", [[query] for query in QUERIES], ["query"])


@pytest.fixture
def judged(world: World, tmp_path: Path) -> str:
    """The first live answer of each query is judged best, the second good."""
    rows = [
        (query, key, grade)
        for query in QUERIES
        for key, grade in zip(world.answers("base", query), (3, 1), strict=False)
    ]
    return write_queries(tmp_path / "judged.csv", rows)


def test_figures_are_those_of_a_recount(world: World, judged: str) -> None:
    found = replay(world.store, world.refs["rank"], world.refs["base"], file=judged, k=K)
    overlaps, gains = [], {"base": [], "rank": []}  # type: ignore[var-annotated]
    for query in QUERIES:
        sides = {name: world.answers(name, query) for name in gains}
        overlaps.append(len(set(sides["base"]) & set(sides["rank"])) / len(sides["base"]))
        grades = dict(zip(sides["base"], (3, 1), strict=False))
        for name, answers in sides.items():
            gain = sum((2 ** grades.get(key, 0) - 1) / math.log2(place + 2) for place, key in enumerate(answers))
            gains[name].append(gain / (7 / math.log2(2) + 1 / math.log2(3)))
    assert found.figures["overlap"] == pytest.approx(sum(overlaps) / 5)
    assert found.figures["ndcg_live"] == pytest.approx(sum(gains["base"]) / 5) == pytest.approx(1.0)
    assert found.figures["ndcg_candidate"] == pytest.approx(sum(gains["rank"]) / 5)
    assert found.figures["ndcg_drop"] == pytest.approx(1 - sum(gains["rank"]) / 5)
    assert found.figures["overlap"] < 1


def test_ndcg_counts_what_is_missed_and_nothing_where_nothing_is_relevant() -> None:
    assert ndcg(["a", "b"], {"a": 1, "b": 1}, 2) == 1.0
    assert ndcg(["x", "a"], {"a": 1, "b": 1}, 2) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert ndcg(["x", "y"], {"a": 1}, 2) == 0.0
    assert ndcg(["b", "a"], {"a": 2, "b": 1}, 2) == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert ndcg(["a"], {"a": 0}, 2) is None
    assert ndcg([], {}, 2) is None


def test_a_harmless_candidate_passes_and_its_gates_are_recorded(world: World, judged: str) -> None:
    name = world.collection("harmless")
    move = world.promote(name, "more", ReplaySettings(queries=judged, k=K, overlap=0.6, judged_drop=0.1))
    recorded = {gate["name"]: gate for gate in move.gates}
    assert recorded["replay_overlap"]["value"] >= 0.6
    assert recorded["replay_overlap"]["bound"] == 0.6
    assert recorded["replay_ndcg_drop"]["kind"] == "at_most"
    assert world.live(name) == world.refs["more"]


@pytest.mark.parametrize("version", ["rank", "half"])
def test_a_destroyed_candidate_is_blocked_with_the_names_of_changed_answers(
    world: World, plain: str, version: str
) -> None:
    name = world.collection(f"destroyed-{version}")
    with pytest.raises(GateError) as caught:
        world.promote(name, version, ReplaySettings(queries=plain, k=K, overlap=0.8))
    message = str(caught.value)
    assert "replay_overlap" in message
    assert "at least 0.8" in message
    assert f"{world.refs['base']} stays live" in message
    assert world.live(name) == world.refs["base"]
    losses = {query: set(world.answers("base", query)) - set(world.answers(version, query)) for query in QUERIES}
    worst = max(losses, key=lambda query: len(losses[query]))
    assert message.count("lost") <= 3
    assert any(f"'{query}': lost" in message for query in losses if len(losses[query]) == len(losses[worst]))
    named = message.split("lost ")[1].split(" and ")[0].split(", gained")[0].split(", ")
    assert set(named) <= set().union(*losses.values())
    assert "gained" in message


def test_judged_answers_that_fall_block_even_if_most_answers_stay(world: World, judged: str) -> None:
    name = world.collection("judged")
    with pytest.raises(
        GateError, match=r"replay_ndcg_drop 0\.\d+ \(at most 0\.01\).*judged [a-z]+-\d+ from position \d to (\d|none)"
    ):
        world.promote(name, "half", ReplaySettings(queries=judged, k=K, overlap=0.0, judged_drop=0.01))
    world.promote(name, "half", ReplaySettings(queries=judged, k=K, overlap=0.0, judged_drop=1.0))
    assert world.live(name) == world.refs["half"]


def test_where_nothing_is_live_the_judged_figure_is_recorded_and_bounds_nothing(world: World, judged: str) -> None:
    move = world.promote("first", "half", ReplaySettings(queries=judged, k=K, overlap=1.0, judged_drop=0.0))
    recorded = {gate["name"]: gate["value"] for gate in move.gates if gate["name"].startswith("replay")}
    assert list(recorded) == ["replay_ndcg"]
    assert 0 < recorded["replay_ndcg"] < 1


def test_without_queries_and_for_what_is_live_nothing_is_replayed(world: World, plain: str) -> None:
    name = world.collection("nothing")
    assert replay_with_live(world.store, name, world.refs["rank"], ReplaySettings()) is None
    assert replay_with_live(world.store, name, world.refs["base"], ReplaySettings(queries=plain)) is None


def test_what_was_compared_with_must_still_be_live(world: World, plain: str) -> None:
    name = world.collection("moved")
    settings = ReplaySettings(queries=plain, k=K, overlap=0.0)
    replayed = replay_with_live(world.store, name, world.refs["rank"], settings)
    world.promote(name, "more", ReplaySettings())
    with pytest.raises(PublicationConflictError, match="promote again"):
        publish(world.store, name, world.refs["rank"], replay_gates(replayed, settings), replayed=replayed)
    assert world.live(name) == world.refs["more"]


def test_an_operator_overrules_with_a_reason_that_is_kept(world: World, plain: str, tmp_path: Path) -> None:
    name = world.collection("overruled")
    profile = tmp_path / "strict.toml"
    profile.write_text(f'[ann.gates]\nrecall_at_10 = 0.3\n[replay]\nqueries = "{plain}"\nk = {K}\noverlap = 0.99\n')
    given: dict[str, Any] = {"collection": name, "profile": str(profile)}
    reference = str(world.refs["rank"])
    with pytest.raises(GateError, match="replay_overlap"):
        promote(world.store, reference, reason="", **given)
    with pytest.raises(FingerpostError, match="--despite: expected --reason with it"):
        promote(world.store, reference, reason=" ", despite="replay", **given)
    with pytest.raises(FingerpostError, match="--despite: expected replay, got 'recall_at_10'"):
        promote(world.store, reference, reason="x", despite="recall_at_10", **given)
    assert "generation 2" in promote(world.store, reference, reason="smaller on purpose", despite="replay", **given)
    move = Pointer(world.store, name, PRODUCT).required()
    assert move.reason.startswith("despite replay_overlap 0.")
    assert move.reason.endswith(": smaller on purpose")
    assert next(gate for gate in move.gates if gate["name"] == "replay_overlap")["value"] < 0.99
    profile.write_text(profile.read_text().replace("recall_at_10 = 0.3", "recall_at_10 = 1\ndocuments = 400"))
    with pytest.raises(GateError, match=r"documents 250 \(at least 400\)"):
        promote(world.store, str(world.refs["half"]), reason="other gates stay", despite="replay", **given)


def test_the_command_compares_without_promoting(world: World, judged: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = world.collection("shown")

    def compared(**options: Any) -> tuple[Replay, list[Any]]:
        given = {
            "product": PRODUCT,
            "candidate": "",
            "live_alone": False,
            "k": K,
            "profile": "quick",
            "collection": name,
            **options,
        }
        return compare_with_live(world.store, judged, **given)

    found, gates = compared(candidate=world.refs["rank"].fingerprint[:12])
    show_replay(found, gates)
    shown = capsys.readouterr().out
    assert str(world.refs["rank"]) in shown
    assert "replay_overlap" in shown
    assert all(query in shown for query in [query.query for query in found.changed])
    assert json.loads(json.dumps(found.as_json()))["figures"] == found.figures
    assert world.live(name) == world.refs["base"]
    alone, gates = compared(live_alone=True)
    assert (alone.candidate, alone.live) == (str(world.refs["base"]), None)
    assert [gate.name for gate in gates] == ["replay_ndcg"]
    show_replay(alone, gates)
    assert world.answers("base", QUERIES[0])[0] in capsys.readouterr().out
    with pytest.raises(FingerpostError, match="expected one of --candidate and --live"):
        compared(candidate="live", live_alone=True)


def test_queries_are_read_from_every_format(tmp_path: Path) -> None:
    rows = [("b  c", "1", 2.0), ("a", None, None), ("b c", "2", 1.0)]
    table = pa.table(
        {
            "query": [r[0] for r in rows],
            "id": pa.array([r[1] for r in rows], pa.string()),
            "grade": pa.array([r[2] for r in rows], pa.float64()),
        }
    )
    pq.write_table(table, tmp_path / "q.parquet")
    lines = [
        json.dumps({key: value for key, value in zip(("query", "id", "grade"), row, strict=True) if value is not None})
        for row in rows
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    write_queries(tmp_path / "q.csv", [[cell if cell is not None else "" for cell in row] for row in rows])
    for name in ("q.parquet", "q.jsonl", "q.csv"):
        found = read_queries(tmp_path / name)
        assert [(question.text, dict(question.judged)) for question in found] == [
            ("b c", {"1": 2.0, "2": 1.0}),
            ("a", {}),
        ], name
    ungraded = read_queries(write_queries(tmp_path / "ids.csv", [("a", "7")], ["query", "id"]))
    assert dict(ungraded[0].judged) == {"7": 1.0}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", "", "expected rows, found an empty file"),
        ("q.csv", "query\n", "expected rows with queries, found none"),
        ("q.csv", "text\nhello\n", "expected a column 'query', found text"),
        ("q.csv", "query,grade\nhello,1\n", "expected a column 'id' with 'grade'"),
        ("q.csv", "query,id,grade\nhello,1,often\n", "expected a grade from 0 to 100, found 'often' in line 2"),
        ("q.csv", "query,id,grade\nhello,1,nan\n", "found 'nan' in line 2"),
        (
            "q.csv",
            "query,id,grade\nhello,1,1\nhello,1,2\n",
            r"expected one grade of '1' for 'hello', found 1 and 2 \(line 3\)",
        ),
        ("q.csv", "query,id\nhello\n", "expected 2 fields as in the header, found 1 in line 2"),
        ("q.csv", 'query\n" "\n', "expected a query in every row, found none in line 2"),
        ("q.jsonl", "[1]\n", "expected one JSON object per line, found list in line 1"),
        ("q.jsonl", '{"query": 5}\n', "expected text as query, found 5 in line 1"),
        ("q.jsonl", "{", "expected one JSON object per line"),
        ("q.parquet", "no", "expected a Parquet file"),
        ("q.txt", "query", "expected a name that ends in"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}: .*{message}|{name}: {message}"):
        read_queries(tmp_path / name)
    with pytest.raises(InputError, match=r"gone.csv: expected a file of queries, found nothing there"):
        read_queries(tmp_path / "gone.csv")


def test_judged_ids_that_no_version_has_are_an_error_of_the_file_if_they_are_most(world: World, tmp_path: Path) -> None:
    best = world.answers("base", QUERIES[0])[0]
    lost = [(QUERIES[1], "typo", 1), (QUERIES[2], "typo-2", 1)]
    file = write_queries(tmp_path / "other.csv", [(QUERIES[0], best, 1), *lost])
    with pytest.raises(
        InputError,
        match=r"other.csv: expected judged ids that are in the index, found 2 of 3 that are not: typo, typo-2",
    ):
        replay(world.store, world.refs["base"], None, file=file, k=K)
    some = write_queries(tmp_path / "some.csv", [(QUERIES[0], best, 1), lost[0]])
    found = replay(world.store, world.refs["base"], None, file=some, k=K)
    assert found.unknown_judged == ["typo"]
    assert found.figures == {"ndcg_candidate": 1.0}
