"""Publishing: gates, the moves of the pointer and their history, and what happens when two move it at once."""

import multiprocessing
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fingerpost.schemas import files as files_module
from fingerpost.schemas.errors import (
    CorruptArtifactError,
    FingerpostError,
    GateError,
    MissingArtifactError,
    PublicationConflictError,
)
from fingerpost.schemas.publish import Gate, Pointer, Publication, products
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.worlds import GATE, STORES, THINGS, commit_things, promote_at_once, publish_things, store_url, things_ref


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = Store(store_url(request.param, tmp_path)).prepare()
    yield opened
    opened.files.fs.rm(opened.files.root, recursive=True)


@pytest.fixture
def pointer(store: Store) -> Pointer:
    return Pointer(store, "toys", THINGS.name)


def promoted(pointer: Pointer, seed: int, **keywords: Any) -> Publication:
    commit_things(pointer.store, things_ref(seed), seed=seed)
    return pointer.promote(things_ref(seed), gates=[GATE], **keywords)


@pytest.mark.parametrize(
    ("gate", "holds", "text"),
    [
        (Gate("recall", 0.95, 0.95), True, "recall 0.95 (at least 0.95)"),
        (Gate("recall", 0.9499, 0.95), False, "recall 0.9499 (at least 0.95)"),
        (Gate("share", 0.05, 0.05, "at_most"), True, "share 0.05 (at most 0.05)"),
        (Gate("share", 0.06, 0.05, "at_most"), False, "share 0.06 (at most 0.05)"),
        (Gate("recall", float("nan"), 0.0), False, "recall nan (at least 0)"),
        (Gate("share", float("nan"), 1.0, "at_most"), False, "share nan (at most 1)"),
        (Gate("recall", 1.0, float("nan")), False, "recall 1 (at least nan)"),
    ],
)
def test_a_gate_holds_or_fails_and_says_its_bound(gate: Gate, holds: bool, text: str) -> None:
    assert gate.holds is holds
    assert str(gate) == text


def test_nothing_is_live_before_the_first_promotion(pointer: Pointer) -> None:
    assert pointer.live() is None
    assert pointer.history() == []
    with pytest.raises(MissingArtifactError, match=r"toys/test\.things: expected a live version, found none in store"):
        pointer.required()
    with pytest.raises(MissingArtifactError, match="expected an earlier version to roll back to, found 0 publication"):
        pointer.rollback()


def test_a_promotion_says_what_who_when_and_why(pointer: Pointer) -> None:
    move = promoted(pointer, 1, reason="looked at by hand")
    assert pointer.live() == pointer.required() == move
    assert move.artifact == things_ref(1)
    assert move.identity == pointer.store.manifest(things_ref(1)).digest
    assert (move.generation, move.action, move.reason) == (1, "promote", "looked at by hand")
    assert move.gates == [{"name": "recall_at_10", "value": 0.97, "bound": 0.95, "kind": "at_least"}]
    assert "@" in move.by
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", move.at)
    assert products(pointer.store) == [("toys", THINGS.name)]


def test_a_gate_that_fails_leaves_what_is_live(pointer: Pointer) -> None:
    promoted(pointer, 1)
    commit_things(pointer.store, things_ref(2), seed=2)
    gates = [GATE, Gate("documents", 3, 10), Gate("share", float("nan"), 0.05, "at_most")]
    with pytest.raises(GateError) as caught:
        pointer.promote(things_ref(2), gates=gates)
    assert (
        str(caught.value)
        == "toys/test.things: expected every gate to pass, found documents 3 (at least 10); share nan (at most 0.05); "
        f"{things_ref(1)} stays live"
    )
    assert pointer.required().artifact == things_ref(1)
    assert len(pointer.history()) == 1


def test_the_first_candidate_may_fail_too(pointer: Pointer) -> None:
    commit_things(pointer.store, things_ref(1), seed=1)
    with pytest.raises(GateError, match=r"found recall 0.1 .at least 0.5.; nothing is live"):
        pointer.promote(things_ref(1), gates=[Gate("recall", 0.1, 0.5)])
    assert pointer.live() is None


def test_promoting_what_is_live_changes_nothing(pointer: Pointer) -> None:
    first = promoted(pointer, 1)
    assert promoted(pointer, 1) == first
    assert pointer.history() == [first]


def test_two_rollbacks_go_back_two_versions_and_are_kept(pointer: Pointer) -> None:
    for seed in (1, 2, 3):
        promoted(pointer, seed)
    assert pointer.rollback(reason="wrong answers").artifact == things_ref(2)
    assert pointer.rollback().artifact == things_ref(1)
    with pytest.raises(MissingArtifactError, match=r"found 5 publication\(s\); nothing was changed"):
        pointer.rollback()
    assert promoted(pointer, 3).artifact == things_ref(3)
    assert pointer.rollback().artifact == things_ref(1)
    assert [(m.generation, m.action, m.artifact) for m in pointer.history()] == [
        (1, "promote", things_ref(1)),
        (2, "promote", things_ref(2)),
        (3, "promote", things_ref(3)),
        (4, "rollback", things_ref(2)),
        (5, "rollback", things_ref(1)),
        (6, "promote", things_ref(3)),
        (7, "rollback", things_ref(1)),
    ]
    assert [m.reason for m in pointer.history()][3:5] == ["wrong answers", "back to generation 1"]


def test_a_pointer_moved_meanwhile_is_a_conflict_and_leaves_no_gap(pointer: Pointer) -> None:
    promoted(pointer, 1)
    promoted(pointer, 2)
    for after in (0, 1, 3, 99):
        with pytest.raises(
            PublicationConflictError,
            match=(
                rf"toys/test.things: expected generation {after} to be the newest, found 2 \({things_ref(2)}, by .*promote again"
            ),
        ):
            promoted(pointer, 3, after=after)
    assert promoted(pointer, 3, after=2).generation == 3
    assert [move.generation for move in pointer.history()] == [1, 2, 3]


def test_the_loser_of_two_promotions_is_told_and_the_winner_stays(
    pointer: Pointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_things(pointer.store, things_ref(1), seed=1)
    commit_things(pointer.store, things_ref(2), seed=2)

    def other_first(point: str) -> None:
        if point == "before-pointer":
            monkeypatch.undo()
            pointer.promote(things_ref(2), gates=[GATE])

    monkeypatch.setattr(files_module, "reached", other_first)
    with pytest.raises(PublicationConflictError, match=r"expected generation 0 to be the newest, found 1"):
        pointer.promote(things_ref(1), gates=[GATE])
    assert [move.artifact for move in pointer.history()] == [things_ref(2)]


def test_two_promotions_of_one_artifact_agree(pointer: Pointer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_things(pointer.store, things_ref(1), seed=1)
    first: list[Publication] = []

    def other_first(point: str) -> None:
        if point == "before-pointer":
            monkeypatch.undo()
            first.append(pointer.promote(things_ref(1), gates=[GATE]))

    monkeypatch.setattr(files_module, "reached", other_first)
    assert [pointer.promote(things_ref(1), gates=[GATE])] == first == pointer.history()


def test_of_many_threads_one_wins_each_generation(tmp_path: Path) -> None:
    store = Store(store_url("local", tmp_path)).prepare()
    for seed in range(24):
        commit_things(store, things_ref(seed), seed=seed, shards=1)

    def attempt(seed: int) -> Publication | None:
        try:
            return Pointer(store, "toys", THINGS.name).promote(things_ref(seed), gates=[GATE])
        except PublicationConflictError:
            return None

    with ThreadPoolExecutor(8) as pool:
        moves = [move for move in pool.map(attempt, range(24)) if move]
    history = Pointer(store, "toys", THINGS.name).history()
    assert [move.generation for move in history] == list(range(1, len(history) + 1))
    assert sorted(moves, key=lambda move: move.generation) == history


def test_of_two_processes_one_wins_each_generation(tmp_path: Path) -> None:
    url, rounds = store_url("local", tmp_path), 6
    Store(url).prepare()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        start = time.time() + 3
        found = [pool.submit(promote_at_once, url, rounds, seed, start) for seed in (1, 2)]
        outcomes = [line for future in found for line in future.result(timeout=60)]
    history = Pointer(Store(url), "toys", THINGS.name).history()
    assert [move.generation for move in history] == list(range(1, len(history) + 1))
    assert sorted(line for line in outcomes if line.startswith("won")) == sorted(
        f"won {move.generation} {move.ref}" for move in history
    )
    assert len(outcomes) == 2 * rounds
    assert all("to be the newest, found" in line for line in outcomes if line.startswith("lost"))


@pytest.mark.parametrize("part", ["artifact", "input"])
@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_damaged_artifact_is_not_promoted(store: Store, part: str, how: str) -> None:
    live = publish_things(store, 1)
    given = things_ref(7)
    commit_things(store, given, seed=7)
    manifest = commit_things(store, things_ref(2), seed=2, inputs=(given,))
    damaged: Ref = things_ref(2) if part == "artifact" else given
    path = store.manifest(damaged).files[-1].path
    if how == "missing":
        store.files.remove(path)
    else:
        content = bytearray(store.files.read(path))
        content[len(content) // 2] ^= 1
        store.files.write(path, bytes(content))
    with pytest.raises(CorruptArtifactError, match=f"artifact {damaged}: expected {path} with checksum"):
        Pointer(store, "toys", THINGS.name).promote(things_ref(2), gates=[GATE])
    assert manifest.digest != live.identity
    assert Pointer(store, "toys", THINGS.name).history() == [live]


def test_a_damaged_earlier_version_is_not_rolled_back_to(pointer: Pointer) -> None:
    promoted(pointer, 1)
    live = promoted(pointer, 2)
    pointer.store.files.remove(pointer.store.manifest(things_ref(1)).files[0].path)
    with pytest.raises(CorruptArtifactError, match=f"artifact {things_ref(1)}"):
        pointer.rollback()
    assert pointer.live() == live


def test_a_version_that_was_removed_is_not_rolled_back_to_and_that_is_said(pointer: Pointer) -> None:
    first, last = promoted(pointer, 1), promoted(pointer, 2)
    pointer.store.files.remove(first.ref)
    with pytest.raises(
        MissingArtifactError, match=r"expected generation 1 .* to roll back to, found it removed, as by"
    ):
        pointer.rollback()
    assert pointer.required() == last


def test_what_was_never_committed_is_not_promoted(pointer: Pointer) -> None:
    with pytest.raises(MissingArtifactError, match=f"artifact {things_ref(9)}: expected a committed artifact"):
        pointer.promote(things_ref(9), gates=[GATE])
    assert issubclass(MissingArtifactError, FingerpostError)
    assert pointer.live() is None


def test_versions_written_anew_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    moves = [publish_things(store, seed) for seed in range(3)]
    pointer = Pointer(store, "toys", THINGS.name)
    new = things_ref(50)
    commit_things(store, new, seed=50)
    assert pointer.forget({str(things_ref(99)): str(new)}, {}, reason="nothing of ours") is None
    move = pointer.forget({moves[0].ref: str(new)}, {moves[1].ref: "its input is gone"}, reason="forgotten")
    assert move is not None
    assert (move.action, move.ref, move.generation) == ("forget", moves[2].ref, 4)
    assert pointer.forget({moves[0].ref: str(new)}, {}, reason="again") is None
    assert [one.ref for one in pointer.line()] == [str(new), moves[1].ref, moves[2].ref]
    with pytest.raises(MissingArtifactError, match=r"not rebuilt \(its input is gone\); nothing was changed"):
        pointer.rollback()
    assert pointer.required().ref == moves[2].ref


def test_a_live_version_that_is_lost_gives_way_to_the_newest_that_is_not(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    moves = [publish_things(store, seed) for seed in range(3)]
    pointer = Pointer(store, "toys", THINGS.name)
    move = pointer.forget({}, {moves[2].ref: "gone"}, reason="forgotten")
    assert move is not None
    assert (move.ref, move.generation) == (moves[1].ref, 4)
    assert pointer.rollback().ref == moves[0].ref


def test_nothing_is_live_after_all_was_lost_until_something_is_published(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    moves = [publish_things(store, seed) for seed in range(2)]
    pointer = Pointer(store, "toys", THINGS.name)
    pointer.rollback()
    move = pointer.forget({}, {move.ref: "gone" for move in moves}, reason="forgotten")
    assert move is not None
    assert (move.action, move.generation) == ("withdraw", 4)
    assert pointer.live() is None
    assert pointer.line() == []
    with pytest.raises(MissingArtifactError, match="expected a live version, found none"):
        pointer.required()
    with pytest.raises(MissingArtifactError, match="expected an earlier version"):
        pointer.rollback()
    assert publish_things(store, 7).generation == 5
    assert pointer.required().ref == str(things_ref(7))
