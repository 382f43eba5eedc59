"""A graph built by shards: the same in this process, on one worker, on two, when one is killed, and when a build goes on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import faults
from fingerpost.tasks.ann.graph_shards import ShardingParams
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams
from fingerpost.tasks.ann.open import read_graph
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.stages import graph_shards
from fingerpost.tasks.ann.stages.index import build_graph
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.stages.documents import import_documents, take_vectors
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import Executor, SerialExecutor
from tests.support.kills import Killed
from tests.support.vectors import decaying
from tests.unit.xmr.logged import LoggedExecutor, marker_of
from tests.worlds import identities

ROWS = 1500
PARAMS, BUILD = HnswParams(max_neighbors=8, ef_construction=40, metric="l2"), ShardingParams(4, merge_ef=32)
POINTS = decaying(ROWS + 100, 24, seed=5)


def prepared(folder: Path, executor: Executor) -> tuple[Environment, Ref]:
    """An environment over a new store, and the vectors in it."""
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"p{row}", "vector": vector} for row, vector in enumerate(POINTS[:ROWS].tolist())]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = Environment(Store(str(folder / "store")).prepare(), "points", "2026-01-05", executor)
    documents = import_documents.execute(env, FileSource(str(folder / "rows.jsonl")), params=ImportParams(4096))
    return env, take_vectors.execute(env, documents, normalize=False)


def built(folder: Path, executor: Executor) -> tuple[Environment, Ref, dict[str, str]]:
    """The graph by shards, and the identities of all artifacts."""
    env, vectors = prepared(folder, executor)
    shards = graph_shards.build_graph_shards.execute(env, vectors, params=PARAMS, shards=BUILD.shards)
    graph = graph_shards.merge_graph_shards.execute(env, vectors, shards, params=PARAMS, build=BUILD)
    return env, graph, identities(env.store)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, Ref, dict[str, str]]:
    return built(tmp_path_factory.mktemp("serial"), SerialExecutor())


@pytest.fixture(scope="module")
def pair(forked_workers: None) -> Iterator[DaskExecutor]:
    executor = DaskExecutor(2)
    yield executor
    executor.close()


def test_a_graph_of_shards_is_one_of_all_rows(serial: tuple[Environment, Ref, dict[str, str]]) -> None:
    env, ref, _ = serial
    graph, vectors = read_graph(env.store.open(ref, contracts.GRAPH)), POINTS[:ROWS]
    assert faults(graph, PARAMS.max_neighbors) == []
    inputs = {name: one["ref"] for name, one in env.store.manifest(ref).identity["inputs"].items()}
    whole = build_graph.execute(env, Ref.parse(inputs["vectors"]), params=PARAMS)
    single, found = env.store.manifest(whole).quality, env.store.manifest(ref).quality
    assert set(found) == set(single)
    assert {name: found[name] for name in ("nodes", "levels", "dimensions", "metric")} == {
        name: single[name] for name in ("nodes", "levels", "dimensions", "metric")
    }
    shards = env.store.open(Ref.parse(inputs["graph_shards"]), contracts.GRAPH_SHARDS)
    assert shards.quality["graphs"] == len(shards.entries("graph")) == BUILD.shards
    assert found["build_distances"] > shards.quality["build_distances"] > 0
    exact = ExactIndex(vectors, "l2").search(POINTS[ROWS:], 10)
    one = read_graph(env.store.open(whole, contracts.GRAPH))
    recalls = [recall(HnswIndex(vectors, g, "l2").search(POINTS[ROWS:], 10, ef=40), exact) for g in (graph, one)]
    assert recalls[0] >= recalls[1] - 0.01


@pytest.mark.slow
def test_one_worker_process_makes_the_same(
    forked_workers: None, serial: tuple[Environment, Ref, dict[str, str]], tmp_path: Path
) -> None:
    executor = DaskExecutor(1)
    try:
        assert built(tmp_path, executor)[2] == serial[2]
    finally:
        executor.close()


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(
    pair: DaskExecutor, serial: tuple[Environment, Ref, dict[str, str]], tmp_path: Path
) -> None:
    shards = next(ref for ref in serial[0].store.refs() if ref.name == contracts.GRAPH_SHARDS.name)
    place = ("graph_shards._build_shard", str(shards), 2)
    executor = LoggedExecutor(pair, tmp_path / "log", frozenset({place}))
    assert built(tmp_path / "killed", executor)[2] == serial[2]
    begun = [found for found, _ in executor.begun]
    assert begun.count(place) > 1
    assert Path(marker_of(tmp_path / "log", place)).exists()


def test_a_killed_build_of_a_shard_goes_on_from_its_checkpoint(
    serial: tuple[Environment, Ref, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_shards, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(graph_shards, "STEP_ROWS", 128)
    save, saved = Workspace.save_arrays, list[int]()

    def dying(self: Workspace, position: int, arrays: Mapping[str, np.ndarray]) -> None:
        save(self, position, arrays)
        saved.append(position)
        if len(saved) == 4:
            raise Killed

    monkeypatch.setattr(Workspace, "save_arrays", dying)
    with pytest.raises(Killed):
        built(tmp_path, SerialExecutor())
    assert built(tmp_path, SerialExecutor())[2] == serial[2]
    # Two checkpoints for each of the four shards: the second was killed after its last one, and went on from there.
    assert saved == [128, 256] * 4


def test_the_bytes_of_threads_are_the_same(serial: tuple[Environment, Ref, dict[str, str]], tmp_path: Path) -> None:
    env, vectors = prepared(tmp_path, SerialExecutor())
    env.threads = 3
    shards = graph_shards.build_graph_shards.execute(env, vectors, params=PARAMS, shards=BUILD.shards)
    graph_shards.merge_graph_shards.execute(env, vectors, shards, params=PARAMS, build=BUILD)
    assert identities(env.store) == serial[2]
