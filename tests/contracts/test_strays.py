"""Files that others put into a store: copies, backups of editors, what file systems leave. They change nothing and are named."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.flows.ops.keep.gc import collect, plan_collection
from fingerpost.flows.ops.keep.live import show_status
from fingerpost.flows.ops.stack.doctor import stray_files
from fingerpost.schemas.contract import Table
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.forgotten import Forgotten, salt_of
from fingerpost.schemas.leases import RUNNING, at_work
from fingerpost.schemas.pins import pin, pins
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.store import Store
from fingerpost.schemas.strangers import strangers
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.ledger import partitioned, partitions, run_ids, save_partition
from tests.ops.keepsakes import LATER
from tests.worlds import GATE, STORES, THINGS, commit_things, fresh_store, publish_things, things_ref

FOLDER = f".published/toys/{THINGS.name}"
#: Names that editors, file managers and file systems give.
LEFT = (
    ".DS_Store",
    ".nfs000000000000a1b200000001",
    "00000002.json~",
    ".00000002.json.swp",
    "Thumbs.db",
)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with fresh_store(request.param, tmp_path) as opened:
        publish_things(opened, 1)
        publish_things(opened, 2)
        yield opened


def copy(store: Store, generation: int, name: str) -> str:
    """A copy of the file of a generation under another name."""
    store.files.write(f"{FOLDER}/{name}", store.files.read(f"{FOLDER}/{generation:08d}.json"))
    return f"{FOLDER}/{name}"


@pytest.mark.parametrize("name", ["00000002.json~", "00000003.json", "99999999.json", "00000001 copy.json", "3.json"])
def test_a_copy_of_a_move_beside_the_moves_changes_nothing(store: Store, name: str) -> None:
    pointer = Pointer(store, "toys", THINGS.name)
    path = copy(store, 1, name)
    assert [move.generation for move in pointer.history()] == [1, 2]
    assert pointer.required().artifact == things_ref(2)
    assert path in strangers(store)
    plan = collect(store, keep_days=0, keep_rollbacks=0, now=datetime.now(UTC) + LATER)
    assert {str(things_ref(1)), str(things_ref(2))} <= set(plan.reach.kept), "what a file names stays"
    assert store.verify(things_ref(2))
    assert pointer.rollback().artifact == things_ref(1)
    assert publish_things(store, 3).ref == pointer.required().ref == str(things_ref(3))
    assert [move.artifact for move in pointer.history()] == [things_ref(seed) for seed in (1, 2, 1, 3)]
    assert not pointer.strangers().keys() - {path}


def test_a_file_of_each_form_of_a_table_belongs_to_the_store(tmp_path: Path) -> None:
    forms = get_args(get_type_hints(Table)["form"])
    with fresh_store("local", tmp_path) as store:
        for seed, form in enumerate(forms):
            contract = replace(THINGS, tables=(replace(THINGS.tables[0], form=form), *THINGS.tables[1:]))
            store.write_table(things_ref(seed), contract, "things", pa.table({"id": ["a"], "text": ["b"]}))
        assert strangers(store, everywhere=True) == []
        assert stray_files(store.url).status == "ok"


def test_a_folder_with_the_name_of_a_move_is_none(tmp_path: Path) -> None:
    with fresh_store("local", tmp_path) as store:
        publish_things(store, 1)
        publish_things(store, 2)
        folder = f"{FOLDER}/00000003.json"
        Path(store.files.path(folder)).mkdir()
        with pytest.raises(FileNotFoundError):
            store.files.read(folder)
        pointer = Pointer(store, "toys", THINGS.name)
        assert pointer.required().artifact == things_ref(2)
        assert pointer.rollback().artifact == things_ref(1)
        assert [move.generation for move in pointer.history()] == [1, 2, 4]


@pytest.mark.parametrize("name", LEFT)
def test_what_is_no_record_stops_nothing(store: Store, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_partition(store, {"flow": "nightly", "collection": "toys", "day": "2026-01-02", "state": "completed"})
    pin(store, things_ref(1))
    folders = (
        ".published",
        ".published/toys",
        FOLDER,
        ".pins",
        RUNNING,
        ".collecting",
        ".runs",
        ".partitions",
        ".partitions/nightly",
        ".partitions/nightly/toys",
        ".backfills",
        THINGS.name,
        f"{THINGS.name}/day=2026-01-02",
        str(things_ref(1)),
    )
    paths = [f"{folder}/{name}" for folder in folders]
    for path in paths:
        store.files.write(path, b"\x00\xffno record")
    pointer = Pointer(store, "toys", THINGS.name)
    assert products(store) == [("toys", THINGS.name)]
    assert len(set(store.refs())) == 4
    assert (at_work(store), run_ids(store), len(pins(store))) == ([], [], 1)
    assert partitioned(store) == [("nightly", "toys")]
    assert list(partitions(store, "nightly", "toys")) == ["2026-01-02"]
    assert not collect(store, keep_days=0, now=datetime.now(UTC) + LATER).problem
    assert set(paths) <= set(store.files.listing()), "what is not ours is left alone"
    assert strangers(store, everywhere=True) == sorted(paths)
    found = stray_files(store.url)
    assert (found.status, paths[0] in found.found) == ("warn", True)
    show_status(store, as_json=False)
    assert f"{FOLDER}/{name}" in capsys.readouterr().out
    assert pointer.rollback().generation == 3


def test_the_newest_move_under_another_name_is_not_replaced_by_the_one_before(store: Store) -> None:
    path = copy(store, 2, "00000002.json.bak")
    store.files.remove_file(f"{FOLDER}/00000002.json")
    pointer = Pointer(store, "toys", THINGS.name)
    for attempt in (pointer.live, pointer.rollback, lambda: pointer.promote(things_ref(1), gates=[GATE])):
        with pytest.raises(CorruptArtifactError, match=f"publication {path}: expected the name 00000002.json"):
            attempt()
    plan = collect(store, keep_days=0, keep_rollbacks=0, now=datetime.now(UTC) + LATER)
    assert path in plan.problem
    assert not plan.artifacts


def test_a_pointer_that_cannot_be_read_keeps_every_artifact(store: Store) -> None:
    publish_things(store, 3, collection="others")
    store.files.write(f"{FOLDER}/00000002.json", b"{")
    plan = collect(store, keep_days=0, keep_rollbacks=0, now=datetime.now(UTC) + LATER)
    assert f"{FOLDER}/00000002.json" in plan.problem
    assert (plan.artifacts, plan.data) == ([], [])
    assert store.verify(things_ref(2))


def test_after_a_withdrawal_a_run_publishes_again(store: Store) -> None:
    pointer = Pointer(store, "toys", THINGS.name)
    pointer.forget({}, {str(things_ref(1)): "gone", str(things_ref(2)): "gone"}, reason="forgotten")
    assert pointer.live() is None
    commit_things(store, things_ref(3), seed=3)
    # What a run does, which knows only that nothing is live.
    assert pointer.promote(things_ref(3), gates=[GATE], after=0).generation == 4
    assert pointer.required().artifact == things_ref(3)


def test_two_that_publish_beside_a_copy_do_not_both_win(store: Store) -> None:
    pointer = Pointer(store, "toys", THINGS.name)
    copy(store, 1, "00000003.json")
    for seed in (3, 4):
        commit_things(store, things_ref(seed), seed=seed)
    assert pointer.promote(things_ref(3), gates=[GATE], after=2).generation == 4
    with pytest.raises(Exception, match="expected generation 2 to be the newest, found 4"):
        pointer.promote(things_ref(4), gates=[GATE], after=2)


def test_strays_in_a_workspace_are_no_shards_and_no_checkpoints(store: Store) -> None:
    work = Workspace(store, things_ref(9))
    work.finish_shard(0, [], {"rows": 1})
    work.save_checkpoint(7, b"state")
    for name in store.files.names(work.folder):
        for other in (f"{name}~", f"{name} copy", "shard-new.json", "checkpoint-a-b-c"):
            store.files.write(f"{work.folder}/{other}", store.files.read(f"{work.folder}/{name}"))
    assert list(work.finished_shards()) == [0]
    assert work.newest_checkpoint() == (7, b"state")


def test_a_suppressed_key_stays_so_beside_strays_and_without_its_salt_nobody_goes_on(store: Store) -> None:
    suppressed = Forgotten(store, "toys")
    suppressed.add("gone")
    (name,) = store.files.names(suppressed.folder)
    for stray in (".DS_Store", f"{name}~", "notes.txt"):
        store.files.write(f"{suppressed.folder}/{stray}", b"")
    found = suppressed.suppressed()
    assert found is not None
    assert found.match("gone")
    content = store.files.read(".forgotten/salt.json")
    for damaged in (b"", b"[]", b'{"salt": 7}', b'{"salt": "ab"}', b"[" * 10_000):
        store.files.write(".forgotten/salt.json", damaged)
        with pytest.raises(CorruptArtifactError, match=r"\.forgotten/salt\.json: expected"):
            salt_of(store)
    store.files.remove_file(".forgotten/salt.json")
    with pytest.raises(CorruptArtifactError, match=r"salt\.json: expected the salt of the forgotten keys of toys"):
        suppressed.suppressed()
    store.files.write(".forgotten/salt.json", content)
    assert suppressed.suppressed() == found


@settings(max_examples=15, deadline=None)
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40))
def test_whatever_its_name_a_stray_file_is_named_or_belongs(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("named") / "store"
    store = Store(str(folder)).prepare()
    publish_things(store, 1)
    if name in {".", ".."} or len(name.encode()) > 200:
        return
    (folder / FOLDER / name).write_bytes(b"x")
    found = plan_collection(store, keep_days=0)
    named = {*strangers(store), *found.seen.unreadable.values()}
    assert any(name in text for text in named) or name.endswith(".tmp")
    shutil.rmtree(folder)
