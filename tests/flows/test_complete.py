"""A published completer as people use it: the command, files, replay, why, and Python without Prefect."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.flows.ops.compare.versions import find_product
from fingerpost.flows.ops.compare.why import Why, why
from fingerpost.flows.run.replay import replay
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.matching import matching_key, prefix_key
from fingerpost.tasks.autocomplete.open import PRODUCT, LiveCompleter, live
from fingerpost.tasks.autocomplete.request import Request
from tests.support.commands import fingerpost_here, refused
from tests.support.queries import write_queries
from tests.support.query_logs import DAYS, GONE, NEW, PATHS, Log, write_log

pytestmark = pytest.mark.usefixtures("plain_runs")

BEFORE, AFTER = PATHS[0][:2]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Log:
    """Completers of two days, of which the later has other suggestions."""
    found = write_log(tmp_path_factory.mktemp("log"))
    for day, compared in ((DAYS[0], False), (DAYS[2], True)):
        settings = {"autocomplete.baselines.compared": compared}
        run_flow("train_autocomplete", found.request(day, **settings), quiet=True)
    return found


def asked(log: Log, *arguments: str) -> str:
    """What the command prints."""
    done = fingerpost_here("complete", *arguments, "--store", log.store.url, cwd=log.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@lru_cache(maxsize=1)
def opened(log: Log) -> LiveCompleter:
    """What is live."""
    return live(store=log.store.url)


def versions(log: Log) -> tuple[Ref, Ref]:
    """The completers, the older one first."""
    where = {"collection": "shop", "product": PRODUCT}
    return find_product(log.store, "live~1", **where), find_product(log.store, "live", **where)


def test_the_command_completes_after_the_queries_before(log: Log) -> None:
    found = json.loads(asked(log, "--previous", BEFORE, AFTER[:3], "--json"))
    assert (found["previous"], found["prefix"]) == ([BEFORE], AFTER[:3])
    assert found["completer"] == str(versions(log)[1])
    assert found["suggestions"][0]["query"].lower() == AFTER
    assert found["suggestions"][0]["source"] == "follower"
    shown = asked(log, "--previous", BEFORE, AFTER[:3])
    assert all(part in shown for part in (f"{BEFORE} > {AFTER[:3]}", found["suggestions"][0]["query"], "asked next"))
    assert "no suggestion begins with this" in asked(log, "zzz")
    assert "the most popular queries" in asked(log)
    assert "the most popular queries" in asked(log, "--previous", " ")
    assert json.loads(asked(log, "-k", "0", "--json"))["suggestions"] == []


def test_the_last_of_several_queries_before_is_the_most_recent(log: Log) -> None:
    first, other = PATHS[0], PATHS[1]
    found = json.loads(asked(log, "--previous", first[0], "--previous", other[0], "--json"))["suggestions"]
    assert found[0]["query"].lower() == other[1]
    assert found[0] == json.loads(asked(log, "-q", first[0], "-q", other[0], "-k", "1", "--json"))["suggestions"][0]


def test_typing_errors_are_looked_for_as_asked(log: Log) -> None:
    wrong = AFTER[:2] + "x" + AFTER[3:6]
    (best, *_) = json.loads(asked(log, wrong, "--json"))["suggestions"]
    assert (best["query"].lower(), best["source"]) == (AFTER, "typo")
    assert "typing error" in asked(log, wrong)
    assert json.loads(asked(log, wrong, "--no-typos", "--json"))["suggestions"] == []


@pytest.mark.parametrize(
    "lines",
    [
        ("query_id,previous,prefix", f"a,{BEFORE},{AFTER[:3]}", ",,zzz", f"c,{BEFORE} > {PATHS[1][0]},"),
        ("id,query", f"a,{BEFORE} > {AFTER[:3]}", ",zzz", f"c,{BEFORE} > {PATHS[1][0]} >"),
    ],
)
def test_a_file_is_completed_to_a_row_per_suggestion(log: Log, tmp_path: Path, lines: tuple[str, ...]) -> None:
    (tmp_path / "requests.csv").write_text("\n".join(lines) + "\n")
    for name in ("out.parquet", "out.jsonl"):
        done = asked(log, "--input", str(tmp_path / "requests.csv"), "--output", str(tmp_path / name), "-k", "2")
        assert done.strip() == str(tmp_path / name)
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows == [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["query_id"], row["previous"], row["prefix"], row["rank"]) for row in rows] == [
        ("a", [BEFORE], AFTER[:3], 1),
        (None, [], "zzz", None),
        ("c", [BEFORE, PATHS[1][0]], "", 1),
        ("c", [BEFORE, PATHS[1][0]], "", 2),
    ]
    assert (rows[0]["query"].lower(), rows[1]["query"], rows[2]["query"].lower()) == (AFTER, None, PATHS[1][1])


def test_lists_of_queries_before_are_read_from_json_lines(log: Log, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"previous": [PATHS[0][0], PATHS[1][0]], "prefix": None}) + "\n")
    asked(log, "--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl"), "-k", "1")
    (row,) = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert (row["previous"], row["query"].lower()) == ([PATHS[0][0], PATHS[1][0]], PATHS[1][1])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"prefix": 5}', "expected text as prefix, found 5 in row 0; correct it"),
        ('{"previous": [1]}', "expected a text or a list of texts as previous, found [1] in row 0; correct it"),
        ('{"query": "[\\"a\\""}', "request: expected a JSON list of strings"),
        ('{"text": "a"}', "expected a column 'query', 'previous' or 'prefix'"),
    ],
)
def test_a_row_that_is_no_request_is_refused(log: Log, tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "in.jsonl").write_text(lines + "\n")
    where = ("--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl"))
    assert message in refused("complete", *where, "--store", log.store.url, cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("num", "--input", "x.csv", "--output", "y.parquet"), "complete: expected a prefix or --input FILE, got both"),
        (("--input", "x.csv"), "complete: expected --input and --output together, got one of them"),
        (("num",), "expected a store, found none"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused("complete", *arguments, cwd=tmp_path)


def test_a_completer_is_compared_with_other_indexes_searches_and_neighbours(log: Log) -> None:
    mrr: dict[str, dict[str, float]] = {}
    for contract in (contracts.EVALUATION, contracts.COMPARISON):
        (ref,) = log.store.refs(contract.name, day=DAYS[2])
        for row in log.store.open(ref, contract).read("figures").to_pylist():
            if row["metric"] == "mrr":
                mrr.setdefault(row["method"], {})[row["setting"]] = row["value"]
    others = {"default_index", "filtered", "default_index_filtered", "neighbors"}
    assert mrr.keys() == others | {"completer", "popularity", "bigram"}
    lengths = {setting for setting in mrr["completer"] if setting.startswith("prefix")}
    assert all(values.keys() == lengths | {"all"} for values in mrr.values())
    assert all(mrr[method]["all"] > mrr["popularity"]["all"] for method in others - {"default_index_filtered"})
    assert all(0 < value <= 1 for values in mrr.values() for value in values.values())


def test_python_answers_without_prefect(log: Log) -> None:
    script = (
        "import sys\nfrom fingerpost.tasks.autocomplete.open import live\n"
        f"found = live(store={log.store.url!r}).complete([{BEFORE!r}], {AFTER[:3]!r})\n"
        f"assert found[0].query.lower() == {AFTER!r}, found\n"
        "assert not {'prefect', 'dask', 'distributed', 'torch', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_loaded_completer_says_what_it_is(log: Log) -> None:
    found = live(store=log.store.url).load()
    assert (found.ref.name, len(found.completer)) == (PRODUCT, len(found.keys))
    assert found.keys == sorted(found.keys)
    assert found.complete_many([Request((BEFORE,), AFTER[:3])]) == [found.complete([BEFORE], AFTER[:3])]
    with pytest.raises(FingerpostError, match="k: expected a number of answers of at least 0"):
        found.complete((), "", -1)


NAMES = st.sampled_from([name for path in PATHS for name in path])
WRITTEN = st.text(max_size=4) | NAMES | NAMES.flatmap(lambda name: st.integers(0, 6).map(lambda length: name[:length]))


@given(st.lists(WRITTEN, max_size=4), WRITTEN, st.sampled_from([str, str.upper, str.title]), st.integers(0, 30))
def test_every_suggestion_of_a_published_completer_begins_with_the_prefix(
    log: Log, previous: list[str], prefix: str, spelled: Callable[[str], str], k: int
) -> None:
    prefix = spelled(prefix)
    found = opened(log).complete(previous, prefix, k, typos=False)
    keys = [matching_key(suggestion.query) for suggestion in found]
    expected = [key for key in opened(log).keys if key.startswith(prefix_key(prefix))]
    assert len(keys) == len(set(keys)) == min(k, len(expected))
    assert set(keys) <= set(expected)
    more = opened(log).complete(previous, prefix, k)
    assert more[: len(found)] == found
    assert {suggestion.source for suggestion in more[len(found) :]} <= {"typo"}


@pytest.mark.parametrize(
    ("previous", "prefix", "wrong"),
    [
        (BEFORE, "", "previous: expected a sequence of queries, got a value of type str"),
        (None, "", "previous: expected a sequence of queries, got a value of type NoneType"),
        ([BEFORE, 7], "", "previous: expected texts, got a value of type int"),
        ([], None, "prefix: expected texts, got a value of type NoneType"),
    ],
)
def test_values_that_are_no_texts_are_refused(log: Log, previous: Any, prefix: Any, wrong: str) -> None:
    with pytest.raises(FingerpostError, match=wrong):
        opened(log).complete(previous, prefix)
    with pytest.raises(FingerpostError, match=wrong):
        opened(log).complete_many([Request((BEFORE,)), Request(previous, prefix)])


def test_known_words_of_a_query_never_seen_count(log: Log) -> None:
    found = live(store=log.store.url)
    for path in PATHS[:2]:
        unseen = f"cheap {path[0]}"
        assert matching_key(unseen) not in found.keys
        answers = found.complete([unseen], "", 4)
        assert answers[0].query.lower() in path, answers
        assert answers[0].source == "ranker"
    popular = found.complete((), "", 4)
    assert [answer.query for answer in found.complete(["qqq zzz"], "", 4)] == [answer.query for answer in popular]


def test_a_batch_gets_the_same_scores_as_single_requests(log: Log) -> None:
    found = live(store=log.store.url)
    requests = [
        Request((*before, name), after[:length])
        for path in PATHS
        for name, after in pairwise(path)
        for length in (0, 1, 5)
        for before in ((), (PATHS[2][1], "never asked"))
    ]
    requests.append(Request((BEFORE,), AFTER[:2] + "x" + AFTER[3:6]))
    single = [found.complete(request.previous, request.prefix) for request in requests]
    assert found.complete_many(requests) == found.complete_many(requests, threads=2) == single
    assert {suggestion.source for answers in single for suggestion in answers} >= {"follower", "ranker", "typo"}


def test_replay_answers_requests_with_their_queries_before(log: Log, tmp_path: Path) -> None:
    before, after = versions(log)
    request, came, went = f"{BEFORE} > {AFTER[:3]}", NEW[0][:4], GONE[0][:3]
    file = write_queries(tmp_path / "queries.csv", [(request,), (came,), (went,)], ("query",))
    found = {query.query: query for query in replay(log.store, after, before, file=str(file), k=3).queries}
    assert found[request].candidate[0].lower() == AFTER
    assert {text.lower() for text in found[came].gained} == {"snow shoes", "snow shoe bag"}
    assert sorted(text.lower() for text in found[went].lost) == sorted(GONE[::2])
    wrong = write_queries(tmp_path / "wrong.csv", [('["a"',)], ("query",))
    with pytest.raises(InputError, match="request: expected a JSON list of strings"):
        replay(log.store, after, before, file=str(wrong), k=3)


def explained(log: Log, query: str, *sides: Ref) -> Why:
    """One request in two versions."""
    before, after = sides or versions(log)
    return why(log.store, before, after, query, k=5)


def test_why_says_which_suggestions_are_new_and_gone(log: Log) -> None:
    came = {move.title.lower(): move for move in explained(log, NEW[0][:4]).moves}
    assert (came[NEW[0]].kind, came[NEW[0]].because) == ("data", "the suggestion is new")
    went = explained(log, GONE[0][:3])
    moves = {move.title.lower(): move for move in went.moves}
    assert moves[GONE[0]].because == "no suggestion any more: asked by too few users, blocked or forgotten"
    assert any("because suggestions were added or removed" in sentence for sentence in went.verdict)
    assert "autocomplete.events" in {cause.artifact.split(" ")[0] for cause in went.causes}


def test_why_of_the_same_version_says_that_nothing_moved(log: Log) -> None:
    _, after = versions(log)
    found = explained(log, f"{BEFORE} > ", after, after)
    assert found.verdict == ["the answers are the same"]
    assert {move.kind for move in found.moves} == {"same"}


def test_why_shows_moves_by_the_command(log: Log) -> None:
    where = ("--product", PRODUCT, "--store", log.store.url)
    done = fingerpost_here("why", f"{BEFORE} > {AFTER[:1]}", "--between", "live~1", "live", *where, cwd=log.folder)
    assert done.returncode == 0, done.stderr
    assert "beam" in done.stdout
    assert AFTER in done.stdout.lower()
    said = refused("why", "x", "--method", "exact", *where, cwd=log.folder)
    assert "method: expected auto for a completer" in said
