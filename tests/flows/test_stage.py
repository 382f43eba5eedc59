"""The stage: when it reuses, why it runs, what it carries over, and how it goes on after a failure."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, InputError, MissingArtifactError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks import same_code, threads
from fingerpost.tasks import stage as stage_module
from fingerpost.tasks.code import code_hash
from fingerpost.tasks.environment import Environment, current_environment, environment
from fingerpost.tasks.ledger import Ledger, StageRecord
from fingerpost.tasks.shards import Shard, ShardOutput
from fingerpost.tasks.stage import Stage, stage
from fingerpost.tasks.stage_run import StageRun
from tests.worlds import DAY, FixedSource

MADE = Contract("test.made", 1, (Table("things", (f.ID, f.TEXT), key=("id",)),), "toys")
COUNTED = Contract("test.counted", 1, (Table("counts", (f.ID, f.DOCUMENT_FREQUENCY)),), "their number")
NEXT_DAY = "2026-01-03"

#: The shards that fail, and every shard that was computed, in order.
failing: set[int] = set()
computed: list[int] = []


@dataclass(frozen=True)
class MakeParams:
    """What toys look like."""

    shards: int = 3
    texts: tuple[str, ...] = ("one", "two", "three", "four")
    suffix: str = ""


@stage(MADE)
def make_things(run: StageRun, source: FixedSource, *, params: MakeParams) -> None:
    """Makes toys, one shard a text."""
    figures = run.map_shards(
        _make_shard, [Shard(i, i, i + 1) for i in range(params.shards)], source=source, params=params
    )
    run.quality = {"things": sum(figure["rows"] for figure in figures)}


def _make_shard(store: Store, shard: Shard, *, source: FixedSource, params: MakeParams) -> ShardOutput:
    if shard.index in failing:
        raise RuntimeError(f"shard {shard.index} fails")
    computed.append(shard.index)
    text = params.texts[shard.index] + (params.suffix if shard.index == 0 else "")
    return ShardOutput({"things": pa.table({"id": [f"{shard.index}"], "text": [text]})}, {"rows": 1})


@stage(COUNTED)
def count_things(run: StageRun, *made: Ref, scale: int) -> None:
    """Counts toys."""
    rows = [run.store.open(ref, MADE).rows("things") * scale for ref in made]
    run.write("counts", pa.table({"id": [str(ref) for ref in made], "df": pa.array(rows, pa.int64())}))


@stage(COUNTED, observes=True)
def observe_things(run: StageRun, *made: Ref) -> None:
    """Counts toys for a report."""
    run.write("counts", pa.table({"id": [str(ref) for ref in made], "df": pa.array([1] * len(made), pa.int64())}))


@stage(COUNTED)
def count_threads(run: StageRun) -> None:
    """Counts the threads that linear algebra may use."""
    own = _threads()
    with threadpool_limits(2):  # as in the process of a worker
        [gathered] = run.gather(_count_threads, [Shard(0, 0, 1)])
        [figures] = run.map_shards(_count_threads, [Shard(0, 0, 1)])
    run.quality = {"stage": own, "gathered": gathered.figures["threads"], "shard": figures["threads"]}


def _count_threads(store: Store, shard: Shard) -> ShardOutput:
    counted = {"id": ["threads"], "df": pa.array([_threads()], pa.int64())}
    return ShardOutput({"counts": pa.table(counted)}, {"threads": _threads()})


def _threads() -> int:
    return max(library["num_threads"] for library in threadpool_info())


class Lab:
    """Runs both stages in one store, each time in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder / "store")).prepare()

    def env(self, *, day: str = DAY, forced: tuple[str, ...] = (), collection: str = "toys") -> Environment:
        return Environment(self.store, collection, day, forced=frozenset(forced))

    def run(
        self, env: Environment | None = None, *, params: MakeParams = MakeParams(), content: str = "a", scale: int = 1
    ) -> tuple[StageRecord, StageRecord]:
        env = env or self.env()
        made = make_things.execute(env, FixedSource(content), params=params)
        count_things.execute(env, made, scale=scale)
        first, second = env.records
        return first, second

    def reasons(self, *args: Environment, **keywords: object) -> list[str]:
        return [record.reason for record in self.run(*args, **keywords)]  # type: ignore[arg-type]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    failing.clear()
    computed.clear()
    yield Lab(tmp_path)
    failing.clear()


def paths(lab: Lab, record: StageRecord) -> list[str]:
    return [entry.path for entry in lab.store.manifest(Ref.parse(record.ref)).files]


def test_the_first_run_computes_and_the_second_reuses(lab: Lab) -> None:
    first = lab.run()
    assert [record.reason for record in first] == ["first run", "first run"]
    assert [record.computed for record in first] == [True, True]
    assert (first[0].shards_run, first[0].shards_resumed, first[0].rows, first[0].quality) == (
        3,
        0,
        {"things": 3},
        {"things": 3},
    )
    second = lab.run()
    assert [record.reason for record in second] == ["reused", "reused"]
    assert [record.computed for record in second] == [False, False]
    assert [record.ref for record in second] == [record.ref for record in first]
    assert computed == [0, 1, 2]


def test_changed_parameters_are_named_and_unchanged_ones_are_not(lab: Lab) -> None:
    lab.run()
    assert lab.reasons(params=MakeParams(suffix="!"))[0] == "parameters changed (params.suffix)"
    assert lab.reasons(params=MakeParams(suffix="!", texts=("1", "2", "3")))[0] == "parameters changed (params.texts)"
    lab.run()
    assert lab.reasons(scale=3)[1] == "parameters changed (scale)"


def test_a_changed_input_is_named(lab: Lab) -> None:
    lab.run()
    first, second = lab.run(content="b")
    assert first.reason == "input changed (source)"
    assert second.reason == "input changed (made_00)"


def test_changed_code_is_said_and_can_be_accepted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lab.run()
    monkeypatch.setattr(stage_module, "code_hash", lambda function: f"{function.__name__}-changed")
    assert (
        Ledger(lab.store, "toys").accept("make_things", "make_things-changed", MADE.name, reason="a comma") is not None
    )
    first, second = lab.run()
    assert (first.reason, first.computed, first.ref) == ("accepted", False, before[0].ref)
    assert (second.reason, second.computed) == ("code changed", True)
    with pytest.raises(
        FingerpostError, match=r"stage make_things: expected older code to accept, found that .* nothing to do"
    ):
        Ledger(lab.store, "toys").accept("make_things", code_hash(make_things.function), MADE.name, reason="")
    with pytest.raises(
        MissingArtifactError, match="stage make_things: expected an artifact of others to accept, found none"
    ):
        Ledger(lab.store, "others").accept("make_things", "x", MADE.name, reason="")


def test_code_that_is_known_to_be_equal_is_not_computed_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lab.run()
    monkeypatch.setattr(stage_module, "code_hash", lambda function: f"{function.__name__}-changed")
    known = {"make_things": {"make_things-changed": code_hash(make_things.function)}}
    monkeypatch.setattr(same_code, "_table", lambda: known)
    first, second = lab.run()
    assert (first.reason, first.computed, first.ref) == ("reused", False, before[0].ref)
    assert (second.reason, second.computed) == ("code changed", True)
    monkeypatch.setattr(stage_module, "code_hash", lambda function: f"{function.__name__}-changed again")
    assert lab.run()[0].reason == "code changed"


def test_an_accepted_note_says_who_and_why(lab: Lab) -> None:
    lab.run()
    note = Ledger(lab.store, "toys").accept("make_things", "f" * 32, MADE.name, reason="a comma")
    assert note["reason"] == "a comma"
    assert note["by"]
    assert note["as"] == code_hash(make_things.function)
    assert Ledger(lab.store, "toys").accepted("make_things", "f" * 32) == note["as"]


def test_a_forced_stage_runs_again_with_what_follows(lab: Lab) -> None:
    before = lab.run()
    first, second = lab.run(lab.env(forced=("make_things",)))
    assert (first.reason, second.reason) == ("forced", "forced (an input was)")
    assert (first.shards_run, first.computed, second.computed) == (3, True, True)
    assert [first.ref, second.ref] == [record.ref for record in before]
    assert lab.reasons(lab.env(forced=("count_things",))) == ["reused", "forced"]
    assert lab.reasons() == ["reused", "reused"]


def test_stale_versions_are_computed_again_if_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.run(replace(lab.env(), stale_on_versions=True))
    monkeypatch.setattr(stage_module, "package_versions", lambda: {"numpy": "99"})
    assert lab.run(replace(lab.env(), stale_on_versions=True))[0].computed
    lab.run()
    assert not lab.run()[0].computed


def test_an_unchanged_artifact_is_carried_over_to_another_day_without_copying(lab: Lab) -> None:
    before = lab.run()
    first, second = lab.run(lab.env(day=NEXT_DAY))
    assert (first.reason, second.reason) == ("reused", "reused")
    assert f"/day={NEXT_DAY}/" in first.ref
    assert paths(lab, first) == paths(lab, before[0])
    assert lab.store.files.names(first.ref) == ["manifest.json"]
    manifests = [lab.store.manifest(Ref.parse(record.ref)) for record in (first, before[0])]
    assert manifests[0].digest == manifests[1].digest
    assert computed == [0, 1, 2]


def test_unchanged_shards_of_an_earlier_day_are_referred_to(lab: Lab) -> None:
    before = lab.run()[0]
    after = lab.run(lab.env(day=NEXT_DAY), params=MakeParams(suffix=" changed", shards=4), content="b")[0]
    old, new = paths(lab, before), paths(lab, after)
    assert new[1:3] == old[1:3]
    assert all(f"/day={NEXT_DAY}/" in path for path in (new[0], new[3]))
    assert len(lab.store.files.names(after.ref)) == 3
    assert lab.store.open(Ref.parse(after.ref), MADE).read("things")["text"].to_pylist() == [
        "one changed",
        "two",
        "three",
        "four",
    ]
    assert lab.store.verify(Ref.parse(after.ref)) > 0


def test_a_damaged_file_of_an_earlier_day_is_not_referred_to(lab: Lab) -> None:
    for damage in (b"PAR1 damaged, of the same length", b""):
        lab = Lab(Path(lab.store.url) / f"again{len(damage)}")
        path = paths(lab, lab.run()[0])[1]
        whole = lab.store.files.read(path)
        lab.store.files.write(path, (damage + whole[len(damage) :]) if damage else b"")
        after = lab.run(lab.env(day=NEXT_DAY), content="b")[0]
        assert path not in paths(lab, after)
        assert lab.store.verify(Ref.parse(after.ref)) > 0


def test_forcing_mends_a_carried_over_artifact_whose_file_was_altered(lab: Lab) -> None:
    path = paths(lab, lab.run()[0])[0]
    carried = lab.run(lab.env(day=NEXT_DAY))[0]
    content = bytearray(lab.store.files.read(path))
    content[10] ^= 1
    lab.store.files.write(path, bytes(content))
    with pytest.raises(
        CorruptArtifactError, match=f"artifact {carried.ref}: expected {path} .*: rebuild the artifact with --force"
    ):
        lab.store.open(Ref.parse(carried.ref), MADE).read("things")
    mended = lab.run(lab.env(day=NEXT_DAY, forced=("make_things",)))[0]
    assert mended.ref == carried.ref
    assert lab.store.verify(Ref.parse(mended.ref)) > 0


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_damaged_file_on_reuse_names_the_way_out(lab: Lab, content: bytes | None) -> None:
    record = lab.run()[0]
    path = paths(lab, record)[0]
    if content is None:
        lab.store.files.remove(path)
    else:
        lab.store.files.write(path, content)
    with pytest.raises(
        MissingArtifactError,
        match=(
            f"artifact {record.ref}: expected {path} as the manifest lists it, found it missing or of another size; rerun"
            " with --force make_things"
        ),
    ):
        lab.run()
    assert lab.run(lab.env(forced=("make_things",)))[0].computed
    assert lab.reasons() == ["reused", "reused"]


@pytest.mark.parametrize("content", [b"", b"junk", b"{}"])
def test_a_damaged_manifest_is_refused_by_name_and_mended_by_force(lab: Lab, content: bytes) -> None:
    record = lab.run()[0]
    lab.store.files.write(f"{record.ref}/manifest.json", content)
    with pytest.raises(CorruptArtifactError, match=f"artifact {record.ref}, manifest.json: expected .*--force"):
        lab.run()
    assert lab.run(lab.env(forced=("make_things",)))[0].reason == "forced"
    assert lab.reasons() == ["reused", "reused"]


def test_a_damaged_manifest_of_another_day_costs_an_explanation_alone(lab: Lab) -> None:
    record = lab.run()[0]
    lab.store.files.write(f"{record.ref}/manifest.json", b"junk")
    first, _ = lab.run(lab.env(day=NEXT_DAY))
    assert first.computed
    lab.store.files.write(f"{first.ref}/manifest.json", b"junk")
    assert lab.run(lab.env(day=NEXT_DAY), content="b")[0].computed


def test_a_failed_run_goes_on_with_the_shards_that_are_left(lab: Lab) -> None:
    undisturbed = Lab(Path(lab.store.url) / "undisturbed")
    expected = undisturbed.run()[0]
    computed.clear()
    failing.add(2)
    with pytest.raises(RuntimeError, match="shard 2 fails"):
        lab.run()
    assert computed == [0, 1]
    assert list(lab.store.refs()) == []
    failing.clear()
    record = lab.run()[0]
    assert (record.shards_run, record.shards_resumed, record.reason) == (1, 2, "first run")
    assert computed == [0, 1, 2]
    digests = [at.store.manifest(Ref.parse(r.ref)).digest for at, r in ((lab, record), (undisturbed, expected))]
    assert digests[0] == digests[1]
    assert lab.store.files.names(".work") == []


def test_shards_shared_with_an_earlier_day_are_not_computed_again_after_a_stop(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run()

    def stop(*args: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            lab.run(lab.env(day=NEXT_DAY), content="b")
    record = lab.run(lab.env(day=NEXT_DAY), content="b")[0]
    assert (record.shards_run, record.shards_resumed) == (0, 3)
    assert computed == [0, 1, 2]


def test_forcing_computes_every_shard_again(lab: Lab) -> None:
    failing.add(2)
    with pytest.raises(RuntimeError):
        lab.run()
    failing.clear()
    assert lab.run(lab.env(forced=("make_things",)))[0].shards_run == 3


@pytest.mark.parametrize("day", [DAY, NEXT_DAY])
def test_another_run_that_finishes_first_is_the_one_that_counts(
    lab: Lab, day: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run clears the working state under this one, and may refer to files of an earlier day."""
    lab.run()
    finish = Workspace.finish_shard

    def other_first(workspace: Workspace, *args: object) -> None:
        monkeypatch.setattr(Workspace, "finish_shard", finish)
        lab.run(lab.env(day=day), content="b")
        raise CorruptArtifactError("working state: expected an intact checkpoint, found none; run again")

    monkeypatch.setattr(Workspace, "finish_shard", other_first)
    record = lab.run(lab.env(day=day), content="b")[0]
    assert record.reason == "reused"
    assert not record.computed
    assert lab.store.verify(Ref.parse(record.ref)) > 0


def test_two_collections_that_make_one_artifact_keep_its_files(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One would refer to an earlier day's files and drop its own, while the other is about to commit those."""
    lab.run()
    commit = Store.commit

    def stop(*args: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    def other_first(store: Store, *args: object, **keywords: object) -> object:
        monkeypatch.setattr(Store, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            lab.run(lab.env(day=NEXT_DAY), content="b")
        monkeypatch.setattr(Store, "commit", commit)
        return commit(store, *args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "commit", other_first)
    first = lab.run(lab.env(day=NEXT_DAY, collection="others"), content="b")[0]
    second = lab.run(lab.env(day=NEXT_DAY), content="b")[0]
    assert first.ref == second.ref
    assert lab.store.verify(Ref.parse(first.ref)) > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_stages_and_shards_compute_with_one_thread(lab: Lab, threads: int) -> None:
    """The last bits of a sum depend on their number."""
    env = lab.env()
    with threadpool_limits(threads):
        count_threads.execute(env)
        assert _threads() == threads
    assert env.records[0].quality == {"stage": 1, "gathered": 1, "shard": 1}


def test_libraries_are_looked_for_again_once_more_modules_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    class Counted(ThreadpoolController):  # type: ignore[misc]
        def __init__(self) -> None:
            looked.append(len(sys.modules))
            super().__init__()

    monkeypatch.setattr(threads, "ThreadpoolController", Counted)
    threads._libraries.cache_clear()
    for _ in range(3):
        with threads.single_threaded():
            assert _threads() == 1
    monkeypatch.setitem(sys.modules, "a_module_with_a_library", ModuleType("a_module_with_a_library"))
    with threads.single_threaded():
        assert _threads() == 1
    assert looked == [looked[0], looked[0] + 1]


def test_a_stage_outside_a_run_says_so() -> None:
    with pytest.raises(
        FingerpostError, match="stage: expected to be called inside a run, found no environment; call the flow"
    ):
        make_things(FixedSource("a"), params=MakeParams())


def test_an_environment_ends_with_its_block(lab: Lab) -> None:
    env = lab.env()
    with environment(env) as entered:
        assert current_environment() is entered is env
    with pytest.raises(FingerpostError, match="expected to be called inside a run"):
        current_environment()


def test_the_fingerprint_depends_on_what_the_result_does(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(
        made: Stage = make_things, content: str = "a", params: MakeParams = MakeParams(), **env: object
    ) -> str:
        ref = made.execute(replace(lab.env(), **env), FixedSource(content), params=params)  # type: ignore[arg-type]
        return ref.fingerprint

    first = fingerprint()
    assert fingerprint(day=NEXT_DAY) == fingerprint(threads=7) == fingerprint(collection="others") == first
    others = [
        fingerprint(content="b"),
        fingerprint(params=MakeParams(shards=2)),
        fingerprint(Stage(make_things.function, replace(MADE, version=2))),
    ]
    monkeypatch.setattr(stage_module, "code_hash", lambda function: "changed")
    others.append(fingerprint())
    assert len({first, *others}) == 5


def test_what_is_recorded_of_a_run_is_no_part_of_the_identity(lab: Lab) -> None:
    record = lab.run()[0]
    manifest = lab.store.manifest(Ref.parse(record.ref))
    assert {"host", "seconds", "peak_mb", "versions", "threads", "reason"} <= set(manifest.run)
    assert manifest.run["blas"] == threads.blas_cores()
    assert not {"host", "seconds", "versions", "threads", "blas", "at", "reason"} & set(manifest.identity)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the cores are those of x86-64")
@pytest.mark.parametrize("core", ["Nehalem", "Sandybridge"])
def test_the_environment_chooses_the_core_of_linear_algebra(core: str) -> None:
    """Cores that every processor of the last ten years can run."""
    code = "import numpy, scipy.linalg; from fingerpost.tasks.threads import blas_cores; print(blas_cores())"
    environment = os.environ | {"OPENBLAS_CORETYPE": core}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == f"{core}\n"


def test_a_source_that_changes_while_it_is_read_is_refused(lab: Lab) -> None:
    class Growing(FixedSource):
        asked = 0

        def __str__(self) -> str:
            return "growing.csv"

        def identity(self) -> str:
            Growing.asked += 1
            return f"content {Growing.asked}"

    with pytest.raises(InputError, match=r"growing.csv: expected the input to stay unchanged"):
        make_things.execute(lab.env(), Growing("x"), params=MakeParams())
    assert not list(lab.store.refs())


@pytest.mark.parametrize("planning", [False, True])
def test_a_stage_that_observes_is_recorded_as_one_and_nothing_that_counts_depends_on_it(
    lab: Lab, planning: bool
) -> None:
    env = lab.env()
    env.planning = planning
    made = make_things.execute(env, FixedSource("a"), params=MakeParams())
    observed = observe_things.execute(env, made)
    assert env.observed == {str(observed)}
    assert [stage.observes for stage in (env.planned if planning else env.records)] == [False, True]
    assert observe_things.execute(env, made, observed).name == COUNTED.name
    with pytest.raises(FingerpostError, match=r"stage count_things: .*got test\.counted/.*observes=True"):
        count_things.execute(env, made, observed, scale=1)
